"""The registered model: a version for each network, once, and the best one's alias; on real SQLite stores."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from thumbnet import tracking
from thumbnet.params import Params

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store

TrainMember = Callable[..., Path]
TrackTraining = Callable[[Path], None]


def test_each_network_becomes_a_version_that_tells_what_it_is(
    train_member: TrainMember, track_training: TrackTraining, store: Store
) -> None:
    model_dir = train_member("bn", accuracy=0.75)
    track_training(model_dir)

    (version,) = store.client.search_model_versions("name = 'thumbnet-digits'")
    assert version.run_id == store.run("bn").info.run_id
    assert version.description == "bn: 75.00% on validation, 59 parameters, epoch 2"
    expected = {
        "member": "bn",
        "validation_accuracy": "0.750000",
        "validation_loss": "1.100000",
        "parameters": "59",
        "result": tracking.result_id(model_dir)[:12],
        "data": store.run("bn").data.tags["thumbnet.data"][:12],
    }
    assert expected.items() <= version.tags.items()
    assert store.champion() == 1
    assert tracking.registered_name("digits") == version.name


@pytest.mark.parametrize(
    ("trainings", "champion"),
    [
        ([("bn", 0.7, 1.0), ("gn", 0.8, 1.0)], 2),
        ([("bn", 0.8, 1.0), ("gn", 0.7, 0.5)], 1),
        ([("bn", 0.8, 1.0), ("gn", 0.8, 0.9)], 2),  # as accurate, and surer
        ([("bn", 0.8, 1.0), ("gn", 0.9, 1.0), ("small", 0.85, 0.1)], 2),
    ],
)
def test_the_best_by_validation_is_the_champion(
    trainings: list[tuple[str, float, float]],
    champion: int,
    train_member: TrainMember,
    track_training: TrackTraining,
    store: Store,
) -> None:
    for member, accuracy, loss in trainings:
        track_training(train_member(member, accuracy, loss))
    assert store.versions() == {number: member for number, (member, _, _) in enumerate(trainings, 1)}
    assert store.champion() == champion


def test_of_equals_the_same_one_is_champion_whatever_the_order(
    train_member: TrainMember, track_training: TrackTraining, store: Store, empty_store: Path
) -> None:
    champions = set()
    for order in (["bn", "gn"], ["gn", "bn"]):
        Path("mlflow.db").write_bytes(empty_store.read_bytes())
        for member in order:
            track_training(train_member(member))
        champions.add(store.versions()[store.champion()])
    assert len(champions) == 1


def test_a_deleted_version_comes_back_with_the_next_evaluation(
    params: Params, train_member: TrainMember, track_training: TrackTraining, store: Store
) -> None:
    track_training(train_member("bn"))
    tracking.log_evaluation(params, "bn", {}, {}, [])
    assert store.versions() == {1: "bn"}
    store.client.delete_registered_model("thumbnet-digits")
    tracking.log_evaluation(params, "bn", {}, {}, [])
    assert store.versions() == {1: "bn"}
    assert store.champion() == 1


def test_networks_of_other_classes_do_not_compete(
    train_member: TrainMember, track_training: TrackTraining, store: Store
) -> None:
    """Folders of images of one's own share a data set's name, and may hold anything."""
    track_training(train_member("bn", 0.9))
    model_dir = train_member("gn", 0.8)
    card = model_dir / "model.json"
    card.write_text(card.read_text().replace('"bag"', '"boot"'))
    track_training(model_dir)
    assert store.champion() == 2


def test_without_a_registry_the_run_is_complete(
    train_member: TrainMember, track_training: TrackTraining, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect("mlflow.db") as connection:
        connection.execute("DROP TABLE model_versions")
    track_training(train_member("bn"))
    assert store.run("bn").info.status == "FINISHED"
    told = capfd.readouterr().err
    assert told.startswith("warning: bn is no version of a registered model")
    assert len(told.splitlines()) == 1


@pytest.mark.slow
def test_processes_register_side_by_side(
    checkout: Path, params: Params, train_member: TrainMember, store: Store
) -> None:
    """As experiments of a queue do with `-j`; two of the three have trained the same network."""
    folders = [train_member("bn", 0.7), train_member("gn", 0.9), train_member("bn", 0.7)]
    Path("params.json").write_text(params.model_dump_json())
    Path("train.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from thumbnet.params import Params\n"
        "from thumbnet.recording import Recorder\n"
        "params = Params.model_validate_json(Path('params.json').read_text())\n"
        "folder = Path(sys.argv[1])\n"
        "with Recorder().begin(params, folder.name, {}) as run:\n"
        "    run.log_epoch({'epoch': 1, 'train_loss': 2.0})\n"
        "    run.finish(folder, [], {})\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "train.py", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for folder in folders
    ]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["", "", ""]
    versions = store.versions()
    assert sorted(versions.values()) == ["bn", "gn"]
    assert versions[store.champion()] == "gn"
    assert store.names() == ["bn", "gn"]
