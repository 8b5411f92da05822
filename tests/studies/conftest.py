"""A checkout for studies whose results are made up."""

import shutil
from pathlib import Path

import pytest

from thumbnet.studies.pages import MARKS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """params.yaml and the studies, without any results."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("norms", "width", "sgd_rates", "pareto", "ensemble", "depth_activation"):
        (tmp_path / "studies").mkdir(exist_ok=True)
        shutil.copy(ROOT / f"studies/{name}.yaml", tmp_path / "studies")
    (tmp_path / "data/local").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results.md").write_text("\n".join(MARKS))
    monkeypatch.chdir(tmp_path)
