"""Published scores, whose publishers give no trials: CSV or JSON tables, and four published folders, whose metrics,
tables and caveats are in `reported_metrics.yaml`. The meaning of their files follows the publishers' code."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.contracts import Metric
from benchmark.contracts.declarations import package_data
from benchmark.display import printable
from benchmark.failures import ScoresError, unknown_name
from benchmark.stats.intervals import wilson
from benchmark.stimuli.published_sources import ObserverName
from benchmark.stimuli.text_tables import read_frame
from registry.documents import read_json, validated
from registry.user_errors import foreign

LARGEST = 64 * 2**20  # bytes, far above any table of aggregates
MOST = 1e6  # of a number that is no percent, such as a frequency


@dataclass(frozen=True, kw_only=True)
class ReportedScore:
    """A number that a publisher reports for an observer."""

    observer: ObserverName
    metric: str
    value: float
    low: float | None = None  # bounds of the interval at `level`; None if none is reported
    high: float | None = None
    level: float = 0.95
    method: str = ""  # method of the interval
    n: int = 0  # number of trials, 0 if it is not reported
    condition: str = ""
    suite: str = ""  # the suite with the same subject; "" if there is none
    remarks: tuple[str, ...] = ()  # caveats for a reader

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False, "str_strip_whitespace": True}  # noqa: RUF012

    def __post_init__(self) -> None:
        low, high = (self.value if side is None else side for side in (self.low, self.high))
        if (self.low is None) != (self.high is None) or not low <= self.value <= high:
            raise ValueError(f"expected low <= value <= high, or neither; got {self.low}, {self.value}, {self.high}")
        if not 0 < self.level < 1 or self.n < 0:
            raise ValueError(f"'level' is {self.level}, 'n' is {self.n}; expected a share such as 0.95, and trials")
        texts = (*self.observer, self.metric, self.condition, self.suite, *self.remarks)
        if not (self.observer.name and self.metric and all(map(str.isprintable, texts))):
            raise ValueError("expected an observer and a metric, all in plain text")


@dataclass(frozen=True, kw_only=True)
class ReportedMetric:
    """A publisher's metric."""

    title: str
    definition: str
    suite: str  # the suite with the same subject
    caveat: str  # what a reader must consider
    clean: bool = False  # whether it is accuracy on clean images
    table: str = ""  # the table with a row per network that has its values
    column: str = ""  # a pattern of their columns there; its groups name the condition
    percent: bool = True  # whether the table has percent
    n: int = 0  # images behind each value, 0 if they are not known or it is no share

    def score(self, observer: ObserverName, metric: str, value: float, condition: str = "") -> ReportedScore:
        """Return a score of this metric, with a Wilson interval where the number of images is known."""
        score = ReportedScore(
            observer=observer, metric=metric, value=value, condition=condition, suite=self.suite, remarks=(self.caveat,)
        )
        if not self.n:
            return score
        low, high = wilson(round(value * self.n), self.n)
        return replace(score, low=min(low, value), high=max(high, value), method="wilson", n=self.n)


Scores = tuple[ReportedScore, ...]


@cache
def known_metrics() -> Mapping[tuple[str, str], ReportedMetric]:
    """Return published metrics by (source, metric)."""
    tables = package_data("benchmark.stimuli", "reported_metrics")
    return {(source, name): ReportedMetric(**row) for source, rows in tables.items() for name, row in rows.items()}


def read_scores(path: Path, source: str | None = None, metrics: Mapping[str, Metric] | None = None) -> Scores:
    """Read the scores of a table, or of a folder with a known layout. `source` is the publisher if the table names
    none. `metrics` are gestaltbench's own by name, whose range values must respect. Raises ScoresError."""
    if path.is_dir():
        # Tables with a row per network: files, or folders of a JSON file per network.
        tables: dict[str, set[str]] = {SOURCE: {*MASKING}}
        for (name, _), known in known_metrics().items():
            tables.setdefault(name, set()).update({known.table} - {""})
        for name, parts in tables.items():
            if source in (None, name) and any((path / part).exists() for part in parts):
                return _read_masking(path) if name == SOURCE else _read_wide(path, name, parts)
        raise ScoresError(f"{path}: neither {' nor '.join(tables)}. Import one CSV or JSON file at a time otherwise.")
    scores = []
    for where, row in _rows(path):
        place = f"{path}, {where}"
        own = {key: value for key, value in row.items() if value not in (None, "")}
        own["observer"] = (own.pop("source", None) or source or printable(path.stem), own.get("observer", ""))
        own["remarks"] = [own.pop("note")] if "note" in own else []
        own["method"] = "as reported" if "low" in own else ""
        score = validated(ReportedScore, own, lambda what: ScoresError(f"{place}: {printable(what)}."))  # noqa: B023
        metric = (metrics or {}).get(score.metric)
        if metric is not None and (why := metric.outside(score.value)):
            raise ScoresError(f"{place}: {why}.")
        scores.append(score)
    return _once(path, scores)


