"""Two observers against the same people: differences of the human metrics, with paired intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Trials
from benchmark.stats import Comparison, adjust
from benchmark.stats.bootstrap import Floats
from suites.human_comparison.bootstrap import RESAMPLES, draw, draw_people, interval
from suites.human_comparison.consistency import common, tabulate
from suites.human_comparison.metrics import AGREEMENT, kept
from suites.human_comparison.scoring import roles_of

METHOD = f"paired bootstrap ({RESAMPLES} resamples, by stimulus within condition and by person within experiment)"
OTHER = "\x1fb"  # the name of the second observer among the people's; no real name


def compare_pair(a: Trials, b: Trials, references: Mapping[str, Trials]) -> list[Comparison]:
    """a minus b for each human metric, per experiment (condition: its role) and over those that both answered.

    Both are taken on their common images, the same images and people in every resample. p is twice the smaller share
    of resamples on either side of no difference, never below 2 / (B + 1). Holm-adjusted over all of them.
    """
    return adjust(list(_compared(a, b, references)))


def _compared(a: Trials, b: Trials, references: Mapping[str, Trials]) -> Iterator[Comparison]:
    found: dict[str, dict[str, Floats]] = {}
    sizes: dict[str, int] = {}
    for role in (role for role in roles_of(a) if role in roles_of(b)):
        mine, theirs = common(a.of(role), b.of(role))
        pair = _experiment(role, mine, theirs, references)
        if pair:
            found[role], sizes[role] = pair, int(kept(mine).sum())
    for metric in AGREEMENT:
        parts = {role: pair[metric] for role, pair in found.items()}
        yield from (
            _difference(metric, role, values, sizes[role]) for role, values in parts.items()
        )
        if parts:
            mean: Floats = np.mean(list(parts.values()), axis=0)
            yield _difference(metric, "", mean, sum(sizes.values()))
        else:
            yield Comparison(metric, reason="no images that both, and people, answered")


def _experiment(
    role: str, a: Trials, b: Trials, references: Mapping[str, Trials]
) -> dict[str, Floats] | None:
    """metric -> [2, 1 + B], a and b; None where there is nothing to compare with."""
    tables = tabulate(role, "", a, {**references, OTHER: b})
    if tables.reason or not any(table.kept for table in tables.tables):
        return None
    at = [i for i, name in enumerate(tables.observers) if i and name != OTHER]
    if OTHER not in tables.observers or not at:
        return None
    second, draws = tables.observers.index(OTHER), draw(tables)
    people = draw_people(role, len(at))
    return {metric: _against(draws.mean(metric), (0, second), at, people) for metric in AGREEMENT}


def _against(pairs: Floats, two: tuple[int, int], at: Sequence[int], people: Floats) -> Floats:
    """[2, 1 + B]: mean over the people in columns `at` of each of the `two`."""
    rows = [(pairs[:, i][:, at] * people).sum(axis=1) / people.sum(axis=1) for i in two]
    return np.stack(rows)


def _difference(metric: str, role: str, values: Floats, n: int) -> Comparison:
    a, b = float(values[0, 0]), float(values[1, 0])
    start = Comparison(metric, role, a, b, a - b, n=n)
    draws = values[0] - values[1]
    bounds = interval(draws, start.level, centred=metric == "accuracy_difference")
    if bounds is None:
        return replace(start, reason="the difference does not vary over resamples")
    shifted = draws[1:] - draws[1:].mean() + draws[0]
    below = min((shifted <= 0).sum(), (shifted >= 0).sum())
    p = min(1.0, 2 * (float(below) + 1) / (len(shifted) + 1))
    return replace(start, low=bounds[0], high=bounds[1], p=p, method=METHOD)
