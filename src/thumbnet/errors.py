"""The one exception that users are meant to see, a message and never a stack trace, and the hint in many of them."""

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can mend: a parameter, a file, a missing source.

    The message names the parameter or the file, what was given, what is allowed and, where there is one, the command
    that mends it. Stages and the command line print it and exit with status 1.
    """


def message_of(error: UserError | OSError) -> str | None:
    """What a user is told: of a full disk or a forbidden file `FILE: reason`; None of other errors, the code's own.

    A full disk is often told without the file.
    """
    if isinstance(error, UserError):
        return str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    forbidden = isinstance(error, PermissionError) and error.filename
    if not (full or forbidden):
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Of the known names the one that was probably meant, whatever its case; None where none is near."""
    names = {candidate.lower(): candidate for candidate in known}
    alike = 0.5 if len(name) < 4 else 0.55  # of two letters one may be wrong
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=alike)
    return names[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint that follows a name which is not known, ` (did you mean 'bn'?)`; nothing where none is near."""
    near = nearest_name(name, known)
    return f" (did you mean {near!r}?)" if near else ""
