"""What a terminal would show."""

from rich.console import Console


def text(renderable, width):
    """As plain text without colours or trailing spaces."""
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
