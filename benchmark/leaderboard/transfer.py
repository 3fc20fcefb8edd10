"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750): trained on the row, tested on the column; and how much
of what training on one distortion gains carries over to another.

A row is a training recipe (all observers whose cards state it), a column a degradation at one level or over several,
a cell the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import hypot

import numpy as np

from benchmark.contracts import Metric, Trials
from benchmark.errors import BenchError, UnknownName, unknown_name
from benchmark.leaderboard.model import Cell
from benchmark.leaderboard.table import Field, Table, Value, number
from benchmark.leaderboard.trial_pools import Answered, Condition, Pool, choose, family_of, find_column
from benchmark.stats import bootstrap_ratio, mean_interval, paired_difference, ratio_score
from benchmark.stats.intervals import Floats

#: Recipes without any degradation: what the others are held against.
PLAIN = (("standard",), ("colour",))
ACCURACY = Metric(
    "accuracy",
    "accuracy",
    "right answers over all trials",
    ratio=lambda trials: (trials["right"], np.ones(len(trials), dtype=bool)),
)
NOISE = "noise"
SEEN = "trained on this condition"
NAME_WIDTH = 28
MOST = 0.5  # the share of the gain above which training on one distortion is said to transfer to another


@dataclass(frozen=True)
class TransferCell:
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
    cells: tuple[TransferCell, ...] = ()

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

    def cell(self, row: Trained, column: Condition) -> TransferCell:
        """The cell of a row in a column."""
        return row.cells[self.columns.index(column)]


