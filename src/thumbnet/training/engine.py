"""The training loop, from the first batch to the best weights.

It knows tensors and parameters; files, MLflow and the screen are its callers' concern, who hear of each epoch through
`on_epoch`. Inside an epoch nothing waits for the device: sums stay there and are read once, at its end.
"""

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.errors import UserError
from thumbnet.params import (
    AugmentParams,
    Border,
    EarlyStoppingParams,
    Kept,
    OptimizerParams,
    RegularisationParams,
    ScheduleParams,
    TrainParams,
)
from thumbnet.training.augmentation import Augmenter, widen
from thumbnet.training.batches import Images, batches_per_epoch, shuffled_batches
from thumbnet.training.optimisation import Penalty, find_kernels, make_average, make_optimizer
from thumbnet.training.schedules import make_schedule
from thumbnet.training.stopping import should_stop

#: Images in one forward pass where no gradient is kept.
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: counted from 1.
        lr: the learning rate of its last batch.
        train_loss, train_accuracy: mean cross-entropy in nats and share of hits over its batches, augmented and with
            the weights of the moment; without label smoothing and penalty, to be compared with validation.
        validation_loss, validation_accuracy: the same over the validation split after its last batch, of the averaged
            weights where `train.ema` asks for them.
        l2_penalty: λ/2·Σw² over the kernels, the mean over its batches; 0 where `regularisation.l2` is.
        seconds: wall time of its batches and its validation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    l2_penalty: float
    seconds: float


@dataclass(frozen=True)
class Recipe:
    """The parameters of one training."""

    seed: int
    train: TrainParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    regularisation: RegularisationParams
    early_stopping: EarlyStoppingParams
    augment: AugmentParams


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        history: its epochs.
        best: the epoch whose weights the classifier holds afterwards.
        stopped_early: whether it ended before `train.epochs`.
    """

    history: list[Epoch]
    best: Epoch
    stopped_early: bool


def fit(
    classifier: nn.Module,
    train: Images,
    validation: Images,
    recipe: Recipe,
    precision: torch.dtype,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_batch: Callable[[], None] = lambda: None,
) -> Outcome:
    """Trains a classifier in place and leaves it with the weights of its best epoch, as `train.keep` ranks them.

    Args:
        classifier: maps uint8 images (n, height, width, channels) to logits (n, classes); on the images' device.
        train, validation: the two splits.
        recipe: how to train. The order of images and their augmentation follow `recipe.seed`.
        precision: of products and convolutions, from `thumbnet.training.devices.choose_precision`.
        on_epoch: called after each epoch.
        on_batch: called after each batch has been handed to the device.

    Raises:
        UserError: the loss of an epoch is not finite, or the device has too little memory.
    """
    epochs, stopping = recipe.train.epochs, recipe.early_stopping
    trainer = _Trainer(classifier, train, recipe, precision)
    history: list[Epoch] = []
    best: Epoch | None = None
    best_weights: dict[str, Tensor] = {}
    for number in range(1, epochs + 1):
        with _short_memory_told(recipe.train.batch_size):
            epoch = trainer.run_epoch(number, validation, on_batch)
        _refuse_divergence(epoch, recipe.optimizer)
        history.append(epoch)
        if best is None or _rank(epoch, recipe.train.keep) > _rank(best, recipe.train.keep):
            best, best_weights = epoch, copy.deepcopy(trainer.judged.state_dict())
        on_epoch(epoch)
        if stopping.monitor != "none" and should_stop([getattr(past, stopping.monitor) for past in history], stopping):
            break
    assert best is not None  # params allow no training of zero epochs
    classifier.load_state_dict(best_weights)
    return Outcome(history, best, stopped_early=len(history) < epochs)


class _Trainer:
    """The moving parts of one training.

    Attributes:
        judged: what is validated and kept: the classifier itself, or the average of its weights.
    """

    def __init__(self, classifier: nn.Module, train: Images, recipe: Recipe, precision: torch.dtype) -> None:
        batches = batches_per_epoch(len(train), recipe.train.batch_size)
        l2 = recipe.regularisation.l2
        self._classifier = classifier
        self._train = train
        self._recipe = recipe
        self._precision = precision
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._augment = Augmenter(recipe.augment, len(train), self._generator)
        self._optimizer = make_optimizer(classifier, recipe.optimizer)
        self._schedule = make_schedule(self._optimizer, recipe.schedule, recipe.train.epochs, batches)
        self._penalty = Penalty(find_kernels(classifier), l2) if l2 else None
        self._ema = make_average(classifier, recipe.train.ema) if recipe.train.ema else None
        self.judged: nn.Module = self._ema.module if self._ema else classifier

    def run_epoch(self, number: int, validation: Images, on_batch: Callable[[], None]) -> Epoch:
        """Trains on every image once, and validates.

        Args:
            number: of the epoch, from 1.
            validation: the split.
            on_batch: as for `fit`.
        """
        start = time.perf_counter()
        device = self._train.images.device
        loss_sum, penalty_sum = torch.zeros((), device=device), torch.zeros((), device=device)
        hits = torch.zeros((), dtype=torch.int64, device=device)
        seen = batches = 0
        lr = 0.0
        self._classifier.train()
        for images, labels, chosen in shuffled_batches(self._train, self._recipe.train.batch_size, self._generator):
            logits, cross_entropy = self._descend(self._augment(images, chosen, number), labels, penalty_sum)
            if self._ema:
                self._ema.update_parameters(self._classifier)
            lr = float(self._schedule.get_last_lr()[0])
            self._schedule.step()
            loss_sum += cross_entropy * len(labels)
            hits += (logits.argmax(1) == labels).sum()
            seen += len(labels)
            batches += 1
            on_batch()
        validation_loss, validation_accuracy = measure(self.judged, validation, self._precision)
        return Epoch(
            epoch=number,
            lr=lr,
            train_loss=loss_sum.item() / seen,
            train_accuracy=hits.item() / seen,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            l2_penalty=penalty_sum.item() / batches,
            seconds=time.perf_counter() - start,
        )

    def _descend(self, images: Tensor, labels: Tensor, penalty_sum: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimizer on one batch.

        Args:
            images: (batch, height, width, channels), as `Augmenter` returns them.
            labels: (batch,).
            penalty_sum: of shape (); the L2 penalty is added to it.

        Returns:
            The logits (batch, classes) and their cross-entropy, of shape (), both without gradients.
        """
        regularisation, precision = self._recipe.regularisation, self._precision
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = self._classifier(images)
        logits = logits.float()
        loss = cross_entropy = functional.cross_entropy(logits, labels)
        if regularisation.label_smoothing:
            loss = functional.cross_entropy(logits, labels, label_smoothing=regularisation.label_smoothing)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._penalty:
            penalty_sum += self._penalty.value()
            self._penalty.add_gradients()
        if regularisation.clip_norm:
            nn.utils.clip_grad_norm_(self._classifier.parameters(), regularisation.clip_norm)
        self._optimizer.step()
        return logits.detach(), cross_entropy.detach()


