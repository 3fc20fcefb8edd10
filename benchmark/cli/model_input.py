"""Options for what a network is fed, shared by the commands that register one, and how their checks are printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import together
from benchmark.cli.printing import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.cards import ModelCard
    from registry.checks import Check

#: The options of a network's input.
input_options = together(
    click.option("--mean", help="Three numbers, comma separated."),
    click.option("--std", help="Three numbers, comma separated."),
    click.option("--size", type=int, help="Input side in pixels."),
    click.option(
        "--resize", type=int, help="Shorter side before the centre crop of natural images."
    ),
    click.option("--interpolation", type=click.Choice(["nearest", "bilinear", "bicubic"])),
    click.option(
        "--resize-mode",
        type=click.Choice(["shortest", "longest", "squash"]),
        help="Which side --resize is: the shorter (default), the longer (the rest is filled), or both.",
    ),
    click.option("--channels", type=click.Choice(["rgb", "bgr"])),
    click.option(
        "--scale",
        type=float,
        help="Pixels in [0,1] are multiplied by this before mean and std (255 for Caffe).",
    ),
)


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, mean and standard deviation as numbers. Raises click.BadParameter."""
    given = {key: value for key, value in options.items() if value not in (None, ())}
    for key in ("mean", "std"):
        if key in given:
            given[key] = _three(given[key], f"--{key}")
    return given


def _three(text: str, option: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"expected three numbers like 0.485,0.456,0.406, got '{text}'", param_hint=option
        ) from None
    return first, second, third


def print_checks(checks: Sequence[Check]) -> int:
    """A line for each check; 1 where one failed."""
    for one in checks:
        say(f"{'ok  ' if one.ok else 'FAIL'}  {one.name}: {one.detail}")
    return 0 if all(one.ok for one in checks) else 1


def print_registered(card: ModelCard, checks: Sequence[Check], *, replaced: bool = False) -> int:
    """The checks, and which suites a model can enter, with what is missing for the others."""
    from benchmark import api

    code = print_checks(checks)
    say(f"registered '{card.name}' (weights {(card.sha256 or '')[:12]}).")
    found = api.entrances(card)
    able = [suite for suite, reason in found if not reason]
    if able:
        say(f"it can enter: {', '.join(able)}. Next: bench run --model {card.name}")
    for suite, reason in found:
        if reason:
            say(f"not yet: {suite}: {reason}")
    if replaced:
        say("Scores of older weights stay, and boards mark them until the model is run again.")
    return code
