"""`bench models` and `bench register`."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli.model_input import (
    given_options,
    input_options,
    print_checks,
    print_registered,
)
from benchmark.cli.options import db_option
from benchmark.cli.printing import put_out, say, table_console

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
    from registry.loading import availability

    settings = read_settings()
    table = Table(box=None, pad_edge=False)
    for column in ("model", "on disk", "labels", "training", "source"):
        table.add_column(column, overflow="fold")
    for card in api.models(pattern):
        there = availability(card, settings.place)
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
    from registry.simulated import IdealObserver

    model = api.load_model(name, device=device)
    if isinstance(model, IdealObserver):
        say("ok    an ideal observer: it answers from labels, there is nothing to load")
        return 0
    return print_checks(check(model))


@models.command("remove")
@click.argument("name")
def remove_model(name: str) -> int:
    """Delete a registered card and the head that was made for it. Weights, stored answers and scores stay."""
    from benchmark import api

    heads = "".join(f" and its head {file.name}" for file in api.remove_model(name))
    say(
        f"removed '{name}'{heads}. Its rows stay on boards; `bench rank --hide {name}` leaves them out."
    )
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


@click.command()
@click.argument("name")
@click.option(
    "--arch",
    default="",
    metavar="SOURCE:NAME",
    help="timm:resnet50, timm:hf_hub:ORG/NAME, torchvision:vgg16, hf:ORG/NAME|FOLDER, open_clip:ARCH|FOLDER, "
    "python:module:function, python:./file.py:function, detector:python:..., export; a folder of timm says it itself.",
)
@click.option(
    "--weights",
    metavar="FILE|FOLDER",
    help=".safetensors, .pt, .pth, an exported .pt2 program, a tag of open_clip, or random:0 (untrained, seed 0).",
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
@click.option(
    "--replace", is_flag=True, help="Take the place of the registered model of that name."
)
@click.option(
    "--training",
    multiple=True,
    metavar="TAG",
    help="Recipe tag, e.g. stylised, 'noise(uniform)'; repeatable.",
)
@click.option(
    "--threshold",
    type=float,
    help="Of detectors: the score from which a box is an answer (0.05).",
)
@click.option(
    "--templates",
    metavar="single|7|80|FILE|TEXT",
    help="Of open_clip models: the texts in which the names of the label space stand (80); 'a sketch of a {}.' is one.",
)
@click.option(
    "--each-template",
    is_flag=True,
    help="A model for each of the templates by itself, NAME.a-photo-of-a and so on.",
)
@input_options
def register(name: str, arch: str, weights: str | None, **options: Any) -> int:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a model card.

    bench register my-net --arch timm:resnet50 --weights checkpoint.pt
    """
    from benchmark import api

    replaces = bool(options.pop("replace"))
    own = {name: options.pop(name) for name in ("templates", "threshold")}
    family = {name: value for name, value in own.items() if value is not None}
    each = bool(options.pop("each_template"))
    given = {**given_options(options), "replaces": replaces, "options": family}
    if each:
        names = []
        for card, _ in api.register_each_template(name, arch, weights, **given):
            names.append(card.name)
            say(f"registered '{card.name}' (weights {(card.sha256 or '')[:12]}).")
        say(f"next: bench run --model '{name}.*', then bench compare {names[0]} '{name}.*'")
        return 0
    card, checks = api.register(name, arch, weights, **given)
    return print_registered(card, checks, replaced=replaces)
