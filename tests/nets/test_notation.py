"""The network language: what a line means, what is refused and how, and that printing a line loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbnet.errors import UserError
from thumbnet.nets.notation import KINDS, LARGEST, Shape, Token, check_network, parse, plan
from thumbnet.params import ModelParams

GREY = Shape(1, 28, 28)
N1 = "C16 C16+ c12 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("", ()),
        ("F", (Token("F"),)),
        ("C16 C16+ c12", (Token("C", 16), Token("C", 16, residual=True), Token("c", 12))),
        ("P P2 P3", (Token("P", 2), Token("P", 2), Token("P", 3))),
        ("D.25 D0.5 D0 L10+", (Token("D", 0.25), Token("D", 0.5), Token("D", 0), Token("L", 10, residual=True))),
        ("  F \n L10\t", (Token("F"), Token("L", 10))),
    ],
)
def test_a_line_is_read_as_its_tokens(line: str, tokens: tuple[Token, ...]) -> None:
    assert parse(line) == tokens


@pytest.mark.parametrize(
    ("line", "image", "shapes"),
    [
        ("F", GREY, "784"),
        ("F L128 D.5 L64", GREY, "784 128 128 64"),
        ("C4 P c2 P G", GREY, "28×28×4 14×14×4 14×14×2 7×7×2 2"),
        ("P4 P4 F", GREY, "7×7×1 1×1×1 1"),
        ("P5 F", GREY, "5×5×1 25"),
        ("", Shape(7), ""),
        (N1, Shape(3, 32, 32), "32×32×16 32×32×16 32×32×12 16×16×12 16×16×32 16×16×32 16×16×32 16×16×12 "
                               "8×8×12 8×8×32 8×8×32 8×8×32 32"),
    ],
)  # fmt: skip
def test_the_shape_after_each_layer(line: str, image: Shape, shapes: str) -> None:
    steps = plan(parse(line), image)
    assert [str(step.after) for step in steps] == shapes.split()
    assert [step.before for step in steps] == [image, *(step.after for step in steps)][: len(steps)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # What is no token: which one, where, and what is known.
        ("C16 X3 G", ['token 2 ("X3") is no layer', "C (3×3 convolution)", "D (dropout)"]),
        ("C16 p G", ['token 2 ("p")', "did you mean 'P'?"]),
        ("f L10", ['token 1 ("f")', "did you mean 'F'?"]),
        ("C16,C32 G", ['token 1 ("C16,C32")']),
        ("C-4 G", ['token 1 ("C-4")']),
        ("GAP", ['token 1 ("GAP")']),
        ("C16++ G", ['token 1 ("C16++")']),
        # What lacks its number, or has a wrong one.
        ("C16 C G", ['token 2 ("C")', "3×3 convolution needs a number", "filters", "C32"]),
        ("F L", ['token 2 ("L")', "dense layer needs a number", "units"]),
        ("F D", ['token 2 ("D")', "probability", "D.25"]),
        ("F D.", ['token 2 ("D.")', "D.25"]),
        (f"C1{400 * '0'} G", ["token 1"]),
        ("C0 G", ['token 1 ("C0")', "filters must be a whole number from 1 to 1,000,000"]),
        ("C1.5 G", ['token 1 ("C1.5")', "whole number"]),
        ("P0 G", ['token 1 ("P0")', "window", "from 1 to"]),
        ("F D1", ['token 2 ("D1")', "at least 0 and below 1"]),
        ("G2", ['token 1 ("G2")', "global average pool takes no number"]),
        ("F3", ['token 1 ("F3")', "flatten takes no number"]),
        ("C4 P+ G", ['token 2 ("P+")', "max pool cannot carry +", "C, c and L can"]),
        ("C4 G+", ['token 2 ("G+")', "cannot carry +"]),
        ("F D.5+", ['token 2 ("D.5+")', "cannot carry +"]),
        # What does not fit: the token, its place and both shapes.
        ("C16 C32+ G", ['token 2 ("C32+")', "28×28×16", "28×28×32", "same shape"]),
        ("F L10+", ['token 2 ("L10+")', "784", "10"]),
        ("C16 L10", ['token 2 ("L10")', "flat input", "28×28×16", "F or G"]),
        ("F C16 G", ['token 2 ("C16")', "needs a map", "784"]),
        ("G G", ['token 2 ("G")', "needs a map", "1"]),
        ("F P", ['token 2 ("P")', "max pool", "needs a map", "784"]),
        ("P P P P P G", ['token 5 ("P")', "window of 2×2 does not fit into 1×1×1"]),
        ("P29 G", ['token 1 ("P29")', "29×29", "28×28×1"]),
        # What the classifier cannot read.
        ("C16 P", ["classifier needs a flat input", "after P", "14×14×16", "G or F"]),
        ("", ["classifier needs a flat input", "of the images themselves", "28×28×1"]),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_its_token_and_shapes(line: str, told: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        check_network("bn", ModelParams(layers=line), GREY)
    message = str(refused.value)
    assert message.startswith(f"models.bn.layers = {line!r}, on images of 28×28×1: ")
    for part in told:
        assert part in message


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    check_network("gn", ModelParams(layers="C6 c4 G", norm="group", groups=3), GREY)  # c carries no normalisation
    for line, token in (("C6 C4 G", 'token 2 ("C4")'), ("F L6 L4", 'token 3 ("L4")')):
        with pytest.raises(UserError, match=r"^models\.gn\.layers") as refused:
            check_network("gn", ModelParams(layers=line, norm="group", groups=3), GREY)
        assert token in str(refused.value)
        assert "4 channels cannot be divided into groups = 3" in str(refused.value)
        check_network("bn", ModelParams(layers=line, norm="batch", groups=3), GREY)  # groups are of group alone


WHOLE = st.integers(1, LARGEST)
SHARE = st.floats(0, 0.9999, allow_subnormal=False)
TOKENS = st.one_of(
    st.builds(Token, st.sampled_from("CcL"), WHOLE, st.booleans()),
    st.builds(Token, st.just("P"), WHOLE),
    st.builds(Token, st.sampled_from("GF")),
    st.builds(Token, st.just("D"), SHARE.map(lambda share: round(share, 4))),
)


@given(st.lists(TOKENS).map(tuple))
def test_what_is_printed_is_read_back(tokens: tuple[Token, ...]) -> None:
    assert parse(" ".join(map(str, tokens))) == tokens


@given(st.text(alphabet="".join(KINDS) + "0123456789.+ ", max_size=30), st.booleans())
def test_any_line_is_read_or_refused(line: str, flat: bool) -> None:
    """Nothing but a plan or a message for the user comes of a line; and what is read, is read again when printed."""
    try:
        tokens = parse(line)
        steps = plan(tokens, Shape(3) if flat else Shape(3, 8, 8))
    except UserError:
        return
    assert len(steps) == len(line.split())
    assert parse(" ".join(map(str, tokens))) == tokens
