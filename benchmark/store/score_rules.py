"""Which numbers a score may hold: kept when it is written, and looked at again when it is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Ends of an interval that differ by less are equal: what rounding leaves of an interval without width.
_ROUNDING = 1e-9


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


def check(rows: Iterable[Any]) -> None:
    """ValueError on the first stored score with a fault: nothing that this program writes has one."""
    for row in rows:
        why = fault(row)
        if why:
            raise ValueError(f"score '{row.metric}': {why}")
