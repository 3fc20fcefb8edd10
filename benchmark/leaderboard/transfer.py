"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750): accuracies of training recipes (rows) under
degradations (columns)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Metric, Trials
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.table import Field, Table, number
from benchmark.leaderboard.trial_pools import ObserverTrials, TransferColumn, TrialPool, transfer_columns
from benchmark.stats import mean_interval, ratio_score
from benchmark.stats.ratios import share

#: Recipes without any degradation: what the others are held against.
PLAIN = (("standard",), ("colour",))
ACCURACY = Metric(
    name="accuracy",
    title="accuracy",
    definition="right answers over all trials",
    ratio=share(lambda trials: trials["right"]),
)
SEEN = "trained on this condition"
NAME_WIDTH = 28


class CellOrigin(NamedTuple):
    """How the interval of a cell was made, and whether the recipe trains on the condition."""

    method: str = ""
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """One training recipe, or one observer."""

    title: str
    kind: str  # "people", "recipe" or "observer" (one that states no recipe)
    training: tuple[str, ...]
    members: tuple[ObserverTrials, ...] = field(repr=False)
    cells: tuple[Cell, ...] = ()  # in the order of the columns, each with a `CellOrigin` as its source

    @property
    def observers(self) -> tuple[str, ...]:
        """Names of the observers that the row averages."""
        return tuple(member.observer for member in self.members)


@dataclass(frozen=True, kw_only=True)
class TransferMatrix:
    """Rows x columns."""

    title: str
    space: str
    chance: float  # of a uniform guesser
    columns: tuple[TransferColumn, ...]
    rows: tuple[TransferRow, ...]


def transfer_matrix(pool: TrialPool, ways: Sequence[str] = ("default",)) -> TransferMatrix:
    """Return the matrix of one pool, without rows and columns that have no value and columns that only people have.

    ways: which columns (`transfer_columns`). The interval of a cell is over
    images, of people over persons (t). Of several observers of a recipe it is the wider of t over observers and the
    interval over images."""
    columns = transfer_columns(pool, ways)
    groups: dict[tuple[str, tuple[str, ...]], list[ObserverTrials]] = defaultdict(list)
    for member in pool.members:
        kind, key = "recipe", tuple(sorted(member.training))
        if member.kind == "human":
            kind, key = "people", ()
        elif not member.training:
            kind, key = "observer", (member.observer,)
        groups[kind, key].append(member)
    rows = []
    for (kind, _), members in groups.items():
        training, name = members[0].training, members[0].observer
        titles = {"people": f"people (mean of {len(members)})", "recipe": ", ".join(training), "observer": name}
        cells = tuple(_tested(kind, members, column) for column in columns)
        rows.append(TransferRow(title=titles[kind], kind=kind, training=training, members=tuple(members), cells=cells))
    # A column of people alone says nothing about training.
    networks = [row for row in rows if row.kind != "people"]
    used = [i for i in range(len(columns)) if any(row.cells[i].value is not None for row in networks)]
    shown = [replace(row, cells=tuple(row.cells[i] for i in used)) for row in rows]
    return TransferMatrix(
        title=pool.title,
        space=pool.space,
        chance=1 / pool.categories,
        columns=tuple(columns[i] for i in used),
        rows=tuple(sorted((row for row in shown if any(c.value is not None for c in row.cells)), key=_place)),
    )


def _place(row: TransferRow) -> tuple[int, int, int, str]:
    if row.kind == "people":
        return 0, 0, 0, row.title
    if row.training in PLAIN:
        return 1, PLAIN.index(row.training), 0, row.title
    first = next((i for i, cell in enumerate(row.cells) if cell.source.seen), len(row.cells))
    return (2 if row.training else 3), len(row.training), first, row.title


def _tested(kind: str, members: Sequence[ObserverTrials], column: TransferColumn) -> Cell:
    own = [member.trials.where(np.isin(member.trials["condition"], column.conditions)) for member in members]
    # Only observers that have all these conditions count.
    parts = [trials for trials in own if len(np.unique(trials["condition"])) == len(column.conditions)]
    if not parts:
        return Cell(reason="not measured", source=CellOrigin())
    values = [float(part["right"].mean()) for part in parts]
    seen = any(bool(part["seen"].any()) for part in parts)
    cell = Cell(value=float(np.mean(values)), n=sum(map(len, parts)), flags=(SEEN,) if seen else ())
    spread = mean_interval(values) if len(values) > 1 else None
    if kind == "people" and spread is not None:
        low, high, method = spread[0], spread[1], f"t over {len(parts)} people"
    else:
        # Over images: all observers' answers to one image, at all levels, are drawn together.
        columns = {name: np.concatenate([part[name] for part in parts]) for name in ("stimulus", "right")}
        score = ratio_score(ACCURACY, Trials(columns=columns))
        if spread is None or score.low is None or score.high is None:
            return cell._replace(low=score.low, high=score.high, source=CellOrigin(score.method, seen))
        low, high = min(score.low, spread[0]), max(score.high, spread[1])
        method = f"wider of {score.method} and t over {len(parts)} observers"
    return cell._replace(low=max(0.0, low), high=min(1.0, high), source=CellOrigin(method, seen))


def matrix_table(table: TransferMatrix) -> Table:
    """Return the matrix as a table."""

    def tested(i: int, column: TransferColumn) -> Field:
        """Return the column with the trials per cell, except people's: "(n 1120)", or "(n 160-1120)" if rows differ."""
        sizes = sorted({row.cells[i].n for row in table.rows if row.kind != "people"} - {0})
        n = f"(n {'-'.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))})" if sizes else ""
        facts = {"conditions": "; ".join(column.conditions)}
        return Field(column.title, f"{column.title.replace('_', ' ')} {n}".strip(), facts=facts, right=True)

    several = [row for row in table.rows if row.kind == "recipe" and len(row.members) > 1]
    means = (f"{row.title}: mean over {', '.join(row.observers)}" for row in several)
    notes = [f"Accuracy; chance {number(table.chance)}.", *means]
    if any(row.kind == "observer" and not row.training for row in table.rows):
        notes.append("Rows below the recipes: observers whose cards state none, by name.")
    who = Field("trained_on", "trained on", breaks=NAME_WIDTH, who=True)
    about = (Field(key=key) for key in ("kind", "training", "observers"))
    return Table(
        title=f"Trained on (row), tested on (column): {table.title}",
        fields=(who, *about, *(tested(i, column) for i, column in enumerate(table.columns))),
        rows=tuple((row.title, row.kind, row.training, row.observers, *row.cells) for row in table.rows),
        notes=tuple(notes),
        intervals="[low, high]: 95 % interval.",
        facts={"matrix": table.title, "space": table.space, "chance": table.chance},
        measure="tested_on",
        origin=CellOrigin._fields,
    )
