"""Compiles what the networks of params.yaml train with, where this processor gains from it: the end of an installation.

Otherwise the first training does so, and waits for some seconds.
"""

import contextlib

import numpy as np
import torch

from thumbnet.data.catalogue import input_shape
from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.params import ModelParams, load_params
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.copies import make_copies
from thumbnet.training.cropping import find_move
from thumbnet.training.devices import choose_device, choose_precision
from thumbnet.training.fused import can_fuse


def main() -> None:
    params = load_params()
    shape = input_shape(params.dataset)
    device = choose_device(params.train.device, params.train.deterministic)
    precision = choose_precision(params.train.precision, device)
    if precision != torch.bfloat16 or device.type != "cpu" or params.train.compile:
        return
    print("Compiling kernels for this processor", flush=True)
    is_fused = False
    statistics = Statistics(np.zeros(shape[2]), np.ones(shape[2]))
    for member in params.members:
        model = params.models[member]
        if not isinstance(model, ModelParams):  # of torchvision: no kernels, and weights that may have to be downloaded
            continue
        classifier = make_classifier(model, shape, 2, statistics, params.seed)
        is_fused |= can_fuse(classifier, precision)
        make_copies(classifier, precision, params.optimizer, params.regularisation)
    if is_fused:
        find_move(params.augment, Images(torch.zeros(1, *shape, dtype=torch.uint8), torch.zeros(1)))


if __name__ == "__main__":
    with contextlib.suppress(UserError):  # the pipeline's first stage tells
        main()
