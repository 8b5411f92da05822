"""The page as a whole: complete in itself, sound, small enough, and the same each time, whatever it is about."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.report.page import LIMIT, render_report
from thumbnet.report.provenance import Provenance, find_provenance

HERE = Provenance(
    "c0ffee" * 6 + "c0ff", ("params.yaml",), {"seed": 2, "train": {"epochs": 5}}, None, {"Python": "3.11"}
)
HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "a & b \" ' c")
MANY = {"members": [f"network_with_a_long_name_{number}" for number in range(10)],
        "classes": [f"class number {number}" for number in range(100)]}  # fmt: skip


@pytest.mark.parametrize(
    "run",
    [{}, {"members": ["bn"], "classes": ["no", "yes"]}, {"classes": HOSTILE}, MANY],
    ids=["two members", "one member", "names with markup", "ten members and a hundred classes"],
)
def test_a_page_is_sound_and_complete_in_itself(run: dict[str, Any], make_run: Any, read_page: Any) -> None:
    params = make_run(**run)
    source = render_report(params, HERE)
    page = read_page(source)
    assert page.stack == [], "every element is closed"
    assert len(source.encode()) < LIMIT

    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    for element in page.elements:
        for name in element.attributes.get("aria-labelledby", "").split():
            assert name in ids
    pictures = [image for image in page.all("img") if image.attributes.get("id") != "viewer-image"]
    assert len(pictures) > 10 * len(params.members)
    for image in pictures:
        assert image.attributes["src"].startswith("data:image/webp;base64,")
        assert image.attributes["alt"]
        assert int(image.attributes["width"]) > 0
    assert not [element for element in page.elements if element.tag in {"iframe", "object", "base"}]
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", source), "nothing is loaded from elsewhere"
    policy = next(element.attributes["content"] for element in page.all("meta") if "content" in element.attributes
                  and "http-equiv" in element.attributes)  # fmt: skip
    assert "default-src 'none'" in policy

    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1
    assert len(page.all("script")) == 2, "names are text, not markup"
    assert page.data()["classes"] == list(run.get("classes", ("cat", "dog", "owl")))
    for name in run.get("classes", ()):
        assert name in [element.text for element in page.all("th")]


def test_the_same_run_gives_the_same_bytes(make_run: Any) -> None:
    params = make_run()
    assert render_report(params, HERE) == render_report(params, HERE)


@pytest.mark.parametrize(
    ("members", "side", "limit", "told"),
    [
        (2, 160, LIMIT, None),
        (10, 160, LIMIT, "compressed"),
        (2, 320, 1_000_000, "of their size"),
        (2, 320, 200_000, "were left out"),
    ],
    ids=["exact", "compressed", "smaller", "left out"],
)
def test_pictures_give_way_to_the_limit(
    members: int,
    side: int,
    limit: int,
    told: str | None,
    make_run: Any,
    read_page: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Noise, which no format makes small: 14 pictures of each network."""
    monkeypatch.setattr("thumbnet.report.page.LIMIT", limit)
    params = make_run([f"m{number}" for number in range(members)], side=side)
    source = render_report(params, HERE)
    assert len(source.encode()) < limit
    notes = [element.text for element in read_page(source).all("p") if "To stay below" in element.text]
    assert bool(notes) == bool(told)
    assert (told or "") in "".join(notes)


def test_a_picture_that_is_not_there_is_not_missed(make_run: Any, read_page: Any) -> None:
    params = make_run()
    (paths.EXPLAIN / "bn.png").unlink()
    paths.SHARED.unlink()
    keys = {figure.attributes.get("data-key") for figure in read_page(render_report(params, HERE)).all("figure")}
    assert {"grad-cam-test/ln", "mistakes-test/bn", "confusion-train/ensemble"} <= keys
    assert not {"grad-cam-test/bn", "shared"} & keys


@pytest.mark.parametrize(
    ("file", "named"),
    [(paths.ENSEMBLE_METRICS, "metrics/ensemble.json"), (paths.SUMMARIES / "bn.json", "data/summaries/bn.json"),
     (paths.PREDICTIONS / "bn.npz", "data/predictions/bn.npz")],
)  # fmt: skip
def test_results_that_are_missing_are_told(file: Path, named: str, make_run: Any) -> None:
    params = make_run()
    file.unlink()
    with pytest.raises(UserError, match=rf"{named} is missing; .*dvc repro"):
        render_report(params, HERE)


@pytest.mark.parametrize(("work", "told"), [(3_700, "3,700"), (640_000, "0.6 million"), (61_000_000, "61.0 million")])
def test_small_numbers_of_multiply_adds_are_told_as_they_are(work: int, told: str, make_run: Any) -> None:
    params = make_run()
    for member in params.members:
        file = paths.SUMMARIES / f"{member}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"multiply_adds": work}))
    assert f">{told} multiply-adds an image<" in render_report(params, HERE)


def test_the_page_says_what_was_changed_since_the_commit(make_run: Any, read_page: Any) -> None:
    params = make_run(report__title="A & B", train__epochs=7)
    page = read_page(render_report(params, HERE))
    assert page.all("h1")[0].text == "A & B"
    assert [mark.text.strip() for mark in page.all("mark")] == ["seed: 1", "epochs: 7"]
    assert "# was 2" in page.by_id("yaml").text
    assert HERE.commit in page.source


def test_without_git_the_page_does_without_a_commit(
    make_run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    params = make_run()
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_provenance()
    assert (found.commit, found.changed, found.committed) == (None, (), None)
    assert "not known: no git here" in render_report(params, found)


def test_the_commit_is_that_of_the_checkout(make_run: Any) -> None:
    make_run()
    identity = {f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for command in (["init", "--quiet"], ["add", "params.yaml"], ["commit", "--quiet", "--message", "start"]):
        subprocess.run(["git", *command], check=True, env=os.environ | identity)
    before = find_provenance()
    assert before.commit
    assert len(before.commit) == 40
    assert before.changed == ()
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# more\n")
    after = find_provenance()
    assert (after.commit, after.changed) == (before.commit, ("params.yaml",))
    assert after.committed == before.committed
