"""The watch that ends a training when it has been measured."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.measuring import Finished, Job, Watch, peak_memory


@pytest.fixture
def make_watch() -> Callable[..., tuple[Watch, list[float]]]:
    """A watch, and the time that it sees."""

    def make(**changes: Any) -> tuple[Watch, list[float]]:
        values: dict[str, Any] = dict(
            variant="thumbnet", network="n", model={}, parameters=10, data="", image_shape=(4, 4, 1), classes=2,
            mean=[0.0], std=[1.0], augment=False, batch_size=8, epochs=3, seed=1, lr=0.1, changes={}, threads=1,
            level=None, warmup=2.0, seconds=3.0, launched=time.time() - 5,
        )  # fmt: skip
        now = [100.0]
        return Watch(Job(**values | changes), clock=lambda: now[0]), now

    return make


def train(watch: Watch, now: list[float], step: float, accuracies: list[float] | None = None) -> int:
    """Batches of `step` seconds each until the watch ends it, a validation after each one where accuracies are given.

    Returns:
        The number of batches that were done.
    """
    for number in range(1, 100):
        now[0] += step
        try:
            watch.batch(8)
            if accuracies is not None:
                watch.epoch(accuracies[number - 1])
        except Finished:
            return number
    raise AssertionError("it never ended")


def test_speed_is_that_of_the_window_after_the_warm_up(make_watch):
    """A batch of 8 in each half second, but slower ones before the window, which do not count."""
    watch, now = make_watch()
    for _ in range(5):  # 2.4 s between the first and the last of them: the warm-up is over
        now[0] += 0.6
        watch.batch(8)
    assert train(watch, now, 0.5) == 6
    assert watch.result.images_per_second == pytest.approx(8 / 0.5)
    assert 5 <= watch.result.start_seconds < 6
    assert watch.result.seconds_to_level is None


def test_a_warm_up_has_five_batches_at_least(make_watch):
    watch, now = make_watch(warmup=0.0, seconds=1.0)
    assert train(watch, now, 1.0) == 5 + 1


@pytest.mark.parametrize(
    ("accuracies", "taken"),
    [
        ([0.6, 0.75, 0.9], 20.0),  # reached in the second epoch, which ends it
        ([0.6, 0.7, 0.74], None),  # never reached: it ends after three epochs
    ],
)
def test_time_to_an_accuracy_runs_from_the_first_batch_to_the_validation_that_reaches_it(make_watch, accuracies, taken):
    watch, now = make_watch(level=0.75)
    now[0] += 33  # compilation, before the first batch is done
    watch.batch(8)
    assert train(watch, now, 10.0, accuracies) == (2 if taken else 3)
    assert watch.result.seconds_to_level == taken


def test_another_network_is_not_measured(make_watch):
    watch, _ = make_watch()
    watch.begin(10)
    with pytest.raises(SystemExit, match="11 trained values instead of 10"):
        watch.begin(11)


def keep_memory(ready: Any) -> None:
    kept = np.ones(40_000_000, np.uint8)
    ready.set()
    time.sleep(60)
    del kept


@pytest.mark.skipif(peak_memory() is None, reason="only Linux tells")
def test_memory_is_counted_with_that_of_workers():
    before = peak_memory()
    assert before is not None
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=keep_memory, args=(ready,), daemon=True)
    worker.start()
    try:
        assert ready.wait(30)
        with_worker = peak_memory()
    finally:
        worker.kill()
        worker.join()
    assert with_worker is not None
    # Its own 40 MB, but not the pages that it shares with this process.
    assert 40e6 <= with_worker - before < 40e6 + before / 2