def matrix(pool: Pool, ways: Sequence[str] = ("default",), *, by_model: bool = False) -> Matrix:
    """The matrix of one pool; ways: which columns (`choose`); by_model: a row per observer, not recipe.

    Rows and columns without any value are left out, and columns that people alone have. Interval of a cell: of one
    observer Wilson, or bootstrap by image where an image counts several times; of people t over persons; of several
    observers of a recipe the wider of t over observers and bootstrap by image.
    """
    columns = choose(pool, ways)
    groups: dict[tuple[str, tuple[str, ...]], list[Answered]] = {}
    for one in pool.answered:
        groups.setdefault(_group(one, by_model), []).append(one)
    rows = [_row(kind, members, columns) for (kind, _), members in groups.items()]
    # A column of people alone tells nothing of training.
    networks = [row for row in rows if row.kind != "people"]
    used = [at for at, _ in enumerate(columns) if any(row.cells[at].value is not None for row in networks)]
    shown = [replace(row, cells=tuple(row.cells[at] for at in used)) for row in rows]
    kept = [row for row in shown if any(cell.value is not None for cell in row.cells)]
    return Matrix(
        pool.title, pool.space, 1 / pool.categories, tuple(columns[at] for at in used), tuple(sorted(kept, key=_place))
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
    raise unknown_name("recipe", name, titles, "Rows of `bench compare transfer`.")


def _group(one: Answered, by_model: bool) -> tuple[str, tuple[str, ...]]:
    if one.kind == "human":
        return "people", ()
    if by_model or not one.training:
        return "observer", (one.observer,)
    return "recipe", tuple(sorted(one.training))


def _row(kind: str, members: Sequence[Answered], columns: Sequence[Condition]) -> Trained:
    first = members[0]
    titles = {
        "people": f"people (mean of {len(members)})",
        "recipe": ", ".join(first.training),
        "observer": first.observer,
    }
    row = Trained(titles[kind], kind, first.training, tuple(members))
    return replace(row, cells=tuple(_tested(row, column) for column in columns))


def _place(row: Trained) -> tuple[int, int, int, str]:
    """People, plain recipes, recipes in the order of what they train on, longer ones later, no recipe last."""
    if row.kind == "people":
        return 0, 0, 0, row.title
    if row.training in PLAIN:
        return 1, PLAIN.index(row.training), 0, row.title
    first = next((at for at, cell in enumerate(row.cells) if cell.seen), len(row.cells))
    return (2 if row.training else 3), len(row.training), first, row.title


def _tested(row: Trained, column: Condition) -> TransferCell:
    parts = [part for one in row.members if len(part := answers(one, column))]
    if not parts:
        return TransferCell(reason="not measured")
    values = [float(part["right"].mean()) for part in parts]
    value, n = float(np.mean(values)), sum(map(len, parts))
    seen = any(bool(part["seen"].any()) for part in parts)
    spread = mean_interval(values) if len(values) > 1 else None
    spread = (max(0.0, spread[0]), min(1.0, spread[1])) if spread else None
    if row.kind == "people" and spread is not None:
        return TransferCell(value, *spread, n, f"t over {len(parts)} people", seen)
    # Over images: all observers' answers to one image, at all levels, are drawn together.
    names = ("stimulus", "right")
    together = Trials({name: np.concatenate([part[name] for part in parts]) for name in names})
    found = ratio_score(ACCURACY, together)
    low, high, method = found.low, found.high, found.method
    if spread is not None and low is not None and high is not None:
        low, high = min(low, spread[0]), max(high, spread[1])
        method = f"wider of {method} and t over {len(parts)} observers"
    return TransferCell(value, low, high, n, method, seen)


@dataclass(frozen=True)
class Interval:
    """A number between bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """One row on one condition that it was not trained on.

    trained: title of the row; own_titles: the columns that it was trained on; own: their mean accuracy; test: title of
    the column; other: accuracy there; against: what it is held against, a row's title or "chance"; base: that row's
    accuracy on `test`; gain: other - base; paired: whether over the same images; most: what there was to gain, by the
    row `by` that trained on `test` ("": no row did, the row's own gain on what it trained on); share: gain / most
    (None: `reason` says why); verdict: in words.
    """

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


def noise_claims(made: Matrix) -> list[Claim]:
    """Every recipe of noise on every noise that it was not trained on."""
    noises = [column for column in made.columns if family_of(column.degradation) == NOISE]
    rows = [row for row in made.rows if any(tag.startswith("noise(") for tag in row.training)]
    found = [_claim(made, row, column) for row in rows for column in noises]
    return [one for one in found if one is not None]


def judged(matrices: Sequence[Matrix], pairs: Sequence[tuple[str, str]]) -> list[tuple[Matrix, list[Claim]]]:
    """Each matrix with its claims: of the (recipe, condition) pairs, or of all noises where there are none.

    A pair must be in one matrix at least: UnknownName where no matrix has such a row or column, BenchError where the
    recipe trains on the condition or a cell is empty.
    """
    if not pairs:
        return [(made, noise_claims(made)) for made in matrices]
    claims: list[list[Claim]] = [[] for _ in matrices]
    for pair in pairs:
        found, unknown = [], []
        for at, made in enumerate(matrices):
            try:
                found.append((at, named_claim(made, *pair)))
            except UnknownName as error:
                unknown.append(error)
        if unknown and not found:
            raise unknown[0]
        told = [(at, claim) for at, claim in found if claim is not None]
        if matrices and not told:
            raise BenchError(
                f"--claim {pair[0]} {pair[1]}: the recipe trains on that condition, states no distortion of its own "
                "that was tested, or was not tested on it."
            )
        for at, claim in told:
            claims[at].append(claim)
    return list(zip(matrices, claims, strict=True))


def named_claim(made: Matrix, trained: str, test: str) -> Claim | None:
    """The claim of one row and one column, by name; None where it was trained on it or a cell has no value.

    UnknownName where there is no such row or column.
    """
    return _claim(made, find_row(made.rows, trained), find_column(made.columns, test))


def _claim(made: Matrix, row: Trained, column: Condition) -> Claim | None:
    cell = made.cell(row, column)
    other, own = _bounds(cell), _own(made, row, column)
    if cell.seen or other is None or not own:
        return None
    base = _baseline(made, row, (column, *own))
    before = _mean(made, base, (column,))
    paired = base is not None and _common(row, base, column) is not None
    gain = _gain(row, base, column) if base and paired else _apart(other, before)
    expert = _expert(made, column)
    if expert is not None:
        most = _apart(_mean(made, expert, (column,)), before)
    else:
        most = _apart(_mean(made, row, own), _mean(made, base, own))
    share = _share(gain, most)
    return Claim(
        row.title,
        tuple(c.title for c in own),
        _mean(made, row, own),
        column.title,
        other,
        base.title if base else "chance",
        before,
        gain,
        paired,
        most,
        expert.title if expert else "",
        share,
        _verdict(share),
        "" if share else "training on it gains nothing there that its interval tells from zero",
    )


def _own(made: Matrix, row: Trained, column: Condition) -> list[Condition]:
    """The columns that a row was trained on; those of the tested column's family where there are such."""
    mine = [c for c in made.columns if made.cell(row, c).seen and _bounds(made.cell(row, c))]
    family = family_of(column.degradation)
    return [c for c in mine if family_of(c.degradation) == family] or mine


def _expert(made: Matrix, column: Condition) -> Trained | None:
    """The row that trained on the column and on least else."""
    rows = [row for row in made.rows if (cell := made.cell(row, column)).seen and _bounds(cell)]
    return min(rows, key=lambda row: len(row.training), default=None)


def _baseline(made: Matrix, row: Trained, columns: Sequence[Condition]) -> Trained | None:
    """A row without distortions in its training that has all columns; of several the one on the same images."""
    rows = [one for one in made.rows if one.training in PLAIN and one is not row]
    whole = [r for r in rows if all(_bounds(made.cell(r, column)) for column in columns)]
    same = [one for one in whole if _common(row, one, columns[0]) is not None]
    return next(iter(same or whole), None)


def _bounds(cell: TransferCell) -> Interval | None:
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    return Interval(cell.value, cell.low, cell.high)


def _mean(made: Matrix, row: Trained | None, columns: Sequence[Condition]) -> Interval:
    """Mean of cells between the means of their bounds (as if they erred together); without a row chance."""
    cells = [bounds for c in columns if row and (bounds := _bounds(made.cell(row, c)))]
    if not cells:
        return Interval(made.chance, made.chance, made.chance)
    means = np.mean([(cell.value, cell.low, cell.high) for cell in cells], axis=0)
    return Interval(*means.tolist())


def _apart(a: Interval, b: Interval) -> Interval:
    """a - b of independent estimates, from their intervals (Newcombe 1998, Statistics in Medicine 17:873)."""
    value = a.value - b.value
    return Interval(
        value, value - hypot(a.value - a.low, b.high - b.value), value + hypot(a.high - a.value, b.value - b.low)
    )


def _gain(row: Trained, base: Trained, column: Condition) -> Interval:
    """row - base on the images that both answered: Tango of two observers, else bootstrap by image."""
    common = _common(row, base, column)
    assert common is not None
    mine, theirs, images = common
    apart = mine - theirs
    value = float(apart.mean())
    if len(row.members) == len(base.members) == 1 and len(column.conditions) == 1:
        ahead, behind = int((apart > 0).sum()), int((apart < 0).sum())
        return Interval(value, *paired_difference(ahead, behind, len(apart)))
    if not apart.any():
        return Interval(value, *paired_difference(0, 0, len(set(images))))
    return Interval(value, *bootstrap_ratio(apart, np.ones(len(apart)), np.array(images)))


def _common(row: Trained, base: Trained, column: Condition) -> tuple[Floats, Floats, list[str]] | None:
    """(share of right answers of row, of base, image) of every image and level; None where images differ."""
    mine, theirs = (_by_image(one, column) for one in (row, base))
    if mine.keys() != theirs.keys() or not mine:
        return None
    keys = sorted(mine)
    first, second = (np.array([one[key] for key in keys]) for one in (mine, theirs))
    return first, second, [image for _, image in keys]


def _by_image(row: Trained, column: Condition) -> dict[tuple[str, str], float]:
    """(condition, image) -> share of the row's observers that are right."""
    found: dict[tuple[str, str], list[bool]] = {}
    for one in row.members:
        trials = answers(one, column)
        columns = (trials[name].tolist() for name in ("condition", "stimulus", "right"))
        for condition, image, right in zip(*columns, strict=True):
            found.setdefault((condition, image), []).append(right)
    return {key: float(np.mean(right)) for key, right in found.items()}


def _share(gain: Interval, most: Interval) -> Interval | None:
    """gain / most, between the ratios of their outermost bounds; None where `most` may be zero."""
    if most.low <= 0:
        return None
    ratios = [bound / scale for bound in (gain.low, gain.high) for scale in (most.low, most.high)]
    return Interval(gain.value / most.value, min(ratios), max(ratios))


def _verdict(share: Interval | None) -> str:
    if share is None or share.low <= MOST <= share.high:
        return "inconclusive"
    return "transfers" if share.low > MOST else "does not transfer"


def matrix_table(made: Matrix, claims: Sequence[Claim] = ()) -> Table:
    """The matrix as a table, and what it says below."""
    fields = (
        Field("trained_on", "trained on", breaks=NAME_WIDTH),
        Field("kind"),
        Field("training"),
        Field("observers"),
        *(
            Field(
                one.title,
                f"{one.title.replace('_', ' ')} {_sizes(made, at)}".strip(),
                facts={"conditions": "; ".join(one.conditions)},
                right=True,
            )
            for at, one in enumerate(made.columns)
        ),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (row.title, row.kind, row.training, row.observers, *map(_shown, row.cells)) for row in made.rows
    )
    facts = {"matrix": made.title, "space": made.space, "chance": made.chance}
    return Table(
        f"Trained on (row), tested on (column): {made.title}",
        "",
        fields,
        rows,
        notes=tuple(_notes(made, claims)),
        intervals="Under or behind a number: its 95 % interval.",
        forms=("above",),
        splits=True,
        facts={**facts, "claims": [asdict(claim) for claim in claims]},
        measure="tested_on",
        origin=("method", "seen"),
    )


def _shown(cell: TransferCell) -> Cell:
    flags = (SEEN,) if cell.seen else ()
    return Cell(cell.value, cell.low, cell.high, cell.n, flags, cell.reason, cell)


def _sizes(made: Matrix, at: int) -> str:
    """Trials per cell of a column, people aside: "(n 1120)", or "(n 160-1120)" where rows differ."""
    sizes = sorted({row.cells[at].n for row in made.rows if row.kind != "people"} - {0})
    if not sizes:
        return ""
    return f"(n {sizes[0]})" if len(sizes) == 1 else f"(n {sizes[0]}-{sizes[-1]})"


def _notes(made: Matrix, claims: Sequence[Claim]) -> list[str]:
    """How to read the matrix, then one line per claim."""
    several = [row for row in made.rows if row.kind == "recipe" and len(row.members) > 1]
    lines = [
        f"Accuracy; chance {number(made.chance)}.",
        *(f"{row.title}: mean over {', '.join(row.observers)}" for row in several),
    ]
    if any(row.kind == "observer" and not row.training for row in made.rows):
        lines.append("Rows below the recipes: observers whose cards state none, by name.")
    if claims:
        lines.append(
            "Share: gain over the row without distortions, of what training on the tested condition itself gains "
            f"(without such a row: of the gain on its own); above {MOST:g} it transfers."
        )
    return [*lines, *map(claim_text, claims)]


def claim_text(claim: Claim) -> str:
    """A claim in one line."""
    own = f"{_spoken(claim.own)} on {_trained_on(claim)}"
    how = "same images" if claim.paired else "other images"
    gain = f"{claim.against} {_spoken(claim.base)}, difference {_spoken(claim.gain)}"
    gain += f", {how}" if claim.against != "chance" else ""
    share = f"share {_spoken(claim.share, 2)}" if claim.share else claim.reason
    other = f"{_spoken(claim.other)} on {claim.test} ({gain})"
    return f"{claim.trained}: {own}; {other}; {share}: {claim.verdict}"


def _trained_on(claim: Claim) -> str:
    titles = claim.own_titles
    return " and ".join(titles) if len(titles) < 3 else f"{titles[0]} and {len(titles) - 1} more"


def _spoken(one: Interval, digits: int = 3) -> str:
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"
