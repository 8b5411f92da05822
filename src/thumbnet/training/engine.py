"""The training loop, from the first batch to the best weights.

It knows tensors and parameters; files, MLflow and the screen are its callers' concern, who hear of each epoch through
`on_epoch`. On CUDA no batch waits for the one before it: what is drawn is sent without waiting, and sums stay on the
device and are read once, at the end of an epoch.
"""

import contextlib
import copy
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn

from thumbnet.errors import UserError
from thumbnet.nets.layers import Classifier
from thumbnet.nets.stacked import Stacked, can_stack
from thumbnet.params import (
    AugmentParams,
    EarlyStoppingParams,
    Kept,
    OptimizerParams,
    RegularisationParams,
    ScheduleParams,
    TrainParams,
)
from thumbnet.training.augmentation import Augmenter
from thumbnet.training.batches import Images, batches_per_epoch, shuffled_places
from thumbnet.training.copies import Copies, make_copies
from thumbnet.training.cropping import find_move
from thumbnet.training.fused import fuse
from thumbnet.training.optimisation import Average, Penalty, clip_gradients, make_optimizer
from thumbnet.training.prediction import cross_entropy, measure
from thumbnet.training.resuming import Checkpoint, State
from thumbnet.training.schedules import make_schedule
from thumbnet.training.stopping import should_stop


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
        recipe: how to train. The order of images, their augmentation and dropout follow `recipe.seed`.
        precision: of products and convolutions, from `thumbnet.training.devices.choose_precision`.
        on_epoch: called after each epoch.
        on_batch: called after each batch has been handed to the device.

    Raises:
        UserError: the loss of an epoch is not finite.
    """
    (outcome,) = fit_seeds(
        [classifier], train, validation, recipe, precision, lambda epochs: on_epoch(epochs[0]), on_batch
    )
    return outcome


def fit_seeds(
    classifiers: Sequence[nn.Module],
    train: Images,
    validation: Images,
    recipe: Recipe,
    precision: torch.dtype,
    on_epoch: Callable[[list[Epoch]], None] = lambda epochs: None,
    on_batch: Callable[[], None] = lambda: None,
    on_resume: Callable[[int], None] = lambda epochs: None,
    checkpoint: Checkpoint | None = None,
) -> list[Outcome]:
    """Trains k classifiers of one architecture as k calls of `fit` would, with the seeds from `recipe.seed` on.

    Those that `thumbnet.nets.stacked` can make one network are trained as one, and come to the same within rounding;
    others take turns, an epoch each, and come to exactly the same.

    Args:
        classifiers: in place, as `fit` has one.
        train, validation, recipe, precision: as for `fit`.
        on_epoch: called after each epoch with those of all classifiers that still train, in their order.
        on_batch: called after each batch of each trainer: k networks in one have a batch together.
        on_resume: called before all others with the number of epochs that `checkpoint` holds, if it does; `on_epoch`
            is called with each of them then, as if they had just been trained.
        checkpoint: of the same training, to go on from where there is one, and to be kept up; the caller removes it,
            unless the training diverges.

    Returns:
        What each training came to, in the order of `classifiers`.

    Raises:
        UserError: as `fit`.
    """
    courses = [_Course(classifier, recipe, number) for number, classifier in enumerate(classifiers)]
    teams = [courses] if len(courses) > 1 and can_stack(classifiers) else [[course] for course in courses]
    trainers = [_Trainer(team, train, recipe, precision) for team in teams]

    def tell(number: int) -> None:
        on_epoch([course.history[number - 1] for course in courses if len(course.history) >= number])

    done = _go_on(trainers, checkpoint) if checkpoint else 0
    if done:
        on_resume(done)
        for number in range(1, done + 1):
            tell(number)
    for number in range(done + 1, recipe.train.epochs + 1):
        try:
            for trainer in trainers:
                if not all(course.ended for course in trainer.courses):
                    trainer.run_epoch(number, validation, on_batch)
        except UserError:  # it has diverged, and would do so again
            if checkpoint:
                checkpoint.remove()
            raise
        tell(number)
        if all(course.ended for course in courses):
            break
        if checkpoint and number < recipe.train.epochs:
            checkpoint.offer(functools.partial(_gather, number, trainers))
    return [course.finish() for course in courses]


class _Course:
    """What has become of one classifier so far: its epochs, and the best weights.

    Attributes:
        seed: of its order of images, its augmentation and its dropout.
        ended: whether it has stopped early.
    """

    def __init__(self, classifier: nn.Module, recipe: Recipe, number: int) -> None:
        self.classifier = classifier
        self.seed = recipe.seed + number
        self.history: list[Epoch] = []
        self.ended = False
        self._recipe = recipe
        self._best: Epoch | None = None
        self._best_weights: dict[str, Tensor] = {}

    def add(self, epoch: Epoch, weigh: Callable[[], dict[str, Tensor]]) -> None:
        """Takes an epoch to the history.

        Args:
            epoch: the next one.
            weigh: gives the weights that were validated.
        """
        _refuse_divergence(epoch, self._recipe.optimizer, self.seed)
        self.history.append(epoch)
        keep, stopping = self._recipe.train.keep, self._recipe.early_stopping
        if self._best is None or _rank(epoch, keep) > _rank(self._best, keep):
            self._best, self._best_weights = epoch, weigh()
        if stopping.monitor != "none":
            self.ended = should_stop([getattr(past, stopping.monitor) for past in self.history], stopping)

    def state(self) -> State:
        """For a checkpoint."""
        assert self._best is not None  # there has been an epoch
        history = [asdict(epoch) for epoch in self.history]
        return {"history": history, "ended": self.ended, "best": self._best.epoch, "weights": self._best_weights}

    def load(self, state: State) -> None:
        """Takes what `state` gave."""
        self.history = [Epoch(**values) for values in state["history"]]
        self.ended = state["ended"]
        self._best, self._best_weights = self.history[state["best"] - 1], state["weights"]

    def finish(self) -> Outcome:
        """Gives the classifier its best weights."""
        assert self._best is not None  # params allow no training of zero epochs
        self.classifier.load_state_dict(self._best_weights)
        return Outcome(self.history, self._best, stopped_early=len(self.history) < self._recipe.train.epochs)


class _Trainer:
    """The moving parts of one training: of one network, or of k as one.

    Tensors of k networks have k as their first axis; those of one have no such axis, so that it is not slowed down.

    Args:
        courses: of one classifier, or of those that are stacked.
        train: the split.
        recipe: how to train.
        precision: as for `fit`.
    """

    def __init__(self, courses: list[_Course], train: Images, recipe: Recipe, precision: torch.dtype) -> None:
        classifiers = [course.classifier for course in courses]
        self.courses = courses
        self._model: nn.Module = classifiers[0]
        if len(classifiers) > 1:  # `fit_seeds` has asked `can_stack`
            self._model = Stacked(cast(list[Classifier], classifiers))
        self._call: Callable[[Tensor], Tensor]  # the same network, faster
        self._call = torch.compile(self._model) if recipe.train.compile else fuse(self._model, precision)
        has_kernels = not recipe.train.compile and self._call is not self._model
        self._train = train
        self._recipe = recipe
        self._precision = precision
        self._generators = [torch.Generator().manual_seed(course.seed) for course in courses]
        move = find_move(recipe.augment, train) if has_kernels else None
        self._augmenters = [Augmenter(recipe.augment, len(train), own, move) for own in self._generators]
        batches, l2 = batches_per_epoch(len(train), recipe.train.batch_size), recipe.regularisation.l2
        self._copies: Copies | None = None
        if not recipe.train.compile:
            self._copies = make_copies(self._model, precision, recipe.optimizer, recipe.regularisation)
        self._optimizer = make_optimizer(self._model, recipe.optimizer, self._copies)
        self._schedule = make_schedule(self._optimizer, recipe.schedule, recipe.train.epochs, batches)
        self._penalty = Penalty(self._model, l2) if l2 else None
        self._average = Average(self._model, recipe.train.ema) if recipe.train.ema else None
        self._judged = self._average.module if self._average else self._model
        self._judge = self._judged if recipe.train.compile else fuse(self._judged, precision)
        self._draws = GlobalDraws(courses[0].seed, train.images.device)

    def run_epoch(self, number: int, validation: Images, on_batch: Callable[[], None]) -> None:
        """Trains on every image once, validates, and tells the courses.

        Args:
            number: of the epoch, from 1.
            validation: the split.
            on_batch: as for `fit`.
        """
        start = time.perf_counter()
        device = self._train.images.device
        networks = len(self.courses)
        loss_sum, penalty_sum = torch.zeros(networks, device=device), torch.zeros(networks, device=device)
        hits = torch.zeros(networks, dtype=torch.int64, device=device)
        seen = batches = 0
        lr = 0.0
        self._model.train()
        with self._draws, self._copies.used() if self._copies else contextlib.nullcontext():
            for images, labels in self._batches(number):
                logits, entropy = self._descend(images, labels, penalty_sum)
                if self._average:
                    self._average.follow()
                lr = float(self._schedule.get_last_lr()[0])
                self._schedule.step()
                size = labels.shape[-1]
                loss_sum.add_(entropy, alpha=size)
                hits += (logits.argmax(-1) == labels).sum(-1)
                seen += size
                batches += 1
                on_batch()
        measured = measure(self._judged, validation, self._precision, self._judge)
        seconds = (time.perf_counter() - start) / networks
        sums = zip(loss_sum.tolist(), hits.tolist(), penalty_sum.tolist(), strict=True)
        for place, (course, (loss, right, penalty)) in enumerate(zip(self.courses, sums, strict=True)):
            if not course.ended:
                epoch = Epoch(
                    epoch=number,
                    lr=lr,
                    train_loss=loss / seen,
                    train_accuracy=right / seen,
                    validation_loss=measured[place][0],
                    validation_accuracy=measured[place][1],
                    l2_penalty=penalty / batches,
                    seconds=seconds,
                )
                course.add(epoch, functools.partial(_weights, self._judged, place))

    def state(self) -> State:
        """For a checkpoint, after an epoch; what follows from the parameters is left out."""
        return {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "average": self._average.state() if self._average else None,
            "generators": [generator.get_state() for generator in self._generators],
            "draws": self._draws.states,
            "courses": [course.state() for course in self.courses],
        }

    def load(self, state: State) -> None:
        """Takes what `state` gave."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        if self._average:
            self._average.load(state["average"])
        for generator, own in zip(self._generators, state["generators"], strict=True):
            generator.set_state(own)
        self._draws.states = state["draws"]
        for course, own in zip(self.courses, state["courses"], strict=True):
            course.load(own)

    def _batches(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of augmented images ([k, ]batch, height, width, channels) and their labels ([k, ]batch)."""
        size = self._recipe.train.batch_size
        orders = (shuffled_places(self._train, size, generator) for generator in self._generators)
        for places in zip(*orders, strict=True):
            if len(places) == 1:
                labels = self._train.labels.index_select(0, places[0])
                yield self._augmenters[0](self._train.images, places[0], number), labels
                continue
            together = torch.cat(places)
            if self._augmenters[0].changes:
                one_by_one = zip(self._augmenters, places, strict=True)
                images = torch.stack([augment(self._train.images, own, number) for augment, own in one_by_one])
            else:
                images = self._train.images.index_select(0, together)
                images = images.view(len(places), -1, *images.shape[1:])
            yield images, self._train.labels.index_select(0, together).view(len(places), -1)

    def _descend(self, images: Tensor, labels: Tensor, penalty_sum: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimizer on one batch.

        Args:
            images: ([k, ]batch, height, width, channels), as `Augmenter` returns them.
            labels: ([k, ]batch).
            penalty_sum: (networks,); the L2 penalty is added to it.

        Returns:
            The logits ([k, ]batch, classes) and the cross-entropy of each network, both without gradients.
        """
        regularisation, precision = self._recipe.regularisation, self._precision
        with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
            logits = self._call(images)
        logits = logits.float()
        loss = entropy = cross_entropy(logits, labels)
        if regularisation.label_smoothing:
            loss = cross_entropy(logits, labels, regularisation.label_smoothing)
        self._optimizer.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]  # networks have no weights in common
        if self._penalty:
            penalty_sum += self._penalty.value()
            self._penalty.add_gradients()
        if regularisation.clip_norm:
            clip_gradients(self._model, regularisation.clip_norm)
        self._optimizer.step()
        return logits.detach(), entropy.detach()


