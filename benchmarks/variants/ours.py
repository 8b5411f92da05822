"""thumbnet's own engine, called as the stage `train` calls it."""

import thumbnet  # noqa: F401 # isort: skip - first of all, as in every stage: it says how OpenMP's threads wait

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import Job, Watch, run_variant
from thumbnet.data.normalisation import Statistics
from thumbnet.nets.builder import count_parameters
from thumbnet.params import load_params, network_params
from thumbnet.training.batches import Images, load_images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import choose_precision, keep_freed_memory, use_threads
from thumbnet.training.engine import Recipe, fit

#: Where speed is measured, only batches of training count: the validation after each epoch gets so few images.
FEW = 100


def make_recipe(job: Job) -> Recipe:
    """For accuracy the recipe of params.yaml with the job's changes; for speed the peers' SGD, without an average."""
    params = load_params()
    changes: dict[str, dict[str, Any]] = {
        "optimizer": {"name": "sgd", "lr": job.lr, "momentum": job.momentum, "nesterov": True,
                      "weight_decay": job.weight_decay},
        "schedule": {"name": "one_cycle", "warmup": job.rise},
        "train": {"ema": 0.0},
    }  # fmt: skip
    if job.validates:
        changes = {"train": {}, **job.changes}
    changes["train"] |= {"epochs": job.epochs, "batch_size": job.batch_size}
    augment: dict[str, Any] = {"flip": "none", "rotation": 0, "shift": 0, "crop": 0, "border": "black", "cutout": 0}
    changes["augment"] = augment | {"pixel_noise": 0} | ({"flip": "random", "crop": 4} if job.augment else {})
    changes["early_stopping"] = {"monitor": "none"}
    sections = {part.name: getattr(params, part.name) for part in fields(Recipe) if part.name != "seed"}
    changed = {name: section.model_copy(update=changes.get(name, {})) for name, section in sections.items()}
    return Recipe(seed=job.seed, **changed)


def train(job: Job, watch: Watch) -> None:
    keep_freed_memory()
    use_threads(job.threads)
    device = torch.device("cpu")
    recipe = make_recipe(job)
    train_images, validation = (load_images(Path(job.data), split, device) for split in ("train", "validation"))
    if not job.validates:
        validation = Images(validation.images[:FEW], validation.labels[:FEW])
    statistics = Statistics(np.array(job.mean), np.array(job.std))
    classifier = make_classifier(network_params(job.model), job.image_shape, job.classes, statistics, job.seed)
    watch.begin(count_parameters(classifier))
    fit(
        classifier,
        train_images,
        validation,
        recipe,
        choose_precision(recipe.train.precision, device),
        lambda epoch: watch.epoch(epoch.validation_accuracy) if job.validates else None,
        lambda: watch.batch(job.batch_size),
    )


if __name__ == "__main__":
    run_variant(train)
