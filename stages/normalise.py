"""Mean and standard deviation of the training split, for the kind that `normalisation` names."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.data import normalisation
from thumbnet.data.arrays import load_split
from thumbnet.params import Params


def main(params: Params) -> None:
    kind = params.normalisation.kind
    images, _ = load_split(paths.SPLITS, "train", mmap=True)

    statistics = normalisation.compute(images, kind)
    normalisation.save(statistics, paths.STATISTICS)
    normalisation.save_metrics(statistics, kind, len(images), paths.NORMALISATION_METRICS)


if __name__ == "__main__":
    run_stage(main)
