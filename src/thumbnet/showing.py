"""The command `thumbnet show`: the report of the last run, in a browser."""

import os
import sys
import webbrowser

from thumbnet import paths
from thumbnet.errors import UserError


def show_report(path_only: bool) -> None:
    """Opens the report, or says where it is.

    Args:
        path_only: prints its full path and opens nothing.

    Raises:
        UserError: there is none.
    """
    report = paths.REPORT.resolve()
    if not report.exists():
        raise UserError(f"{paths.REPORT} is missing; make it with: dvc repro (or bring it back with: dvc checkout)")
    if path_only:
        print(report)
    elif has_screen() and webbrowser.open(report.as_uri()):
        print(f"opened {report}")
    else:
        print(f"No browser can be opened here. The report is one file, to be opened or sent anywhere: {report}")


def has_screen() -> bool:
    """Whether a browser has somewhere to appear; `BROWSER` names one that needs no screen."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
