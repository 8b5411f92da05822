"""What a stage loads while it runs: none waits seconds for a library that it has no use for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.pipeline.conftest import Checkout

pytestmark = pytest.mark.slow

#: Each takes a good part of a second, or several.
HEAVY = {"matplotlib", "mlflow", "pandas", "sklearn", "torch", "torch._dynamo", "torchvision"}
#: These load pandas.
MLFLOW, SKLEARN = {"mlflow", "pandas"}, {"sklearn", "pandas"}


@pytest.mark.parametrize(
    ("stage", "needed"),
    [
        ("check", set()),
        ("download", SKLEARN),  # the digits are there
        ("split", set()),
        ("preview", {"matplotlib", "torch"}),
        ("normalise", set()),
        ("train-bn", {"torch"}),  # MLflow in another process, as for the next ones
        ("evaluate-bn", {"matplotlib", "torch"}),
        ("gallery-bn", {"matplotlib"}),
        ("explain-bn", {"matplotlib", "torch"}),
        ("shared", {"matplotlib"}),
        ("ensemble", {"matplotlib"}),
        ("curves", {"matplotlib"}),
        ("summary", {"matplotlib"}),
        ("report", {"matplotlib"}),
        ("log", MLFLOW),
    ],
)
def test_a_stage_loads_what_it_needs(stage: str, needed: set[str], finished: Checkout) -> None:
    loaded = (finished.root.parent / f"loaded/{stage}.txt").read_text().split()
    assert "thumbnet.stage" in loaded
    assert set(loaded) & HEAVY == needed
