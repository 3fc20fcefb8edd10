"""`bench data stylize`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import FiniteRange
from benchmark.cli.printing import say

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--content", required=True, type=FOLDER, help="Pictures in class folders: CATEGORY/image."
)
@click.option(
    "--style", required=True, type=FOLDER, help="Paintings or textures; for cue conflict by class."
)
@click.option("--name", help="What to call the set (default: the kind and the content's folder).")
@click.option(
    "--cue-conflict", is_flag=True, help="Shape of one class, texture of another (16 categories)."
)
@click.option(
    "--per-pair", type=click.IntRange(min=1), help="Cue conflict: images per pair of categories."
)
@click.option(
    "--count", type=click.IntRange(min=1), help="Cue conflict: images in all, evenly over pairs."
)
@click.option("--same-category", is_flag=True, help="Cue conflict: pairs of equal categories too.")
@click.option(
    "--strength",
    "--alpha",
    default=1.0,
    show_default=True,
    type=FiniteRange(0, 1),
    help="From the picture's own style (0) to the other's (1).",
)
@click.option(
    "--size", default=224, show_default=True, type=click.IntRange(8, 384), help="Pixels a side."
)
@click.option(
    "--crop",
    default=0.875,
    show_default=True,
    type=FiniteRange(0, 1, min_open=True),
    help="Share of the shorter side that is shown; 1 for pictures that are square already.",
)
@click.option("--seed", default=0, show_default=True, help="Which style, which sample of pairs.")
@click.option("--limit", type=click.IntRange(min=1), help="Make only this many of the images.")
@click.option("--role", help="What suites know it as.")
@click.option("--space", help="Decision space of the labels, where the class folders do not tell.")
@click.option("--output", "-o", type=FOLDER, help="Make the set's folder in this one.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Images at a time (default: one a processor)."
)
def stylize(
    content: Path,
    name: str | None,
    cue_conflict: bool,
    per_pair: int | None,
    count: int | None,
    same_category: bool,
    space: str | None,
    workers: int | None,
    **options: Any,
) -> int:
    """Paint pictures in the manner of others: a stimulus set of your own.

    Without --cue-conflict every picture keeps its label and takes the texture of one style, as in Stylized-ImageNet.
    The network is another one than for the published sets: boards name it and never mix the sets. An interrupted
    run goes on where it stopped.
    """
    from benchmark.stimuli.stylise import Order, Sample, load_network, make_stylised
    from benchmark.variables import read_settings

    _check(cue_conflict, per_pair, count, same_category, space)
    sample = Sample(per_pair, count, same_category) if cue_conflict else None
    kind = "cue-conflict" if cue_conflict else "stylised"
    order = Order(
        content=content,
        name=name or f"{kind}-{content.resolve().name}",
        sample=sample,
        space=space,
        workers=workers or os.cpu_count() or 1,
        **options,
    )
    make_stylised(order, read_settings(), load_network(), say)
    return 0


def _check(
    cue_conflict: bool,
    per_pair: int | None,
    count: int | None,
    same_category: bool,
    space: str | None,
) -> None:
    if per_pair is not None and count is not None:
        raise click.UsageError("--per-pair and --count say the same thing twice: give one.")
    if not cue_conflict and (per_pair is not None or count is not None or same_category):
        raise click.UsageError("--per-pair, --count and --same-category need --cue-conflict.")
    if cue_conflict and space is not None:
        raise click.UsageError("cue-conflict images have the 16 categories: no --space.")
