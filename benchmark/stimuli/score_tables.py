"""Reading published scores: a table of anybody's, or a folder whose layout is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from benchmark.contracts import Metric
from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.stimuli import critical_band_masking as masking
from benchmark.stimuli.reported_scores import (
    OPTIONAL,
    REQUIRED,
    ReportedScore,
    ScoreTables,
    once,
    read_json,
    read_text,
)
from benchmark.stimuli.sources import Named

Rows = Iterable[tuple[str, Mapping[str, Any]]]


def read_scores(
    path: Path, source: str | None = None, metrics: Mapping[str, Metric] | None = None
) -> ScoreTables:
    """The scores of a table, or of a folder whose layout is known. source: who published them, where the table does
    not say (None: the file is called like it); metrics: ours by name, whose values lie in a known range. Raises
    ScoresError with file, row and what was expected.
    """
    if path.is_dir():
        if source not in (None, masking.SOURCE) or not masking.fits(path):
            raise ScoresError(
                f"{path}: not a folder of scores whose layout is known ({masking.SOURCE}: sb_scores.json, baccs.json, "
                "...). Of other publishers import one CSV or JSON file at a time."
            )
        return masking.read(path)
    stated = source or printable(path.stem)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    scores = (
        _in_range(f"{path}, {where}", _score(path, where, row, stated), metrics or {})
        for where, row in rows
    )
    return ScoreTables(once(path, scores))


def _in_range(place: str, score: ReportedScore, metrics: Mapping[str, Metric]) -> ReportedScore:
    metric = metrics.get(score.metric)
    if metric is not None and (why := metric.outside(score.value)):
        raise ScoresError(f"{place}: {why}.")
    return score


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
