"""What a training shows: one line per epoch where there is no terminal."""

import contextlib
import os
import subprocess
import sys

import pytest

from thumbnet.progress import TrainingProgress
from thumbnet.training.engine import Epoch, Outcome


def test_a_line_per_epoch_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("bn", epochs=12, batches=3, images=1000) as progress:
        for number in (1, 2):
            for _ in range(3):
                progress.on_batch()
            progress.on_epoch([Epoch(number, 0.1, 1.23456, 0.5, 1.1, 0.625, l2_penalty=0.0, seconds=0.5)])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "bn  epoch  1/12  train 50.00% (loss 1.2346)  validation 62.50% (loss 1.1000)  2,000 images/s"
    assert "epoch  2/12" in second


def test_of_several_seeds_the_line_tells_medians(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress("bn", epochs=2, batches=3, images=1000) as progress:
        progress.on_epoch(
            [Epoch(1, 0.1, loss, 0.5, 1.1, share, 0.0, 0.1) for loss, share in ((3, 0.2), (1, 0.9), (2, 0.7))]
        )
    assert capsys.readouterr().out == (
        "bn  epoch 1/2  train 50.00% (loss 2.0000)  validation 70.00% (loss 1.1000)  10,000 images/s"
        "  median of 3 seeds\n"
    )


@pytest.mark.parametrize(
    ("stopped_early", "told"), [(False, ""), (True, "bn  stopped early, after 2 of 12 epochs; the best was epoch 1\n")]
)
def test_a_training_that_ends_before_its_last_epoch_says_so(
    stopped_early: bool, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = [Epoch(number, 0.1, 1.2, 0.5, 1.1, 0.625, l2_penalty=0.0, seconds=0.5) for number in (1, 2)]
    with TrainingProgress("bn", epochs=12, batches=3, images=1000) as progress:
        progress.on_end(Outcome(epochs, epochs[0], stopped_early))
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(("term", "moves"), [("xterm-256color", True), ("dumb", False)])
def test_the_bar_moves_on_a_terminal_that_can_move_its_cursor(term: str, moves: bool) -> None:
    """On a real pseudo-terminal."""
    code = (
        "from thumbnet.progress import TrainingProgress\n"
        "with TrainingProgress('bn', 1, 3, 10) as progress:\n"
        "    for _ in range(3): progress.on_batch()\n"
    )
    main, terminal = os.openpty()
    environment = {**os.environ, "TERM": term}
    process = subprocess.run([sys.executable, "-c", code], stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    chunks = []
    with contextlib.suppress(OSError):  # Linux ends a pseudo-terminal with an error
        while chunk := os.read(main, 65536):
            chunks.append(chunk)
    os.close(main)
    assert process.returncode == 0
    assert (b"3/3" in b"".join(chunks)) == moves
