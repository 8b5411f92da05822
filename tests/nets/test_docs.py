"""docs/notation.md tells the truth: its counts are those of the networks, its messages those that a user gets."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from thumbnet.errors import UserError
from thumbnet.nets.builder import build_line, count_parameters
from thumbnet.nets.notation import KINDS, Shape, check_network, has_bias, parse, plan
from thumbnet.params import Activation, Initialiser, ModelParams, NormKind, Order

GREY = Shape(1, 28, 28)
DOCS = (Path(__file__).parents[2] / "docs" / "notation.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in DOCS.splitlines() if line.startswith("| `")]
EXAMPLES = [row for row in ROWS if len(row) == 4 and "×" in row[2] and row[3].replace(",", "").isdigit()]
BIASES = [row for row in ROWS if len(row) == 4 and row[0] in ("`C16 c8 F L10`", "`C16 N c8 N F L10`")]
MISTAKES = [line for line in DOCS.splitlines() if line.startswith("models.m.layers")]


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row[0])
def test_the_counts_of_the_examples(row: list[str]) -> None:
    line, choices, image, parameters = row
    height, width, channels = (int(side) for side in image.split("×"))
    chosen: Any = dict(choice.split(": ") for choice in re.findall("`(.+?)`", choices))
    network = build_line(ModelParams(layers=line.split("`")[1], **chosen), Shape(channels, height, width), 10)
    assert f"{count_parameters(network):,}" == parameters


@pytest.mark.parametrize("row", BIASES, ids=" ".join)
def test_the_layers_that_have_a_bias(row: list[str]) -> None:
    line, norm, order, biased = (re.findall("`(.+?)`", cell) for cell in row)
    for each in order or get_args(Order):
        params = ModelParams(layers=line[0], norm=norm[0], order=each)
        steps = plan(parse(params.layers), GREY)
        assert [str(step.token) for step in steps if step.token.kind in "CcL" and has_bias(step, params)] == biased


@pytest.mark.parametrize("message", MISTAKES)
def test_the_messages_for_mistakes(message: str) -> None:
    line = message.split("'")[1]
    norm: NormKind = "instance" if "instance normalisation" in message else "none"
    with pytest.raises(UserError) as refused:
        check_network("m", ModelParams(layers=line, norm=norm), GREY)
    assert str(refused.value) == message


def test_every_letter_and_every_choice_is_there() -> None:
    assert (len(EXAMPLES), len(BIASES), len(MISTAKES)) == (9, 4, 8), "found by the tests above"
    first = " ".join(row[0] for row in ROWS)
    for kind in KINDS:
        assert re.search(rf"`{kind}(<.>)?`", first), kind
    for name in (*get_args(NormKind), *get_args(Order), *get_args(Activation), *get_args(Initialiser)):
        assert f"`{name}`" in first, name
