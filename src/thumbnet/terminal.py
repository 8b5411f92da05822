"""What the screen can do: asked wherever something moves on it."""

import sys

from rich.console import Console


def can_animate() -> bool:
    """Whether bars can move: on a terminal that moves its cursor. Elsewhere each movement would be a new line."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal
