"""The images divided into train, validation and test, as `split` says, with the noise of `corruption` on train."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data.split import split
from thumbnet.params import Params


def main(params: Params) -> None:
    split(paths.raw(params.dataset.name), paths.SPLITS, params.split, params.corruption, params.seed)


if __name__ == "__main__":
    run_stage(main)
