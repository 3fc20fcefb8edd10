"""Reading published scores: a table of anybody's, or a folder whose layout is known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import isclose, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.contracts import Metric
from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.stats.intervals import wilson
from benchmark.stimuli.catalogue import Named
from registry.foreign import foreign, read_bytes, read_json

# Published scores: aggregates whose trials nobody published, as their publishers report them.
#
# A table is a CSV file with a header, or JSON: a list of records with the same fields, or {observer: {metric: value}}.
REQUIRED = ("observer", "metric", "value")
OPTIONAL = ("low", "high", "level", "n", "condition", "source", "suite", "note")
LARGEST = 64 * 2**20  # bytes: no table of aggregates is near it


class ReportedScore(NamedTuple):
    """One number that a publisher gives of an observer. low, high: its interval at `level`, None where none is given;
    method: how it was made; n: trials behind it, 0 where that is not given; suite: whose subject it is, "" of none;
    remarks: what a reader must know of it."""

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
    reader must know, and whether it is accuracy on images as they are."""

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


def check_names(scores: Iterable[ReportedScore], suites: Mapping[str, Collection[str]], same: Collection[str]) -> None:
    """Raises ScoresError for a suite that there is not, and for a metric called like one of ours, unless `same` says
    that it is the same quantity. suites: name -> names of its metrics."""
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


# The tables of critical-band masking (ajaysub110/critical-band-masking, `data/network_data`): scores of 89 networks.
#
# What the files hold was read from the publisher's code; what a reader must know of each metric is in
# `reported_metrics.yaml`.
SOURCE = "critical-band-masking"
CATEGORIES, TRIALS = 16, 75
#: Below this a network of 1,000 classes guesses.
CHANCE = 0.005
GUESSES = "trust: its accuracy without an attack is at chance: the publisher's copy of it is no working classifier"
#: One attack in two files: the one with all networks counts.
SECOND_RUNS = {"waccs_eps0.05.json": "waccs_eps0.05_all.json"}
CLEAN = ("baccs.json", "baccs_eps0.1_remaining.json")

_ATTACK = re.compile(r"waccs_eps(?P<eps>[0-9.]+?)(?:_all|_remaining)?\.json")
_NOISE = re.compile(r"solomon_(?P<name>.+)_accuracies_.*\.json")
_CELL = re.compile(r"noise(?P<strength>[0-9.]+)freq(?P<band>\d)")


def fits(folder: Path) -> bool:
    """Whether these are its tables."""
    return (folder / "sb_scores.json").is_file() or (folder / "baccs.json").is_file()


def read(folder: Path) -> ScoreTables:
    """All scores of the folder. Raises ScoresError where a file is not as published."""
    names = sorted(path.name for path in folder.iterdir())
    notes = [
        f"{name}: a second run of the attack of {whole} on some of its networks: left out"
        for name, whole in SECOND_RUNS.items()
        if name in names and whole in names
    ]
    clean = {name: value for file in reversed(CLEAN) if file in names for name, value in _shares(folder / file).items()}
    scores = [*_shapes(folder / "sb_scores.json")] if "sb_scores.json" in names else []
    scores += [_one(name, "accuracy_before_attack", value) for name, value in clean.items()]
    for name in names:
        attack, noise = _ATTACK.fullmatch(name), _NOISE.fullmatch(name)
        if attack and SECOND_RUNS.get(name) not in names:
            metric, where = "accuracy_after_l2_on_normalised", f"eps {float(attack['eps']):.4g}"
            for observer, value in _shares(folder / name).items():
                scores.append(_one(observer, metric, value, condition=where))
        elif noise:
            scores += _in_noise(folder / name, noise["name"])
    idle = {name for name, value in clean.items() if value < CHANCE}
    marked = (one._replace(remarks=(*one.remarks, GUESSES)) if one.observer.name in idle else one for one in scores)
    return ScoreTables(once(folder, marked), notes)


def _one(name: str, metric: str, value: float, **fields: Any) -> ReportedScore:
    known = known_metrics()[SOURCE, metric]
    remarks = (known.caveat,)
    return ReportedScore(Named(SOURCE, name), metric, value, suite=known.suite, remarks=remarks, **fields)


def _shapes(path: Path) -> Iterator[ReportedScore]:
    """The mean over categories; in which order these stand nobody says, so that a category's own value is of no use."""
    for name, values in _object(path).items():
        right = isinstance(values, list) and len(values) == CATEGORIES
        if not right or not all(_is_share(value) for value in values):
            raise ScoresError(f"{path}, '{name}': expected {CATEGORIES} shares between 0 and 1.")
        # Answers are counted: means of rounded shares would tell apart networks that gave equally many.
        counts = [round(value * TRIALS) for value in values]
        if not all(isclose(c, v * TRIALS, abs_tol=1e-6) for c, v in zip(counts, values, strict=True)):
            raise ScoresError(f"{path}, '{name}': expected shares of {TRIALS} trials.")
        total = CATEGORIES * TRIALS
        yield _one(name, "mean_shape_fraction", sum(counts) / total, n=total)


