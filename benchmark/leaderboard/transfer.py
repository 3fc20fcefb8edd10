"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750): trained on the row, tested on the column; and how much
of what training on one distortion gains carries over to another.

A row is a training recipe (all observers whose cards state it), a column a degradation at one level or over several, a
cell the accuracy."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import hypot
from typing import NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Trials
from benchmark.errors import BenchError, UnknownName, unknown_name
from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.table import Field, Table, Value, number
from benchmark.leaderboard.trial_pools import ObserverTrials, TransferColumn, TrialPool, choose, family_of, find_column
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
    """Where the accuracy of a cell is from. seen: whether the recipe trains on the condition."""

    method: str = ""
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """A row. kind: "people", "recipe" or "observer" (one that states no recipe, or asked for by observer); cells: in
    the order of the columns, each with an `CellOrigin` as its source."""

    title: str
    kind: str
    training: tuple[str, ...]
    members: tuple[ObserverTrials, ...] = field(repr=False)
    cells: tuple[Cell, ...] = ()

    @property
    def observers(self) -> tuple[str, ...]:
        """Names of the observers that the row averages."""
        return tuple(member.observer for member in self.members)


@dataclass(frozen=True, kw_only=True)
class TransferMatrix:
    """Rows x columns. chance: of a uniform guesser."""

    title: str
    space: str
    chance: float
    columns: tuple[TransferColumn, ...]
    rows: tuple[TransferRow, ...]

    def cell(self, row: TransferRow, column: TransferColumn) -> Cell:
        """Return the cell of a row in a column."""
        return row.cells[self.columns.index(column)]


def matrix(pool: TrialPool, ways: Sequence[str] = ("default",), *, by_model: bool = False) -> TransferMatrix:
    """Return the matrix of one pool; ways: which columns (`choose`); by_model: a row per observer, not recipe. Rows and
    columns without any value are left out, and columns that people alone have. Interval of a cell: of one observer
    Wilson, or bootstrap by image where an image counts several times; of people t over persons; of several observers of
    a recipe the wider of t over observers and bootstrap by image."""
    columns = choose(pool, ways)
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
    # A column of people alone tells nothing of training.
    networks = [row for row in rows if row.kind != "people"]
    used = [i for i in range(len(columns)) if any(row.cells[i].value is not None for row in networks)]
    shown = [replace(row, cells=tuple(row.cells[i] for i in used)) for row in rows]
    kept = sorted((row for row in shown if any(cell.value is not None for cell in row.cells)), key=_place)
    chosen = tuple(columns[i] for i in used)
    return TransferMatrix(
        title=pool.title, space=pool.space, chance=1 / pool.categories, columns=chosen, rows=tuple(kept)
    )


def answers(member: ObserverTrials, column: TransferColumn) -> Trials:
    """Return an observer's trials under a column's conditions; none where it lacks one of the conditions."""
    own = member.trials.where(np.isin(member.trials["condition"], column.conditions))
    complete = len(np.unique(own["condition"])) == len(column.conditions)
    return own if complete else own.where(np.zeros(len(own), dtype=bool))


def find_row(rows: Sequence[TransferRow], name: str) -> TransferRow:
    """Return the row of that title, observer or recipe tag ("uniform-noise" is "noise(uniform)"). Raises
    UnknownName."""
    tags = ((name,), (f"noise({name.removesuffix('-noise')})",))
    named = [row for row in rows if name in (row.title, *row.observers)] or [r for r in rows if r.training in tags]
    if not named:
        raise unknown_name("recipe", name, [row.title for row in rows], "Rows of `bench compare transfer`.")
    return named[0]


def _place(row: TransferRow) -> tuple[int, int, int, str]:
    """People, plain recipes, recipes in the order of what they train on, longer ones later, no recipe last."""
    if row.kind == "people":
        return 0, 0, 0, row.title
    if row.training in PLAIN:
        return 1, PLAIN.index(row.training), 0, row.title
    first = next((i for i, cell in enumerate(row.cells) if cell.source.seen), len(row.cells))
    return (2 if row.training else 3), len(row.training), first, row.title


