"""What a training shows: one line per epoch where there is no terminal."""

import pytest

from thumbnet.progress import TrainingProgress
from thumbnet.training.engine import Epoch


def test_a_line_per_epoch_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("bn", epochs=12, batches=3, images=1000) as progress:
        for number in (1, 2):
            for _ in range(3):
                progress.on_batch()
            progress.on_epoch(Epoch(number, 0.1, 1.23456, 0.5, 1.1, 0.625, seconds=0.5))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "bn  epoch  1/12  train 50.00% (loss 1.2346)  validation 62.50% (loss 1.1000)  2,000 images/s"
    assert "epoch  2/12" in second
