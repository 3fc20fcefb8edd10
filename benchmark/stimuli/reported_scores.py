"""Published scores: aggregates whose trials nobody published, as their publishers report them.

A table is a CSV file with a header, or JSON: a list of records with the same fields, or {observer: {metric: value}}.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import isfinite
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


def read_scores(path: Path, source: str | None = None) -> ScoreTables:
    """The scores of a table, or of a folder whose layout is known. source: who published them, where the table does
    not say (None: the file is called like it). Raises ScoresError with file, row and what was expected.
    """
    from benchmark.stimuli import critical_band_masking as masking

    if path.is_dir():
        if source not in (None, masking.SOURCE) or not masking.fits(path):
            raise ScoresError(
                f"{path}: not a folder of scores whose layout is known ({masking.SOURCE}: sb_scores.json, baccs.json, "
                "...). Of other publishers import one CSV or JSON file at a time."
            )
        return masking.read(path)
    stated = source or printable(path.stem)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    return ScoreTables(once(path, (_score(path, where, row, stated) for where, row in rows)))


def read_text(path: Path) -> str:
    """A file's text. Raises ScoresError where it cannot be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise ScoresError(f"{path}: larger than {LARGEST >> 20} MiB; no table of scores is.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScoresError(f"{path}: cannot be read as text ({error}).") from error


def read_json(path: Path) -> Any:
    """A JSON file. Raises ScoresError, also where a name stands twice in one object."""

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        if len(made) < len(found):
            twice = next(k for k in made if sum(k == name for name, _ in found) > 1)
            raise ScoresError(f"{path}: '{printable(twice)}' stands twice in one object.")
        return made

    try:
        return json.loads(read_text(path), object_pairs_hook=pairs)
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


Rows = Iterable[tuple[str, Mapping[str, Any]]]


def _csv_rows(path: Path) -> Rows:
    reader = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        _check_fields(path, "header", names, REQUIRED)
        reader.fieldnames = names
        for row in reader:
            if None in row or None in row.values():
                raise ScoresError(f"{path}, line {reader.line_num}: expected {len(names)} fields.")
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise ScoresError(f"{path}, line {reader.line_num}: not CSV ({error}).") from error


def _json_rows(path: Path) -> Rows:
    found = read_json(path)
    if isinstance(found, dict):
        for name, metrics in found.items():
            if not isinstance(metrics, dict):
                raise ScoresError(f"{path}: '{printable(name)}': expected {{metric: value}}.")
            for metric, value in metrics.items():
                row = {"observer": name, "metric": metric, "value": value}
                yield f"{printable(name)}, {printable(metric)}", row
        return
    if not isinstance(found, list):
        raise ScoresError(
            f"{path}: expected a list of records, or {{observer: {{metric: value}}}}."
        )
    for at, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise ScoresError(f"{path}, record {at}: expected fields {', '.join(REQUIRED)}.")
        _check_fields(path, f"record {at}", list(row), REQUIRED)
        yield f"record {at}", row


def _check_fields(path: Path, where: str, names: Sequence[str], needed: Sequence[str]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    strange = [printable(name) for name in names if name not in known]
    lacking = [name for name in needed if name not in names]
    if strange or lacking or len(set(names)) < len(names):
        what = f"unknown {', '.join(strange)}" if strange else f"no {', '.join(lacking)}"
        raise ScoresError(
            f"{path}, {where}: {what if strange or lacking else 'a field stands twice'}. Expected "
            f"{', '.join(REQUIRED)} and, where known, {', '.join(OPTIONAL)}."
        )


def _score(path: Path, where: str, row: Mapping[str, Any], source: str) -> ReportedScore:
    place = f"{path}, {where}"
    texts = {
        name: _text(place, name, row.get(name))
        for name in ("observer", "metric", "condition", "source", "suite", "note")
    }
    for name in ("observer", "metric"):
        if not texts[name]:
            raise ScoresError(f"{place}: '{name}' is empty.")
    value, low, high = (_number(place, name, row.get(name)) for name in ("value", "low", "high"))
    if value is None:
        raise ScoresError(f"{place}: 'value' is empty. Leave out what is not reported.")
    if (low is None) != (high is None) or (
        low is not None and high is not None and not low <= value <= high
    ):
        raise ScoresError(
            f"{place}: expected low <= value <= high, or neither; got {low}, {value}, {high}."
        )
    level, n = (_number(place, name, row.get(name)) for name in ("level", "n"))
    if level is not None and not 0 < level < 1:
        raise ScoresError(f"{place}: 'level' is {level}; expected a share such as 0.95.")
    if n is not None and (n < 0 or n != int(n)):
        raise ScoresError(f"{place}: 'n' is {n}; expected a count of trials.")
    return ReportedScore(
        Named(texts["source"] or source, texts["observer"]),
        texts["metric"],
        value,
        low,
        high,
        level or 0.95,
        "as reported" if low is not None else "",
        int(n or 0),
        texts["condition"],
        texts["suite"],
        (texts["note"],) if texts["note"] else (),
    )


def _text(place: str, name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable():
        raise ScoresError(f"{place}: '{name}' is {printable(repr(value))}; expected plain text.")
    return value.strip()


def _number(place: str, name: str, value: Any) -> float | None:
    """A finite number; None where nothing stands."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value) if isinstance(value, (str, int, float)) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not isfinite(number):
        raise ScoresError(f"{place}: '{name}' is {printable(repr(value))}; expected a number.")
    return number
