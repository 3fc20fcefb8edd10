"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750): accuracies of training recipes (rows) under
degradations (columns); and how much of the gain from training on one distortion carries over to another."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import hypot
from typing import Any, NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.contracts.trials import KEY
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.table import Field, Table, number
from benchmark.leaderboard.trial_pools import (
    ObserverTrials,
    TransferColumn,
    TrialPool,
    degradation_family,
    find_column,
    transfer_columns,
)
from benchmark.stats import bootstrap_ratio, mean_interval, paired_difference, ratio_score
from benchmark.stats.intervals import Floats
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
MOST = 0.5  # the share of the gain above which training on one distortion is said to transfer to another


class CellOrigin(NamedTuple):
    """How the interval of a cell was made, and whether the recipe trains on the condition."""

    method: str = ""
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """One training recipe, or one observer."""

    title: str
    kind: str  # "people", "recipe" or "observer" (one that states no recipe, or asked for by observer)
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

    def cell(self, row: TransferRow, column: TransferColumn) -> Cell:
        """Return the cell of a row in a column."""
        return row.cells[self.columns.index(column)]


def transfer_matrix(pool: TrialPool, ways: Sequence[str] = ("default",), *, by_model: bool = False) -> TransferMatrix:
    """Return the matrix of one pool, without rows and columns that have no value and columns that only people have.

    ways: which columns (`transfer_columns`); by_model: a row per observer, not recipe. The interval of a cell is over
    images, of people over persons (t). Of several observers of a recipe it is the wider of t over observers and the
    interval over images."""
    columns = transfer_columns(pool, ways)
    groups: dict[tuple[str, tuple[str, ...]], list[ObserverTrials]] = defaultdict(list)
    for member in pool.members:
        kind, key = "recipe", tuple(sorted(member.training))
        if member.kind == "human":
            kind, key = "people", ()
        elif by_model or not member.training:
            kind, key = "observer", (member.observer,)
        groups[kind, key].append(member)
    rows = []
    for (kind, _), members in groups.items():
        training, name = members[0].training, members[0].observer
        titles = {"people": f"people (mean of {len(members)})", "recipe": ", ".join(training), "observer": name}
        row = TransferRow(title=titles[kind], kind=kind, training=training, members=tuple(members))
        rows.append(replace(row, cells=tuple(_tested(row, column) for column in columns)))
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


def _answers(row: TransferRow, column: TransferColumn) -> list[Trials]:
    """Return the trials under a column's conditions of each observer of a row that has all these conditions."""
    own = [member.trials.where(np.isin(member.trials["condition"], column.conditions)) for member in row.members]
    return [trials for trials in own if len(np.unique(trials["condition"])) == len(column.conditions)]


def _place(row: TransferRow) -> tuple[int, int, int, str]:
    """Order people first, then plain recipes, recipes by the conditions that they train on, and no recipe last."""
    if row.kind == "people":
        return 0, 0, 0, row.title
    if row.training in PLAIN:
        return 1, PLAIN.index(row.training), 0, row.title
    first = next((i for i, cell in enumerate(row.cells) if cell.source.seen), len(row.cells))
    return (2 if row.training else 3), len(row.training), first, row.title


def _tested(row: TransferRow, column: TransferColumn) -> Cell:
    parts = _answers(row, column)
    if not parts:
        return Cell(reason="not measured", source=CellOrigin())
    values = [float(part["right"].mean()) for part in parts]
    seen = any(bool(part["seen"].any()) for part in parts)
    cell = Cell(value=float(np.mean(values)), n=sum(map(len, parts)), flags=(SEEN,) if seen else ())
    spread = mean_interval(values) if len(values) > 1 else None
    if row.kind == "people" and spread is not None:
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


class Interval(NamedTuple):
    """A number between bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row on one condition that it was not trained on."""

    trained: str  # title of the row
    own_titles: tuple[str, ...]  # the columns that it was trained on
    own: Interval  # their mean accuracy
    test: str  # title of the column
    other: Interval  # accuracy there
    against: str  # title of the row that it is compared with, or "chance"
    base: Interval  # that row's accuracy on `test`
    gain: Interval  # other - base
    paired: bool  # whether over the same images
    most: Interval  # the possible gain: of the row `by` that trained on `test`, or the row's own on what it trained on
    by: str  # "": no row trained on `test`
    share: Interval | None  # gain / most; None: `reason` says why
    verdict: str
    reason: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """Plain data."""
        return {k: v._asdict() if isinstance(v, Interval) else v for k, v in vars(self).items()}


