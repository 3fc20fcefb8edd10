"""Does training against one distortion help against another? Read from a transfer matrix, with intervals.

Of a row trained on T, tested on C: its gain on C over a row without any distortion in its training, as a share of
what training on C itself gains there (where no row did: of what the row gained on T). More than one half of it:
"transfers"; less: "does not transfer"; the interval of the share includes one half: "inconclusive".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np

from benchmark.errors import BenchError, UnknownName
from benchmark.leaderboard.conditions import Condition, family_of, find_column
from benchmark.leaderboard.transfer import (
    PLAIN,
    Matrix,
    SuiteComparison,
    Trained,
    answers,
    find_row,
)
from benchmark.stats import bootstrap_ratio, paired_difference
from benchmark.stats.bootstrap import Floats

NOISE = "noise"
MOST = 0.5  # the share of the gain above which training on one distortion is said to transfer to another


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


def judged(
    matrices: Sequence[Matrix], pairs: Sequence[tuple[str, str]]
) -> list[tuple[Matrix, list[Claim]]]:
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


def _bounds(cell: SuiteComparison) -> Interval | None:
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
        value,
        value - hypot(a.value - a.low, b.high - b.value),
        value + hypot(a.high - a.value, b.value - b.low),
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


def _common(
    row: Trained, base: Trained, column: Condition
) -> tuple[Floats, Floats, list[str]] | None:
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
