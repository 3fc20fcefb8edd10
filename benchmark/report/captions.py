"""What stands under every figure and table: stimuli, n, interval and method."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from benchmark.leaderboard.model import Cell

#: What a method says of its own data: "wilson, clustered (160 shapes x 48 textures)".
PARENTHESIS = re.compile(r" \(.*\)")


def about(cells: Iterable[Cell]) -> str:
    """ "n 1200 (12 to 1200); 95 % interval: wilson": the usual n, their range, levels and methods of intervals."""
    valued = [cell for cell in cells if cell.value is not None]
    sizes = Counter(cell.n for cell in valued if cell.n)
    parts = [_sizes(sizes)] if sizes else []
    ways = Counter(
        (cell.source.level, cell.source.method)
        for cell in valued
        if cell.source is not None and cell.low is not None
    )
    levels = sorted({level for level, _ in ways})
    methods = dict.fromkeys(
        PARENTHESIS.sub("", method) for (_, method), _ in ways.most_common() if method
    )
    if levels:
        at = " or ".join(f"{100 * level:g} %" for level in levels)
        parts.append(f"{at} interval{': ' if methods else ''}{', '.join(methods)}")
    return "; ".join(parts)


def _sizes(sizes: Counter[int]) -> str:
    usual, low, high = sizes.most_common(1)[0][0], min(sizes), max(sizes)
    return f"n {usual}" if low == high else f"n {usual} ({low} to {high})"