def predict(
    classifier: nn.Module,
    images: Tensor,
    precision: torch.dtype = torch.float32,
    flip: bool = False,
    shift: int = 0,
    border: Border = "black",
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

    Returns:
        (n, classes), float32.
    """
    classifier.eval()
    logits = []
    with torch.inference_mode(), torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
        for batch in torch.split(images, EVALUATION_BATCH):
            answers = [classifier(view).float() for view in _views(batch, flip, shift, border)]
            logits.append(torch.stack(answers).mean(0))
    return torch.cat(logits)


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


def measure(classifier: nn.Module, split: Images, precision: torch.dtype = torch.float32) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, on a split."""
    logits = predict(classifier, split.images, precision)
    loss = functional.cross_entropy(logits, split.labels).item()
    hits = (logits.argmax(1) == split.labels).sum().item()  # a count: MPS has no float64 for a mean
    return loss, hits / len(split)


def _rank(epoch: Epoch, keep: Kept) -> tuple[float, float]:
    """The higher the better; the other of loss and accuracy decides between equals."""
    accuracy, loss = epoch.validation_accuracy, epoch.validation_loss
    return (accuracy, -loss) if keep == "validation_accuracy" else (-loss, accuracy)


def _refuse_divergence(epoch: Epoch, optimizer: OptimizerParams) -> None:
    """A network of NaNs has no best epoch, and would be evaluated at chance without a word."""
    losses = torch.tensor([epoch.train_loss, epoch.validation_loss])
    if not bool(torch.isfinite(losses).all()):
        raise UserError(
            f"the training diverged in epoch {epoch.epoch}: train loss {epoch.train_loss}, validation loss "
            f"{epoch.validation_loss}; try a smaller optimizer.lr than {optimizer.lr:g}"
        )


@contextlib.contextmanager
def _short_memory_told(batch_size: int) -> Iterator[None]:
    """Turns what PyTorch raises for want of memory into plain words."""
    try:
        yield
    except RuntimeError as error:
        told = str(error)
        if "out of memory" not in told and "DefaultCPUAllocator" not in told:  # CPUs have no class of error for it
            raise
        raise UserError(
            f"train.batch_size = {batch_size}: the training needs more memory than there is; try a smaller one, or a "
            f"smaller network ({told.splitlines()[0]})"
        ) from None
