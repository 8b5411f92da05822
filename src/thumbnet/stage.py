"""The frame of every stage script: parameters in, one function called, mistakes told in plain words.

What a stage does stands in its script in `stages/` and in the library; exit statuses and messages stand here, once.
Scripts import this module before all others: loading those takes seconds, and Ctrl-C is told plainly then, too.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from thumbnet.errors import UserError, message_of

INTERRUPTED = 130
_MESSAGE = "\ninterrupted: nothing half-written is left; `dvc repro` goes on from here"


def run_stage(body: Callable[..., None]) -> None:
    """Runs a stage and ends the process: status 0, 1 after a mistake of the user's or its disk's, 130 after Ctrl-C.

    Args:
        body: called with the checked parameters, and with the member's name when the script was given one:
            `python stages/train.py bn`.
    """
    # From here on there may be something to tidy up. `dvc queue kill` and a shutdown send SIGTERM: as Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    from thumbnet.params import load_params

    # What was loaded stays, and needs no looking through; MLflow, whose import comes later, makes many objects more.
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
    try:
        body(load_params(), *sys.argv[1:])
    except (UserError, OSError) as error:
        told = message_of(error)
        if told is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(_MESSAGE, file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:  # a second Ctrl-C would interrupt Python's end, and print where
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_at_once(number: int, frame: FrameType | None) -> None:
    print(_MESSAGE, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


if Path(sys.argv[0]).resolve().parent.name == "stages":  # not where a test or a notebook imports this
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end_at_once)
    # Libraries make a million objects as they load, and keep them. Looking through those for garbage, again and again
    # while they come and once more as Python ends, took a second of each stage: now it waits until `run_stage`, and is
    # left out at the end.
    gc.disable()
    atexit.register(gc.freeze)
