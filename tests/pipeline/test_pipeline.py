"""The pipeline end to end, with DVC, git and MLflow as a user has them: results, reruns, experiments, accidents."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torchvision
import yaml
from PIL import Image

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.pipeline.conftest import Checkout

pytestmark = pytest.mark.slow

STAGES = {"check", "download", "split", "preview", "normalise", "train@bn", "train@ln", "evaluate@bn", "evaluate@ln",
          "gallery@bn", "gallery@ln", "explain@bn", "explain@ln", "shared", "ensemble", "curves",
          "summary", "report", "log"}  # fmt: skip
TOGETHER = ("shared", "ensemble", "curves", "summary", "report", "log")
MEMBERS = ("bn", "ln")
GALLERY = ("validation", "test", "samples", "most_confident", "least_confident", "bars")
SIZES = {"train": 1142, "validation": 300, "test": 355}


def lock(checkout: Checkout) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((checkout.root / "dvc.lock").read_text())["stages"]
    return stages


def metrics(checkout: Checkout, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((checkout.root / "metrics" / f"{name}.json").read_text())
    return content


def test_the_first_run_runs_every_stage_and_makes_all_that_is_declared(finished: Checkout) -> None:
    told = (finished.root.parent / "told.txt").read_text()
    assert {stage for stage in STAGES if f"Running stage '{stage}'" in told} == STAGES == set(lock(finished))
    for stage in lock(finished).values():
        for out in stage["outs"]:
            assert (finished.root / out["path"]).exists(), out["path"]
    new = (finished.root.parent / "new.txt").read_text()
    assert new.splitlines() == ["?? dvc.lock", "?? metrics/", "?? plots/"]


def test_each_network_is_judged_on_every_image(finished: Checkout) -> None:
    for member in MEMBERS:
        judged = metrics(finished, f"evaluate/{member}")
        assert set(judged) == {*SIZES, "temperature"}
        with np.load(finished.root / f"data/predictions/{member}.npz") as predictions:
            for split in SIZES:
                figures = judged[split]
                probabilities, labels = predictions[f"{split}_probabilities"], predictions[f"{split}_labels"]
                assert probabilities.shape == (SIZES[split], 10)
                np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
                assert np.array_equal(labels, np.load(finished.root / f"data/splits/{split}_labels.npy"))
                assert figures["accuracy"] == pytest.approx((probabilities.argmax(1) == labels).mean(), abs=1e-6)
                assert figures["low"] < figures["accuracy"] < figures["high"]
    best = max(metrics(finished, f"evaluate/{member}")["validation"]["accuracy"] for member in MEMBERS)
    assert best > 0.3, "far above the 0.1 of chance"


def weights_are_of_the_best_epoch(checkout: Checkout, member: str) -> None:
    with (checkout.root / f"plots/history/{member}.csv").open() as file:
        epochs = list(csv.DictReader(file))
    trained, judged = metrics(checkout, f"train/{member}"), metrics(checkout, f"evaluate/{member}")
    best = epochs[trained["best_epoch"] - 1]
    assert len(epochs) == trained["epochs"] == 2
    assert float(best["validation_accuracy"]) == max(float(epoch["validation_accuracy"]) for epoch in epochs)
    assert judged["validation"]["accuracy"] == pytest.approx(float(best["validation_accuracy"]), abs=1e-6)
    assert judged["validation"]["loss"] == pytest.approx(float(best["validation_loss"]), rel=1e-4)


def test_the_weights_are_those_of_the_best_epoch(finished: Checkout) -> None:
    for member in MEMBERS:
        weights_are_of_the_best_epoch(finished, member)


def test_the_ensemble_is_the_mean_of_its_members(finished: Checkout) -> None:
    with np.load(finished.root / "data/ensemble.npz") as ensemble:
        voted = ensemble["test_probabilities"]
    members = [np.load(finished.root / f"data/predictions/{member}.npz")["test_probabilities"] for member in MEMBERS]
    np.testing.assert_allclose(voted, np.mean(members, axis=0), rtol=1e-5)
    labels = np.load(finished.root / "data/splits/test_labels.npy")
    judged = metrics(finished, "ensemble")
    assert judged["members"] == list(MEMBERS)
    assert judged["test"]["accuracy"] == pytest.approx((voted.argmax(1) == labels).mean(), abs=1e-6)
    assert judged["method"] == judged["methods"][0]["method"] == "soft_vote"
    best = metrics(finished, f"evaluate/{judged['best_member']}")
    gain = judged["test"]["accuracy"] - best["test"]["accuracy"]
    assert judged["gain_test_points"] == pytest.approx(100 * gain, abs=1e-3)


def test_a_temperature_is_fitted_on_validation(finished: Checkout) -> None:
    for name in (*(f"evaluate/{member}" for member in MEMBERS), "ensemble"):
        judged = metrics(finished, name)
        assert judged["temperature"] != 1
        assert judged["validation"]["scaled_loss"] < judged["validation"]["loss"]


def test_every_picture_can_be_looked_at(finished: Checkout) -> None:
    pictures = {path.relative_to(finished.root / "plots").as_posix() for path in finished.root.glob("plots/**/*.png")}
    galleries = {f"gallery/{member}/{name}.png" for member in MEMBERS for name in GALLERY}
    of_members = {f"{folder}/{name}.png" for folder in ("explain", "summary") for name in MEMBERS}
    judged = {f"{folder}/{name}/{split}.png" for folder in ("confusion", "calibration")
              for name in (*MEMBERS, "ensemble") for split in SIZES}  # fmt: skip
    ensemble = {f"ensemble/{name}.png" for name in ("methods", "size", "diversity", "mcnemar")}
    assert pictures == galleries | of_members | judged | ensemble | {"curves.png", "shared.png", "preview/classes.png",
                                                                     "preview/augmentation.png"}  # fmt: skip
    for name in pictures:
        with Image.open(finished.root / "plots" / name) as picture:
            assert min(picture.size) > (130 if name == "explain/ln.png" else 250), "ln has no convolution to explain"
            assert len(picture.convert("L").getcolors(256) or []) > 5


def test_mlflow_has_a_run_for_each_network_and_the_ensemble(finished: Checkout) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.root}/mlflow.db")

    def artifacts(run: Any, folder: str) -> set[str]:
        return {Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, folder)}

    for member in MEMBERS:
        (run,) = finished.runs(member)
        assert run.info.status == "FINISHED"
        assert run.data.params["model.layers"] == {"bn": "C8 C8+ P F", "ln": "F L32"}[member]
        assert run.data.params["train.epochs"] == "2"
        assert [entry.step for entry in client.get_metric_history(run.info.run_id, "validation/accuracy")] == [1, 2]
        judged = metrics(finished, f"evaluate/{member}")
        assert run.data.metrics["test/accuracy"] == judged["test"]["accuracy"]
        assert artifacts(run, "training") >= {f"{member}.csv", f"{member}.json"}
        assert artifacts(run, "evaluation") >= {f"{member}.json", "confusion", "per_class"}
        assert artifacts(run, "evaluation/confusion") == {f"{member}.csv", *(f"{split}.png" for split in SIZES)}
        assert artifacts(run, "gallery") == {f"{member}.csv", *(f"{name}.png" for name in GALLERY)}
        assert artifacts(run, "curves") == {f"{member}.png"}
        assert artifacts(run, "explain") == {f"{member}.png"}
        assert artifacts(run, "shared") == {"shared.png", "shared.csv"}
        assert artifacts(run, "summary") == {f"{member}.json", f"{member}.png"}
        assert [output.model_id for output in run.outputs.model_outputs], "the model itself"
        assert run.data.tags["mlflow.source.git.commit"] == finished.git("rev-parse", "HEAD~").strip()
    (ensemble,) = finished.runs("ensemble")
    for member in MEMBERS:
        assert ensemble.data.tags[f"thumbnet.member.{member}"] == finished.runs(member)[0].info.run_id
    assert artifacts(ensemble, "evaluation") >= {"ensemble.json", "confusion", "per_class"}
    assert artifacts(ensemble, "report") == {"report.html"}
    assert artifacts(ensemble, "evaluation/confusion") == {"ensemble.csv", *(f"{split}.png" for split in SIZES)}
    versions = client.search_model_versions("name = 'thumbnet-digits'")
    assert sorted(version.tags["member"] for version in versions) == sorted(MEMBERS)
    champion = client.get_model_version_by_alias("thumbnet-digits", "champion").tags["member"]
    accuracy = {
        member: json.loads((finished.root / f"models/{member}/model.json").read_text())["best"]["validation_accuracy"]
        for member in MEMBERS
    }
    assert accuracy[champion] == max(accuracy.values())
    assert not (finished.root / "mlruns").exists()


def test_a_second_run_does_nothing_but_say_so(checkout: Checkout) -> None:
    told = checkout.dvc("repro")
    assert "Data and pipelines are up to date." in told
    assert "Running stage" not in told
    assert checkout.git("status", "--short") == ""


def test_several_seeds_are_told_by_their_medians_and_quartiles(checkout: Checkout) -> None:
    first = metrics(checkout, "evaluate/ln")["test"]
    checkout.change({"train.seeds": 3})
    checkout.dvc("repro", "evaluate@ln", "curves")
    judged = metrics(checkout, "evaluate/ln")["test"]
    assert judged["accuracy"] == pytest.approx(first["accuracy"], abs=0.02), "the first seed is that of params.yaml"
    spread = judged["seeds"]["accuracy"]
    assert judged["seeds"]["count"] == 3
    assert spread["p25"] <= spread["median"] <= spread["p75"]
    assert spread["p25"] < spread["p75"]
    assert sorted(path.name for path in (checkout.root / "models/ln/seeds").iterdir()) == ["2", "3"]
    with (checkout.root / "plots/history/ln.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert all(
        float(epoch["validation_loss_p25"]) < float(epoch["validation_loss"]) < float(epoch["validation_loss_p75"])
        for epoch in epochs
    )
    (run,) = [run for run in checkout.runs("ln") if run.data.params["train.seeds"] == "3"]
    assert run.data.metrics["test/accuracy_median"] == spread["median"]


def test_a_network_of_torchvision_goes_alone_through_all_stages_and_back_trains_nothing(checkout: Checkout) -> None:
    kept = {path: path.read_bytes() for path in checkout.root.glob("plots/history/*.csv")}
    weights = checkout.root / "weights.pth"
    torch.save(torchvision.models.shufflenet_v2_x0_5(num_classes=7).state_dict(), weights)
    pretrained = f"weights.pth#{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"
    checkout.change({"members": ["theirs"], "models.theirs.pretrained": pretrained})
    of_theirs = {f"{stage}@theirs" for stage in ("train", "evaluate", "gallery", "explain")}
    assert checkout.repro() == of_theirs | set(TOGETHER)
    assert metrics(checkout, "ensemble")["members"] == ["theirs"]
    assert metrics(checkout, "ensemble")["gain_test_points"] == 0
    assert "ln" not in (checkout.root / "plots/curves.csv").read_text()
    weights_are_of_the_best_epoch(checkout, "theirs")
    for picture in ("gallery/theirs/test.png", "explain/theirs.png", "summary/theirs.png"):
        assert (checkout.root / "plots" / picture).stat().st_size > 10_000, picture
    assert "shufflenet_v2_x0_5" in (checkout.root / "plots/report.html").read_text()
    (run,) = checkout.runs("theirs")
    assert run.data.params["model.torchvision"] == "shufflenet_v2_x0_5"
    assert run.data.params["model.pretrained"] == pretrained

    checkout.git("checkout", "--quiet", "params.yaml")
    assert checkout.repro() == set()
    changed = checkout.git("diff", "--name-only").split()
    assert changed == ["dvc.lock"], "all is as it was, ln's files included; the lock keeps theirs beside it"
    assert {path: path.read_bytes() for path in kept} == kept
    assert [len(checkout.runs(name)) for name in ("bn", "ln", "ensemble")] == [1, 1, 1], "one network is none"


def test_an_experiment_is_tried_in_a_copy_then_applied_then_undone(checkout: Checkout) -> None:
    """Each training happens once, and is one run in the checkout's own store, however often DVC restores it."""
    told = checkout.dvc("exp", "run", "--temp", "--name", "wide", "--set-param", "models.bn.layers=C12 P F")
    for stage in ("train@bn", "evaluate@bn", "gallery@bn", "explain@bn", *TOGETHER):
        assert f"Running stage '{stage}'" in told
    for stage in ("download", "split", "preview", "normalise", "train@ln", "evaluate@ln", "gallery@ln", "explain@ln"):
        assert f"Running stage '{stage}'" not in told
    assert checkout.git("status", "--short") == "", "the user's own files are left alone"

    first, second = checkout.runs("bn")
    assert second.data.params["model.layers"] == "C12 P F"
    assert (second.info.run_name, second.data.tags["dvc.exp_name"]) == ("bn wide", "wide")
    assert "dvc.exp_name" not in first.data.tags
    assert second.info.status == "FINISHED"
    artifacts = Path(second.info.artifact_uri.removeprefix("file://").replace("%20", " "))
    assert (artifacts / "gallery/test.png").exists(), "not in the copy, which is gone"
    assert len(checkout.runs("ln")) == 1

    checkout.dvc("exp", "apply", "wide")
    assert checkout.repro() == set()
    assert "C12 P F" in (checkout.root / "models/bn/model.json").read_text()

    checkout.change({"models.bn.layers": "C8 C8+ P F"})
    assert checkout.repro() == set(), "all of it comes from DVC's cache"
    assert "C8 C8+ P F" in (checkout.root / "models/bn/model.json").read_text()
    assert checkout.git("status", "--short") == ""
    assert [run.info.run_id for run in checkout.runs("bn")] == [first.info.run_id, second.info.run_id]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizer.learning_rate": 0.1}, ["optimizer.learning_rate: unknown key", "optimizer has name, lr"]),
        ({"members": ["bn", "lm"]}, ["members names 'lm'", "did you mean 'ln'?"]),
    ],
    ids=["unknown key", "unknown member"],
)
def test_a_mistake_is_told_before_anything_runs(change: dict[str, Any], told: list[str], checkout: Checkout) -> None:
    checkout.change(change)
    done = checkout.run("dvc", "repro")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    for part in ("error: params.yaml cannot be used", *told):
        assert part in output
    assert "Traceback" not in output
    assert output.count("Running stage") == 1
    assert checkout.git("status", "--short").split() == ["M", "params.yaml"], "dvc.lock and all results are as before"


