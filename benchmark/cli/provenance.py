"""`bench provenance` and `bench reproduce`: where a number comes from, and whether it comes out again."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import StatedPlace, db_option, quiet_option, yes_option
from benchmark.cli.printing import put_out, say
from benchmark.display import printable
from registry.errors import some_of

if TYPE_CHECKING:
    from benchmark.api import NumberAgain, Reproduction

MANY = 20  # numbers that differ, listed one by one


@click.command()
@click.argument("observer", metavar="MODEL")
@click.argument("suite", required=False)
@click.argument("metric", required=False)
@click.argument("condition", required=False)
@click.option("--json", "as_json", is_flag=True, help="As a JSON list, one object per number.")
@db_option
def provenance(
    observer: str,
    suite: str | None,
    metric: str | None,
    condition: str | None,
    as_json: bool,
    db: str | None,
) -> int:
    """Everything behind a number: weights, card, stimuli, seed, precision, device, versions, runs, n, method, interval,
    and the command that makes it again.

    MODEL alone: the headline of each of its suites; MODEL SUITE: that suite's headline; CONDITION as `bench show`
    prints it (none: the number over all conditions).
    """
    from benchmark import api
    from benchmark.leaderboard.provenance import provenance_record, provenance_text

    found = api.provenance(observer, suite, metric, condition, db=db)
    if as_json:
        put_out(json.dumps([provenance_record(one) for one in found], indent=1))
        return 0
    for at, one in enumerate(found):
        say("\n".join([*([""] if at else []), *provenance_text(one)]))
    if not found:
        hint = f"`bench show {shlex.quote(observer)}` lists all."
        say(f"'{observer}' has no headline score yet: {hint}", err=True)
    return 0


@click.command()
@click.argument("observer", metavar="MODEL")
@click.argument("suite")
@click.argument("metric", required=False)
@click.argument("condition", required=False)
@click.option(
    "--into",
    type=StatedPlace(),
    metavar="FILE",
    help="Keep the fresh leaderboard there (a new file).",
)
@yes_option
@quiet_option
@db_option
def reproduce(
    observer: str,
    suite: str,
    metric: str | None,
    condition: str | None,
    into: str | None,
    yes: bool,
    quiet: bool,
    db: str | None,
) -> int:
    """Run what made a number in a fresh leaderboard, and say whether the number came out.

    Without METRIC: every number of the suite. Exit codes: 0 equal bit for bit, 1 a number differs, 3 none differs but
    not all could be made.
    """
    from benchmark import api
    from benchmark.cli.asking import agreed
    from benchmark.cli.progress import reporting

    with reporting(quiet=quiet) as reporter:
        found = api.reproduce(
            observer,
            suite,
            metric,
            condition,
            into=into,
            db=db,
            reporter=reporter,
            agreed=lambda prepared: agreed(prepared, yes=yes),
        )
    if found is None:
        say("not started.", err=True)
        return 1
    _print(found)
    return found.exit_code


def _print(found: Reproduction) -> None:
    equal = [one for one in found.numbers if one.equal]
    differ = [one for one in found.numbers if one.again is not None and not one.equal]
    lacking = [one for one in found.numbers if one.again is None]
    say(f"ran: {found.command}")
    if len(found.numbers) == 1 and equal:
        say(f"{_name(equal[0])}: {equal[0].stored.value!r}, equal bit for bit")
    elif equal:
        say(f"{len(equal)} of {len(found.numbers)} numbers are equal bit for bit")
    for one in differ[:MANY]:
        say(f"{_name(one)}: {_difference(one)}")
    if len(differ) > MANY:
        say(f"and {len(differ) - MANY} more differ")
    reasons: dict[str, list[str]] = {}
    for one in lacking:
        reasons.setdefault(one.reason, []).append(_name(one))
    for reason, names in reasons.items():
        say(f"not made again: {some_of(names, 3)}: {printable(reason)}")
    if found.db:
        say(f"the fresh leaderboard: {found.db}")


def _name(one: NumberAgain) -> str:
    return printable(f"{one.stored.metric} {one.stored.condition}".strip())


def _difference(one: NumberAgain) -> str:
    stored, again = one.stored, one.again
    assert again is not None
    if one.difference is None:
        return f"{stored.value!r} ({stored.reason}) is {again.value!r} ({again.reason}) now"
    if one.difference == 0:
        return f"{stored.value!r} is the same, but its interval, n or method is not"
    width = ""
    if stored.low is not None and stored.high is not None:
        width = f"; its interval is +- {(stored.high - stored.low) / 2:.2g}"
    return f"{stored.value!r} is {again.value!r} now, {one.difference:+.3g}{width}"
