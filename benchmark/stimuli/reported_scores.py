"""Published scores: aggregates whose trials nobody published, as their publishers report them.

A table is a CSV file with a header, or JSON: a list of records with the same fields, or {observer: {metric: value}}.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.stimuli.sources import Named

REQUIRED = ("observer", "metric", "value")
OPTIONAL = ("low", "high", "level", "n", "condition", "source", "suite", "note")
LARGEST = 64 * 2**20  # bytes: no table of aggregates is near it


class ReportedScore(NamedTuple):
    """One number that a publisher gives of an observer. low, high: its interval at `level`, None where none is given;
    method: how it was made; n: trials behind it, 0 where that is not given; suite: whose subject it is, "" of none;
    remarks: what a reader must know of it.
    """

    observer: Named
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    n: int = 0
    condition: str = ""
    suite: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def what(self) -> tuple[Named, str, str, str]:
        """Of whom and what it is: there is one number of each."""
        return self.observer, self.metric, self.suite, self.condition


@dataclass(frozen=True)
class ReportedMetric:
    """What is known of a publisher's metric: title and definition for tables, the suite whose subject it is, what a
    reader must know, and whether it is accuracy on images as they are.
    """

    title: str
    definition: str
    suite: str
    caveat: str
    clean: bool = False


@dataclass(frozen=True)
class ScoreTables:
    """What was read. notes: what of it was not taken, and why."""

    scores: Sequence[ReportedScore]
    notes: list[str] = field(default_factory=list)


@cache
def known_metrics() -> Mapping[tuple[str, str], ReportedMetric]:
    """(source, metric) -> what is known of it."""
    import yaml

    text = (files("benchmark.stimuli") / "reported_metrics.yaml").read_text(encoding="utf-8")
    return {
        (source, name): ReportedMetric(**row)
        for source, rows in yaml.safe_load(text).items()
        for name, row in rows.items()
    }


def read_text(path: Path, largest: int = LARGEST) -> str:
    """A file's text. Raises ScoresError where it cannot be read, or has more bytes than `largest`."""
    if path.exists() and not path.is_file():
        raise ScoresError(f"{path}: is no regular file. Expected a table of scores.")
    try:
        if path.stat().st_size > largest:
            raise ScoresError(f"{path}: larger than {largest >> 20} MiB; no table of scores is.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScoresError(f"{path}: cannot be read as text ({error}).") from error


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """A JSON file. Raises ScoresError, also where a name stands twice in one object."""

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in found:
            if name in made:
                raise ScoresError(f"{path}: '{printable(name)}' stands twice in one object.")
            made[name] = value
        return made

    try:
        return json.loads(read_text(path, largest), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise ScoresError(f"{path}: not JSON ({error}).") from error


def once(path: Path, scores: Iterable[ReportedScore]) -> tuple[ReportedScore, ...]:
    """Each score once. Raises ScoresError where one observer has two values of one metric."""
    held: dict[tuple[Named, str, str, str], ReportedScore] = {}
    for score in scores:
        known = held.setdefault(score.what, score)
        if known != score:
            raise ScoresError(
                f"{path}: {score.observer} has two values of '{score.metric}' {score.condition}".rstrip()
                + f": {known.value} and {score.value}. Name them apart in 'condition', or keep one."
            )
    if not held:
        raise ScoresError(f"{path}: no scores. Expected columns {', '.join(REQUIRED)}.")
    return tuple(held.values())


def check_names(
    scores: Iterable[ReportedScore], suites: Mapping[str, Collection[str]], same: Collection[str]
) -> None:
    """Raises ScoresError for a suite that there is not, and for a metric called like one of ours, unless `same` says
    that it is the same quantity. suites: name -> names of its metrics.
    """
    ours = {metric: name for name, metrics in suites.items() for metric in metrics}
    for score in scores:
        if score.suite and score.suite not in suites:
            raise ScoresError(
                f"'{printable(score.suite)}' is no suite; expected one of {', '.join(suites)}, or nothing."
            )
        if score.metric in ours and score.metric not in same:
            raise ScoresError(
                f"'{score.metric}' is a metric of the suite {ours[score.metric]}, measured from trials "
                f"(`bench suites show {ours[score.metric]}`). If this is the same quantity, say --same {score.metric}; "
                "else give it a name that says what it is."
            )
