"""The frame of every stage script: parameters in, one function called, mistakes told in plain words.

What a stage does stands in its script in `stages/` and in the library; exit statuses and messages stand here, once.
"""

import signal
import sys
from collections.abc import Callable
from types import FrameType

from thumbnet.errors import UserError
from thumbnet.params import load_params


def run_stage(body: Callable[..., None]) -> None:
    """Runs a stage and ends the process: status 0, 1 after a mistake of the user's, 130 after Ctrl-C.

    Args:
        body: called with the checked parameters, and with the member's name when the script was given one:
            `python stages/train.py bn`.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # `dvc queue kill`, a shutdown: ended as by Ctrl-C, with all tidied up
    try:
        body(load_params(), *sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted: nothing half-written is left; `dvc repro` goes on from here", file=sys.stderr)
        sys.exit(130)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
