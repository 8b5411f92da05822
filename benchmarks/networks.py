"""What is measured: four networks, and five ways to train each of them."""

from dataclasses import dataclass, field
from typing import Any, Literal

Data = Literal["cifar10", "mnist"]

BATCH_SIZE = 128


@dataclass(frozen=True)
class Network:
    """A network and its task.

    Attributes:
        name: here and in the results.
        member: its entry of `models` in params.yaml.
        data: which images it is trained on.
        augment: whether they are flipped at random and cropped at random after padding by 4 pixels.
        level: the validation accuracy that the time is taken to.
        peer_epochs, peer_lr: of the peers' recipe to that level, SGD with one cycle.
        epochs: of thumbnet's recipe to that level.
        changes: of that recipe against params.yaml, by section.
    """

    name: str
    member: str
    data: Data
    augment: bool
    level: float
    peer_epochs: int
    peer_lr: float
    epochs: int
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)


def _sgd(lr: float) -> dict[str, dict[str, Any]]:
    """Muon's products cost more than a wide dense layer's own, and save less than that here."""
    return {"optimizer": {"name": "sgd", "lr": lr, "weight_decay": 5e-4}}


NETWORKS = {
    network.name: network
    for network in (
        Network("flagship", "bn", "cifar10", True, level=0.75, peer_epochs=10, peer_lr=0.1, epochs=5),
        Network("n10", "cnn", "cifar10", True, level=0.70, peer_epochs=5, peer_lr=0.05, epochs=5,
                changes=_sgd(0.05)),
        Network("mlp_cifar", "mlp_600_300", "cifar10", False, level=0.50, peer_epochs=2, peer_lr=0.05, epochs=2,
                changes=_sgd(0.05)),
        Network("mlp_128", "mlp_128", "mnist", False, level=0.97, peer_epochs=2, peer_lr=0.1, epochs=2,
                changes=_sgd(0.1)),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        title: for people.
        module: in `benchmarks.variants`.
        environment: the folder of the Python that runs it.
    """

    title: str
    module: str
    environment: Literal[".venv", ".venv-bench"]


OURS = "thumbnet"
VARIANTS = {
    OURS: Variant("thumbnet", "ours", ".venv"),
    "pytorch": Variant("PyTorch, DataLoader", "pytorch", ".venv"),
    "pytorch_memory": Variant("PyTorch, tensors in memory", "pytorch_memory", ".venv"),
    "keras": Variant("Keras on TensorFlow", "keras", ".venv-bench"),
    "lightning": Variant("PyTorch Lightning", "lightning", ".venv-bench"),
}
