"""Noise that is put on a training split once: wrong labels and noisy pixels, to see what they do to a training.

Both follow the seed and draw from streams of their own, so that neither changes the other. Which split is corrupted is
decided by `thumbnet.data.split`.
"""

from pathlib import Path

import numpy as np

from thumbnet.data.arrays import Images, Labels, rows_per_chunk

#: Beside the splits where labels are noisy: what the training labels were, int64, (n,).
TRUE_LABELS = "train_true_labels.npy"


def draw_labels(labels: Labels, share: float, classes: int, seed: int) -> Labels:
    """Labels of which some are replaced by classes drawn uniformly from all classes, the true one included.

    About share·(1 − 1/classes) of all labels are wrong then. A larger share replaces all that a smaller one does, by
    the same classes, and more.

    Args:
        labels: (n,).
        share: round(share·n) labels are replaced, chosen at random; 0 to 1.
        classes: how many there are.
        seed: of the draws.

    Returns:
        (n,); `labels` stays as it is.
    """
    generator = np.random.default_rng([seed, 1])
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]  # (round(share·n),)
    noisy = labels.copy()
    noisy[chosen] = generator.integers(classes, size=len(labels))[chosen]
    return noisy


def load_true_labels(folder: Path) -> Labels | None:
    """The training labels as they were before noise, (n,); None where they were left as they are.

    Args:
        folder: of the splits.
    """
    path = folder / TRUE_LABELS
    return np.load(path) if path.exists() else None


def add_pixel_noise(images: Images, variance: float, seed: int) -> None:
    """Adds Gaussian noise of mean 0 to images in place, each value its own draw, rounded and clipped to 0 to 255.

    The images are worked on in pieces, so that any number of them fits in memory; the size of the pieces changes
    nothing.

    Args:
        images: uint8, (n, height, width, channels); may be a memory map that can be written to.
        variance: on a scale where pixels go from 0 to 1.
        seed: of the draws.
    """
    generator = np.random.default_rng([seed, 2])
    rows = rows_per_chunk(images)
    for start in range(0, len(images), rows):
        piece = images[start : start + rows]
        noise = generator.standard_normal(piece.shape, dtype=np.float32)
        noise *= np.float32(255 * variance**0.5)
        noise += piece
        np.rint(noise, out=noise)
        images[start : start + rows] = np.clip(noise, 0, 255, out=noise)