def transfer_claims(
    matrices: Sequence[TransferMatrix], pairs: Sequence[tuple[str, str]]
) -> list[tuple[TransferMatrix, list[Claim]]]:
    """Return each matrix with its claims: of the (recipe, condition) pairs, by default of every recipe of noise on
    every noise that it was not trained on. Raises UnknownName if no matrix has a pair's row or column, BenchError if
    the recipe trains on the condition or a cell is empty."""
    if not pairs:
        return [(table, _noise_claims(table)) for table in matrices]
    claims: list[list[Claim]] = [[] for _ in matrices]
    for trained, test in pairs:
        named = [(table, _row(table, trained), find_column(table.columns, test)) for table in matrices]
        if matrices and not any(row for _, row, _ in named):
            titles = [row.title for table in matrices for row in table.rows]
            raise unknown_name("recipe", trained, titles, "Rows of `bench compare transfer`.")
        if matrices and not any(column for _, _, column in named):
            titles = [column.title for table in matrices for column in table.columns]
            raise unknown_name("test condition", test, titles, "Columns of `bench compare transfer`.")
        made = [_claim(table, row, column) if row and column else None for table, row, column in named]
        if matrices and not any(made):
            raise BenchError(
                f"--claim {trained} {test}: the recipe trains on that condition, states no distortion of its own "
                "that was tested, or was not tested on it."
            )
        for own, claim in zip(claims, made, strict=True):
            own += [claim] if claim else []
    return list(zip(matrices, claims, strict=True))


def _noise_claims(table: TransferMatrix) -> list[Claim]:
    noises = [column for column in table.columns if degradation_family(column.degradation) == "noise"]
    rows = [row for row in table.rows if any(tag.startswith("noise(") for tag in row.training)]
    return [claim for row in rows for column in noises if (claim := _claim(table, row, column))]


def _row(table: TransferMatrix, name: str) -> TransferRow | None:
    """Return the row of that title, observer or recipe tag ("uniform-noise" is "noise(uniform)")."""
    tags = ((name,), (f"noise({name.removesuffix('-noise')})",))
    by_name = (row for row in table.rows if name in (row.title, *row.observers))
    return next(by_name, next((row for row in table.rows if row.training in tags), None))


def _claim(table: TransferMatrix, row: TransferRow, column: TransferColumn) -> Claim | None:
    """Return the claim of a row and a column, None if the row was trained on it or a cell has no value."""
    other, family = _bounds(table.cell(row, column)), degradation_family(column.degradation)
    trained = [c for c in table.columns if table.cell(row, c).source.seen and _bounds(table.cell(row, c))]
    own = [c for c in trained if degradation_family(c.degradation) == family] or trained
    if table.cell(row, column).source.seen or other is None or not own:
        return None
    # A row without distortions in its training that has all columns; of several the one on the same images.
    plain = [r for r in table.rows if r.training in PLAIN and r is not row]
    whole = [r for r in plain if all(_bounds(table.cell(r, c)) for c in (column, *own))]
    base = next((r for r in whole if _common(row, r, column)), whole[0] if whole else None)
    before = _mean(table, base, (column,))
    common = _common(row, base, column) if base else None
    gain = _gain(row, base, column, *common) if base and common else _apart(other, before)
    # The row that trained on the column and on least else.
    experts = [r for r in table.rows if (cell := table.cell(r, column)).source.seen and _bounds(cell)]
    expert = min(experts, key=lambda row: len(row.training), default=None)
    learnt = (_mean(table, row, own), _mean(table, base, own))
    most = _apart(*learnt) if expert is None else _apart(_mean(table, expert, (column,)), before)
    share = None
    if most.low > 0:  # between the ratios of the outermost bounds
        ratios = [bound / scale for bound in (gain.low, gain.high) for scale in (most.low, most.high)]
        share = Interval(gain.value / most.value, min(ratios), max(ratios))
    verdict = "inconclusive"
    if share is not None and not share.low <= MOST <= share.high:
        verdict = "transfers" if share.low > MOST else "does not transfer"
    return Claim(
        trained=row.title,
        own_titles=tuple(c.title for c in own),
        own=learnt[0],
        test=column.title,
        other=other,
        against=base.title if base else "chance",
        base=before,
        gain=gain,
        paired=common is not None,
        most=most,
        by=expert.title if expert else "",
        share=share,
        verdict=verdict,
        reason="" if share else "training on it gains nothing there that its interval tells from zero",
    )


