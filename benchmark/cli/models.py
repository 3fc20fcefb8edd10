"""`bench models` and `bench register`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import db_option
from benchmark.cli.printing import put_out, say, table_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.cards import ModelCard
    from registry.checks import Check

SUBCOMMANDS = ("list", "show", "check", "remove", "rename", "retire")


class PatternGroup(click.Group):
    """`bench models PATTERN` means `bench models list PATTERN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `list` where the first word is not a subcommand."""
        if not args or (args[0] not in SUBCOMMANDS and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=PatternGroup)
def models() -> None:
    """List, show, check, rename, retire and remove models: `bench models [PATTERN]`, `bench models show NAME`."""


@models.command("list")
@click.argument("pattern", required=False)
def list_models(pattern: str | None) -> int:
    """Model cards, built-in and registered: whether their weights are on this disk, and how they were trained."""
    from rich.table import Table

    from benchmark import api
    from benchmark.variables import read_settings
    from registry.load import availability

    settings = read_settings()
    table = Table(box=None, pad_edge=False)
    for column in ("model", "on disk", "labels", "training", "source"):
        table.add_column(column, overflow="fold")
    for card in api.models(pattern):
        there = availability(card, settings.weights, settings.caches)
        table.add_row(
            card.name,
            ("retired; " * card.retired) + ("yes" if there.on_disk else f"no: {there.note}"),
            card.labels,
            ", ".join(card.training),
            card.source,
        )
    table_console().print(table)
    _warn_broken()
    return 0


def _warn_broken() -> None:
    from benchmark.variables import read_settings
    from registry.cards import read_cards

    for path, reason in read_cards(read_settings().cards).broken.items():
        say(f"warning: card {path} is left out: {reason}", err=True)


@models.command("show")
@click.argument("name")
def show_model(name: str) -> int:
    """One card in full, as YAML."""
    import yaml

    from benchmark import api
    from benchmark.variables import read_settings

    card = api.one_card(name, read_settings())
    plain = card.model_dump(mode="json", exclude_none=True)
    put_out(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    return 0


@models.command("check")
@click.argument("name")
@click.option("--device", default="cpu", show_default=True)
def check_model(name: str, device: str) -> int:
    """Load a model and test it: finite logits, not probabilities, same answer twice, gradients, class count."""
    from benchmark import api
    from registry.checks import check
    from registry.ideal import IdealObserver

    model = api.load_model(name, device=device)
    if isinstance(model, IdealObserver):
        say("ok    an ideal observer: it answers from labels, there is nothing to load")
        return 0
    return _print_checks(check(model))


@models.command("remove")
@click.argument("name")
def remove_model(name: str) -> int:
    """Delete a registered card. Weights stay, and so do stored answers and scores."""
    from benchmark import api

    api.remove_model(name)
    say(f"removed '{name}'. Its rows stay on boards; `bench rank --hide {name}` leaves them out.")
    return 0


@models.command("rename")
@click.argument("name")
@click.argument("new")
@db_option
def rename_model(name: str, new: str, db: str | None) -> int:
    """Give a registered model another name; stored trials are scored again under it."""
    from benchmark import api

    api.rename_model(name, new, db=db)
    say(f"'{name}' is '{new}' now, with all its stored trials.")
    return 0


@models.command("retire")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Bring it back.")
def retire_model(name: str, undo: bool) -> int:
    """Take a registered model from boards and patterns; by its full name it still runs and shows."""
    from benchmark import api

    api.retire_model(name, retired=not undo)
    back = (
        f"`bench rank --only {name}` shows it, `bench models retire {name} --undo` brings it back"
    )
    say(f"'{name}' is {'back' if undo else 'retired'}." + ("" if undo else f" {back}."))
    return 0


def _print_checks(checks: Sequence[Check]) -> int:
    for one in checks:
        say(f"{'ok  ' if one.ok else 'FAIL'}  {one.name}: {one.detail}")
    return 0 if all(one.ok for one in checks) else 1


@click.command()
@click.argument("name")
@click.option(
    "--arch",
    default="",
    metavar="SOURCE:NAME",
    help="timm:resnet50, timm:hf_hub:ORG/NAME, torchvision:vgg16, python:module:function, export; a folder of timm "
    "says it itself.",
)
@click.option(
    "--weights",
    metavar="FILE|FOLDER",
    help=".safetensors, .pt, .pth, an exported .pt2 program, or random:0 (untrained, seed 0).",
)
@click.option(
    "--labels",
    metavar="SPACE|FILE|FOLDER",
    help="imagenet1k (default), geirhos16, world16, a YAML mapping file, a list of class names (.txt, .json), or the "
    "folder of the classes.",
)
@click.option(
    "--key",
    metavar="NAME",
    help="Which weights of a file that holds several: state_dict, ema, teacher, ...",
)
@click.option("--mean", help="Three numbers, comma separated.")
@click.option("--std", help="Three numbers, comma separated.")
@click.option("--size", type=int, help="Input side in pixels.")
@click.option("--resize", type=int, help="Shorter side before the centre crop of natural images.")
@click.option(
    "--replace", is_flag=True, help="Take the place of the registered model of that name."
)
@click.option("--interpolation", type=click.Choice(["nearest", "bilinear", "bicubic"]))
@click.option(
    "--resize-mode",
    type=click.Choice(["shortest", "longest", "squash"]),
    help="Which side --resize is: the shorter (default), the longer (the rest is filled), or both.",
)
@click.option("--channels", type=click.Choice(["rgb", "bgr"]))
@click.option(
    "--scale",
    type=float,
    help="Pixels in [0,1] are multiplied by this before mean and std (255 for Caffe).",
)
@click.option(
    "--training",
    multiple=True,
    metavar="TAG",
    help="Recipe tag, e.g. stylised, 'noise(uniform)'; repeatable.",
)
def register(name: str, arch: str, weights: str | None, **options: Any) -> int:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a model card.

    bench register my-net --arch timm:resnet50 --weights checkpoint.pt
    """
    from benchmark import api

    replaces = bool(options.pop("replace"))
    card, checks = api.register(name, arch, weights, replaces=replaces, **stated(options))
    code = _print_checks(checks)
    say(f"registered '{card.name}' (weights {(card.sha256 or '')[:12]}).")
    if replaces:
        say("Scores of older weights stay, and boards mark them until the model is run again.")
    print_entrances(card)
    return code


def stated(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `register` that were given."""
    given = {key: value for key, value in options.items() if value not in (None, ())}
    for key in ("mean", "std"):
        if key in given:
            given[key] = _three(given[key], f"--{key}")
    return given


def print_entrances(card: ModelCard) -> None:
    """Which suites a model can enter, and what is missing for the others."""
    from benchmark import api

    found = api.entrances(card)
    able = [suite for suite, reason in found if not reason]
    if able:
        say(f"it can enter: {', '.join(able)}. Next: bench run --model {card.name}")
    for suite, reason in found:
        if reason:
            say(f"not yet: {suite}: {reason}")


def _three(text: str, option: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"expected three numbers like 0.485,0.456,0.406, got '{text}'", param_hint=option
        ) from None
    return first, second, third