class GlobalDraws:
    """PyTorch's global generators as one training has them, as a context: dropout draws from nowhere else.

    Inside it they go on where they stood at its end the last time; after it they are as they were before.

    Args:
        seed: of the training. The draws are others than those of `torch.manual_seed(seed)`, which the initial weights
            have come from.
        device: of the training.

    Attributes:
        states: of the generators, where the training is to go on.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(self._devices):
            torch.manual_seed(seed + 2**40)
            self.states = self._now()

    def __enter__(self) -> None:
        self._before = self._now()
        self._set(self.states)

    def __exit__(self, *error: object) -> None:
        self.states = self._now()
        self._set(self._before)

    def _now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._devices)]

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self._devices, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)


def _gather(epochs: int, trainers: Sequence[_Trainer]) -> State:
    """For a checkpoint, after so many epochs."""
    return {"epochs": epochs, "trainers": [trainer.state() for trainer in trainers]}


def _go_on(trainers: Sequence[_Trainer], checkpoint: Checkpoint) -> int:
    """Gives trainers what a checkpoint holds, and returns the number of epochs that are behind it; 0 without one."""
    state = checkpoint.read()
    if not state:
        return 0
    for trainer, own in zip(trainers, state["trainers"], strict=True):
        trainer.load(own)
    epochs: int = state["epochs"]
    return epochs


def _weights(judged: nn.Module, place: int) -> dict[str, Tensor]:
    """A copy of the weights of one network."""
    if isinstance(judged, Stacked):
        return judged.weights(place)
    return copy.deepcopy(judged.state_dict())


def _rank(epoch: Epoch, keep: Kept) -> tuple[float, float]:
    """The higher the better; the other of loss and accuracy decides between equals."""
    accuracy, loss = epoch.validation_accuracy, epoch.validation_loss
    return (accuracy, -loss) if keep == "validation_accuracy" else (-loss, accuracy)


def _refuse_divergence(epoch: Epoch, optimizer: OptimizerParams, seed: int) -> None:
    """A network of NaNs has no best epoch, and would be evaluated at chance without a word."""
    losses = torch.tensor([epoch.train_loss, epoch.validation_loss])
    if not bool(torch.isfinite(losses).all()):
        raise UserError(
            f"the training of seed {seed} diverged in epoch {epoch.epoch}: train loss {epoch.train_loss}, validation "
            f"loss {epoch.validation_loss}; try a smaller optimizer.lr than {optimizer.lr:g}"
        )
