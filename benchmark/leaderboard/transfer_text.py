"""Transfer matrices in print (rich), Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from benchmark.display import printable
from benchmark.errors import unknown_name
from benchmark.leaderboard.export import export_records
from benchmark.leaderboard.formatting import NOTHING, number
from benchmark.leaderboard.markup import markdown_text
from benchmark.leaderboard.transfer import MOST, Claim, Interval, Matrix, Trained, TransferCell

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

FORMATS = ("csv", "markdown", "json")
SEEN = "*"
NAME_WIDTH = 30
CELL_WIDTH, GAP = 10, 2  # ".768-.818"
Told = tuple[Matrix, Sequence[Claim]]


def render_transfer(told: Sequence[Told], width: int) -> Group:
    """Each matrix with what it says below, in `width` characters; too many columns go on in a second table."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for made, claims in told:
        heading = Text(
            f"Trained on (row), tested on (column): {printable(made.title)}", style="bold"
        )
        parts += ["", heading, *_tables(made, width)]
        parts += [Text(printable(line), style="dim") for line in notes(made, claims)]
    return Group(*parts[1:])


def notes(made: Matrix, claims: Sequence[Claim]) -> list[str]:
    """How to read the matrix, then one line per claim."""
    several = [row for row in made.rows if row.kind == "recipe" and len(row.members) > 1]
    lines = [
        f"Accuracy over its 95 % interval; chance {number(made.chance)}. {SEEN} trained on this condition.",
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
    own = f"{_told(claim.own)} on {_own(claim)}"
    how = "same images" if claim.paired else "other images"
    gain = f"{claim.against} {_told(claim.base)}, difference {_told(claim.gain)}"
    gain += f", {how}" if claim.against != "chance" else ""
    share = f"share {_told(claim.share, 2)}" if claim.share else claim.reason
    other = f"{_told(claim.other)} on {claim.test} ({gain})"
    return f"{claim.trained}: {own}; {other}; {share}: {claim.verdict}"


def _own(claim: Claim) -> str:
    titles = claim.own_titles
    return " and ".join(titles) if len(titles) < 3 else f"{titles[0]} and {len(titles) - 1} more"


def export_transfer(told: Sequence[Told], form: str) -> str:
    """Matrices as "csv" (one record per cell), "markdown" or "json" text (another `form`: UnknownName)."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "csv":
        return export_records([one for made, _ in told for one in transfer_records(made)], form)
    if form == "json":
        return json.dumps([_json(*one) for one in told], indent=2, ensure_ascii=False) + "\n"
    return "\n".join(_markdown(*one) for one in told)


def _tables(made: Matrix, width: int) -> Iterator[Table]:
    room = max(1, (width - NAME_WIDTH) // (CELL_WIDTH + GAP))
    for start in range(0, len(made.columns), room):
        yield _table(made, range(start, min(start + room, len(made.columns))))


def _table(made: Matrix, shown: range) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trained on", width=NAME_WIDTH - GAP, overflow="fold")
    for at in shown:
        head = [
            *wrap(printable(made.columns[at].title).replace("_", " "), CELL_WIDTH),
            _sizes(made, at),
        ]
        table.add_column(Text("\n".join(head)), justify="right", width=CELL_WIDTH)
    for row in made.rows:
        cells = [Text(_stacked(row.cells[at])) for at in shown]
        table.add_row(Text(printable(row.title), overflow="fold"), *cells)
    return table


def _sizes(made: Matrix, at: int) -> str:
    """Trials per cell of a column, people aside: "n 1120", or "n 160-1120" where rows differ."""
    sizes = sorted({row.cells[at].n for row in made.rows if row.kind != "people"} - {0})
    return f"n {sizes[0]}" if len(sizes) == 1 else f"n {sizes[0]}-{sizes[-1]}"


def _stacked(cell: TransferCell) -> str:
    """The value above its interval."""
    if cell.value is None:
        return NOTHING
    below = (
        "" if cell.low is None or cell.high is None else f"{_bound(cell.low)}-{_bound(cell.high)}"
    )
    return f"{cell.value:.3f}{SEEN if cell.seen else ' '}\n{below}"


def _bound(share: float) -> str:
    """ ".768", "1.0"."""
    text = f"{share:.3f}"
    return "1.0" if text == "1.000" else text.removeprefix("0")


def _beside(cell: TransferCell) -> str:
    """The value, its interval and n in one line."""
    if cell.value is None:
        return NOTHING
    bounds = "" if cell.low is None or cell.high is None else f" [{cell.low:.3f}, {cell.high:.3f}]"
    return f"{cell.value:.3f}{SEEN if cell.seen else ''}{bounds} n {cell.n}"


def _told(found: Interval, digits: int = 3) -> str:
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _markdown(made: Matrix, claims: Sequence[Claim]) -> str:
    head = ["trained on", *(column.title for column in made.columns)]
    rows = [[row.title, *map(_beside, row.cells)] for row in made.rows]
    lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    below = [f"- {markdown_text(line)}" for line in notes(made, claims)]
    return "\n".join([f"### {markdown_text(made.title)}", "", *lines, "", *below]) + "\n"


def transfer_records(made: Matrix) -> Iterator[dict[str, Any]]:
    """One row per cell of a matrix."""
    for row in made.rows:
        for column, cell in zip(made.columns, row.cells, strict=True):
            yield {
                "matrix": made.title,
                "space": made.space,
                "trained_on": row.title,
                "kind": row.kind,
                "observers": "; ".join(row.observers),
                "tested_on": column.title,
                "conditions": "; ".join(column.conditions),
                **asdict(cell),
                "chance": made.chance,
            }


def _json(made: Matrix, claims: Sequence[Claim]) -> dict[str, Any]:
    return {
        "title": made.title,
        "space": made.space,
        "chance": made.chance,
        "columns": [{"title": c.title, "conditions": list(c.conditions)} for c in made.columns],
        "rows": [_row(row) for row in made.rows],
        "claims": [asdict(claim) for claim in claims],
    }


def _row(row: Trained) -> dict[str, Any]:
    light = {"trained_on": row.title, "kind": row.kind, "training": list(row.training)}
    return {**light, "observers": list(row.observers), "cells": [asdict(c) for c in row.cells]}
