"""Writes tables in every form: for a terminal, as HTML, Markdown, LaTeX, CSV and JSON."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.display import counted, printable
from benchmark.failures import unknown_name
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.table import NOTHING, PUBLISHED, Table, cell_record, finite, records, row_facts, shown_texts

DATA = ("csv", "json")
FORMATS = (*DATA, "markdown", "latex", "html")
FOOTNOTES = 12  # of a table that is cut
LEAST = 12  # characters of a name that is cut
GAP = 2  # characters between two columns of a terminal
FORMULA = ("=", "+", "-", "@")


def rendered(tables: Iterable[Table], form: str) -> Iterator[str]:
    """Return tables as "csv", "json", "markdown", "latex" or "html", in pieces. Raises UnknownName for another form."""
    if form not in FORMATS:
        raise unknown_name("export format", form, FORMATS)
    if form == "csv":
        return csv_lines(record for table in tables for record in records(table))
    if form == "json":
        return iter([json_text([table_document(table) for table in tables])])
    draw = {"markdown": markdown, "latex": latex, "html": html}[form]
    return (("\n" if at else "") + draw(table) for at, table in enumerate(tables))


def written(pieces: Iterable[str], output: str | Path | None) -> str:
    """Write text to a file, in pieces, and return ""; without a file, return the text."""
    if output is None:
        return "".join(pieces)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    return ""


def csv_lines(rows: Iterable[Mapping[str, Any]], names: Sequence[str] = ()) -> Iterator[str]:
    """Yield records as lines of CSV below a header (names: its columns, by default the first record's)."""
    head = list(names)
    if head:
        yield _csv_line(head)
    for record in rows:
        if not record.keys() >= {*head} or not head:
            gap = "\n" if head else ""
            head = list(record)
            yield gap + _csv_line(head)
        yield _csv_line(record[name] for name in head)


def _csv_line(values: Iterable[Any]) -> str:
    """Return a line in which no spreadsheet runs a text as a formula."""
    plain = []
    for value in values:
        text = "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        if isinstance(text, str):
            text = printable(text)
            text = f"'{text}" if text.lstrip().startswith(FORMULA) else text
        plain.append(repr(float(text)) if isinstance(text, float) else text)
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(plain)
    return line.getvalue()


def table_document(table: Table) -> dict[str, Any]:
    """Return a table as nested plain data: facts, columns of numbers, rows with their scores."""
    measured = [(at, table.fields[at]) for at in table.numbers]
    rows = []
    for row in table.rows:
        cells = {column.key: row[at] for at, column in measured}
        scores = {key: cell_record(cell, table) for key, cell in cells.items() if isinstance(cell, Cell)}
        rows.append({**row_facts(table, row), **({"scores": scores} if measured else {})})
    return {
        "title": table.title,
        "caption": table.caption,
        **table.facts,
        "columns": [{table.measure: c.key, "title": c.title, "help": c.help, **c.facts} for _, c in measured],
        "rows": rows,
        "dividers": list(table.dividers),
        "notes": [*([table.intervals] if table.intervals else []), *table.notes],
    }


def json_text(data: Any) -> str:
    """Return JSON that every parser takes: no NaN, no infinity."""
    return json.dumps(finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def notes_below(table: Table, footnotes: Mapping[str, int], limit: int | None = None) -> list[str]:
    """Return the lines below a table: brackets, notes, remarks of all rows, and at most `limit` footnotes "*1 text"."""
    intervals = [table.intervals] if table.intervals else []
    common = [f"{table.fields[at].title}, every row: {text}" for at in table.visible for text in table.shared(at)]
    lines = [f"*{at} {printable(text)}" for text, at in footnotes.items()][:limit]
    hidden = len(footnotes) - len(lines)
    more = [f"... {hidden} more remarks: bench show, bench export"] if hidden else []
    return [*intervals, *table.notes, *common, *lines, *more]


def visible_parts(table: Table) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
    """Return (titles, rows, notes) of the visible columns, without cuts."""
    footnotes: dict[str, int] = {}
    rows = list(zip(*shown_texts(table, footnotes), strict=True))
    return [printable(table.fields[at].title) for at in table.visible], rows, notes_below(table, footnotes)


def markdown(table: Table) -> str:
    """Return a heading, the caption, the table and its notes; a divider is an empty row."""
    head, rows, notes = visible_parts(table)
    drawers = [markdown_code if table.fields[at].code else markdown_text for at in table.visible]
    lines = [f"### {markdown_text(table.title)}", ""] if table.title else []
    lines += [markdown_text(table.caption), ""] if table.caption else []
    if head:
        lines += [_row(map(markdown_text, head)), "|" + " --- |" * len(head)]
    for at, row in enumerate(rows):
        lines += [_row([""] * len(head))] if at in table.dividers else []
        lines.append(_row(draw(text) if text else "" for draw, text in zip(drawers, row, strict=True)))
    # A note that begins with a plus would start another list.
    items = [re.sub(r"^([+-])", r"\\\1", markdown_text(note)) for note in notes]
    lines += ["", *(f"- {item}" for item in items)] if items else []
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Return the text for one cell of a Markdown table: no markup, no HTML, no column break."""
    escaped = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_code(text: str) -> str:
    """Return text as code in one cell of a Markdown table, which cannot format, link or mention accounts."""
    plain = printable(text).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    space = " " if plain[:1] in ("`", " ", "") or plain[-1:] in ("`", " ") else ""
    return f"{fence}{space}{plain}{space}{fence}"


LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    character: rf"\text{name}{{}}"
    for character, name in {
        "\\": "backslash", "~": "asciitilde", "^": "asciicircum", "<": "less", ">": "greater", "|": "bar",
        '"': "quotedbl",
    }.items()
}  # fmt: skip


def latex_text(text: str) -> str:
    """Escape text for LaTeX. Brackets are braced where they could be read as an argument of a row end."""
    escaped = "".join(LATEX.get(character, character) for character in printable(text))
    return f"{{{escaped}}}" if escaped.startswith(("[", "*")) else escaped


def latex(table: Table) -> str:
    """Return a table environment for the booktabs package, a rule at each divider."""
    head, rows, notes = visible_parts(table)
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{latex_text(table.heading)}}}"] if table.heading else []
    lines += [rf"\begin{{tabular}}{{{'l' * len(head)}}}", r"\toprule"]
    for at, row in enumerate([head, *rows], -1):
        lines += [r"\midrule"] if at == 0 else [r"\addlinespace"] if at in table.dividers else []
        lines.append(" & ".join(map(latex_text, row)) + r" \\")
    lines += [r"\midrule"] * (not rows) + [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {latex_text(note)}" for note in notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def html(table: Table, pages: Mapping[str, str] | None = None) -> str:
    """Return a table for a notebook or a page: every name as text, never as markup; a group of rows between dividers.
    pages: name -> address; such names are links."""
    head, rows, notes = visible_parts(table)
    addresses = pages or {}
    said = dict(escape(printable(note)).split(" ", 1) for note in notes if note.startswith("*"))
    numbers = [at in table.numbers for at in table.visible]

    def cell(text: str, number: bool) -> str:
        shown = escape(text).replace("\n", "<br>")
        if number:  # the text of a footnote appears under the pointer
            shown = re.sub(r" (\*\d+)", lambda mark: f'<sup title="{said.get(mark[1], "")}">{mark[1]}</sup>', shown)
        return f'<td><a href="{escape(addresses[text])}">{shown}</a>' if text in addresses else f"<td>{shown}"

    parts = [f"<p>{escape(printable(table.heading))}</p>"] if table.heading else []
    parts.append("<table><thead><tr>")
    for at, title in zip(table.visible, head, strict=True):
        about = f' title="{escape(printable(table.fields[at].help))}"' if table.fields[at].help else ""
        parts.append(f'<th scope="col"{about}>{escape(title)}')
    parts.append("</thead><tbody>")
    for at, row in enumerate(rows):
        parts += ["</tbody><tbody>"] if at in table.dividers else []
        parts.append("<tr>" + "".join(map(cell, row, numbers)))
    parts.append("</tbody></table>" if head else "")
    items = "".join(f"<li>{escape(printable(note))}</li>" for note in notes)
    return "".join([*parts, f"<ul>{items}</ul>" if items else ""])


def terminal(
    tables: Iterable[Table], width: int, limit: int | None = None, rest: str = "--all", *, narrow: bool = False
) -> Group:
    """Return tables in `width` characters; `limit` rows between two dividers (rest: the option that shows others)."""
    parts: list[Any] = []
    for table in tables:
        cut, left_out = table.cut(limit)
        footnotes, hidden = dict[str, int](), 0
        if narrow:
            cut, texts, hidden = _narrowed(cut, width, footnotes)
        else:
            texts = shown_texts(cut, footnotes)
        blocks = _blocks(cut, texts, width)
        lines = [f"... {left_out} more, {rest}"] if left_out else []
        lines += [f"... {counted(hidden, 'more column')}, --wide"] if hidden else []
        lines += notes_below(cut, footnotes, FOOTNOTES if limit else None)
        parts += [""] if parts else []
        parts += [Text(printable(table.title), style="bold")] if table.title else []
        parts += [Text(printable(table.caption), style="dim")] if table.caption else []
        parts += [part for at, block in enumerate(blocks) for part in (*([""] if at else []), block)]
        parts += [Text(printable(line), style="dim") for line in lines]
    return Group(*parts)


def _narrowed(table: Table, width: int, footnotes: dict[str, int]) -> tuple[Table, list[tuple[str, ...]], int]:
    """Return the table with the columns that fit side by side: at least the names, the first number and its n. Also
    return their texts, of which names may be cut, and the number of columns left out."""
    sizes = {
        at: max(map(cell_len, [*table.fields[at].title.split(), *texts]), default=0) + GAP
        for at, texts in zip(table.visible, shown_texts(table, {}), strict=True)
    }
    who = [at for at in sizes if table.fields[at].who]
    values = [at for at in sizes if at not in who]
    least = [at for at in values if at == values[0] or table.fields[at].title == "n"]
    room = width + GAP - sum(sizes[at] for at in (*who, *least))
    left, hidden = room, []
    for at in (at for at in values if at not in least):
        if sizes[at] > left:
            hidden.append(at)
        else:
            left -= sizes[at]
    fields = tuple(replace(field, title="") if at in hidden else field for at, field in enumerate(table.fields))
    table = replace(table, fields=fields)
    texts, most = shown_texts(table, footnotes), max(LEAST, sizes[who[-1]] - GAP + room) if who else 0

    def cut(name: str) -> str:
        mark = f" {PUBLISHED}" if name.endswith(f" {PUBLISHED}") else ""
        return name if cell_len(name) <= most else set_cell_size(name, most - 1 - len(mark)).rstrip() + "…" + mark

    if room < 0 and who:
        names = texts[at := table.visible.index(who[-1])]
        short, whole = list(map(cut, names)), ("\n".join(chop_cells(name, most)) for name in names)
        # Two that would look the same take two lines each.
        lines = zip(short, whole, strict=True)
        texts[at] = tuple(line if short.count(line) == 1 or not line else both for line, both in lines)
    return table, texts, len(hidden)


def _blocks(table: Table, columns: Sequence[Sequence[str]], width: int) -> Iterator[RichTable]:
    """Yield the columns for rich, as many side by side as have room."""
    shown = [table.fields[at] for at in table.visible]
    titles = [printable(column.title) for column in shown]
    natural = [
        max(map(cell_len, [*title.split(), *(line for text in column for line in text.split("\n"))]), default=0)
        for title, column in zip(titles, columns, strict=True)
    ]
    least = [min(size, column.breaks or size) for size, column in zip(natural, shown, strict=True)]
    who = [at for at, column in enumerate(shown) if column.who] or [0][: len(shown)]
    values = [at for at in range(len(shown)) if at not in who]
    blocks: list[list[int]] = []
    for at in values:
        if not blocks or sum(least[i] + GAP for i in (*blocks[-1], at)) > width + GAP:
            blocks.append([*who])
        blocks[-1].append(at)
    ranked = min(table.dividers, default=len(table.rows))

    def said(row: int, columns_of: Iterable[int]) -> bool:
        """Whether a row has something there; a reference's "-" is nothing, a ranked row's is a missing number."""
        nothing = ("",) if row < ranked else ("", NOTHING)
        return any(columns[at][row] not in nothing for at in columns_of)

    for i, block in enumerate(blocks or [who] * bool(who)):
        drawn = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        sizes = _sizes({at: least[at] for at in sorted(block)}, natural, width)
        for at, size in sizes.items():
            justify: Any = "right" if shown[at].right else "left"
            title, fits = Text(titles[at], overflow="fold", no_wrap=False), natural[at] <= size
            drawn.add_column(title, justify=justify, width=size, overflow="fold", no_wrap=fits)
        own = set(block).difference(who)
        first = {row for row in range(len(table.rows)) if row < ranked or not said(row, values)} if i == 0 else set()
        rows = [row for row in range(len(table.rows)) if row in first or said(row, own)]
        for row, following in zip(rows, [*rows[1:], 0], strict=False):
            cells = (Text(columns[at][row], overflow="fold") for at in sizes)
            drawn.add_row(*cells, end_section=any(row < divider <= following for divider in table.dividers))
        yield drawn


def _sizes(least: Mapping[int, int], natural: Sequence[int], width: int) -> dict[int, int]:
    sizes = dict(least)
    spare = width + GAP - sum(size + GAP for size in sizes.values())
    for at in sizes:
        more = max(0, min(spare, natural[at] - least[at]))
        sizes[at] += more
        spare -= more
    while spare < 0 and max(sizes.values()) > 1:
        sizes[max(sizes, key=lambda at: sizes[at])] -= 1
        spare += 1
    return sizes
