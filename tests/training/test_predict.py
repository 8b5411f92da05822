"""What a classifier answers, alone and together with the mirror image."""

from collections.abc import Callable

import pytest
import torch

from thumbnet.nets.layers import Classifier
from thumbnet.training.batches import Images
from thumbnet.training.engine import EVALUATION_BATCH, predict

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]


@pytest.mark.parametrize("flip", [False, True])
def test_images_are_predicted_alone_whatever_their_number(
    flip: bool, make_images: MakeImages, make_network: MakeNetwork
) -> None:
    """Neither dropout nor the other images of a batch have a say."""
    network = make_network("C4 D.5 G").train()
    images = make_images(2 * EVALUATION_BATCH + 3).images

    logits = predict(network, images, flip=flip)

    assert logits.shape == (len(images), 3)
    assert torch.equal(logits, predict(network, images, flip=flip))
    for index in (0, EVALUATION_BATCH, len(images) - 1):
        torch.testing.assert_close(logits[index : index + 1], predict(network, images[index : index + 1], flip=flip))


def test_with_its_mirror_image_an_image_gets_the_mean_of_both_logits(
    make_images: MakeImages, make_network: MakeNetwork
) -> None:
    network, images = make_network("F L8", "none"), make_images(20).images
    mirrored = torch.stack([image[:, list(range(4, -1, -1))] for image in images])  # right to left, of 5 columns
    alone, other = predict(network, images), predict(network, mirrored)

    both = predict(network, images, flip=True)

    torch.testing.assert_close(both, (alone + other) / 2)
    assert not torch.allclose(both, alone), "this network sees the difference"
    torch.testing.assert_close(predict(network, mirrored, flip=True), both)
