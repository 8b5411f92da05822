"""Every image ends up in one split, in the number and the shares that were asked for, and chance follows the seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thumbnet.data import arrays
from thumbnet.data.arrays import DatasetInfo, load_info, load_names, load_split, save_info, save_names, save_split
from thumbnet.data.split import Plan, plan_split, split
from thumbnet.errors import UserError
from thumbnet.params import CorruptionParams, SplitParams

TRAIN = np.repeat([0, 1, 2], [50, 30, 20])
TRAIN = np.random.default_rng(1).permutation(TRAIN)
TEST = np.tile([0, 1, 2], 10)
NO_TEST = TEST[:0]
CLASSES = ("a", "b", "c")
CLEAN = CorruptionParams(label_noise=0.0, pixel_noise=0.0)


def params(kind: str, validation: float) -> SplitParams:
    return SplitParams.model_validate({"kind": kind, "validation": float(validation)})


def sizes(plan: Plan) -> dict[str, int]:
    return {name: len(indices) for name, (_, indices) in plan.items()}


@pytest.mark.parametrize(
    ("kind", "validation", "test", "expected"),
    [
        ("holdout", 10, TEST, (90, 10, 30)),
        ("fraction", 0.2, TEST, (80, 20, 30)),
        ("test_halves", 24, TEST, (100, 24, 6)),
        ("holdout", 10, NO_TEST, (80, 10, 10)),
        ("fraction", 0.2, NO_TEST, (60, 20, 20)),
    ],
)
def test_every_image_goes_to_one_split(kind, validation, test, expected):
    plan = plan_split(TRAIN, test, params(kind, validation), 0, CLASSES)
    assert tuple(sizes(plan).values()) == expected
    used = [(source, index) for source, indices in plan.values() for index in indices.tolist()]
    everything = {("train", index) for index in range(100)} | {("test", index) for index in range(len(test))}
    assert len(used) == len(set(used))
    assert set(used) == everything


def test_train_test_validates_on_the_test_images_and_warns_of_it(capsys):
    plan = plan_split(TRAIN, TEST, params("train_test", 5), 0, CLASSES)
    assert plan["train"][1].tolist() == list(range(100))
    for name in ("validation", "test"):
        assert plan[name][0] == "test"
        assert plan[name][1].tolist() == list(range(30))
    assert capsys.readouterr().out.startswith("warning: split.kind = train_test validates on the test images")


def test_holdout_is_the_last_of_train_and_test_halves_the_first_of_test():
    last = plan_split(TRAIN, TEST, params("holdout", 10), 0, CLASSES)["validation"][1]
    first = plan_split(TRAIN, TEST, params("test_halves", 24), 0, CLASSES)["validation"][1]
    assert last.tolist() == list(range(90, 100))
    assert first.tolist() == list(range(24))


@settings(deadline=None, max_examples=50)  # the first example loads scikit-learn
@given(
    share=st.floats(0.05, 0.9),
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=5),
    seed=st.integers(0, 2**31 - 1),
)
@example(share=0.3046875, counts=[20, 36], seed=0)  # 18 of 56, of which the second class has 12, and 10.97 is its share
def test_fraction_takes_its_share_of_every_class(share, counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    plan = plan_split(labels, TEST, params("fraction", share), seed, [*map(str, counts)])
    taken = np.bincount(labels[plan["validation"][1]], minlength=len(counts))
    # Both the split and, within it, each class is of whole images.
    assert abs(taken.sum() - share * len(labels)) < 1 + 1e-9
    assert np.all(np.abs(taken - taken.sum() * np.array(counts) / len(labels)) < 1 + 1e-9)
    assert sorted([*plan["train"][1], *plan["validation"][1]]) == list(range(len(labels)))


def test_a_test_set_cut_from_train_has_its_share_of_every_class(capsys):
    plan = plan_split(TRAIN, NO_TEST, params("fraction", 0.2), 0, CLASSES)
    assert np.bincount(TRAIN[plan["test"][1]]).tolist() == [10, 6, 4]
    assert "no test images are given: 20 of train" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "test", "name"), [("fraction", TEST, "validation"), ("holdout", NO_TEST, "test")])
def test_chance_follows_the_seed(kind, test, name):
    size = 0.2 if kind == "fraction" else 20
    first, again, other = (plan_split(TRAIN, test, params(kind, size), seed, CLASSES)[name][1] for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("kind", "validation", "test", "message"),
    [
        ("holdout", 100, TEST, "100 leaves nothing of 100 training images"),
        ("holdout", 5000, TEST, "5,000 leaves nothing of 100 training images"),
        ("holdout", 50, NO_TEST, "leaves nothing of 100 training images"),
        ("test_halves", 30, TEST, "30 leaves nothing of 30 test images"),
        ("test_halves", 10, NO_TEST, "no test images; allowed are holdout and fraction"),
        ("train_test", 1, NO_TEST, "no test images; allowed are holdout and fraction"),
        (
            "fraction",
            0.001,
            TEST,
            "0.001 makes a split of 1 images, too few for one of each of 3 classes; give a larger",
        ),
        ("fraction", 0.99, TEST, "0.99 makes a split of 1 images, .* of 3 classes; give a smaller"),
        ("holdout", 1, NO_TEST, "1 makes a split of 1 images, .* of 3 classes; give a larger"),
        ("fraction", 0.5, NO_TEST, "0.5 leaves nothing of 100 training images, as many again being the test set"),
    ],
)
def test_what_cannot_be_split_is_the_users_mistake(kind, validation, test, message):
    with pytest.raises(UserError, match=message):
        plan_split(TRAIN, test, params(kind, validation), 0, CLASSES)


@pytest.mark.parametrize(
    ("images", "validation", "message"),
    [
        (1, 0.2, "^owl: 1 training image, too few for a split by class"),
        (2, 0.35, "^owl: 1 training image is left by validation"),
    ],
)
def test_a_class_too_small_for_a_split_by_class_is_named(images, validation, message):
    labels = np.repeat([0, 1, 2], [10, 10, images])
    with pytest.raises(UserError, match=message):
        plan_split(labels, NO_TEST, params("fraction", validation), 0, ["cat", "dog", "owl"])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A data set whose pixels tell which image they are of."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, labels, first in (("train", TRAIN, 0), ("test", TEST, 100)):
        images = np.arange(first, first + len(labels), dtype=np.uint8)[:, None, None, None]
        save_split(folder, name, np.broadcast_to(images, (len(labels), 2, 3, 1)), labels)
    save_info(folder, DatasetInfo("mnist", CLASSES, (2, 3, 1), {"train": 100, "test": 30}, {}))
    return folder


@pytest.mark.parametrize("images_per_chunk", [1, 7, 1000])
def test_files_hold_the_images_that_were_chosen(raw, tmp_path, images_per_chunk, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", images_per_chunk * 6)
    split(raw, tmp_path / "splits", params("fraction", 0.2), CLEAN, seed=3)
    plan = plan_split(TRAIN, TEST, params("fraction", 0.2), 3, CLASSES)
    for name, (source, indices) in plan.items():
        images, labels = load_split(tmp_path / "splits", name, mmap=True)
        assert isinstance(images, np.memmap)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(images[:, 1, 2, 0], indices + 100 * (source == "test"))
        np.testing.assert_array_equal(labels, (TRAIN if source == "train" else TEST)[indices])
    assert load_info(tmp_path / "splits").counts == {"train": 80, "validation": 20, "test": 30}


def test_images_that_were_files_can_be_told_by_name(raw, tmp_path):
    split(raw, tmp_path / "splits", params("fraction", 0.2), CLEAN, seed=3)
    assert load_names(tmp_path / "splits", "validation") == []
    for source, labels in (("train", TRAIN), ("test", TEST)):
        save_names(raw, source, [f"{source}/ä\udcff\n{place}.png" for place in range(len(labels))])
    split(raw, tmp_path / "splits", params("fraction", 0.2), CLEAN, seed=3)
    for name, (source, indices) in plan_split(TRAIN, TEST, params("fraction", 0.2), 3, CLASSES).items():
        names = load_names(tmp_path / "splits", name)
        assert names == [f"{source}/ä\\udcff\n{place}.png" for place in indices]


def test_the_same_split_has_the_same_bytes_and_another_seed_another_hash(raw, tmp_path):
    infos = [split(raw, tmp_path / str(n), params("fraction", 0.2), CLEAN, seed) for n, seed in enumerate((1, 1, 2))]
    first, again = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "01")
    assert first == again
    assert len(first) == 7
    assert infos[0].sha256 == infos[1].sha256
    assert infos[0].sha256["train"] != infos[2].sha256["train"]


def test_a_class_without_training_images_is_the_users_mistake(raw, tmp_path):
    np.save(raw / "train_labels.npy", np.repeat([0, 1, 2], [50, 30, 20]))
    with pytest.raises(UserError, match="no training images of c;"):
        split(raw, tmp_path / "splits", params("holdout", 20), CLEAN, 0)


def test_a_failure_leaves_the_earlier_result_alone(raw, tmp_path):
    destination = tmp_path / "splits"
    split(raw, destination, params("holdout", 10), CLEAN, 0)
    before = sorted(path.name for path in destination.iterdir())
    np.save(raw / "train_images.npy", np.zeros((3, 2, 3, 1), np.uint8))  # fewer images than labels
    with pytest.raises(IndexError):
        split(raw, destination, params("holdout", 20), CLEAN, 0)
    assert sorted(path.name for path in destination.iterdir()) == before
    assert json.loads((destination / "dataset.json").read_text())["counts"]["validation"] == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "splits"]


def test_missing_input_names_the_file_and_the_command(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.json is missing; to make it: dvc repro"):
        split(tmp_path / "nothing", tmp_path / "splits", params("holdout", 10), CLEAN, 0)