def _tested(row: TransferRow, column: TransferColumn) -> Cell:
    parts = [part for member in row.members if len(part := answers(member, column))]
    if not parts:
        return Cell(reason="not measured", source=CellOrigin())
    values = [float(part["right"].mean()) for part in parts]
    value, n = float(np.mean(values)), sum(map(len, parts))
    seen = any(bool(part["seen"].any()) for part in parts)
    flags = (SEEN,) if seen else ()
    spread = mean_interval(values) if len(values) > 1 else None
    spread = (max(0.0, spread[0]), min(1.0, spread[1])) if spread else None
    if row.kind == "people" and spread is not None:
        over_people = CellOrigin(f"t over {len(parts)} people", seen)
        return Cell(value=value, low=spread[0], high=spread[1], n=n, flags=flags, source=over_people)
    # Over images: all observers' answers to one image, at all levels, are drawn together.
    columns = {name: np.concatenate([part[name] for part in parts]) for name in ("stimulus", "right")}
    score = ratio_score(ACCURACY, Trials(columns=columns))
    low, high, method = score.low, score.high, score.method
    if spread is not None and low is not None and high is not None:
        low, high = min(low, spread[0]), max(high, spread[1])
        method = f"wider of {method} and t over {len(parts)} observers"
    return Cell(value=value, low=low, high=high, n=n, flags=flags, reason="", source=CellOrigin(method, seen))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number between bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row on one condition that it was not trained on.

    trained: title of the row; own_titles: the columns that it was trained on; own: their mean accuracy; test: title of
    the column; other: accuracy there; against: what it is held against, a row's title or "chance"; base: that row's
    accuracy on `test`; gain: other - base; paired: whether over the same images; most: what there was to gain, by the
    row `by` that trained on `test` ("": no row did, the row's own gain on what it trained on); share: gain / most
    (None: `reason` says why); verdict: in words."""

    trained: str
    own_titles: tuple[str, ...]
    own: Interval
    test: str
    other: Interval
    against: str
    base: Interval
    gain: Interval
    paired: bool
    most: Interval
    by: str
    share: Interval | None
    verdict: str
    reason: str = ""


def noise_claims(table: TransferMatrix) -> list[Claim]:
    """Return every recipe of noise on every noise that it was not trained on."""
    noises = [column for column in table.columns if family_of(column.degradation) == "noise"]
    rows = [row for row in table.rows if any(tag.startswith("noise(") for tag in row.training)]
    return [claim for row in rows for column in noises if (claim := _claim(table, row, column))]


def judged(
    matrices: Sequence[TransferMatrix], pairs: Sequence[tuple[str, str]]
) -> list[tuple[TransferMatrix, list[Claim]]]:
    """Return each matrix with its claims: of the (recipe, condition) pairs, or of all noises where there are none. A
    pair must be in one matrix at least: UnknownName where no matrix has such a row or column, BenchError where the
    recipe trains on the condition or a cell is empty."""
    if not pairs:
        return [(table, noise_claims(table)) for table in matrices]
    claims: list[list[Claim]] = [[] for _ in matrices]
    for pair in pairs:
        answered: list[Claim | None] = []
        unknown = []
        for table, known in zip(matrices, claims, strict=True):
            try:
                answered.append(named_claim(table, *pair))
                known += filter(None, answered[-1:])
            except UnknownName as error:
                unknown.append(error)
        if unknown and not answered:
            raise unknown[0]
        if answered and not any(answered):
            raise BenchError(
                f"--claim {pair[0]} {pair[1]}: the recipe trains on that condition, states no distortion of its own "
                "that was tested, or was not tested on it."
            )
    return list(zip(matrices, claims, strict=True))


def named_claim(table: TransferMatrix, trained: str, test: str) -> Claim | None:
    """The claim of one row and one column, by name; None where it was trained on it or a cell has no value. UnknownName
    where there is no such row or column."""
    return _claim(table, find_row(table.rows, trained), find_column(table.columns, test))


def _claim(table: TransferMatrix, row: TransferRow, column: TransferColumn) -> Claim | None:
    other, family = _bounds(table.cell(row, column)), family_of(column.degradation)
    trained = [c for c in table.columns if table.cell(row, c).source.seen and _bounds(table.cell(row, c))]
    own = [c for c in trained if family_of(c.degradation) == family] or trained
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
    if expert is not None:
        most = _apart(_mean(table, expert, (column,)), before)
    else:
        most = _apart(_mean(table, row, own), _mean(table, base, own))
    share = None
    if most.low > 0:  # between the ratios of the outermost bounds
        ratios = [bound / scale for bound in (gain.low, gain.high) for scale in (most.low, most.high)]
        share = Interval(value=gain.value / most.value, low=min(ratios), high=max(ratios))
    verdict = "inconclusive"
    if share is not None and not share.low <= MOST <= share.high:
        verdict = "transfers" if share.low > MOST else "does not transfer"
    reason = "" if share else "training on it gains nothing there that its interval tells from zero"
    return Claim(
        trained=row.title,
        own_titles=tuple(c.title for c in own),
        own=_mean(table, row, own),
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
        reason=reason,
    )


def _bounds(cell: Cell) -> Interval | None:
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    return Interval(value=cell.value, low=cell.low, high=cell.high)


def _mean(table: TransferMatrix, row: TransferRow | None, columns: Sequence[TransferColumn]) -> Interval:
    """Mean of cells between the means of their bounds (as if they erred together); without a row chance."""
    cells = [bounds for c in columns if row and (bounds := _bounds(table.cell(row, c)))]
    if not cells:
        return Interval(value=table.chance, low=table.chance, high=table.chance)
    value, low, high = np.mean([(cell.value, cell.low, cell.high) for cell in cells], axis=0).tolist()
    return Interval(value=value, low=low, high=high)


def _apart(a: Interval, b: Interval) -> Interval:
    """a - b of independent estimates, from their intervals (Newcombe 1998, Statistics in Medicine 17:873)."""
    value = a.value - b.value
    low = value - hypot(a.value - a.low, b.high - b.value)
    return Interval(value=value, low=low, high=value + hypot(a.high - a.value, b.value - b.low))


def _gain(
    row: TransferRow, base: TransferRow, column: TransferColumn, images: Array, own: Floats, others: Floats
) -> Interval:
    """row - base on the images that both answered, by the share that is right of each: Tango of two observers, else
    bootstrap by image."""
    apart = own - others
    value = float(apart.mean())
    if len(row.members) == len(base.members) == 1 and len(column.conditions) == 1:
        ahead, behind = int((apart > 0).sum()), int((apart < 0).sum())
        low, high = paired_difference(ahead, behind, len(apart))
    elif not apart.any():
        low, high = paired_difference(0, 0, len(np.unique(images)))
    else:
        low, high = bootstrap_ratio(apart, np.ones(len(apart)), images)
    return Interval(value=value, low=low, high=high)


def _common(row: TransferRow, base: TransferRow, column: TransferColumn) -> tuple[Array, Floats, Floats] | None:
    """(image, share of right answers of row, of base) of every image and level; None where images differ."""
    sides = []
    for side in (row, base):
        parts = [part for member in side.members if len(part := answers(member, column))]
        texts = [(part["condition"].tolist(), part["stimulus"].tolist()) for part in parts]
        pairs = ["\x1f".join(pair) for columns in texts for pair in zip(*columns, strict=True)]
        keys, codes = np.unique(np.array(pairs, dtype=str), return_inverse=True)
        right = np.concatenate([part["right"] for part in parts]) if parts else np.zeros(0)
        sides.append((keys, np.bincount(codes, right) / np.bincount(codes)))
    (keys, own), (others_keys, others) = sides
    if not len(keys) or not np.array_equal(keys, others_keys):
        return None
    return np.array([key.partition("\x1f")[2] for key in keys.tolist()]), own, others


def matrix_table(table: TransferMatrix, claims: Sequence[Claim] = ()) -> Table:
    """Return the matrix as a table, and what it says below."""

    def tested(i: int, column: TransferColumn) -> Field:
        """With the trials per cell, people aside: "(n 1120)", or "(n 160-1120)" where rows differ."""
        sizes = sorted({row.cells[i].n for row in table.rows if row.kind != "people"} - {0})
        n = f"(n {'-'.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))})" if sizes else ""
        facts = {"conditions": "; ".join(column.conditions)}
        return Field(column.title, f"{column.title.replace('_', ' ')} {n}".strip(), facts=facts, right=True)

    rows: tuple[tuple[Value, ...], ...] = tuple(
        (row.title, row.kind, row.training, row.observers, *row.cells) for row in table.rows
    )
    facts = {
        "matrix": table.title,
        "space": table.space,
        "chance": table.chance,
        "claims": [asdict(claim) for claim in claims],
    }
    who = Field("trained_on", "trained on", breaks=NAME_WIDTH, who=True)
    about = (Field(key=key) for key in ("kind", "training", "observers"))
    return Table(
        title=f"Trained on (row), tested on (column): {table.title}",
        caption="",
        fields=(who, *about, *(tested(i, column) for i, column in enumerate(table.columns))),
        rows=rows,
        notes=tuple(_notes(table, claims)),
        intervals="[low, high]: 95 % interval.",
        facts=facts,
        measure="tested_on",
        origin=CellOrigin._fields,
    )


def _notes(table: TransferMatrix, claims: Sequence[Claim]) -> list[str]:
    """Return how to read the matrix, then one line per claim."""
    several = [row for row in table.rows if row.kind == "recipe" and len(row.members) > 1]
    means = (f"{row.title}: mean over {', '.join(row.observers)}" for row in several)
    lines = [f"Accuracy; chance {number(table.chance)}.", *means]
    if any(row.kind == "observer" and not row.training for row in table.rows):
        lines.append("Rows below the recipes: observers whose cards state none, by name.")
    if claims:
        lines.append(
            "Share: gain over the row without distortions, of what training on the tested condition itself gains "
            f"(without such a row: of the gain on its own); above {MOST:g} it transfers."
        )
    return [*lines, *map(claim_text, claims)]


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
