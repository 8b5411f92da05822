"""Interrupts that wait."""

import os
import signal

import pytest

from thumbnet.interrupts import uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_something_is_whole(number: signal.Signals) -> None:
    whole = False
    before = signal.getsignal(number)

    def work() -> None:
        nonlocal whole
        with uninterrupted():
            os.kill(os.getpid(), number)
            whole = True

    with pytest.raises(KeyboardInterrupt):
        work()
    assert whole
    assert signal.getsignal(number) is before
