"""Summaries of networks of torchvision's: nothing is left out, and nothing is counted twice."""

import pytest

from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import summarise
from thumbnet.params import TorchvisionParams


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5", "googlenet", "vit_b_16", "swin_v2_t"])
def test_a_summary_holds_every_weight_and_every_multiply_add(name: str) -> None:
    """As torchvision publishes them; vit and swin have weights outside of the modules that run."""
    from torchvision.models import get_model_weights

    published = get_model_weights(name).DEFAULT.meta
    side = get_model_weights(name).DEFAULT.transforms().crop_size[0]
    summary = summarise(name, TorchvisionParams(torchvision=name), Shape(3, side, side), 1000)
    assert summary.parameters == published["num_params"]
    assert summary.multiply_adds / 1e9 == pytest.approx(published["_ops"], abs=0.0006)
    assert {(layer.receptive_field, layer.jump) for layer in summary.layers} == {(None, None)}


def test_the_layers_of_resnet18_are_its_leaves_in_order() -> None:
    layers = summarise("r", TorchvisionParams(torchvision="resnet18"), Shape(1, 28, 28), 10).layers
    first, last = layers[0], layers[-1]
    assert (first.token, first.what, first.output, first.arithmetic) == ("conv1", "Conv2d", (64, 14, 14), "7·7·3·64")
    assert (last.token, last.what, last.output, last.arithmetic) == ("fc", "Linear", (10,), "512·10 + 10")
    assert len(layers) == 52
