"""The data set that `dataset` names: found, verified, decoded and written as arrays."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.download import download
from thumbnet.params import Params


def main(params: Params) -> None:
    download(params.dataset, paths.raw(params.dataset.name))


if __name__ == "__main__":
    run_stage(main)
