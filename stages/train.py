"""One network trained, from one seed or several; the weights of the best validation epochs are kept."""

from thumbnet.stage import run_stage  # isort: skip
from thumbnet.recording import Recorder  # isort: skip

if __name__ == "__main__":  # it loads MLflow while the following loads PyTorch
    recorder = Recorder()

from dataclasses import replace

from thumbnet import paths
from thumbnet.data import normalisation
from thumbnet.data.arrays import load_info
from thumbnet.nets.builder import count_parameters
from thumbnet.params import Params
from thumbnet.progress import TrainingProgress
from thumbnet.training.batches import batches_per_epoch, load_images
from thumbnet.training.checkpoints import Card, make_classifier, save_classifiers
from thumbnet.training.devices import (
    choose_device,
    choose_precision,
    describe,
    keep_freed_memory,
    short_memory_told,
    use_threads,
)
from thumbnet.training.engine import Epoch, Recipe, fit_seeds
from thumbnet.training.fused import can_fuse
from thumbnet.training.history import deterministic, summarise, write_history, write_train_metrics
from thumbnet.training.resuming import Checkpoint, hash_weights


def main(params: Params, member: str) -> None:
    with short_memory_told(params.train.batch_size):
        train_member(params, member)


def train_member(params: Params, member: str) -> None:
    info = load_info(paths.SPLITS)
    data = {"name": info.name, "sha256": info.sha256}
    model = params.models[member]
    keep_freed_memory()
    use_threads(params.train.threads)
    device = choose_device(params.train.device, params.train.deterministic)
    precision = choose_precision(params.train.precision, device)
    number_format = str(precision).removeprefix("torch.")
    train, validation = (load_images(paths.SPLITS, split, device) for split in ("train", "validation"))
    statistics = normalisation.load(paths.STATISTICS)
    seeds = range(params.seed, params.seed + params.train.seeds)
    classifiers = [
        make_classifier(model, info.image_shape, len(info.classes), statistics, seed).to(device) for seed in seeds
    ]
    parameters = count_parameters(classifiers[0])
    layers = "fused" if not params.train.compile and can_fuse(classifiers[0], precision) else "plain"
    recipe = Recipe(
        params.seed,
        params.train,
        params.optimizer,
        params.schedule,
        params.regularisation,
        params.early_stopping,
        params.augment,
    )
    batches = batches_per_epoch(len(train), params.train.batch_size)

    times = "" if len(seeds) == 1 else f"{len(seeds)} × "
    print(
        f"{member}: {times}{parameters:,} parameters, {len(train):,} images, {describe(device)}, {number_format}, "
        f"{layers} layers",
        flush=True,
    )
    used = params.training_of(member)
    facts = used | {
        "data": data,
        "device": describe(device),
        "precision": number_format,
        "layers": layers,
        "weights": hash_weights(classifiers),
    }
    with (
        Checkpoint(paths.checkout_root() / paths.CHECKPOINTS, facts) as checkpoint,
        recorder.begin(params, member, data) as run,
    ):
        tags = {"checkpoint": checkpoint.key} if checkpoint.held else {}
        run.tag(device=describe(device), precision=number_format, layers=layers, **tags)
        with TrainingProgress(member, params.train.epochs, batches, len(train)) as progress:

            def on_epoch(epochs: list[Epoch]) -> None:
                progress.on_epoch(epochs)
                run.log_epoch(summarise(epochs))

            def on_resume(epochs: int) -> None:
                progress.on_resume(epochs)
                run.resume(epochs, checkpoint.key)

            outcomes = fit_seeds(
                classifiers, train, validation, recipe, precision, on_epoch, progress.on_batch, on_resume, checkpoint
            )
            progress.on_end(outcomes[0])

        first = Card(member, model.used(), list(info.classes), info.image_shape, parameters, used, data, {})
        cards = [
            replace(first, training=used | {"seed": seed}, best=deterministic(outcome.best))
            for seed, outcome in zip(seeds, outcomes, strict=True)
        ]
        history, metrics = paths.HISTORY / f"{member}.csv", paths.TRAIN_METRICS / f"{member}.json"
        save_classifiers(paths.MODELS / member, classifiers, cards)
        write_history(history, outcomes)
        write_train_metrics(metrics, outcomes, parameters)
        epochs = [epoch for outcome in outcomes for epoch in outcome.history]
        speed = {"images_per_second": len(train) * len(epochs) / sum(epoch.seconds for epoch in epochs)}
        run.finish(paths.MODELS / member, [history, metrics], speed)
        checkpoint.remove()


if __name__ == "__main__":
    run_stage(main)
