"""Results of a pipeline, as its stages leave them, for any number of networks and classes; and a reader of pages."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from thumbnet import paths
from thumbnet.data.arrays import DatasetInfo, save_info, save_split
from thumbnet.files import write_json, write_table
from thumbnet.judging.predictions import Predictions, save_predictions
from thumbnet.params import Params, check_params
from thumbnet.report.page import COMMON, KINDS

ROOT = Path(__file__).parents[2]
IMAGES = {"train": 60, "validation": 30, "test": 200}

MakeRun = Callable[..., Params]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Makes a run in the current folder, which is a fresh one, and returns its parameters."""
    monkeypatch.chdir(tmp_path)

    def make(
        members: Sequence[str] = ("bn", "ln"),
        classes: Sequence[str] = ("cat", "dog", "owl"),
        side: int = 0,
        **changes: Any,
    ) -> Params:
        """`side`: of the pictures, which are noise; 0 for small ones that are not."""
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["models"] = {member: {"layers": "C8 G"} for member in members}
        values["members"] = list(members)
        for key, value in changes.items():
            section, _, name = key.partition("__")
            values[section][name] = value
        Path("params.yaml").write_text(yaml.safe_dump(values))
        write_results(list(members), tuple(classes))
        names = [*members, *(["ensemble"] if len(members) > 1 else [])]
        files = [path for path, _ in COMMON.values()]
        files += [Path(kind.file.format(name)) for kind in KINDS for name in names]
        for number, path in enumerate(files):
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(path, side, number)
        return check_params(values)

    return make


def write_results(members: list[str], classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    counts = dict(IMAGES)
    paths.SPLITS.mkdir(parents=True)
    labels = {split: rng.integers(0, len(classes), count) for split, count in counts.items()}
    for split, count in counts.items():
        save_split(paths.SPLITS, split, rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8), labels[split])
    save_info(paths.SPLITS, DatasetInfo("digits", classes, (8, 8, 1), counts, {split: "ab" * 32 for split in counts}))
    write_json(paths.NORMALISATION_METRICS, {"kind": "channel", "mean": {"0": 72.9}, "std": {"0": 90.0}})
    judged = {"accuracy": 0.9, "low": 0.85, "high": 0.93, "loss": 0.3, "top2": 0.97, "ece": 0.02, "macro_f1": 0.9,
              "scaled_loss": 0.29, "scaled_ece": 0.01}  # fmt: skip
    splits = dict.fromkeys(IMAGES, judged)
    for member in (*members, "ensemble"):
        logits = rng.normal(size=(counts["test"], len(classes)))
        logits[np.arange(counts["test"]), labels["test"]] += 2
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        file = paths.ENSEMBLE_PREDICTIONS if member == "ensemble" else paths.PREDICTIONS / f"{member}.npz"
        save_predictions(file, {"test": Predictions(probabilities.astype(np.float32), labels["test"])})
        write_table(paths.PER_CLASS / f"{member}.csv", ("split", "class", "precision", "recall", "f1", "images"),
                    [(split, name, 0.9, 0.8, 0.85, 7) for split in IMAGES for name in classes])  # fmt: skip
        write_table(paths.CONFUSED / f"{member}.csv", ("split", "pair", "actual", "predicted", "images", "share"),
                    [("test", f"{classes[0]} → {classes[1]}", classes[0], classes[1], 3, 0.1)])  # fmt: skip
        if member == "ensemble":
            break
        write_json(paths.EVALUATE_METRICS / f"{member}.json", splits | {"temperature": 1.2})
        write_json(paths.TRAIN_METRICS / f"{member}.json", {"parameters": 1234, "epochs": 3, "best_epoch": 2})
        write_json(paths.SUMMARIES / f"{member}.json", {"model": {"layers": "C8 G"}, "multiply_adds": 5_000_000})
        write_table(
            paths.HISTORY / f"{member}.csv", HISTORY, [(e, 0.1, 1 / e, 0.8, 1.2 / e, 0.7, 0) for e in (1, 2, 3)]
        )
    both = {split: {key: judged[key] for key in ("accuracy", "low", "high", "loss")} for split in splits}
    pairs = [("ensemble", members[-1]), *pairwise(members)] if len(members) > 1 else []
    write_json(paths.ENSEMBLE_METRICS, splits | {
        "members": members, "method": "soft_vote", "networks": len(members), "temperature": 1.1,
        "best_member": members[-1], "best_network": members[-1],
        "singles": [{"network": member, **both} for member in members], "gain_test_points": 0.5, "mcnemar_p": 0.03,
        "methods": [{"method": "soft_vote", **both}, {"method": "greedy", **both, "weights": {members[0]: 1.0}}],
        "pairs": [{"first": first, "second": second, "disagreement": 0.1, "error_correlation": None, "only_first": 3,
                   "only_second": 4, "p": 0.01, "p_holm": 0.02} for first, second in pairs],
    })  # fmt: skip


HISTORY = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "l2_penalty")


def draw(path: Path, side: int, number: int) -> None:
    """A picture of its own colour; of noise, which does not compress, where a side is given."""
    if side:
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    else:
        Image.new("RGB", (90, 60), (number % 256, 80, 160)).save(path)


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page as a browser without scripts understands it."""

    source: str
    elements: list[Element] = field(default_factory=list)
    stack: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in {"meta", "link", "img", "input", "br"}:
            self.stack.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        opened = self.stack.pop()
        assert opened.tag == tag, f"<{opened.tag} {opened.attributes}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        for element in self.stack:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def by_id(self, name: str) -> Element:
        (found,) = [element for element in self.elements if element.attributes.get("id") == name]
        return found

    def data(self) -> dict[str, Any]:
        """What the script works with."""
        content: dict[str, Any] = json.loads(self.by_id("page-data").text)
        return content


@pytest.fixture
def read_page() -> type[Page]:
    return Page


@pytest.fixture
def chromium() -> str:
    """The browser's command; tests that need it are left out where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no Chromium on this machine")
