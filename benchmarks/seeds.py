"""Several seeds of a network trained at once, beside one seed: seconds of an epoch, on random images.

python -m benchmarks.seeds mlp_128 --seeds 5 --optimizer sgd --batch-size 64
"""

from statistics import median

from benchmarks.epochs import Epochs, make_parser, show_ratio


def main() -> None:
    parser = make_parser("benchmarks.seeds", __doc__)
    parser.add_argument("--seeds", type=int, default=5, help="trained at once (5)")
    options = parser.parse_args()
    epochs = Epochs(options, shape=(28, 28, 1))
    rounds = epochs.time_in_turns(epochs.train, lambda: epochs.train(options.seeds))
    epochs.print_result(
        [
            f"one seed {median(alone for alone, _ in rounds):.3f} s",
            f"{options.seeds} seeds {median(together for _, together in rounds):.3f} s",
            f"times as long {show_ratio([together / alone for alone, together in rounds])}",
        ]
    )


if __name__ == "__main__":
    main()
