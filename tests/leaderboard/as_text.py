"""What a terminal would show."""

from rich.console import Console

from benchmark.leaderboard.forms import terminal


def text(tables, width=200, limit=None):
    """Tables as plain text without colours or trailing spaces."""
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(terminal(tables, width, limit))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
