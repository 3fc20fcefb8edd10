"""One page for each observer: card, provenance, all scores, what it answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchmark.report.contents import Contents, family, source
from benchmark.report.pages.answered import answered, confusions
from benchmark.report.pages.score_tables import parts_of
from benchmark.report.writing import Site, slug

if TYPE_CHECKING:
    from benchmark.store import ObserverRow, Outcome

#: Fields of a card that a reader wants to see, in this order, with what they are called.
FIELDS = {
    "description": "description",
    "training": "recipe",
    "arch": "architecture",
    "weights": "weights",
    "sha256": "digest of the weights",
    "labels": "labels",
    "license": "licence",
    "paper": "paper",
    "year": "year",
    "named": "called in its source",
    "source": "source",
}

#: Runs behind an observer's scores that a page tells of, and characters of a command.
MOST_RUNS, LONGEST_COMMAND = 3, 160
PROGRAMS = ("gestaltbench", "torch", "torchvision", "timm")


def observer_pages(
    site: Site, contents: Contents, thumbnails: Mapping[tuple[str, str], str]
) -> None:
    """observers/NAME.html for everybody with a name in the leaderboard."""
    failed: dict[str, list[Outcome]] = defaultdict(list)
    for one in contents.outcomes:
        if one.status != "done":
            failed[one.observer_name].append(one)
    for name, known in contents.observers.items():
        parts = list(parts_of(contents, contents.scores.get(name, ())))
        runs = list(runs_behind(contents, name))
        site.page(
            f"observers/{slug(name)}.html",
            "observer.html",
            title=name,
            brief=True,
            facts=list(_facts(known)),
            runs=runs[:MOST_RUNS],
            more_runs=max(0, len(runs) - MOST_RUNS),
            parts_=parts,
            answered=list(answered(contents.answers, name, thumbnails)),
            confusions=confusions(contents.answers, name),
            outcomes=failed[name],
        )


def runs_behind(contents: Contents, name: str) -> Iterator[tuple[str, str]]:
    """(command, when and with what it ran) of the runs behind an observer's scores, the newest first; of imported
    scores those of the leaderboard that they come from."""
    sets = dict.fromkeys(row.set_id for row in contents.scores.get(name, ()))
    behind = {run for one in sets for run in contents.origins.get(one, ())}
    for run in sorted(behind, key=lambda run: contents.runs[run]["started"], reverse=True):
        facts = contents.runs[run]
        yield _ran(facts)
        theirs = facts["environment"].get("imported")
        for one in theirs["runs"] if theirs else ():
            command, how = _ran(one)
            yield command, f"{how}, told by {theirs['source']}"


def _ran(facts: Mapping[str, Any]) -> tuple[str, str]:
    made_with = facts["environment"]
    packages = made_with.get("packages") or {}
    versions = [f"{name} {packages[name]}" for name in PROGRAMS if packages.get(name)]
    device = " ".join(str(made_with[one]) for one in ("device", "gpu") if made_with.get(one))
    told = [
        str(facts["started"])[:10],
        *versions,
        *([device] if device not in ("", "none") else []),
    ]
    command = str(facts["command"])
    short_command = (
        command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]}..."
    )
    return short_command, ", ".join(told)


def _facts(known: ObserverRow) -> Iterator[tuple[str, str]]:
    yield "kind", known.kind
    if kin := family(known):
        yield "family", kin
    yield "answers", source(known) or "imported"
    for name, title in FIELDS.items():
        value = known.card.get(name)
        if value and not (name == "source" and known.kind != "network"):
            yield (
                title,
                ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value),
            )
    for one in known.card.get("reported") or ():
        if isinstance(one, dict):
            yield (
                f"reported {one.get('metric', '')}",
                f"{one.get('value', '')} ({one.get('where', '')})",
            )
    yield "identity", known.identity[:16]
    yield "in this leaderboard since", known.created[:16].replace("T", " ")
