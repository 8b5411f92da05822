"""Files of studies: what is refused, and in which words; and those of the project."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from thumbnet.errors import UserError
from thumbnet.studies.planning import plan_runs
from thumbnet.studies.study import load_study, study_names

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "title": "Rates",
    "question": "Which rate?",
    "base": {"dataset.name": "mnist", "members": ["mlp_128"]},
    "grid": {"optimizer.lr": [0.1, 1], "network": {"small": {"models.*.layers": "F L8"}, "as it is": {}}},
    "plot": {"kind": "dots", "x": "network", "colour": "optimizer.lr"},
}
NO_AXES: list[Any] = [{10: {"train.epochs": 1}}, {True: {}}, [["mlp_10"], ["mlp_50"]], {"a": 3}, [None], 3]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def write(folder: Path, changes: dict[str, Any]) -> None:
    values = {key: value for key, value in (GOOD | changes).items() if value is not None}
    (folder / "rates.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sedes": [1]}, "sedes is not known (did you mean 'seeds'?)"),
        ({"question": None}, "question is missing"),
        ({"grid": {"optimizer.lr": []}}, "grid.optimizer.lr is empty"),
        ({"grid": {"seed": [1]}}, "column 'seed' already"),
        ({"seeds": [1, 1]}, "seeds = [1, 1]: one of them stands there twice"),
        ({"plot": {"kind": "dots", "x": "netwrok"}}, "no axis of the grid (did you mean 'network'?)"),
        ({"plot": {"kind": "lines"}}, "plot.x is missing"),
        ({"plot": {"kind": "lines", "x": "network"}}, "plot.kind = lines: network has 'small', which is no number"),
        (
            {"plot": {"kind": "dots", "x": "network"}},
            "plot names no 'optimizer.lr', of which the grid has several values; make it x, colour or panel",
        ),
        (
            {"plot": {"kind": "lines", "x": "evaluate.flip"}, "grid": {"evaluate.flip": [True, False]}},
            "plot.kind = lines: evaluate.flip has true, which is no number",
        ),
        (
            {"plot": {"kind": "lines", "x": "width"}, "grid": {"width": {"inf": {}}}},
            "width has 'inf', which is no number",
        ),
        (
            {"plot": {"kind": "lines", "x": "optimizer.lr", "log": True}, "grid": {"optimizer.lr": [0, 1]}},
            "plot.log: optimizer.lr has 0; a logarithmic axis needs values above 0",
        ),
        *(
            ({"grid": {"width": values}, "plot": {"kind": "curves"}}, "  - grid.width: give a list of values, such as")
            for values in NO_AXES
        ),
        ({"base": {10: 1}}, "base.10 is no text, as a name must be; put it in quotes"),
        ({"grid": {"init": ["a\nb"]}}, r"grid.init: 'a\nb' is more than one line; conditions stand in tables"),
        ({"grid": {"init": {"a\rb": {}}}}, r"grid.init: 'a\rb' is more than one line"),
        ({"base": {"seed": 3}}, "seed is no override of a study; write seeds: [1, 2, 3]"),
        ({"plot": {"kind": "pie", "x": "network"}}, "plot.kind = 'pie': allowed are 'dots', 'lines', "),
        ({"skip": [{"network": "large"}]}, "network is never 'large'; grid.network has small, as it is"),
        ({"published": [{"source": "S9", "what": "x", "split": "test", "value": 1}]}, "published.0.source = 'S9'"),
        ({"published": [{"source": "S1", "what": "x", "split": "test", "value": 101}]}, "published.0.value = 101"),
        (
            {"published": [{"source": "S1", "what": "x", "split": "test", "value": 1, "when": {"optimizer.lr": 2}}]},
            "published[0].when: optimizer.lr is never '2'; grid.optimizer.lr has 0.1, 1",
        ),
    ],
)
def test_a_mistake_in_a_study_is_told_with_the_key_and_what_is_allowed(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    write(tmp_path, changes)
    with pytest.raises(UserError) as error:
        load_study("rates", tmp_path)
    assert str(tmp_path / "rates.yaml") in str(error.value)
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 2, "one line for one mistake"


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ({"optimzer.lr": 1}, "optimzer.lr is no parameter (did you mean 'optimizer'?)"),
        ({"optimizer.lrr": 1}, "did you mean 'lr'?"),
        ({"train.epochs": 0}, "train.epochs"),
        ({"models.*.inti": "zero"}, "did you mean 'init'?"),
        ({"members": ["mlp_129"]}, "did you mean 'mlp_128'?"),
        ({"models.*.layers": "C8 G P"}, "models.mlp_128.layers"),
    ],
)
def test_overrides_are_checked_against_the_parameters_before_anything_runs(
    tmp_path: Path, base: dict[str, Any], told: str
) -> None:
    write(tmp_path, {"base": GOOD["base"] | base, "grid": {"seeds together": {"one": {}}}, "plot": {"kind": "curves"}})
    with pytest.raises(UserError) as error:
        plan_runs("rates", load_study("rates", tmp_path))
    assert told in str(error.value)
    assert "seeds together one" in str(error.value)


@pytest.mark.parametrize("name", ["README", "readme"])
def test_a_study_is_not_called_as_the_index_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}.yaml: a study of that name would have the index of all studies"):
        load_study(name, tmp_path)


def test_a_study_that_is_not_there_is_told_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'norms'"):
        load_study("norm")


@pytest.mark.parametrize("name", study_names(ROOT / "studies"))
def test_every_study_of_the_project_can_be_planned(name: str) -> None:
    study = load_study(name)
    runs = plan_runs(name, study)
    conditions = [run.condition for run in runs if run.seed == study.seeds[0]]
    for figure in study.published:
        assert not figure.when or any(
            all(condition[axis] == str(value) for axis, value in figure.when.items()) for condition in conditions
        ), figure.what