def _read_wide(folder: Path, source: str, tables: Collection[str]) -> Scores:
    """Read tables with a row per network. An empty cell has no value. Raises ScoresError."""
    scores: list[ReportedScore] = []
    for path in sorted(folder / name for name in tables if (folder / name).exists()):
        rows = _entries(path) if path.is_dir() else ((f"{path}, {where}", row) for where, row in _rows(path))
        own = {name: how for (by, name), how in known_metrics().items() if (by, how.table) == (source, path.name)}
        for where, row in rows:
            if not (name := row.get("model")):
                raise ScoresError(f"{where}: expected a row per network, as published, with its name in 'model'.")
            # one network at several sizes of the input is several observers
            observer = ObserverName(source, name + (f"@{row['img_size']}" if "img_size" in row else ""))
            for (column, text), (metric, how) in product(row.items(), own.items()):
                if text in ("", None) or not (found := re.fullmatch(how.column, column)):
                    continue
                try:
                    value = float(text)
                except (TypeError, ValueError):
                    value = -1.0
                if not 0 <= value <= (100 if how.percent else MOST):
                    expected = "percent" if how.percent else "a number"
                    raise ScoresError(f"{where}, '{column}': expected {expected}, got {text!r:.40}.")
                condition = " ".join(filter(None, found.groups()))
                score = how.score(observer, metric, value / 100 if how.percent else value, condition)
                scores.append(replace(score, remarks=(*score.remarks, *row.get("remarks", ()))))
    return _once(folder, scores)


