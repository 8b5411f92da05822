"""What a classifier answers, to images alone and together with their mirror images and shifted copies."""

from collections.abc import Callable

import pytest
import torch

from thumbnet.nets.layers import Classifier
from thumbnet.params import Border
from thumbnet.training.batches import Images
from thumbnet.training.prediction import EVALUATION_BATCH, predict

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


def to_and_fro(place: int, side: int) -> int:
    """A place outside of a side, reflected at its ends until it is inside."""
    while not 0 <= place < side:
        place = -place if place < 0 else 2 * (side - 1) - place
    return place


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [1, 2, 7])
@pytest.mark.parametrize("border", ["black", "reflect"])
def test_with_shifted_copies_an_image_gets_the_mean_of_all_their_logits(
    border: Border, shift: int, flip: bool, make_images: MakeImages, make_network: MakeNetwork
) -> None:
    network, images = make_network("F L8", "none"), make_images(6).images
    _, height, width, _ = images.shape
    views = [images]
    for down, right in ((-shift, 0), (shift, 0), (0, -shift), (0, shift)):
        shifted = torch.zeros_like(images)
        for row in range(height):
            for column in range(width):
                y, x = row - down, column - right
                if border == "reflect":
                    y, x = to_and_fro(y, height), to_and_fro(x, width)
                if 0 <= y < height and 0 <= x < width:
                    shifted[:, row, column] = images[:, y, x]
        views.append(shifted)
    if flip:
        views += [view.flip(2) for view in views]

    together = predict(network, images, flip=flip, shift=shift, border=border)

    torch.testing.assert_close(together, sum(predict(network, view) for view in views) / len(views))
    assert not torch.allclose(together, predict(network, images, flip=flip)), "this network sees the difference"
