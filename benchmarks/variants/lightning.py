"""The same loop as a `LightningModule`, run by Lightning's `Trainer`; its loaders are those of the PyTorch loop."""

import logging
import warnings
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.measuring import Job, Watch, run_variant
from benchmarks.torch_network import build, count
from benchmarks.variants.pytorch import make_loaders, make_optimizer


class Module(lightning.LightningModule):
    def __init__(self, job: Job, watch: Watch, batches: int) -> None:
        super().__init__()
        self.network = build(job)
        self.job = job
        self.watch = watch
        self.batches = batches  # in an epoch
        self.correct = self.total = 0

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer, scheduler = make_optimizer(self.job, self.network, self.batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: tuple[Tensor, Tensor], place: int) -> Tensor:
        images, labels = batch
        return functional.cross_entropy(self.network(images), labels)

    def on_train_batch_end(self, outputs: Any, batch: tuple[Tensor, Tensor], place: int) -> None:
        self.watch.batch(len(batch[1]))

    def validation_step(self, batch: tuple[Tensor, Tensor], place: int) -> None:
        images, labels = batch
        self.correct += int(self.network(images).argmax(1).eq(labels).sum().item())
        self.total += len(labels)

    def on_validation_epoch_end(self) -> None:
        correct, total = self.correct, self.total
        self.correct = self.total = 0
        self.watch.epoch(correct / total)


def train(job: Job, watch: Watch) -> None:
    # Lightning counsels more workers and other things that are the same for the plain loop, too.
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(job.seed, verbose=False)
    torch.set_num_threads(job.threads)
    train_loader, validation_loader = make_loaders(job)
    module = Module(job, watch, len(train_loader))
    watch.begin(count(module.network))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=job.epochs,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
    )
    trainer.fit(module, train_loader, validation_loader if job.validates else None)


if __name__ == "__main__":
    run_variant(train)