def _shares(path: Path) -> dict[str, float]:
    found = _object(path)
    for name, value in found.items():
        if not _is_share(value):
            raise ScoresError(f"{path}, '{name}': expected a share between 0 and 1, got {value!r}.")
    return {name: float(value) for name, value in found.items()}


def _in_noise(path: Path, name: str) -> Iterator[ReportedScore]:
    """Over all noise, without noise, and by band and strength, each with its Wilson interval."""
    pools: dict[str, list[int]] = {}
    for key, answers in _object(path).items():
        cell = _CELL.fullmatch(key)
        right = isinstance(answers, list) and answers and set(map(repr, answers)) <= {"0", "1"}
        if cell is None or not right:
            raise ScoresError(f"{path}, '{key}': expected 'noise0.04freq2' and a list of 0 and 1, not empty.")
        band, strength = cell["band"], float(cell["strength"])
        names = (
            ("without noise",)
            if strength == 0
            else ("", f"band {band}", f"strength {strength:g}", f"band {band}, strength {strength:g}")
        )
        for where in names:
            pools.setdefault(where, []).extend(answers)
    for where, pool in sorted(pools.items()):
        low, high = wilson(sum(pool), len(pool))
        yield _one(
            name, "accuracy_in_band_noise", sum(pool) / len(pool), low=low, high=high,
            method="wilson", n=len(pool), condition=where,
        )  # fmt: skip


def _object(path: Path) -> Mapping[str, Any]:
    found = read_json(path, "table of scores", ScoresError, most=LARGEST)
    if not isinstance(found, dict) or not all(name.isprintable() for name in found):
        raise ScoresError(f"{path}: expected an object by network.")
    return found


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


Rows = Iterable[tuple[str, Mapping[str, Any]]]


def read_scores(path: Path, source: str | None = None, metrics: Mapping[str, Metric] | None = None) -> ScoreTables:
    """The scores of a table, or of a folder whose layout is known. source: who published them, where the table does not
    say (None: the file is called like it); metrics: ours by name, whose values lie in a known range. Raises ScoresError
    with file, row and what was expected."""
    if path.is_dir():
        if source not in (None, SOURCE) or not fits(path):
            raise ScoresError(
                f"{path}: not a folder of scores whose layout is known ({SOURCE}: sb_scores.json, baccs.json, "
                "...). Of other publishers import one CSV or JSON file at a time."
            )
        return read(path)
    stated = source or printable(path.stem)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    scores = []
    for where, row in rows:
        score = _score(path, where, row, stated)
        metric = (metrics or {}).get(score.metric)
        if metric is not None and (why := metric.outside(score.value)):
            raise ScoresError(f"{path}, {where}: {why}.")
        scores.append(score)
    return ScoreTables(once(path, scores))


def _csv_rows(path: Path) -> Rows:
    with foreign("table of scores", path, ScoresError, "Expected a CSV table in UTF-8."):
        text = read_bytes(path, "table of scores", ScoresError, LARGEST).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text), strict=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        _check_fields(path, "header", names)
        reader.fieldnames = names
        for row in reader:
            if None in row or None in row.values():
                raise ScoresError(f"{path}, line {reader.line_num}: expected {len(names)} fields.")
            yield f"line {reader.line_num}", row


def _json_rows(path: Path) -> Rows:
    found = read_json(path, "table of scores", ScoresError, most=LARGEST)
    if isinstance(found, dict):
        for name, metrics in found.items():
            if not isinstance(metrics, dict):
                raise ScoresError(f"{path}: '{printable(name)}': expected {{metric: value}}.")
            for metric, value in metrics.items():
                row = {"observer": name, "metric": metric, "value": value}
                yield f"{printable(name)}, {printable(metric)}", row
        return
    if not isinstance(found, list):
        raise ScoresError(f"{path}: expected a list of records, or {{observer: {{metric: value}}}}.")
    for at, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise ScoresError(f"{path}, record {at}: expected fields {', '.join(REQUIRED)}.")
        _check_fields(path, f"record {at}", list(row))
        yield f"record {at}", row


def _check_fields(path: Path, where: str, names: Sequence[str]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    strange = [printable(name) for name in names if name not in known]
    lacking = [name for name in REQUIRED if name not in names]
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
    if (low is None) != (high is None) or (low is not None and high is not None and not low <= value <= high):
        raise ScoresError(f"{place}: expected low <= value <= high, or neither; got {low}, {value}, {high}.")
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
