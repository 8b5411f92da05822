"""The networks of params.yaml: what is known of them, and that each fits the images of every data set."""

from pathlib import Path

import pytest
import torch
from torch import nn

from thumbnet.nets.builder import build_line, count_parameters
from thumbnet.nets.notation import Shape, parse
from thumbnet.nets.summary import summarise
from thumbnet.params import Activation, Initialiser, ModelParams, NormKind, Order, load_params

GREY, COLOUR = Shape(1, 28, 28), Shape(3, 32, 32)
PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
LINES = {name: model for name, model in PARAMS.models.items() if isinstance(model, ModelParams)}


@pytest.mark.parametrize(
    ("name", "image", "parameters"),
    [
        # What the sources tell.
        ("norms_bn", COLOUR, 49_746),
        ("norms_gn", COLOUR, 49_746),
        ("norms_ln", COLOUR, 49_746),
        ("norms_in", COLOUR, 49_746),
        ("norms_none", COLOUR, 58_314),
        ("mnist_593k", GREY, 593_200),
        ("softmax", GREY, 7_850),
        ("mlp_10", GREY, 7_960),
        ("mlp_128", GREY, 101_770),
        ("fashion_cnn", GREY, 1_937_354),
        ("mlp_2048", COLOUR, 9_050_378),
        ("cnn", COLOUR, 890_410),
        ("cnn_drop", COLOUR, 890_410),
        ("mlp_4000", COLOUR, 12_332_010),
        # What follows from it: twice the channels for each batch normalisation.
        ("fashion_cnn_tuned", GREY, 1_937_354 + 2 * 2 * (64 + 128 + 256)),
        ("mlp_2048_bn", COLOUR, 9_050_378 + 2 * (2048 + 1024 + 512 + 256)),
        ("cnn_drop_bn", COLOUR, 890_410 + 2 * (32 + 64 + 512)),
        ("mlp_4000_bn", COLOUR, 12_332_010 + 2 * 4000),
    ],
)
def test_the_known_numbers_of_parameters(name: str, image: Shape, parameters: int) -> None:
    assert count_parameters(build_line(LINES[name], image, 10)) == parameters


@pytest.mark.parametrize(
    ("names", "norm", "order", "activation", "init"),
    [
        ("bn", "batch", "norm_act", "silu", "he_normal"),
        ("gn", "group", "norm_act", "silu", "he_normal"),
        ("ln", "layer", "norm_act", "silu", "he_normal"),
        ("norms_none", "none", "norm_act", "relu", "he_normal"),
        ("norms_bn mnist_20k", "batch", "norm_act", "relu", "he_normal"),
        ("mnist_20k_act_norm", "batch", "act_norm", "relu", "he_normal"),
        ("norms_gn", "group", "norm_act", "relu", "he_normal"),
        ("norms_ln", "layer", "norm_act", "relu", "he_normal"),
        ("norms_in", "instance", "norm_act", "relu", "he_normal"),
        ("softmax mlp_128 mlp_128_128 fashion_cnn cnn cnn_drop", "none", "norm_act", "relu", "glorot_uniform"),
        ("fashion_cnn_tuned cnn_drop_bn", "batch", "norm_act", "relu", "glorot_uniform"),
        ("mlp_2048_bn", "batch", "act_norm", "relu", "glorot_uniform"),
        ("mlp_4000 mlp_2000_4000", "none", "norm_act", "relu", "he_normal"),
        ("mlp_4000_2000 mlp_600_300", "none", "norm_act", "elu", "he_normal"),
        ("mlp_4000_bn mlp_2000_4000_bn", "batch", "act_norm", "relu", "glorot_normal"),
    ],
)
def test_networks_of_the_sources_have_their_settings(
    names: str, norm: NormKind, order: Order, activation: Activation, init: Initialiser
) -> None:
    for name in names.split():
        network = LINES[name]
        assert (network.norm, network.order, network.activation, network.init) == (norm, order, activation, init), name


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=str)
@pytest.mark.parametrize("name", ["bn", "gn", "ln", "norms_bn"])
def test_networks_of_the_norms_study_have_fewer_than_50_000_parameters(name: str, image: Shape) -> None:
    assert count_parameters(build_line(LINES[name], image, 10)) < 50_000
    assert any(token.residual for token in parse(LINES[name].layers)), "one layer is added to another"


@pytest.mark.parametrize("name", [name for name in LINES if name in ("bn", "gn", "ln") or name.startswith("norms_")])
def test_networks_of_the_norms_study_have_its_shape(name: str) -> None:
    assert "".join(token.kind for token in parse(LINES[name].layers)) == "CCcPCCCcPCCCG"
    assert summarise(name, LINES[name], COLOUR, 10).receptive_field == (72, 72)


@pytest.mark.parametrize("name", [name for name in LINES if name.startswith("mnist_20k")])
def test_networks_of_the_recipe_study_have_at_most_20_000_parameters(name: str) -> None:
    network = build_line(LINES[name], GREY, 10)
    assert count_parameters(network) <= 20_000
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert set(dropouts) == {0.1}
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("cnn_drop", [0.25, 0.25, 0.25]),
        ("cnn_drop_bn", [0.25, 0.25, 0.25]),
        ("fashion_cnn_tuned", [0.125, 0.25, 0.5, 0.5, 0.5]),
        ("mlp_128_128_drop", [0.5, 0.5]),
        ("mlp_128_128_drop_little", [0.05, 0.05]),
    ],
)
def test_dropouts_of_the_sources(name: str, rates: list[float]) -> None:
    assert [token.number for token in parse(LINES[name].layers) if token.kind == "D"] == rates


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=str)
@pytest.mark.parametrize("name", LINES)
def test_every_network_fits_the_images_of_every_data_set(name: str, image: Shape) -> None:
    with torch.device("meta"):  # shapes alone: none of the weights of the large ones is drawn
        network = build_line(LINES[name], image, 10)
        assert network(torch.empty(2, image.channels, image.height or 0, image.width or 0)).shape == (2, 10)
