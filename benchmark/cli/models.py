"""`bench models` and `bench register`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import api
from benchmark.api.options import Db, Option
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_data, echo_line, echo_lines, print_rows
from benchmark.variables import read_settings
from registry.cards import change_card, read_cards, remove_card

if TYPE_CHECKING:
    from registry.determinism_checks import Check

Name = Annotated[str, Option("A model.")]


@command(name="show")
def show_model(name: Name) -> None:
    """Print one card in full, as YAML."""
    import yaml

    plain = api.one_card(name, read_settings()).model_dump(mode="json", exclude_none=True)
    echo_data(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


@command(name="check")
def check_model(name: Name, *, device: Annotated[str, Option("Test on this device.")] = "cpu") -> int:
    """Load a model and test its answers and gradients."""
    from registry.determinism_checks import check_network
    from registry.simulated import IdealObserver

    model = api.load_model(name, device=device)
    if isinstance(model, IdealObserver):
        echo_line("ok    an ideal observer answers from labels and needs no weights")
        return 0
    return print_checks(check_network(model))


@command(name="remove")
def remove_model(name: Name) -> None:
    """Delete a registered card and the head made for it.

    Weights, stored answers and scores stay."""
    heads = "".join(f" and its head {file.name}" for file in remove_card(name, read_settings().cards))
    echo_line(f"removed '{name}'{heads}. Its rows stay on boards; `bench rank --hide {name}` hides them.")


@command(name="rename")
def rename_model(name: Name, new: Annotated[str, Option("The new name.")], *, db: Db = None) -> None:
    """Rename a registered model.

    Stored trials are scored again under the new name."""
    api.rename_model(name, new, db=db)
    echo_line(f"'{name}' is now '{new}', with all its stored trials.")


@command(name="retire")
def retire_model(name: Name, *, undo: Annotated[bool, Option("Restore it.")] = False) -> None:
    """Hide a registered model from boards and patterns.

    It can still be run and shown by its full name."""
    change_card(name, read_settings().cards, retired=not undo)
    back = f" `bench rank -m {name}` still shows it; `bench models retire {name} --undo` restores it."
    echo_line(f"'{name}' is {'restored' if undo else 'retired'}.{'' if undo else back}")


@command(api.models, parts=(show_model, check_model, rename_model, retire_model, remove_model))
def models(pattern: str | None) -> None:
    from registry.download import missing_weights

    settings = read_settings()
    rows = []
    for card in api.models(pattern):
        absence = missing_weights(card, settings.place)
        state = ("retired; " * card.retired) + (f"no: {absence}" if absence else "yes")
        rows.append((card.name, state, card.labels, card.training, card.source))
    print_rows(("model", "on disk", "labels", "training", "source"), rows)
    for path, reason in read_cards(settings.cards).broken.items():
        echo_line(f"warning: card {path} is skipped: {reason}", err=True)


@command(api.register)
def register(
    file: Annotated[str | None, Option("Register this file; NAME alone may be a file.", without=("weights",))] = None,
    **asked: Any,
) -> int:
    asked["weights"] = asked["weights"] or file
    card, checks = api.register(**asked)
    code = print_checks(checks)
    echo_line(f"registered '{card.name}' (weights {(card.sha256 or '')[:12]}).")
    entrances = api.entrances(card)
    ways = {way: [suite for suite, (how, _) in entrances.items() if how == way] for way, _ in entrances.values()}
    for way, text in (("can run", "it can run"), ("waiting for data", "waiting for data")):
        if way in ways:
            echo_line(f"{text}: {', '.join(ways[way])}")
    echo_lines(f"it cannot run {suite}: {entrances[suite][1]}" for suite in ways.get("not applicable", ()))
    if asked["replace"]:
        echo_line("Scores of older weights stay; boards flag them until the model is run again.")
    echo_line(f"next: bench run --model {card.name}{' --fetch' * ('waiting for data' in ways)}")
    return code


def print_checks(checks: Sequence[Check], *, err: bool = False) -> int:
    """Print a line for each check; return 1 if one failed."""
    for check in checks:
        echo_line(f"{(check.mark or 'ok') if check.ok else 'FAIL':5} {check.name}: {check.detail}", err=err)
    return 0 if all(check.ok for check in checks) else 1
