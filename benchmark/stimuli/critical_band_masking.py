"""The tables of critical-band masking (ajaysub110/critical-band-masking, `data/network_data`): scores of 89 networks.

What the files hold was read from the publisher's code; what a reader must know of each metric is in
`reported_metrics.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import isclose
from pathlib import Path
from typing import Any

from benchmark.errors import ScoresError
from benchmark.stats.proportions import wilson
from benchmark.stimuli.reported_scores import (
    ReportedScore,
    ScoreTables,
    known_metrics,
    once,
    read_json,
)
from benchmark.stimuli.sources import Named

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
    clean = {
        name: value
        for file in reversed(CLEAN)
        if file in names
        for name, value in _shares(folder / file).items()
    }
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
    marked = (
        one._replace(remarks=(*one.remarks, GUESSES)) if one.observer.name in idle else one
        for one in scores
    )
    return ScoreTables(once(folder, marked), notes)


def _one(name: str, metric: str, value: float, **fields: Any) -> ReportedScore:
    known = known_metrics()[SOURCE, metric]
    remarks = (known.caveat,)
    return ReportedScore(
        Named(SOURCE, name), metric, value, suite=known.suite, remarks=remarks, **fields
    )


def _shapes(path: Path) -> Iterator[ReportedScore]:
    """The mean over categories; in which order these stand nobody says, so that a category's own value is of no use."""
    for name, values in _object(path).items():
        right = isinstance(values, list) and len(values) == CATEGORIES
        if not right or not all(_is_share(value) for value in values):
            raise ScoresError(f"{path}, '{name}': expected {CATEGORIES} shares between 0 and 1.")
        # Answers are counted: means of rounded shares would tell apart networks that gave equally many.
        counts = [round(value * TRIALS) for value in values]
        if not all(
            isclose(c, v * TRIALS, abs_tol=1e-6) for c, v in zip(counts, values, strict=True)
        ):
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
            raise ScoresError(
                f"{path}, '{key}': expected 'noise0.04freq2' and a list of 0 and 1, not empty."
            )
        band, strength = cell["band"], float(cell["strength"])
        names = (
            ("without noise",)
            if strength == 0
            else (
                "",
                f"band {band}",
                f"strength {strength:g}",
                f"band {band}, strength {strength:g}",
            )
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
    found = read_json(path)
    if not isinstance(found, dict) or not all(name.isprintable() for name in found):
        raise ScoresError(f"{path}: expected an object by network.")
    return found


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
