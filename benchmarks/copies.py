"""Optimizers on bf16 copies of dense weights, beside PyTorch's: images a second of training, on random images.

python -m benchmarks.copies mlp_2000_4000 --optimizer sgd --batch-size 64 --images 6400 --threads 1
"""

import sys
from statistics import median
from unittest.mock import patch

from benchmarks.epochs import Epochs, make_parser, show_ratio
from thumbnet.params import load_params
from thumbnet.training import copies


def main() -> None:
    options = make_parser("benchmarks.copies", __doc__).parse_args()
    epochs = Epochs(options, shape=(32, 32, 3))
    (classifier,) = epochs.make_classifiers(1)
    optimizer = load_params().optimizer.model_copy(update={"name": options.optimizer})
    if copies.make_copies(classifier, epochs.precision, optimizer, load_params().regularisation) is None:
        sys.exit("Nothing to compare: copies are for large dense layers, SGD, Adam or AdamW, and bf16 on a CPU.")

    def train_without() -> float:
        with patch.object(copies, "LEAST_WEIGHTS", sys.maxsize):
            return epochs.train()

    rounds = epochs.time_in_turns(train_without, epochs.train)
    epochs.print_result(
        [
            f"{options.images / median(without for without, _ in rounds):,.0f} images a second",
            f"{options.images / median(with_ for _, with_ in rounds):,.0f} with copies",
            f"times as fast {show_ratio([without / with_ for without, with_ in rounds])}",
        ]
    )


if __name__ == "__main__":
    main()
