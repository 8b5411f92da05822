"""The one exception that users are meant to see, a message and never a stack trace, and the hint in many of them."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can mend: a parameter, a file, a missing source.

    The message names the parameter or the file, what was given, what is allowed and, where there is one, the command
    that mends it. Stages and the command line print it and exit with status 1.
    """


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Of the known names the one that was probably meant, whatever its case; None where none is near."""
    names = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return names[close[0]] if close else None
