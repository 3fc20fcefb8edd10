"""Printing tables: to a terminal at its width, to a file or pipe wide enough to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def wide_console() -> Console:
    """A console at least as wide as the leaderboard's tables want where nobody looks at a terminal."""
    from rich.console import Console

    from benchmark.leaderboard.render import console_width

    console = Console()
    return Console(width=console_width(console))
