"""One network trained on the training split; the weights of its best validation epoch are kept."""

from thumbnet.stage import run_stage  # isort: skip

from dataclasses import asdict

from thumbnet import paths
from thumbnet.data import normalisation
from thumbnet.data.arrays import load_info
from thumbnet.nets.builder import count_parameters
from thumbnet.params import Params
from thumbnet.progress import TrainingProgress
from thumbnet.tracking import TrainingRun, hash_data
from thumbnet.training.batches import batches_per_epoch, load_images
from thumbnet.training.checkpoints import Card, make_classifier, save_classifier
from thumbnet.training.devices import choose_device, choose_precision, describe, use_threads
from thumbnet.training.engine import Epoch, Recipe, fit
from thumbnet.training.history import deterministic, write_history, write_train_metrics


def main(params: Params, member: str) -> None:
    info = load_info(paths.SPLITS)
    data = {"name": info.name, "sha256": info.sha256}
    model = params.models[member]
    use_threads(params.train.threads)
    device = choose_device(params.train.device)
    precision = choose_precision(params.train.precision, device)
    number_format = str(precision).removeprefix("torch.")
    train, validation = (load_images(paths.SPLITS, split, device) for split in ("train", "validation"))
    statistics = normalisation.load(paths.STATISTICS)
    classifier = make_classifier(model, info.image_shape, len(info.classes), statistics, params.seed).to(device)
    parameters = count_parameters(classifier)
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

    print(
        f"{member}: {parameters:,} parameters, {len(train):,} images, {describe(device)}, {number_format}", flush=True
    )
    with TrainingRun(params, member, hash_data(data)) as run:
        run.tag(device=describe(device), precision=number_format)
        with TrainingProgress(member, params.train.epochs, batches, len(train)) as progress:

            def on_epoch(epoch: Epoch) -> None:
                progress.on_epoch(epoch)
                run.log_epoch(asdict(epoch))

            outcome = fit(classifier, train, validation, recipe, precision, on_epoch, progress.on_batch)
            progress.on_end(outcome)

        best = deterministic(outcome.best)
        used = params.training_of(member)
        card = Card(member, model.used(), list(info.classes), info.image_shape, parameters, used, data, best)
        history, metrics = paths.HISTORY / f"{member}.csv", paths.TRAIN_METRICS / f"{member}.json"
        save_classifier(paths.MODELS / member, classifier, card)
        write_history(history, outcome.history)
        write_train_metrics(metrics, outcome, parameters)
        seconds = sum(epoch.seconds for epoch in outcome.history)
        speed = {"images_per_second": len(train) * len(outcome.history) / seconds}
        run.finish(paths.MODELS / member, [history, metrics], speed)


if __name__ == "__main__":
    run_stage(main)
