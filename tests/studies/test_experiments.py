"""What is made of what DVC says as it runs an experiment."""

import subprocess
import sys
from pathlib import Path

import pytest

from thumbnet.progress import TrainingProgress
from thumbnet.studies import experiments
from thumbnet.studies.experiments import Runner
from thumbnet.studies.planning import plan_runs, present_values
from thumbnet.studies.study import load_study

ROOT = Path(__file__).parents[2]
TRAINS = "Running stage 'train@bn':"


def line_of_a_training_that_goes_on(capsys: pytest.CaptureFixture[str]) -> str:
    TrainingProgress("bn", epochs=10, batches=1, images=1).on_resume(3)
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("said", "timed", "whole"),
    [
        ([TRAINS, "bn  epoch  1/10"], True, True),
        (["Stage 'split' is cached - skipping run, checking out outputs", TRAINS], True, True),
        ([TRAINS, "GOES ON", "bn  epoch  4/10"], True, False),
        (["Stage 'train@gn' is cached - skipping run, checking out outputs", TRAINS], True, False),
        (["Stage 'train@bn' is cached - skipping run, checking out outputs"], False, False),
    ],
)
def test_the_time_of_a_run_is_that_of_all_of_it_or_told_to_be_less(
    said: list[str],
    timed: bool,
    whole: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    run = plan_runs("sgd_rates", load_study("sgd_rates"))[0]
    runner = Runner("sgd_rates", present_values(), 0)
    monkeypatch.chdir(tmp_path)
    text = "\n".join(said).replace("GOES ON", line_of_a_training_that_goes_on(capsys))

    def start(self: Runner, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", f"print({text!r})"], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(Runner, "_start", start)
    monkeypatch.setattr(experiments, "find_experiments", dict)
    outcome = runner.run(run)
    assert (outcome.seconds > 0, outcome.whole, outcome.error) == (timed, whole, "")
