"""Accuracy against degradation level with people's band; error consistency against the ceiling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmark.leaderboard.trial_pools import spelled
from benchmark.report.figures.chosen import (
    PEOPLE,
    Scene,
    among,
    by_condition,
    featured,
    methods,
    sizes,
)
from benchmark.report.figures.dots import metric_dots
from benchmark.report.figures.figure import Figure, axis
from benchmark.report.figures.lines import lines
from benchmark.report.writing import slug
from benchmark.transforms.listing import Entry, own_list

NAMES = ("observer", "level", "value", "low", "high", "n")
CHANCE = 1 / 16


def figures(scene: Scene) -> Iterator[Figure]:
    """Consistency and its ceiling, then one figure for each experiment with levels."""
    made = metric_dots(
        "error-consistency",
        "Error consistency with people",
        scene.board,
        ("error_consistency", "ceiling_fraction"),
        "Agreement with people beyond what the two accuracies alone would give (kappa). People among themselves are "
        "the ceiling.",
    )
    if made is not None:
        yield made
    for experiment in own_list("human").values():
        found = _by_level(scene, experiment)
        if found is not None:
            yield found


def _by_level(scene: Scene, experiment: Entry) -> Figure | None:
    metric, role = f"{experiment.name.replace('-', '_')}_accuracy", experiment.name
    with_levels = [name for name in scene.networks if len(scene.rows(name, metric, role)) > 1]
    shown = featured(with_levels)
    rows = [row for name in shown for row in scene.rows(name, metric, role)]
    records = [
        {
            "observer": r.observer,
            "level": r.condition,
            "value": r.value,
            "low": r.low,
            "high": r.high,
            "n": r.n,
        }
        for r in rows
    ]
    people = [mine for one in scene.people if len(mine := scene.rows(one, metric, role)) > 1]
    records += [
        {"observer": PEOPLE, "level": level, "value": mean, "low": low, "high": high, "n": k}
        for level, mean, low, high, k in by_condition(people)
    ]
    if not records:
        return None
    order = _ordered(experiment, {str(one["level"]) for one in records})
    x = {
        "field": "level",
        "type": "ordinal",
        "sort": order,
        "axis": axis(
            f"{experiment.name} ({experiment.unit})" if experiment.unit else experiment.name,
            labelAngle=0,
        ),
    }
    band = f" People: mean of {len(people)} with a 95 % t band over persons." if people else ""
    return Figure(
        f"accuracy-{slug(role)}-{slug(scene.key)}",
        f"Accuracy by level: {experiment.name}",
        f"Share of right answers among 16 categories. {among(shown, with_levels)}{sizes(_networks(records))} a mark; "
        f"{methods(rows)}.{band} Dashed: chance (1/16). {experiment.citation}",
        lines(records, [*shown, PEOPLE], x, "accuracy (share right)", chance=CHANCE),
        records,
        NAMES,
    )


def _networks(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in records if one["observer"] != PEOPLE] or records


def _ordered(experiment: Entry, present: set[str]) -> list[str]:
    """Levels from the undistorted one on, as trials spell them."""
    names = {
        spelled(experiment.condition(level)).partition("/")[2]: str(level)
        for level in experiment.levels
    }
    return [name for name in names if name in present] + sorted(present - set(names))
