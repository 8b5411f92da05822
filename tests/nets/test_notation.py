"""The network language: what a line means, what is refused and how, and that printing a line loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbnet.errors import UserError
from thumbnet.nets.notation import KINDS, LARGEST, SUFFIXES, Shape, Token, check_network, has_bias, parse, plan
from thumbnet.params import Activation, ModelParams, NormKind, Order

GREY = Shape(1, 28, 28)
N1 = "C16 C16+ c12 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("", ()),
        ("F", (Token("F"),)),
        ("C16 C16+ c12", (Token("C", 16), Token("C", 16, residual=True), Token("c", 12))),
        ("P P2 P3 A A4", (Token("P", 2), Token("P", 2), Token("P", 3), Token("A", 2), Token("A", 4))),
        ("D.25 D0.5 D0 L10+", (Token("D", 0.25), Token("D", 0.5), Token("D", 0), Token("L", 10, residual=True))),
        ("  F \n L10\t", (Token("F"), Token("L", 10))),
        ("S16 N", (Token("S", 16), Token("N"))),
        ("C8k5 C8v C8/2 C8+", (Token("C", 8, kernel=5), Token("C", 8, valid=True), Token("C", 8, stride=2),
                               Token("C", 8, residual=True))),
        ("S8k7v/2+ c8/3", (Token("S", 8, 7, 2, True, True), Token("c", 8, stride=3))),
        ("P/1 P3/2 A/3", (Token("P", 2, stride=1), Token("P", 3, stride=2), Token("A", 2, stride=3))),
        # Suffixes in any order; and what is the default anyway is the same as nothing.
        ("C8+v/2k5 S8/2k5+v", (Token("C", 8, 5, 2, True, True), Token("S", 8, 5, 2, True, True))),
        ("C8k3/1 S8k3 c8/1 P2/2 A3/3", (Token("C", 8), Token("S", 8), Token("c", 8), Token("P", 2), Token("A", 3))),
    ],
)  # fmt: skip
def test_a_line_is_read_as_its_tokens(line: str, tokens: tuple[Token, ...]) -> None:
    assert parse(line) == tokens


@pytest.mark.parametrize(
    ("line", "window", "stride"),
    [("C8", 3, 1), ("C8k5/2", 5, 2), ("c8/2", 1, 2), ("S8", 3, 1), ("P", 2, 2), ("P3", 3, 3), ("A3/2", 3, 2),
     ("P/1", 2, 1), ("L8", 1, 1), ("N", 1, 1)],
)  # fmt: skip
def test_a_token_knows_its_window_and_stride(line: str, window: int, stride: int) -> None:
    (token,) = parse(line)
    assert (token.window, token.effective_stride) == (window, stride)


@pytest.mark.parametrize(
    ("line", "image", "shapes"),
    [
        ("F", GREY, "784"),
        ("F L128 D.5 L64", GREY, "784 128 128 64"),
        ("C4 P c2 P G", GREY, "28×28×4 14×14×4 14×14×2 7×7×2 2"),
        ("P4 P4 F", GREY, "7×7×1 1×1×1 1"),
        ("P5 F", GREY, "5×5×1 25"),
        ("", Shape(7), ""),
        ("C4v S4k5v C4k2v A F", GREY, "26×26×4 22×22×4 21×21×4 10×10×4 400"),
        ("C4/2 c4/2 S4/2 C4/2 C4/2 C4/2 G", GREY, "14×14×4 7×7×4 4×4×4 2×2×4 1×1×4 1×1×4 4"),  # ⌈size / stride⌉
        ("C4v/2 C4k5v/3 G", GREY, "13×13×4 3×3×4 4"),
        ("C4k9 N G N", GREY, "28×28×4 28×28×4 4 4"),
        ("P3/2 A/1 P2/3 G", GREY, "13×13×1 12×12×1 4×4×1 1"),
        ("C4k28v G", GREY, "1×1×4 4"),
        (N1, Shape(3, 32, 32), "32×32×16 32×32×16 32×32×12 16×16×12 16×16×32 16×16×32 16×16×32 16×16×12 "
                               "8×8×12 8×8×32 8×8×32 8×8×32 32"),
    ],
)  # fmt: skip
def test_the_shape_after_each_layer(line: str, image: Shape, shapes: str) -> None:
    steps = plan(parse(line), image)
    assert [str(step.after) for step in steps] == shapes.split()
    assert [step.before for step in steps] == [image, *(step.after for step in steps)][: len(steps)]
    assert [step.position for step in steps] == list(range(1, len(steps) + 1))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # What is no token: which one, where, and what is known.
        ("C16 X3 G", ['token 2 ("X3") is no layer', "C (3×3 convolution)", "N (normalisation)", "v (valid padding"]),
        ("C16 p G", ['token 2 ("p")', "did you mean 'P'?"]),
        ("s16/2 G", ['token 1 ("s16/2")', "did you mean 'S16/2'?"]),
        ("f L10", ['token 1 ("f")', "did you mean 'F'?"]),
        ("C16,C32 G", ['token 1 ("C16,C32")']),
        ("C-4 G", ['token 1 ("C-4")']),
        ("C٣ G", ['token 1 ("C٣")']),
        ("GAP", ['token 1 ("GAP")']),
        ("C16 +C16 G", ['token 2 ("+C16") is no layer']),
        # What lacks its number, or has a wrong one.
        ("C16 C G", ['token 2 ("C")', "3×3 convolution needs a number", "filters", "C32"]),
        ("Sk5 G", ['token 1 ("Sk5")', "depthwise-separable", "S32"]),
        ("F L", ['token 2 ("L")', "dense layer needs a number", "units"]),
        ("F D", ['token 2 ("D")', "probability", "D.25"]),
        ("F D.", ['token 2 ("D.")', "D.25"]),
        (f"C1{400 * '0'} G", ["token 1"]),
        ("C0 G", ['token 1 ("C0")', "filters must be a whole number from 1 to 1,000,000"]),
        ("C1.5 G", ['token 1 ("C1.5")', "whole number"]),
        ("P0 G", ['token 1 ("P0")', "window must be a whole number from 1 to"]),
        ("A1.5 G", ['token 1 ("A1.5")', "window", "whole number"]),
        ("F D1", ['token 2 ("D1")', "at least 0 and below 1"]),
        ("G2", ['token 1 ("G2")', "global average pool takes no number"]),
        ("F3", ['token 1 ("F3")', "flatten takes no number"]),
        ("N2 F", ['token 1 ("N2")', "normalisation takes no number"]),
        # Suffixes that are wrong, or on a layer that has no use for them.
        ("C16" + 12 * "k11111111" + "! G", ["token 1", "is no layer"]),  # told at once, not after minutes
        ("C16++ G", ['token 1 ("C16++")', "+ is there twice"]),
        ("C16vk5v G", ["v is there twice"]),
        ("C16k G", ['token 1 ("C16k")', "kernel, such as k5", "whole number"]),
        ("C16k0 G", ["kernel", "from 1 to"]),
        ("C16k2.5 G", ["kernel", "whole number"]),
        ("C16k4 G", ['token 1 ("C16k4")', "even kernel", "add v"]),
        ("C16/ G", ['token 1 ("C16/")', "stride, such as /2"]),
        ("P/0 G", ['token 1 ("P/0")', "stride", "from 1 to"]),
        ("C16v3 G", ["v (valid padding", "takes no number"]),
        ("c16v G", ['token 1 ("c16v")', "1×1 convolution cannot carry v; C and S can"]),
        ("c16k5 G", ["cannot carry k; C and S can"]),
        ("Pk3 G", ["max pool cannot carry k"]),
        ("F L16/2", ["dense layer cannot carry /; C, c, S, P and A can"]),
        ("C4 P+ G", ['token 2 ("P+")', "max pool cannot carry +; C, c, S and L can"]),
        ("C4 G+", ['token 2 ("G+")', "cannot carry +"]),
        ("F D.5+", ['token 2 ("D.5+")', "cannot carry +"]),
        # What does not fit: the token, its place and both shapes.
        ("C16 C32+ G", ['token 2 ("C32+")', "adds 28×28×16 to 28×28×32", "same shape"]),
        ("C16 C16+/2 G", ['token 2 ("C16+/2")', "adds 28×28×16 to 14×14×16"]),  # as it is written
        ("C16 C032k3+ G", ['token 2 ("C032k3+")', "adds 28×28×16 to 28×28×32"]),
        ("C16 C16v+ G", ['token 2 ("C16v+")', "adds 28×28×16 to 26×26×16"]),
        ("F L10+", ['token 2 ("L10+")', "784", "10"]),
        ("C16 L10", ['token 2 ("L10")', "flat input", "28×28×16", "F or G"]),
        ("F C16 G", ['token 2 ("C16")', "needs a map", "784"]),
        ("G G", ['token 2 ("G")', "needs a map", "1"]),
        ("F P", ['token 2 ("P")', "max pool", "needs a map", "784"]),
        ("G S8", ['token 2 ("S8")', "needs a map"]),
        ("P P P P P G", ['token 5 ("P")', "window of 2×2 does not fit into 1×1×1"]),
        ("P29 G", ['token 1 ("P29")', "29×29", "28×28×1"]),
        ("P P P P C4v G", ['token 5 ("C4v")', "kernel of 3×3 without padding does not fit into 1×1×1"]),
        ("S4k29v G", ['token 1 ("S4k29v")', "29×29", "28×28×1"]),
        # What the classifier cannot read; and a normalisation that is none.
        ("C16 P2", ["classifier needs a flat input", "after P2", "14×14×16", "G or F"]),
        ("", ["classifier needs a flat input", "of the images themselves", "28×28×1"]),
        ("C4 N G", ['token 2 ("N")', "norm: none", "batch, group, layer, instance"]),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_its_token_and_shapes(line: str, told: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        check_network("bn", ModelParams(layers=line), GREY)
    message = str(refused.value)
    assert message.startswith(f"models.bn.layers = {line!r}, on images of 28×28×1: ")
    for part in told:
        assert part in message


@pytest.mark.parametrize(
    ("line", "norm", "groups", "told"),
    [
        ("C6 c4 G", "group", 3, None),  # c carries no normalisation
        ("C6 C4 G", "group", 3, 'token 2 ("C4"): 4 channels cannot be divided into groups = 3'),
        ("F L6 L4", "group", 3, 'token 3 ("L4"): 4 channels cannot be divided into groups = 3'),
        ("C6 C4 G", "batch", 3, None),  # groups are of group alone
        ("C4 c6 N G", "group", 3, None),  # with an N the C carries none
        ("C4 N G", "group", 3, 'token 2 ("N"): 4 channels cannot be divided into groups = 3'),
        ("F L6", "group", 6, 'token 2 ("L6"): group normalisation of 6 would take each mean of a single value'),
        ("F L6", "group", 3, None),
        ("C6 G", "group", 6, None),
        ("C6k28v G", "group", 6, 'token 1 ("C6k28v"): group normalisation of 1×1×6'),
        ("F L1", "layer", 2, 'token 2 ("L1"): layer normalisation of 1 would'),
        ("F L6", "instance", 2, 'token 2 ("L6"): instance normalisation of 6 would'),
        ("C6 G N", "instance", 2, 'token 3 ("N"): instance normalisation of 6 would'),
        ("P28 C6 G", "instance", 2, 'token 2 ("C6"): instance normalisation of 1×1×6 would'),
        ("C6 N C6 G L6", "instance", 2, None),
        ("C6 N G L6", "instance", 2, 'token 2 ("N"): each channel has the same mean in all images'),
        ("C6 N c4 D.1 c4+ G", "instance", 2, 'token 2 ("N"): each channel has the same mean'),
        ("C6 N G", "group", 6, 'token 2 ("N"): each channel has the same mean'),
        ("C6 N G", "group", 3, None),
        ("C1 N G", "layer", 2, 'token 2 ("N"): each channel has the same mean'),
        ("C6 N A7 c4 G", "instance", 2, 'token 2 ("N"): each channel has the same mean'),  # of all places, once each
        ("C6 N A7/3 G", "instance", 2, None),  # some count twice
        ("C6 N A5 G", "instance", 2, None),  # some are left out
        ("C6 N c4/2 G", "instance", 2, None),
        ("C6 N P G", "instance", 2, None),
        ("C6 N F", "instance", 2, None),
        ("C6 G", "instance", 2, None),  # the activation is between
        ("C6 N G", "layer", 2, None),
    ],
)  # fmt: skip
def test_a_normalisation_that_cannot_be_is_refused(line: str, norm: NormKind, groups: int, told: str | None) -> None:
    params = ModelParams(layers=line, norm=norm, groups=groups)
    if told is None:
        check_network("gn", params, GREY)
        return
    with pytest.raises(UserError, match=r"^models\.gn\.layers") as refused:
        check_network("gn", params, GREY)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("C6 c4 G", '1 ("C6")'),
        ("C6 C6+ G", '2 ("C6+")'),  # both that are added have equal means
        ("C6 C6+ P C6+ G", None),  # the pool's have others
        ("C6 C6+ A C6+ c4 G", '4 ("C6+")'),
        ("C6 c6 C6+ F", None),
        ("c6 C6+ G", None),
    ],
)
def test_with_act_norm_g_never_takes_means_that_are_equal(line: str, token: str | None) -> None:
    params = ModelParams(layers=line, norm="instance", order="act_norm")
    if token is None:
        check_network("in", params, GREY)
        return
    with pytest.raises(UserError) as refused:
        check_network("in", params, GREY)
    assert f"token {token}: each channel has the same mean" in str(refused.value)


def test_groups_divide_what_maxout_normalises() -> None:
    """Twice the filters where the normalisation comes first, the filters where it comes after the maxout."""
    doubled = ModelParams(layers="C6 G", norm="group", groups=4, activation="maxout")
    check_network("gn", doubled, GREY)
    with pytest.raises(UserError, match="6 channels cannot be divided into groups = 4"):
        check_network("gn", doubled.model_copy(update={"order": "act_norm"}), GREY)


@pytest.mark.parametrize(
    ("line", "norm", "order", "activation", "biases"),
    [
        ("C4 c4 S4 F L8", "none", "norm_act", "relu", "C c S L"),
        ("C4 c4 S4 F L8", "batch", "norm_act", "relu", "c"),
        ("C4 c4 S4 F L8", "layer", "norm_act", "maxout", "c"),
        ("C4 c4 S4 F L8", "batch", "act_norm", "relu", "C c S L"),
        # With an N, the activation of C, S and L is between them and it; c has none.
        ("C4 N c4 N S4 F L8 N", "batch", "norm_act", "relu", "C S L"),
        ("C4 N c4 N S4 F L8 N", "batch", "act_norm", "tanh", "C S L"),
        ("c4 D.1 N c4 P N c4+ N c4 F N", "batch", "norm_act", "relu", "c c c"),
    ],
)  # fmt: skip
def test_a_layer_has_a_bias_unless_a_normalisation_comes_directly_after_it(
    line: str, norm: NormKind, order: Order, activation: Activation, biases: str
) -> None:
    params = ModelParams(layers=line, norm=norm, order=order, activation=activation)
    steps = [step for step in plan(parse(line), GREY) if step.token.kind in "CcSL"]
    assert [step.token.kind for step in steps if has_bias(step, params)] == biases.split()


WHOLE = st.integers(1, LARGEST)
ODD = st.integers(0, 50).map(lambda half: 2 * half + 1)
TOKENS = st.one_of(
    st.builds(Token, st.sampled_from("CS"), WHOLE, ODD, WHOLE, st.booleans(), st.booleans()),
    st.builds(Token, st.sampled_from("CS"), WHOLE, WHOLE, valid=st.just(True)),
    st.builds(Token, st.just("c"), WHOLE, stride=WHOLE, residual=st.booleans()),
    st.builds(Token, st.just("L"), WHOLE, residual=st.booleans()),
    st.builds(Token, st.sampled_from("PA"), WHOLE, stride=st.none() | WHOLE),
    st.builds(Token, st.sampled_from("GFN")),
    st.builds(Token, st.just("D"), st.floats(0, 0.9999, allow_subnormal=False).map(lambda share: round(share, 4))),
)


@given(st.lists(TOKENS).map(tuple))
def test_what_is_printed_is_read_back(tokens: tuple[Token, ...]) -> None:
    read = parse(" ".join(map(str, tokens)))
    for token, same in zip(tokens, read, strict=True):
        assert (same.kind, same.number, same.valid, same.residual) == (
            token.kind,
            token.number,
            token.valid,
            token.residual,
        )
        assert (same.window, same.effective_stride) == (token.window, token.effective_stride)
    assert parse(" ".join(map(str, read))) == read, "what is read has one way to be printed"


@given(TOKENS.filter(lambda token: token.kind in "CScPA"), st.data())
def test_suffixes_may_come_in_any_order(token: Token, data: st.DataObject) -> None:
    suffixes = [f"k{token.kernel}" if token.kernel else "", f"/{token.stride}" if token.stride else "",
                "v" if token.valid else "", "+" if token.residual else ""]  # fmt: skip
    shuffled = "".join(data.draw(st.permutations(suffixes)))
    assert parse(f"{token.kind}{token.count}{shuffled}") == parse(str(token))


@given(st.text(alphabet=[*KINDS, *SUFFIXES, *"0123456789. "], max_size=30), st.booleans())
def test_any_line_is_read_or_refused(line: str, flat: bool) -> None:
    """Nothing but a plan or a message for the user comes of a line; and what is read, is read again when printed."""
    try:
        tokens = parse(line)
        steps = plan(tokens, Shape(3) if flat else Shape(3, 8, 8))
    except UserError:
        return
    assert len(steps) == len(line.split())
    assert parse(" ".join(map(str, tokens))) == tokens
