"""The training loop, from the first batch to the best weights.

It knows tensors and parameters; files, MLflow and the screen are its callers' concern, who hear of each epoch through
`on_epoch`. Inside an epoch nothing waits for the device: sums stay there and are read once, at its end.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.errors import UserError
from thumbnet.params import AugmentParams, OptimizerParams, ScheduleParams, TrainParams
from thumbnet.training.batches import Images, augment, batches_per_epoch, shuffled_batches
from thumbnet.training.optimisation import make_average, make_optimizer, make_schedule

#: Images in one forward pass where no gradient is kept.
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        lr: the learning rate of its last batch.
        train_loss, train_accuracy: mean cross-entropy in nats and share of hits over its batches, augmented and with
            the weights of the moment.
        validation_loss, validation_accuracy: the same over the validation split after its last batch, of the averaged
            weights where `train.ema` asks for them.
        seconds: wall time of its batches and its validation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Recipe:
    """The parameters of one training."""

    seed: int
    train: TrainParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    augment: AugmentParams


@dataclass(frozen=True)
class Outcome:
    """The history of a training; `best` is the epoch whose weights the classifier holds afterwards."""

    history: list[Epoch]
    best: Epoch


def fit(
    classifier: nn.Module,
    train: Images,
    validation: Images,
    recipe: Recipe,
    precision: torch.dtype,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_batch: Callable[[], None] = lambda: None,
) -> Outcome:
    """Trains a classifier in place and leaves it with the weights of its best epoch.

    The best epoch has the highest validation accuracy; of several, the one of lowest validation loss.

    Args:
        classifier: maps uint8 images (n, height, width, channels) to logits (n, classes); on the images' device.
        train, validation: the two splits.
        recipe: how to train. The order of images and their augmentation follow `recipe.seed`.
        precision: of products and convolutions, from `thumbnet.training.devices.choose_precision`.
        on_epoch: called after each epoch.
        on_batch: called after each batch has been handed to the device.

    Raises:
        UserError: the loss of an epoch is not finite.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    epochs = recipe.train.epochs
    steps = epochs * batches_per_epoch(len(train), recipe.train.batch_size)
    optimizer = make_optimizer(classifier, recipe.optimizer)
    schedule = make_schedule(optimizer, recipe.schedule, steps, recipe.optimizer.lr)
    history: list[Epoch] = []
    ema = make_average(classifier, recipe.train.ema) if recipe.train.ema else None
    judged = ema.module if ema else classifier
    best: Epoch | None = None
    best_weights: dict[str, Tensor] = {}
    for number in range(1, epochs + 1):
        start = time.perf_counter()
        classifier.train()
        loss_sum = torch.zeros((), device=train.images.device)
        hits = torch.zeros((), dtype=torch.int64, device=train.images.device)
        seen = 0
        lr = 0.0
        for images, labels in shuffled_batches(train, recipe.train.batch_size, generator):
            images = augment(images, recipe.augment, generator)
            with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
                logits = classifier(images)  # (batch, classes)
            loss = functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if ema:
                ema.update_parameters(classifier)
            lr = float(schedule.get_last_lr()[0])
            schedule.step()
            loss_sum += loss.detach() * len(labels)
            hits += (logits.detach().argmax(1) == labels).sum()
            seen += len(labels)
            on_batch()
        validation_loss, validation_accuracy = measure(judged, validation, precision)
        epoch = Epoch(
            epoch=number,
            lr=lr,
            train_loss=loss_sum.item() / seen,
            train_accuracy=hits.item() / seen,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - start,
        )
        _refuse_divergence(epoch, recipe.optimizer)
        history.append(epoch)
        if best is None or _rank(epoch) > _rank(best):
            best, best_weights = epoch, copy.deepcopy(judged.state_dict())
        on_epoch(epoch)
    assert best is not None  # params allow no training of zero epochs
    classifier.load_state_dict(best_weights)
    return Outcome(history, best)


def predict(classifier: nn.Module, images: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """The logits of all images, without gradients, dropout or batch statistics.

    Args:
        classifier: as for `fit`; left in evaluation mode.
        images: (n, height, width, channels), uint8, on the classifier's device.
        precision: as for `fit`.

    Returns:
        (n, classes), float32.
    """
    classifier.eval()
    with torch.inference_mode(), torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
        return torch.cat([classifier(batch).float() for batch in torch.split(images, EVALUATION_BATCH)])


def measure(classifier: nn.Module, split: Images, precision: torch.dtype = torch.float32) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, on a split."""
    logits = predict(classifier, split.images, precision)
    loss = functional.cross_entropy(logits, split.labels).item()
    hits = (logits.argmax(1) == split.labels).sum().item()  # a count: MPS has no float64 for a mean
    return loss, hits / len(split)


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_accuracy, -epoch.validation_loss


def _refuse_divergence(epoch: Epoch, optimizer: OptimizerParams) -> None:
    """A network of NaNs has no best epoch, and would be evaluated at chance without a word."""
    losses = torch.tensor([epoch.train_loss, epoch.validation_loss])
    if not bool(torch.isfinite(losses).all()):
        raise UserError(
            f"the training diverged in epoch {epoch.epoch}: train loss {epoch.train_loss}, validation loss "
            f"{epoch.validation_loss}; try a smaller optimizer.lr than {optimizer.lr:g}"
        )
