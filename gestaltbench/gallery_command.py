"""`bench gallery`: the input gradients of several models side by side, as a picture.

It stands here because it draws with a suite's own pictures, and the command line below knows no suite.
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.printing import say

GRADIENT = "gradient"


@click.command()
@click.option("--models", "-m", "pattern", required=True, metavar="A,B,C", help="One row each.")
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="PNG to write.",
)
@click.option(
    "--set", "name", metavar="NAME", help="Stimulus set (default: by the models' labels)."
)
@click.option("--count", type=click.IntRange(1), default=8, show_default=True, help="Images.")
@click.option(
    "--map",
    "kind",
    default=GRADIENT,
    show_default=True,
    metavar="MAP",
    help="gradient, smoothgrad; integrated-gradients, gradient-x-input, grad-cam: pictures, never scores.",
)
@click.option("--random", is_flag=True, help="One more row: the first architecture, untrained.")
def gallery(pattern: str, out: Path, name: str | None, count: int, kind: str, random: bool) -> int:
    """Signed input gradients as colour, as in Tsipras et al. (2019): clipped at mean +- 3 sigma, nothing smoothed.

    One row a model, one column an image; the images are the first of evenly spaced categories, not chosen by looks.
    A small strip of each model's gradients is kept under BENCH_HOME/thumbnails for reports.
    """
    from benchmark.variables import read_settings
    from gestaltbench.pictures import draw, keep

    made = draw(pattern, name, count, kind, random=random)
    made.save(out)
    size = f"{made.image.width} x {made.image.height}"
    say(f"{out}: {len(made.identities)} models on {made.stimuli}, {size}")
    if kind == GRADIENT:
        keep(made, read_settings().thumbnails / made.stimuli)
    if made.warning:
        say(f"A picture, not a score: {made.warning}.")
    return 0
