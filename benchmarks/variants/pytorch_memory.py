"""The same PyTorch loop without a `DataLoader`, on tensors in memory.

Images are normalised once and lie there as float32; a batch is an index into them, and flips and crops are made for a
batch at a time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measuring import Job, Watch, run_variant
from benchmarks.torch_network import build, count
from benchmarks.variants.pytorch import make_optimizer

PADDING = 4


def load(job: Job, split: str) -> tuple[Tensor, Tensor]:
    """Normalised images (n, channels, height, width), float32, and labels (n,)."""
    images, labels = job.load(split)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()
    for channel, (mean, std) in enumerate(zip(job.mean, job.std, strict=True)):
        pixels[:, channel].sub_(mean).div_(std)
    return pixels, torch.from_numpy(labels)


def flip(images: Tensor) -> Tensor:
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def crop(images: Tensor) -> Tensor:
    """Each image's own window of its original size, out of the image with a border."""
    count, channels, height, width = images.shape
    wide = functional.pad(images, (PADDING,) * 4)
    top, left = torch.randint(2 * PADDING + 1, (2, count, 1))
    rows, columns = top + torch.arange(height), left + torch.arange(width)  # (n, height), (n, width)
    n, c = torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None]
    return wide[n, c, rows[:, None, :, None], columns[:, None, None, :]]


def train(job: Job, watch: Watch) -> None:
    torch.manual_seed(job.seed)
    torch.set_num_threads(job.threads)
    images, labels = load(job, "train")
    validation = load(job, "validation")
    network = build(job)
    criterion = nn.CrossEntropyLoss()
    optimizer, scheduler = make_optimizer(job, network, -(-len(images) // job.batch_size))
    watch.begin(count(network))
    for _ in range(job.epochs):
        network.train()
        train_loss, correct = 0.0, 0
        for chosen in torch.split(torch.randperm(len(images)), job.batch_size):
            batch, answers = images[chosen], labels[chosen]
            if job.augment:
                batch = crop(flip(batch))
            optimizer.zero_grad()
            outputs = network(batch)
            loss = criterion(outputs, answers)
            loss.backward()
            optimizer.step()
            scheduler.step()
            train_loss += loss.item()
            correct += outputs.argmax(1).eq(answers).sum().item()
            watch.batch(len(chosen))
        if job.validates:
            watch.epoch(accuracy(network, *validation))


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    with torch.no_grad():
        outputs = torch.cat([network(batch) for batch in torch.split(images, 500)])
    return outputs.argmax(1).eq(labels).float().mean().item()


if __name__ == "__main__":
    run_variant(train)
