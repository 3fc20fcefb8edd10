"""Tables as plain text, for files and pipes: what rich prints there, without importing it, which takes longer than the
table. Where a cell would have to be folded, or a character may be wider than others, rich has to do it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.display import printable
from benchmark.leaderboard.grid import GAP, Detail, Field, Grid

_WIDE = "\u0300"  # every character before this one takes one column


def plain_text(details: Sequence[Detail], width: int) -> str | None:
    """The tables under one another, as `render.render_details` gives them to rich; None where only rich can."""
    lines: list[str] = []
    for at, one in enumerate(details):
        table = _table(one.grid) if one.grid.fields else []
        if table is None or any(len(line) > width for line in table):
            return None
        heading = [one.title, one.caption] if one.caption else [one.title]
        told = [printable(line) for line in (*heading, *one.lines)]
        if any(2 * len(line) > width or line != line.rstrip() for line in told):
            return None
        lines += [*([""] if at else []), *told[: len(heading)], *table, *told[len(heading) :]]
    return "\n".join(lines) + "\n"


def _table(grid: Grid) -> list[str] | None:
    titles = [_folded(one.title, one.width) for one in grid.fields]
    if not all(map(_fits, grid.fields)) or not all(titles):
        return None
    height = max(map(len, titles))
    heads = [[*[""] * (height - len(lines)), *lines] for lines in titles]
    rows = list(zip(*(one.texts for one in grid.fields), strict=True))
    lines = [_row(grid.fields, cells) for cells in zip(*heads, strict=True)]
    size = len(lines[0])
    lines.append("─" * size)
    for at, cells in enumerate(rows, start=1):
        lines.append(_row(grid.fields, cells))
        if at in grid.breaks and at < len(rows):
            lines.append(" " * size)
    return lines


def _fits(one: Field) -> bool:
    """Whether no cell has to be folded, and no character is wide."""
    return one.width > 0 and all(
        len(text) <= one.width
        and (text.isascii() or max(text) < _WIDE)
        and text.isprintable()
        and text == text.strip()
        for text in (*one.texts, *one.title.split())
    )


def _folded(title: str, width: int) -> list[str]:
    """A title in lines of whole words; none where it has more than single spaces between them."""
    if title != " ".join(title.split()):
        return []
    lines: list[str] = []
    for word in title.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _row(fields: Sequence[Field], cells: Sequence[str]) -> str:
    pairs = zip(fields, cells, strict=True)
    return (" " * GAP).join(
        text.rjust(one.width) if one.right else text.ljust(one.width) for one, text in pairs
    )
