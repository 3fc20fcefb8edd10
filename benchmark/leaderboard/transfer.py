"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750): trained on the row, tested on the column.

A row is a training recipe (all observers whose cards state it), a column a degradation at one level or over several,
a cell the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmark.contracts import Metric, Trials
from benchmark.errors import unknown_name
from benchmark.leaderboard.conditions import Condition, choose
from benchmark.leaderboard.trial_pools import Answered, Pool
from benchmark.stats import mean_interval, ratio_score

#: Recipes without any degradation: what the others are held against.
PLAIN = (("standard",), ("colour",))
ACCURACY = Metric(
    "accuracy",
    "accuracy",
    "right answers over all trials",
    ratio=lambda trials: (trials["right"], np.ones(len(trials), dtype=bool)),
)


@dataclass(frozen=True)
class SuiteComparison:
    """A cell: accuracy with its 95 % interval; n: trials; seen: the recipe trains on this condition.

    value None: `reason` says why.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    seen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Trained:
    """A row. kind: "people", "recipe" or "observer" (one that states no recipe, or asked for by observer)."""

    title: str
    kind: str
    training: tuple[str, ...]
    members: tuple[Answered, ...] = field(repr=False)
    cells: tuple[SuiteComparison, ...] = ()

    @property
    def observers(self) -> tuple[str, ...]:
        """Names of the observers that the row averages."""
        return tuple(one.observer for one in self.members)


@dataclass(frozen=True)
class Matrix:
    """Rows x columns; row.cells are in the order of `columns`. chance: of a uniform guesser."""

    title: str
    space: str
    chance: float
    columns: tuple[Condition, ...]
    rows: tuple[Trained, ...]

    def cell(self, row: Trained, column: Condition) -> SuiteComparison:
        """The cell of a row in a column."""
        return row.cells[self.columns.index(column)]


def matrix(pool: Pool, ways: Sequence[str] = ("default",), *, by_model: bool = False) -> Matrix:
    """The matrix of one pool; ways: which columns (`conditions.choose`); by_model: a row per observer, not recipe.

    Rows and columns without any value are left out, and columns that people alone have. Interval of a cell: of one
    observer Wilson, or bootstrap by image where an image counts several times; of people t over persons; of several
    observers of a recipe the wider of t over observers and bootstrap by image.
    """
    columns = choose(pool, ways)
    rows = [_filled(row, columns) for row in _rows(pool.answered, by_model)]
    used = [at for at, _ in enumerate(columns) if _measured(rows, at)]
    shown = [replace(row, cells=tuple(row.cells[at] for at in used)) for row in rows]
    kept = [row for row in shown if any(cell.value is not None for cell in row.cells)]
    return Matrix(
        pool.title,
        pool.space,
        1 / pool.categories,
        tuple(columns[at] for at in used),
        tuple(sorted(kept, key=_place)),
    )


def answers(one: Answered, column: Condition) -> Trials:
    """An observer's trials under a column's conditions; none where it lacks one of the conditions."""
    mine = one.trials.where(np.isin(one.trials["condition"], column.conditions))
    complete = len(np.unique(mine["condition"])) == len(column.conditions)
    return mine if complete else mine.where(np.zeros(len(mine), dtype=bool))


def find_row(rows: Sequence[Trained], name: str) -> Trained:
    """The row of that title, observer or recipe tag ("uniform-noise" is "noise(uniform)"). Raises UnknownName."""
    noise = f"noise({name.removesuffix('-noise')})"
    tests: tuple[Callable[[Trained], bool], ...] = (
        lambda row: name in (row.title, *row.observers),
        lambda row: row.training in ((name,), (noise,)),
    )
    for test in tests:
        for row in rows:
            if test(row):
                return row
    titles = [row.title for row in rows]
    raise unknown_name("recipe", name, titles, "Rows of `bench transfer`.")


def _measured(rows: Sequence[Trained], at: int) -> bool:
    """Whether anybody but people has a value: a column of people alone tells nothing of training."""
    return any(row.cells[at].value is not None for row in rows if row.kind != "people")


def _rows(answered: Sequence[Answered], by_model: bool) -> list[Trained]:
    groups: dict[tuple[str, tuple[str, ...]], list[Answered]] = {}
    for one in answered:
        groups.setdefault(_group(one, by_model), []).append(one)
    return [_row(kind, members) for (kind, _), members in groups.items()]


def _group(one: Answered, by_model: bool) -> tuple[str, tuple[str, ...]]:
    if one.kind == "human":
        return "people", ()
    if by_model or not one.training:
        return "observer", (one.observer,)
    return "recipe", tuple(sorted(one.training))


def _row(kind: str, members: Sequence[Answered]) -> Trained:
    first = members[0]
    titles = {
        "people": f"people (mean of {len(members)})",
        "recipe": ", ".join(first.training),
        "observer": first.observer,
    }
    return Trained(titles[kind], kind, first.training, tuple(members))


def _place(row: Trained) -> tuple[int, int, int, str]:
    """People, plain recipes, recipes in the order of what they train on, longer ones later, no recipe last."""
    if row.kind == "people":
        return 0, 0, 0, row.title
    if row.training in PLAIN:
        return 1, PLAIN.index(row.training), 0, row.title
    first = next((at for at, cell in enumerate(row.cells) if cell.seen), len(row.cells))
    return (2 if row.training else 3), len(row.training), first, row.title


def _filled(row: Trained, columns: Sequence[Condition]) -> Trained:
    return replace(row, cells=tuple(_tested(row, column) for column in columns))


def _tested(row: Trained, column: Condition) -> SuiteComparison:
    parts = [part for one in row.members if len(part := answers(one, column))]
    if not parts:
        return SuiteComparison(reason="not measured")
    values = [float(part["right"].mean()) for part in parts]
    value, n = float(np.mean(values)), sum(map(len, parts))
    seen = any(bool(part["seen"].any()) for part in parts)
    spread = _over_observers(values)
    if row.kind == "people" and spread is not None:
        return SuiteComparison(value, *spread, n, f"t over {len(parts)} people", seen)
    low, high, method = _over_images(parts)
    if spread is not None and low is not None and high is not None:
        low, high = min(low, spread[0]), max(high, spread[1])
        method = f"wider of {method} and t over {len(parts)} observers"
    return SuiteComparison(value, low, high, n, method, seen)


def _over_observers(values: Sequence[float]) -> tuple[float, float] | None:
    """t interval of the mean over observers, within [0, 1]; None of a single one."""
    if len(values) < 2:
        return None
    low, high = mean_interval(values)
    return max(0.0, low), min(1.0, high)


def _over_images(parts: Sequence[Trials]) -> tuple[float | None, float | None, str]:
    """Interval over images: all observers' answers to one image, at all levels, are drawn together."""
    names = ("stimulus", "right")
    together = Trials({name: np.concatenate([part[name] for part in parts]) for name in names})
    found = ratio_score(ACCURACY, together)
    return found.low, found.high, found.method
