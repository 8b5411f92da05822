"""What a classifier says of images, and how right it is."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.params import Border
from thumbnet.training.augmentation import widen
from thumbnet.training.batches import Images

#: Images in one forward pass where no gradient is kept.
EVALUATION_BATCH = 500


def predict(
    classifier: nn.Module,
    images: Tensor,
    precision: torch.dtype = torch.float32,
    flip: bool = False,
    shift: int = 0,
    border: Border = "black",
    call: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The logits of all images, without gradients, dropout or batch statistics.

    Args:
        classifier: as for `fit`; left in evaluation mode.
        images: (n, height, width, channels), uint8, on the classifier's device.
        precision: as for `fit`.
        flip: whether to take the mean of the logits of each image and its mirror image, left and right.
        shift: whether to take the mean of the logits of each image and its copies, shifted by so many pixels up, down,
            left and right; with `flip` of all of these and their mirror images.
        border: what shifts bring in, as for `augmentation.widen`.
        call: a faster way to call it, from `fused.fuse`; default: itself.

    Returns:
        (n, classes), float32; of k networks as one (k, n, classes).
    """
    classifier.eval()
    call = call or classifier
    logits = []
    with torch.inference_mode(), torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
        for batch in torch.split(images, EVALUATION_BATCH):
            answers = [call(view).float() for view in _views(batch, flip, shift, border)]
            logits.append(torch.stack(answers).mean(0))
    return torch.cat(logits, dim=-2)


def _views(images: Tensor, flip: bool, shift: int, border: Border) -> Iterator[Tensor]:
    """Images as they are, shifted, and all of them mirrored, as `predict` says."""
    _, height, width, _ = images.shape
    wide = widen(images, shift, border) if shift else images
    places = [(shift, shift), (0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift)] if shift else [(0, 0)]
    for top, left in places:
        view = wide[:, top : top + height, left : left + width]
        yield view
        if flip:
            yield view.flip(2)


def measure(
    classifier: nn.Module,
    split: Images,
    precision: torch.dtype = torch.float32,
    call: Callable[[Tensor], Tensor] | None = None,
) -> list[tuple[float, float]]:
    """Mean cross-entropy in nats, and accuracy, on a split: of each network, be it one or k as one.

    Args:
        classifier, precision, call: as for `predict`.
        split: what is judged.
    """
    logits = predict(classifier, split.images, precision, call=call)
    labels = split.labels.expand(logits.shape[:-1])
    hits = (logits.argmax(-1) == labels).sum(-1, dtype=torch.int64).view(-1)  # counts: MPS has no float64 for a mean
    accuracies = [count / len(split) for count in hits.tolist()]
    return list(zip(cross_entropy(logits, labels).tolist(), accuracies, strict=True))


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean over the images of each network; (networks,).

    Args:
        logits: ([k, ]n, classes).
        labels: ([k, ]n).
        smoothing: `regularisation.label_smoothing`.
    """
    if logits.ndim == 2:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)[None]
    each = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="none", label_smoothing=smoothing
    )  # (k·n,)
    return each.view(labels.shape).mean(1)
