"""Which numbers a score may hold: kept when it is written, and looked at again when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from operator import ne
from types import SimpleNamespace
from typing import Any

#: Ends of an interval that differ by less are equal: what rounding leaves of an interval without width.
_ROUNDING = 1e-9
_LOOKED_AT = ("value", "low", "high", "level", "n", "excluded", "reason")
Numbers = Sequence[Any]


def fault(score: Any) -> str:
    """What is wrong with the numbers of a score (a `Score` or a row of `scores`); "" where nothing is."""
    ends = (score.value, score.low, score.high, score.level)
    if any(number is not None and number != number for number in ends):
        return "NaN is no score; undefined is None with a reason"
    if score.value is None and not score.reason:
        return "it is undefined and gives no reason"
    if not 0 < score.level < 1:
        return f"the level of its interval is {score.level}; expected a share between 0 and 1, such as 0.95"
    if score.low is not None and score.high is not None and score.low - score.high > _ROUNDING:
        return f"its interval begins at {score.low} and ends below, at {score.high}"
    if score.n < 0 or score.excluded < 0:
        return f"it counts {score.n} trials and leaves out {score.excluded}"
    return ""


def check(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """ValueError on the first row of `scores` with a fault: nothing that this program writes has one."""
    if not rows:
        return
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    if _sound(*(columns[name] for name in _LOOKED_AT)):
        return
    for values in rows:
        row = SimpleNamespace(**dict(zip(names, values, strict=True)))
        if why := fault(row):
            raise ValueError(f"score '{row.metric}': {why}")


def _told(values: Numbers, reasons: Sequence[str]) -> bool:
    return all(x is not None or reason for x, reason in zip(values, reasons, strict=True))


def _sound(
    values: Numbers,
    lows: Numbers,
    highs: Numbers,
    levels: Numbers,
    counts: Numbers,
    excluded: Numbers,
    reasons: Sequence[str],
) -> bool:
    """Whether no score has a fault: by column, as tables have 100,000 rows."""
    numbers = (values, lows, highs, levels)
    return (
        not any(any(map(ne, column, column)) for column in numbers)  # NaN
        and (None not in values or _told(values, reasons))
        and all(0 < x < 1 for x in set(levels))
        and not any(
            low is not None and high is not None and low - high > _ROUNDING
            for low, high in zip(lows, highs, strict=True)
        )
        and min(map(min, (counts, excluded))) >= 0
    )