def test_ctrl_c_leaves_a_message_and_nothing_broken(checkout: Checkout) -> None:
    checkout.change({"train.epochs": 5000})
    shutil.rmtree(checkout.root / "models/bn")  # as DVC does before it runs a stage
    command = ["python", "stages/train.py", "bn"]
    with subprocess.Popen(
        command,
        cwd=checkout.root,
        env=checkout.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert any("epoch" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert message.strip().startswith("interrupted: ")
    assert "dvc repro" in message
    assert "Traceback" not in message
    assert [path.name for path in (checkout.root / "models").iterdir()] == ["ln"]
    assert [run.info.status for run in checkout.runs("bn")] == ["FINISHED", "KILLED"]


def test_a_killed_training_goes_on_to_the_same_bytes(checkout: Checkout) -> None:
    checkout.change({"train.epochs": 12})
    command = ["python", "stages/train.py", "bn"]
    outcome = [checkout.root / file for file in ("models/bn/weights.safetensors", "plots/history/bn.csv")]
    whole = checkout.run(*command)
    assert whole.returncode == 0, whole.stderr
    expected = [file.read_bytes() for file in outcome]
    assert list((checkout.root / "data/checkpoints").iterdir()) == []

    with subprocess.Popen(
        command, cwd=checkout.root, env=checkout.environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert any("epoch  4/12" in line for line in process.stdout)
        process.kill()
    done = checkout.run(*command)

    assert done.returncode == 0, done.stderr
    assert "bn  goes on after epoch " in done.stdout
    assert re.findall(r"epoch +(\d+)/12", done.stdout) == [str(number) for number in range(1, 13)]
    assert [file.read_bytes() for file in outcome] == expected
    assert list((checkout.root / "data/checkpoints").iterdir()) == []


@pytest.mark.parametrize("stage", ["split", "preview", "train", "evaluate", "gallery"])
def test_ctrl_c_while_libraries_load_leaves_a_message(stage: str, checkout: Checkout) -> None:
    """Loading them takes seconds, a good part of a short stage."""
    hook = """
        import signal, sys

        class CtrlC:
            def find_spec(self, name, path=None, target=None):
                if name in ("numpy", "torch"):
                    signal.raise_signal(signal.SIGINT)

        sys.meta_path.insert(0, CtrlC())
        """
    folder = checkout.root / "hook"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(hook))
    done = checkout.run("python", f"stages/{stage}.py", "bn", PYTHONPATH=f"{folder}{os.pathsep}{checkout.root / 'src'}")
    assert done.returncode == 130
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_git_the_same_training_gives_the_same_bytes_too(checkout: Checkout) -> None:
    before = (checkout.root / "dvc.lock").read_bytes()
    shutil.rmtree(checkout.root / ".git")
    assert checkout.run("tools/match_git.sh").returncode == 0

    told = checkout.dvc("repro", "--force", "--single-item", "normalise", "train@ln", "evaluate@ln")

    assert told.count("Running stage") == 3
    assert (checkout.root / "dvc.lock").read_bytes() == before
    assert "Data and pipelines are up to date." in checkout.dvc("repro")
    assert len(checkout.runs("ln")) == 1, "the same result is the same run"
