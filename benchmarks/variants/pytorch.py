"""A plain PyTorch loop, as most public CIFAR repositories write it (kuangliu/pytorch-cifar is the best known of them).

PIL images, transforms of torchvision, a `DataLoader` with two workers, fp32, and the loss read after each step.
"""

from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.measuring import Job, Watch, run_variant
from benchmarks.torch_network import build, count

Loader = DataLoader[Any]


class Pictures(Dataset[Any]):
    """As torchvision's own data sets: arrays in memory, one PIL image at a time."""

    def __init__(self, job: Job, split: str, transform: Any) -> None:
        self.images, self.labels = job.load(split)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[place].squeeze())  # a grey image has no axis of channels
        return self.transform(image), int(self.labels[place])


def make_loaders(job: Job) -> tuple[Loader, Loader]:
    """Of the training and the validation images."""
    mean, std = ([value / 255 for value in values] for values in (job.mean, job.std))
    plain = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    changed = [transforms.RandomCrop(job.image_shape[:2], padding=4), transforms.RandomHorizontalFlip()]
    train = Pictures(job, "train", transforms.Compose([*changed, *plain] if job.augment else plain))
    validation = Pictures(job, "validation", transforms.Compose(plain))
    return (
        DataLoader(train, batch_size=job.batch_size, shuffle=True, num_workers=2),
        DataLoader(validation, batch_size=500, shuffle=False, num_workers=2),
    )


def make_optimizer(job: Job, network: nn.Module, batches: int) -> tuple[SGD, OneCycleLR]:
    """SGD and its learning rate, to be stepped after each batch."""
    optimizer = SGD(
        network.parameters(), lr=job.lr, momentum=job.momentum, weight_decay=job.weight_decay, nesterov=True
    )
    scheduler = OneCycleLR(
        optimizer, job.lr, epochs=job.epochs, steps_per_epoch=batches, pct_start=job.rise, cycle_momentum=False
    )
    return optimizer, scheduler


def train(job: Job, watch: Watch) -> None:
    torch.manual_seed(job.seed)
    torch.set_num_threads(job.threads)
    train_loader, validation_loader = make_loaders(job)
    network = build(job)
    criterion = nn.CrossEntropyLoss()
    optimizer, scheduler = make_optimizer(job, network, len(train_loader))
    watch.begin(count(network))
    for _ in range(job.epochs):
        network.train()
        train_loss, correct, total = 0.0, 0, 0
        for images, labels in train_loader:
            optimizer.zero_grad()
            outputs = network(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            train_loss += loss.item()
            correct += outputs.argmax(1).eq(labels).sum().item()
            total += len(labels)
            watch.batch(len(labels))
        if job.validates:
            watch.epoch(accuracy(network, validation_loader))


def accuracy(network: nn.Module, loader: Loader) -> float:
    network.eval()
    correct, total = 0, 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int(network(images).argmax(1).eq(labels).sum().item())
            total += len(labels)
    return correct / total


if __name__ == "__main__":
    run_variant(train)
