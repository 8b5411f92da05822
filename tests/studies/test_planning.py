"""From a study to its runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from thumbnet.errors import UserError
from thumbnet.studies import planning
from thumbnet.studies.planning import (
    Run,
    changed,
    hydra,
    join_overrides,
    plan_runs,
    read_overrides,
    select_runs,
    split_overrides,
)
from thumbnet.studies.study import Study, load_study, study_names

ROOT = Path(__file__).parents[2]
CURVES = {"kind": "curves"}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def study(**changes: Any) -> Study:
    return Study.model_validate(
        {
            "title": "Rates",
            "question": "Which rate?",
            "base": {"dataset.name": "mnist", "members": ["mlp_128", "mlp_50"]},
            "grid": {"optimizer.lr": [0.1, 1], "init": {"zero": {"models.*.init": "zero"}, "as it is": {}}},
            "seeds": [1, 2],
            "plot": {"kind": "dots", "x": "init", "colour": "optimizer.lr"},
        }
        | changes
    )


def test_every_condition_runs_with_the_first_seed_before_the_second_begins() -> None:
    runs = plan_runs("rates", study(skip=[{"init": "zero", "optimizer.lr": 1}]))
    assert [run.name for run in runs] == [
        "study-rates-0.1-zero-s1",
        "study-rates-0.1-as_it_is-s1",
        "study-rates-1-as_it_is-s1",
        "study-rates-0.1-zero-s2",
        "study-rates-0.1-as_it_is-s2",
        "study-rates-1-as_it_is-s2",
    ]
    assert len({run.key for run in runs}) == 6


def test_a_star_stands_for_every_member() -> None:
    run = plan_runs("rates", study())[0]
    assert run.overrides["models.mlp_128.init"] == run.overrides["models.mlp_50.init"] == "zero"
    assert run.params.models["mlp_50"].model_dump()["init"] == "zero"
    assert run.targets == ["evaluate@mlp_128", "evaluate@mlp_50"]


def test_the_command_line_has_the_last_word_and_is_recorded() -> None:
    base = {"members": ["mlp_128"], "train.epochs": 3}
    (run, *_) = plan_runs("rates", study(base=base), read_overrides(["train.epochs=2", "train.threads=1"]), [7])
    assert run.params.train.epochs == 2
    assert run.params.train.threads == 1
    assert run.extra == "train.epochs=2"  # threads change no result
    assert (run.seed, run.name[-3:]) == (7, "-s7")


@pytest.mark.parametrize(
    "text",
    [
        "train.epochs=2",
        "optimizer.lr=0.0123456789",
        "optimizer.lr=1.0e-05",
        "members=[softmax, mlp_50]",
        "models.mlp_50.layers=F L20 L10",
        "train.compile=true",
        "models.mlp_50.init='zero'",
        "report.title='1'",
    ],
)
def test_what_the_command_line_adds_is_read_again_as_it_was(text: str) -> None:
    given = read_overrides([text])
    assert read_overrides(split_overrides(join_overrides(given))) == given


def test_seeds_that_are_asked_for_twice_run_once() -> None:
    one = [run.name for run in plan_runs("rates", study(), seeds=[3])]
    assert [run.name for run in plan_runs("rates", study(), seeds=[3, 3])] == one


#: For each parameter that decides a result a value that params.yaml does not have.
EDITED: dict[str, dict[str, Any]] = {
    "split": {"kind": "holdout", "validation": 500},
    "corruption": {"label_noise": 0.2, "pixel_noise": 0.1},
    "normalisation": {"kind": "unit"},
    "train": {"epochs": 77, "batch_size": 99, "precision": "bf16", "ema": 0.5, "keep": "validation_loss", "seeds": 2},
    "optimizer": {"name": "adamw", "lr": 0.77, "weight_decay": 0.3, "momentum": 0.4, "nesterov": False},
    "schedule": {"name": "cosine", "warmup": 0.4, "decay": 0.9, "every": 3, "factor": 0.3},
    "regularisation": {"l2": 0.1, "label_smoothing": 0.1, "clip_norm": 1},
    "early_stopping": {"monitor": "validation_loss", "mode": "min", "patience": 3, "min_delta": 0.1},
    "augment": {"flip": "random", "rotation": 5, "shift": 0.1, "crop": 2, "border": "reflect", "cutout": 4,
                "pixel_noise": 0.1},
    "evaluate": {"train_images": 100, "flip": True, "shift": 1, "border": "reflect", "confidence": 0.5},
    "ensemble": {"method": "greedy", "seeds": "all"},
}  # fmt: skip


@pytest.mark.parametrize("name", study_names(ROOT / "studies"))
def test_a_study_is_the_same_whatever_params_yaml_has_been_changed_to(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(runs: list[Run]) -> list[Any]:
        return [
            (run.key, run.params.split, run.params.corruption, run.params.normalisation, run.params.evaluate.flip,
             run.params.evaluate.shift, run.params.evaluate.confidence, run.params.evaluate.train_images,
             run.ensemble and run.params.ensemble, [run.params.training_of(member) for member in run.params.members])
            for run in runs
        ]  # fmt: skip

    expected = results(plan_runs(name, load_study(name)))
    edited = planning.present_values()
    for section, values in EDITED.items():
        for key, value in values.items():
            assert edited[section][key] != value
        edited[section] |= values
    monkeypatch.setattr(planning, "present_values", lambda: edited)
    runs = plan_runs(name, load_study(name))
    assert results(runs) == expected
    assert "augment.cutout=0" in runs[0].arguments(edited)


@pytest.mark.parametrize(
    ("extra", "same"),
    [
        ("train.threads=3", True),
        ("train.device=cpu", True),
        ("dataset.path=docs", True),
        ("gallery.order=random", True),
        ("ensemble.method=majority", True),
        ("train.epochs=2", False),
        ("models.mlp_50.init=he_uniform", False),
        ("models.wide.init=he_uniform", True),
    ],
)
def test_a_run_is_known_again_by_what_its_result_depends_on(extra: str, same: bool) -> None:
    def keys(overrides: dict[str, Any]) -> list[str]:
        return [run.key for run in plan_runs("rates", study(grid={"optimizer.lr": [0.1]}, plot=CURVES), overrides)]

    assert (keys(read_overrides([extra])) == keys({})) is same


@pytest.mark.parametrize(
    ("only", "left"),
    [
        ([], {("0.1", "zero"), ("0.1", "as it is"), ("1", "zero"), ("1", "as it is")}),
        (["init=zero"], {("0.1", "zero"), ("1", "zero")}),
        (["init=as it is", "optimizer.lr=1"], {("1", "as it is")}),
        (["optimizer.lr=1", "optimizer.lr=0.1", "init=zero"], {("0.1", "zero"), ("1", "zero")}),
    ],
)
def test_only_leaves_the_conditions_that_are_named(only: list[str], left: set[tuple[str, str]]) -> None:
    rates = study()
    runs = select_runs(plan_runs("rates", rates), rates, only)
    assert {(run.condition["optimizer.lr"], run.condition["init"]) for run in runs} == left
    assert {run.seed for run in runs} == {1, 2}


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["init"], "--only init: write AXIS=VALUE; the grid has optimizer.lr, init"),
        (["inti=zero"], r"--only inti=zero names 'inti', which is no axis of the grid \(did you mean 'init'\?\)"),
        (["init=one"], "--only init=one: init is never 'one'; grid.init has zero, as it is"),
        (["init=zero", "optimizer.lr=1"], "the study skips all such conditions"),
    ],
)
def test_only_what_the_study_has_can_be_selected(only: list[str], message: str) -> None:
    rates = study(skip=[{"init": "zero", "optimizer.lr": 1}])
    with pytest.raises(UserError, match=message):
        select_runs(plan_runs("rates", rates), rates, only)


@pytest.mark.parametrize(
    ("nested", "dotted"),
    [
        ({"optimizer": {"name": "sgd", "lr": 0.5}}, {"optimizer.name": "sgd", "optimizer.lr": 0.5}),
        (
            {"members": ["tiny"], "models.tiny": {"layers": "F L8", "init": "zero"}},
            {"members": ["tiny"], "models.tiny.layers": "F L8", "models.tiny.init": "zero"},
        ),
        ({"models": {"*": {"init": "zero"}}}, {"models.*.init": "zero"}),
        ({"optimizer.lr": "1e-3"}, {"optimizer.lr": 0.001}),
        ({"report.title": "1e-3"}, {"report.title": "1e-3"}),
    ],
)
def test_values_may_be_nested_and_numbers_have_exponents(nested: dict[str, Any], dotted: dict[str, Any]) -> None:
    def plan(chosen: dict[str, Any]) -> Run:
        return plan_runs("rates", study(grid={"settings": {"these": chosen}}, plot=CURVES))[0]

    run, same = plan(nested), plan(dotted)
    assert (run.key, run.overrides) == (same.key, same.overrides)
    assert not any(isinstance(value, dict) for value in run.overrides.values())


def test_rates_are_the_same_however_they_are_written() -> None:
    (written,) = plan_runs("rates", study(grid={"optimizer.lr": ["1e-3"]}, plot=CURVES, seeds=[1]))
    (short,) = plan_runs("rates", study(grid={"optimizer.lr": [0.001]}, plot=CURVES, seeds=[1]))
    assert written.key == short.key
    assert "optimizer.lr=0.001" in written.arguments(yaml.safe_load((ROOT / "params.yaml").read_text()))


@pytest.mark.parametrize(
    ("condition", "part"),
    [("a..b", "a_b"), ("a...", "a"), ("1.5", "1.5"), ("2000→4000", "2000_4000"), ("MLP, 9.05 M", "MLP_9.05_M")],
)
def test_experiments_have_names_that_git_allows(condition: str, part: str) -> None:
    (run,) = plan_runs("rates", study(grid={"init": {condition: {}}}, plot=CURVES, seeds=[1]))
    assert run.name == f"study-rates-{part}-s1"


def test_a_long_name_is_cut_and_differs_from_others_that_begin_alike() -> None:
    grid = {"init": {"a" * 300 + end: {"models.*.init": init} for end, init in (("1", "zero"), ("2", "normal"))}}
    names = [run.name for run in plan_runs("rates", study(grid=grid, plot=CURVES))]
    assert len(set(names)) == 4
    assert all(len(f"{name}.log") < 255 for name in names)
    assert [name[-3:] for name in names] == ["-s1", "-s1", "-s2", "-s2"]


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"two runs would be called study-rates-a_b-s1"):
        plan_runs("rates", study(grid={"init": {"a b": {}, "a+b": {"optimizer.lr": 1}}}, plot=CURVES))


@pytest.mark.parametrize(
    ("grid", "first", "second"),
    [
        ({"train.threads": [1, 2]}, "train.threads 1", "train.threads 2"),
        ({"images": {"a": {"dataset.path": "docs"}, "b": {"dataset.path": "src"}}}, "images a", "images b"),
        ({"ensemble.method": ["soft_vote", "majority"]}, "ensemble.method soft_vote", "ensemble.method majority"),
        ({"init": {"a": {"models.*.init": "zero"}, "b": {"models.*.init": "zero"}}}, "init a", "init b"),
        (
            {"optimizer.lr": [0.1], "report.images": [10, 20]},
            "optimizer.lr 0.1, report.images 10",
            "optimizer.lr 0.1, report.images 20",
        ),
    ],
)
def test_two_conditions_that_are_the_same_run_are_refused(grid: dict[str, Any], first: str, second: str) -> None:
    with pytest.raises(UserError, match=rf"rates\.yaml: two conditions are the same run: {first}; and {second}\."):
        plan_runs("rates", study(grid=grid, plot=CURVES))


def test_with_the_ensemble_its_methods_are_different_runs() -> None:
    methods = {"ensemble.method": ["soft_vote", "majority"]}
    assert len({run.key for run in plan_runs("rates", study(grid=methods, plot=CURVES, ensemble=True))}) == 4


@pytest.mark.parametrize(
    ("text", "key", "axis"),
    [
        ("optimizer.lr=5", "optimizer.lr", "optimizer.lr"),
        ("models.*.init=normal", "models.*.init", "init"),
        ("models.mlp_50.init=normal", "models.mlp_50.init", "init"),
        ("models.mlp_50={init: normal}", "models.mlp_50.init", "init"),
    ],
)
def test_the_command_line_does_not_set_what_the_grid_sets(text: str, key: str, axis: str) -> None:
    with pytest.raises(UserError, match=rf"-S {re.escape(key)}: grid\.{axis} of .*rates\.yaml sets it.* --only"):
        plan_runs("rates", study(), read_overrides([text]))


@pytest.mark.parametrize("text", ["optimizer.lr", "=3", "optimizer.lr=[1"])
def test_an_override_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="-S "):
        read_overrides([text])


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        1,
        True,
        "relu",
        "true",
        "1e3",
        "F L2000 D.2",
        'a "b", c: d',
        "/some where/cifar 10.zip",
        ["bn", "F L8"],
        1e-07,
        "Größe",
        "C:\\images\\cifar",
        "ends in \\",
        'a \\"b\\" \\c',
    ],
)
def test_values_come_through_hydras_grammar_as_they_are(value: Any) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (read,) = OverridesParser.create().parse_overrides([f"key={hydra(value)}"])
    plain = read.value()
    texts = [str(part) if isinstance(part, str) else part for part in plain] if isinstance(plain, list) else plain
    wanted = [str(part) for part in value] if isinstance(value, list) else value
    assert (unquoted(texts)) == wanted


def unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [unquoted(part) for part in value]
    return value.text if hasattr(value, "text") else value


def test_keys_that_params_yaml_lacks_are_added_with_a_plus() -> None:
    present = yaml.safe_load((ROOT / "params.yaml").read_text())
    run: Run = plan_runs("rates", study(grid={"a": {"elu": {"models.*.activation": "elu"}}}, plot=CURVES))[0]
    arguments = run.arguments(present)
    assert "+models.mlp_50.activation=elu" in arguments
    assert "dataset.name=mnist" in arguments
    assert changed(present, run.overrides)["models"]["mlp_50"]["activation"] == "elu"