def _bounds(cell: Cell) -> Interval | None:
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    return Interval(cell.value, cell.low, cell.high)


def _mean(table: TransferMatrix, row: TransferRow | None, columns: Sequence[TransferColumn]) -> Interval:
    """Return the mean of cells between the means of their bounds (as if they erred together); without a row chance."""
    cells = [bounds for c in columns if row and (bounds := _bounds(table.cell(row, c)))]
    means = np.mean(cells, axis=0).tolist() if cells else [table.chance] * 3
    return Interval._make(means)


def _apart(a: Interval, b: Interval) -> Interval:
    """Return a - b of independent estimates, from their intervals (Newcombe 1998, Statistics in Medicine 17:873)."""
    value = a.value - b.value
    below, above = hypot(a.value - a.low, b.high - b.value), hypot(a.high - a.value, b.value - b.low)
    return Interval(value, value - below, value + above)


def _gain(
    row: TransferRow, base: TransferRow, column: TransferColumn, images: Array, own: Floats, others: Floats
) -> Interval:
    """Return row - base on the images that both answered, from the share of right answers to each: Tango of two
    observers, otherwise bootstrap by image."""
    apart = own - others
    value = float(apart.mean())
    if len(row.members) == len(base.members) == 1 and len(column.conditions) == 1:
        ahead, behind = int((apart > 0).sum()), int((apart < 0).sum())
        low, high = paired_difference(ahead, behind, len(apart))
    elif not apart.any():
        low, high = paired_difference(0, 0, len(np.unique(images)))
    else:
        low, high = bootstrap_ratio(apart, np.ones(len(apart)), images)
    return Interval(value, low, high)


def _common(row: TransferRow, base: TransferRow, column: TransferColumn) -> tuple[Array, Floats, Floats] | None:
    """Return (image, share of right answers of row, of base) of every image and level; None if images differ."""
    sides = []
    for parts in (_answers(row, column), _answers(base, column)):
        if not parts:
            return None
        keys, codes = np.unique(np.concatenate([part.keys for part in parts]), return_inverse=True)
        right = np.concatenate([part["right"] for part in parts])
        sides.append((keys, np.bincount(codes, right) / np.bincount(codes)))
    (keys, own), (others_keys, others) = sides
    if not np.array_equal(keys, others_keys):
        return None
    return np.array([key.rpartition(KEY)[2] for key in keys.tolist()]), own, others


def matrix_table(table: TransferMatrix, claims: Sequence[Claim] = ()) -> Table:
    """Return the matrix as a table, with its claims below."""

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
    if claims:
        notes.append(
            "Share: gain over the row without distortions, of what training on the tested condition itself gains "
            f"(without such a row: of the gain on its own); above {MOST:g} it transfers."
        )
    facts = {"matrix": table.title, "space": table.space, "chance": table.chance}
    who = Field("trained_on", "trained on", breaks=NAME_WIDTH, who=True)
    about = (Field(key=key) for key in ("kind", "training", "observers"))
    return Table(
        title=f"Trained on (row), tested on (column): {table.title}",
        fields=(who, *about, *(tested(i, column) for i, column in enumerate(table.columns))),
        rows=tuple((row.title, row.kind, row.training, row.observers, *row.cells) for row in table.rows),
        notes=(*notes, *map(claim_text, claims)),
        intervals="[low, high]: 95 % interval.",
        facts={**facts, "claims": [claim.record for claim in claims]},
        measure="tested_on",
        origin=CellOrigin._fields,
    )


def claim_text(claim: Claim) -> str:
    """Return a claim in one line."""
    titles = claim.own_titles
    on = " and ".join(titles) if len(titles) < 3 else f"{titles[0]} and {len(titles) - 1} more"
    gain = f"{claim.against} {_spoken(claim.base)}, difference {_spoken(claim.gain)}"
    gain += f", {'same' if claim.paired else 'other'} images" if claim.against != "chance" else ""
    share = f"share {_spoken(claim.share, 2)}" if claim.share else claim.reason
    other = f"{_spoken(claim.other)} on {claim.test} ({gain})"
    return f"{claim.trained}: {_spoken(claim.own)} on {on}; {other}; {share}: {claim.verdict}"


def _spoken(estimate: Interval, digits: int = 3) -> str:
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
