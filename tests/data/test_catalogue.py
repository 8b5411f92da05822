"""The catalogue is whole, agrees with other records of the same facts, and is quick to import."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from thumbnet.data.catalogue import CATALOGUE, WebAddress, input_shape
from thumbnet.data.digits import read_digits
from thumbnet.params import DatasetName, DatasetParams


def test_every_name_that_parameters_allow_is_in_it():
    assert set(CATALOGUE) == set(get_args(DatasetName))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("cifar10", (32, 32, 3)), ("mnist", (28, 28, 1)), ("digits", (8, 8, 1)), ("image_folder", (48, 48, 3))],
)
def test_input_shape(name, shape):
    assert input_shape(DatasetParams.model_validate({"name": name, "path": "", "image_size": 48})) == shape


def test_agrees_with_torchvision():
    """CIFAR-10's digests, as another project wrote them down; read as text, as importing it takes seconds."""
    package = importlib.util.find_spec("torchvision")
    assert package is not None
    assert package.origin is not None
    text = Path(package.origin).with_name("datasets").joinpath("cifar.py").read_text()
    assert all(f'["{file.name}", "{file.digest}"]' in text for file in CATALOGUE["cifar10"].files)


def test_addresses_are_complete():
    for dataset in CATALOGUE.values():
        for source in dataset.sources:
            if isinstance(source, WebAddress):
                assert all(parcel in source.of(parcel) for parcel in dataset.parcels)


def test_imports_nothing_heavy():
    code = "import sys, thumbnet.data.catalogue; sys.exit(bool({'numpy', 'pydantic', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_digits_are_all_there_scaled_and_divided():
    decoded = read_digits()
    (train, train_labels), (test, test_labels) = decoded["train"], decoded["test"]
    assert len(train) + len(test) == 1797
    assert (train.min(), train.max()) == (0, 255)
    assert {0, 16, 128, 239, 255} <= set(np.unique(train).tolist())
    per_class = np.bincount(train_labels) + np.bincount(test_labels)
    np.testing.assert_array_equal(np.bincount(test_labels), per_class // 5)
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
