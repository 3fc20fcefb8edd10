"""Ranked tables and score lists as Markdown and LaTeX, with every special character escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.display import printable
from benchmark.leaderboard.formatting import (
    Footnotes,
    caption,
    estimate,
    explanation,
    number,
    observer_text,
    rank_text,
)
from benchmark.leaderboard.grid import blocks_of
from benchmark.leaderboard.model import Board

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{character: "\\" + character for character in "&%$#_"},
}


def latex_text(text: str) -> str:
    """Text for LaTeX. Brackets are braced where they could be read as an argument of a row end."""
    escaped = "".join(LATEX.get(character, character) for character in printable(text))
    return f"{{{escaped}}}" if escaped.startswith(("[", "*")) else escaped


def markdown_text(text: str) -> str:
    """Text for one cell of a Markdown table: no markup, no HTML, no column break."""
    escaped = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_code(text: str) -> str:
    """Text as code in one cell of a Markdown table: it marks nothing up, links nowhere and mentions nobody."""
    plain = printable(text).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if plain[:1] in ("`", " ", "") or plain[-1:] in ("`", " ") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def markdown_board(board: Board) -> str:
    """A heading, the stimuli, the table and its notes."""
    head, rows, notes = _cells(board)
    lines = [f"### {markdown_text(board.title)}", "", markdown_text(caption(board)), ""]
    lines += [*_markdown(head, rows), "", *(f"- {_item(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def _item(note: str) -> str:
    """A list item whose text does not start another list."""
    return re.sub(r"^([+-])", r"\\\1", markdown_text(note))


def latex_board(board: Board) -> str:
    """A table environment for the booktabs package."""
    head, rows, notes = _cells(board)
    below = [rf"\par\footnotesize {latex_text(note)}" for note in notes]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(_title(board))}}}"]
    return "\n".join([*lines, *_latex(head, rows), *below, r"\end{table}"]) + "\n"


def markdown_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Records of the same fields, a column for each."""
    return "\n".join(_markdown(*_plain_cells(records))) + "\n"


def latex_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Records of the same fields as one tabular for the booktabs package."""
    return "\n".join(_latex(*_plain_cells(records))) + "\n"


def _title(board: Board) -> str:
    return f"{board.title}: {caption(board)}"


def _cells(board: Board) -> tuple[list[str], list[list[str]], list[str]]:
    """(header, rows, notes) of the whole board as plain text."""
    blocks = blocks_of(board)
    footnotes = Footnotes()
    rows = []
    for row in (row for block in blocks for row in block):
        cells = [row.cells[column.metric] for column in board.columns]
        texts = [
            estimate(cell.value, cell.low, cell.high) + footnotes.mark(cell, (column.average,))
            for cell, column in zip(cells, board.columns, strict=True)
        ]
        n = str(cells[0].n or "")
        rows.append([rank_text(row), observer_text(row), texts[0], n, *texts[1:]])
    first, *others = (column.title for column in board.columns)
    return (
        ["rank", "observer", first, "n", *others],
        rows,
        [*explanation(board), *footnotes.lines()],
    )


def _plain_cells(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    head = list(records[0]) if records else []
    return head, [[_plain(record[name]) for name in head] for record in records]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return (
        "; ".join(map(str, value))
        if isinstance(value, list)
        else ""
        if value is None
        else str(value)
    )


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [_joined(head, markdown_text), "|" + " --- |" * len(head)]
    return [*lines, *(_joined(row, markdown_text) for row in rows)]


def _joined(cells: Sequence[str], escape: Callable[[str], str]) -> str:
    return "| " + " | ".join(map(escape, cells)) + " |"


def _latex(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(latex_text, cells)) + r" \\"

    body = [line(row) for row in rows]
    start = [rf"\begin{{tabular}}{{{'l' * len(head)}}}", r"\toprule", line(head), r"\midrule"]
    return [*start, *body, r"\bottomrule", r"\end{tabular}"]