def _entries(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield RobustBench's entries as rows. "external": an attack stronger than AutoAttack, where one is known."""
    for path in sorted(folder.glob("*.json")):
        entry = _table(path)
        note = entry.get("footnote")
        remarks = [printable(" ".join(note.split()))] if isinstance(note, str) and note.strip() else []
        remarks += ["trust: RobustBench marks its evaluation as unreliable"] * bool(entry.get("unreliable"))
        if entry.get("eps") not in (None, "4/255"):
            raise ScoresError(f"{path}: 'eps' is {entry['eps']!r:.40}; expected 4/255, or none for corruptions.")
        external = entry.get("external") or entry.get("autoattack_acc")
        yield str(path), {**entry, "model": path.stem, "external": external, "remarks": remarks}


def shipped_scores() -> Scores:
    """Read the published board in the package: ten rows of LAION-C."""
    with as_file(files("benchmark.stimuli") / "laion_c.csv") as path:
        return read_scores(path)


def check_names(scores: Iterable[ReportedScore], suites: Mapping[str, Collection[str]], same: Collection[str]) -> None:
    """Raise UnknownName for an unknown suite or variant. Raise ScoresError for a metric with the name of one of
    gestaltbench's own, unless `same` declares them equal. suites: name -> names of its metrics."""
    ours = {metric: name for name, metrics in suites.items() for metric in metrics}
    for score in scores:
        if score.suite and score.suite not in suites:
            raise unknown_name("suite", score.suite, suites, "`bench suites` lists them; the field may be empty.")
        if score.metric in ours and score.metric not in same:
            raise ScoresError(
                f"'{score.metric}' is a metric of the suite {ours[score.metric]}, measured from trials "
                f"(`bench suites show {ours[score.metric]}`). If this is the same quantity, use --same {score.metric}; "
                "otherwise give it another name."
            )


def _once(path: Path, scores: Iterable[ReportedScore]) -> Scores:
    """Remove repeated scores. Raises ScoresError if one observer has two values of one metric."""
    known: dict[tuple[ObserverName, str, str, str], ReportedScore] = {}
    for score in scores:
        first = known.setdefault((score.observer, score.metric, score.suite, score.condition), score)
        if first != score:
            raise ScoresError(
                f"{path}: {score.observer} has two values of '{score.metric}' {score.condition}".rstrip()
                + f": {first.value} and {score.value}. Name them apart in 'condition', or keep one."
            )
    if not known:
        raise ScoresError(f"{path}: no scores. Expected columns observer, metric, value.")
    return tuple(known.values())


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield where a score stands, and its fields."""
    table = read_json(path, "table of scores", ScoresError, most=LARGEST) if path.suffix.lower() == ".json" else None
    if isinstance(table, dict) and all(isinstance(metrics, dict) for metrics in table.values()):
        for name, metrics in table.items():
            for metric, value in metrics.items():
                yield f"{printable(name)}, {printable(metric)}", {"observer": name, "metric": metric, "value": value}
        return
    with foreign("table of scores", path, ScoresError, "Expected CSV, or JSON {observer: {metric: value}} or records."):
        rows = read_frame(path)
        for i, row in rows.iloc[1:].iterrows():
            yield f"row {i}", dict(zip(rows.iloc[0], row, strict=True))


SOURCE, MASKING = "critical-band-masking", ("sb_scores.json", "baccs.json")
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


def _read_masking(folder: Path) -> Scores:
    """Read all scores of the folder. Raises ScoresError if a file is not as published."""
    names = sorted(path.name for path in folder.iterdir())
    second = [name for name, whole in SECOND_RUNS.items() if {name, whole} <= set(names)]
    rows: list[tuple[str, str, float, dict[str, Any]]] = []  # network, metric, value, other fields
    clean: dict[str, float] = {}
    for name in (name for name in names if name not in second):
        path, attack, noise = folder / name, _ATTACK.fullmatch(name), _NOISE.fullmatch(name)
        if not (attack or noise or name in (MASKING[0], *CLEAN)):
            continue
        table = _table(path)
        with foreign("table of scores", path, ScoresError, "Expected it as published."):
            if name == MASKING[0]:  # only the mean over categories is used, as their order is not documented
                total = CATEGORIES * TRIALS
                for who, own in table.items():
                    # Counting answers keeps equal networks equal; means of rounded shares would separate them.
                    shares = np.array(own, dtype=float).reshape(CATEGORIES)
                    count = sum(round(share * TRIALS) for share in shares.tolist())
                    rows.append((who, "mean_shape_fraction", count / total, {"n": total}))
            elif name in CLEAN:
                clean = {**{who: float(value) for who, value in table.items()}, **clean}
            elif attack:
                where = {"condition": f"eps {float(attack['eps']):.4g}"}
                rows += ((who, "accuracy_after_l2_on_normalised", float(x), where) for who, x in table.items())
            elif noise:
                rows += _by_noise(noise["name"], table)
    rows += ((who, "accuracy_before_attack", value, {}) for who, value in clean.items())
    scores = []
    for who, metric, value, own in rows:
        if not 0 <= value <= 1:
            raise ScoresError(f"{folder}, '{who}': {metric} is {value}; expected a share from 0 to 1, as published.")
        score = replace(known_metrics()[SOURCE, metric].score(ObserverName(SOURCE, who), metric, value), **own)
        idle = clean.get(who, 1) < CHANCE
        scores.append(replace(score, remarks=(*score.remarks, GUESSES)) if idle else score)
    return _once(folder, scores)


def _by_noise(network: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str, float, dict[str, Any]]]:
    """Yield a network's accuracy over all noise, without noise, and by band and strength."""
    pools = defaultdict[str, list[int]](list)
    for key, answers in table.items():
        if (cell := _CELL.fullmatch(key)) is None:
            raise ValueError(f"'{key}'; expected a name like 'noise0.04freq2'")
        band, strength = f"band {cell['band']}", f"strength {float(cell['strength']):g}"
        for place in ("", band, strength, f"{band}, {strength}") if float(cell["strength"]) else ("without noise",):
            pools[place] += answers
    for place, pool in sorted(pools.items()):
        low, high = wilson(sum(pool), len(pool))
        counted = {"low": low, "high": high, "method": "wilson", "n": len(pool), "condition": place}
        yield network, "accuracy_in_band_noise", sum(pool) / len(pool), counted


def _table(path: Path) -> Mapping[str, Any]:
    """Read an object of values by network or condition. Raises ScoresError."""
    table = read_json(path, "table of scores", ScoresError, most=LARGEST)
    if not isinstance(table, dict) or not all(map(str.isprintable, table)):
        raise ScoresError(f"{path}: expected an object with names in plain text, as published.")
    return table
