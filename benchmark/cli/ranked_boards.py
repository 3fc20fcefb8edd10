"""`bench rank`: ranked tables of the leaderboard. It imports as little as it can, because it is typed most often."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import click

from benchmark import api
from benchmark.api.leaderboards import Selection, family
from benchmark.api.options import Option, SuiteName
from benchmark.cli.derive import command
from benchmark.cli.printing import echo_line, echo_lines, print_tables, table_console
from benchmark.leaderboard import Board
from benchmark.leaderboard.board_tables import OTHERS, board_table, collapse_rows, near_rows
from benchmark.leaderboard.summary import summary_table

LIMIT = 50  # rows of a table without --all
#: What asks for a table of single networks.
OF_NETWORKS = ("by", "unseen_only", "flagged_last", "among_shown", "summary", "explain", "wide")


@command(api.rank)
def rank(
    leaderboard: Selection,
    *,
    suite: str | None = None,
    also_suite: SuiteName = None,
    all: Annotated[bool, Option("Show every row: each person, each published network.")] = False,
    summary: Annotated[bool, Option("Show models by suites: every headline side by side.", "--summary")] = False,
    explain: Annotated[bool, Option("Explain each column in a line.", "--explain")] = False,
    wide: Annotated[bool, Option("Show every table and column, also without room beside.", "--wide")] = False,
    by_recipe: Annotated[bool, Option("Show means over the networks of a recipe.", without=OF_NETWORKS)] = False,
    by_family: Annotated[bool, Option("Show means over families.", without=OF_NETWORKS)] = False,
    by_architecture: Annotated[bool, Option("Show means over architectures.", without=OF_NETWORKS)] = False,
    **asked: Any,
) -> None:
    if suite and also_suite and suite != also_suite:
        raise click.UsageError(f"the suite is given twice: '{suite}' and --suite '{also_suite}'.")
    suite, limit = suite or also_suite, None if all else LIMIT
    groups: dict[Literal["recipe", "family", "architecture"], bool]
    groups = {"recipe": by_recipe, "family": by_family, "architecture": by_architecture}
    if by := [name for name, wanted in groups.items() if wanted]:
        from benchmark.leaderboard.recipe_effects import recipe_table

        tables = [recipe_table(samples, name) for samples in api.recipes(leaderboard, suite) for name in by]
        print_tables(tables, limit, paged=True)
        shown = len(tables)
    elif not summary:
        boards = api.rank(leaderboard, suite, **asked)
        boards = [*boards, *([] if asked["by"] or asked["unseen_only"] else api.reported(leaderboard, suite))]
        shown = print_boards(leaderboard, boards, limit, explain=explain, wide=wide, paged=True, main=suite is None)
    elif suite or asked.pop("by") or asked.pop("unseen_only"):
        raise click.UsageError("--summary shows the headlines of all suites: leave out SUITE, --by and --unseen-only.")
    else:
        shown = print_summary(leaderboard, limit=limit, explain=explain, **asked)
    if shown:
        return
    if missing := api.suites_not_installed(leaderboard):
        echo_line(f"not shown: scores of suites that are not installed: {', '.join(missing)}.", err=True)
    if filters := [*filter(None, leaderboard.filters.lists.values())]:
        echo_line(f"'{' '.join(filters)}' fits no observer with scores; `bench rank --summary` lists all.", err=True)
    elif not missing:
        echo_line("there are no scores yet: `bench run` computes them, `bench db merge` those of shards.", err=True)


def print_summary(
    leaderboard: Selection, *, limit: int | None = LIMIT, explain: bool = False, paged: bool = True, **asked: Any
) -> int:
    """Print models by suites, one table per label space; return the number of tables. paged: use the pager."""
    summaries, cards = api.summary(leaderboard, **asked), {row.name: row.card for row in api.observers(leaderboard)}
    sizes = {name: card["parameters"] for name, card in cards.items() if isinstance(card.get("parameters"), int)}
    for at, summary in enumerate(summaries):
        table = summary_table(summary, sizes)
        if at:
            echo_line("")
        print_tables([table], limit, paged=paged)
        if explain:
            echo_line("\n".join(table.explained()))
    return len(summaries)


def own_boards(leaderboard: Selection, suite: str, near: Collection[str] | None, *, brief: bool = False) -> list[Board]:
    """Return a suite's boards: the neighbourhood of some observers, or all with published scores; brief: headlines."""
    boards = api.rank(leaderboard, suite)
    if near is not None:
        boards = [near_rows(board, near) for board in boards]
        boards = [board for board in boards if board.rows or board.references]
    if brief:
        held = [tuple(row for row in board.references if row.kind in ("human", "group", "chance")) for board in boards]
        return [replace(b, columns=b.columns[:1], references=rows) for b, rows in zip(boards, held, strict=True)]
    return boards if near else [*boards, *api.reported(leaderboard, suite)]


def print_boards(
    leaderboard: Selection, boards: Sequence[Board], limit: int | None = LIMIT, *, explain: bool = False,
    wide: bool = False, paged: bool = False, main: bool = False,
) -> int:  # fmt: skip
    """Print boards and return the number of tables. `wide` shows every column also in a terminal, `paged` uses the
    pager, `main` shows one board of a suite in a terminal."""
    if limit is not None:
        others = any(row.kind in OTHERS for board in boards for row in board.rows)
        families = {row.name: family(row) for row in api.observers(leaderboard)} if others else {}
        ranked = any(board.rows for board in boards)
        boards = [collapse_rows(board, families) for board in boards if board.rows or not ranked]
    below: list[str] = []
    if main and limit is not None and not wide and table_console().is_terminal:
        first: dict[str, Board] = {}  # of each suite, the one that ranks most of the user's networks, then most rows
        for board in sorted(boards, key=lambda b: ([row.kind for row in b.rows].count("network"), len(b.rows))):
            if any(row.rank is not None for row in board.rows):
                first[board.suite] = board
        left = Counter(board.suite for board in boards) - Counter(first.keys())
        more = ", ".join(f"{suite} ({n})" for suite, n in left.items())
        if first and more:
            boards = [board for board in boards if board is first.get(board.suite)]
            below = [f"... more tables: bench rank {more}; all: --wide"]
    if tables := list(map(board_table, boards)):
        print_tables(tables, limit, narrow=not wide, paged=paged, below=below)
    if explain:
        echo_lines(dict.fromkeys(line for table in tables for line in table.explained()))
    return len(tables)
