"""The entry point of `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from benchmark.api.options import Option
from benchmark.cli import main as command_line
from benchmark.cli.derive import command
from benchmark.cli.figures import plot
from benchmark.cli.printing import say
from gestaltbench.pictures import gallery as draw


@command(draw)
def gallery(
    *,
    out: Annotated[Path, Option("PNG to write.", "--out", "-o", kind="new file")],
    **asked: Any,
) -> int:
    from benchmark.variables import read_settings
    from gestaltbench.pictures import GRADIENT, keep

    picture = draw(**asked)
    picture.save(out)
    size = f"{picture.image.width} x {picture.image.height}"
    say(f"{out}: {len(picture.identities)} models on {picture.stimuli}, {size}")
    if asked["map"] == GRADIENT:
        keep(picture, read_settings().thumbnails / picture.stimuli)
    if picture.warning:
        say(f"A picture, not a score: {picture.warning}.")
    return 0


def main() -> None:
    """Run the command line. The gallery draws with a suite's own pictures, and the command line below knows no suite:
    so it is added here."""
    plot.parts["gallery"] = gallery
    command_line()
