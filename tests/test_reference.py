"""docs/params.md, the reference of all parameters."""

from pathlib import Path

import pytest
import yaml

from thumbnet.params import load_params
from thumbnet.reference import params_reference

ROOT = Path(__file__).parents[1]
REFERENCE = params_reference()


def test_the_page_in_docs_is_what_the_parameters_say() -> None:
    page = (ROOT / "docs/params.md").read_text(encoding="utf-8")
    assert page == REFERENCE, "docs/params.md is not up to date; write it with: make docs"


def keys_of(values: object, prefix: str = "") -> list[str]:
    if not isinstance(values, dict):
        return [prefix]
    return [key for name, inner in values.items() for key in keys_of(inner, f"{prefix}.{name}" if prefix else name)]


def test_every_key_of_params_yaml_has_a_row() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["models"] = {"<name>": values["models"][load_params(ROOT / "params.yaml").members[0]]}
    missing = [key for key in keys_of(values) if f"| `{key}` |" not in REFERENCE]
    assert not missing


@pytest.mark.parametrize("row", [line for line in REFERENCE.splitlines() if line.startswith("| `")])
def test_every_parameter_tells_what_it_takes_and_means(row: str) -> None:
    _, _, takes, default, meaning, _ = (cell.strip() for cell in row.replace("\\|", "/").split("|"))
    assert takes
    assert default
    assert meaning.endswith(".")


@pytest.mark.parametrize(
    "row",
    [
        "| `train.epochs` | whole number ≥ 1, ≤ 10,000 | – | Passes over the training images. ",
        "| `optimizer.lr` | number > 0, ≤ 1,000,000 | – | ",
        "| `models.<name>.norm` | `batch`, `group`, `layer`, `instance`, `none` | `none` | ",
        "| `evaluate.splits` | list of `train`, `validation`, `test` | – | ",
        "| `optimizer.nesterov` | `true`, `false` | – | ",
        "| `members` | list of text, 1 at least | – | ",
        "| `gallery.explain` | list of 2 whole numbers | – | ",
        "| `gallery.bars` | list of whole numbers, 40 at most | – | ",
        "| `report.title` | text of 200 characters at most | – | ",
    ],
)
def test_rows_tell_types_ranges_and_defaults(row: str) -> None:
    assert f"\n{row}" in REFERENCE


def test_stages_that_read_a_parameter_are_told() -> None:
    """As dvc.yaml has them; of the report, which reads all, the introduction tells."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    introduction, _, *sections = REFERENCE.split("\n## ")
    assert "`report`, which shows\nall parameters" in introduction
    texts = {section.split("`")[1].removesuffix(".<name>"): section for section in sections}
    for stage, content in stages.items():
        for parameter in content.get("params", []) if stage != "report" else []:
            section, _, key = parameter.partition(".")
            if section not in texts:
                continue  # at the top level
            told = texts[section].split("\n\n")[1]  # the section's own sentence
            if key and section != "models":
                told += next(row for row in texts[section].splitlines() if row.startswith(f"| `{parameter}` |"))
            assert f"`{stage}`" in told, (stage, parameter)
