"""`bench consistency`: do two observers, or all of them, err on the same images?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import db_option
from benchmark.cli.printing import table_console
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.contracts import Trials
    from benchmark.leaderboard.consistency import Answered
    from benchmark.stats.agreement import Agreement

PLAIN: dict[str, Any] = {"box": None, "pad_edge": False}


@click.command()
@click.argument("observers", nargs=-1, metavar="[A B]")
@click.option(
    "--experiment",
    "-e",
    metavar="NAME",
    help="Only this experiment (cue-conflict, edges, contrast, ...).",
)
@click.option("--matrix", is_flag=True, help="All pairs of the observers named, or of everybody.")
@click.option("--ranks", is_flag=True, help="The two published rankings, one table per board.")
@db_option
def consistency(
    observers: tuple[str, ...], experiment: str | None, matrix: bool, ranks: bool, db: str | None
) -> int:
    """Error consistency (kappa) of A and B on the images that both answered, with interval and counts.

    Kappa is 1 where two observers are right and wrong on the same images, 0 where they agree as often as their
    accuracies alone would have it, negative where less. With --matrix: kappa of every pair, one table per experiment.
    With --ranks: networks by human-likeness (mean of their ranks by accuracy difference, observed and error
    consistency) and by OOD accuracy, within each board.
    """
    from benchmark import api

    if ranks:
        return _print_ranks(db)
    if not matrix and len(observers) != 2:
        raise click.UsageError("name two observers, or use --matrix.")
    answered = api.answered(observers, experiment=experiment, db=db)
    tables = (
        [_matrix_table(*one) for one in answered.items()]
        if matrix
        else [_pair_table(observers, answered)]
    )
    console = table_console()
    for table in tables:
        console.print(table)
    return 0


def _print_ranks(db: str | None) -> int:
    from rich.table import Table

    from benchmark import api
    from benchmark.stats.ranks import HUMAN_METRICS, human_likeness

    found = [b for b in api.rank("human-comparison", db=db) if b.rows]
    if not found:
        raise BenchError("no network has scores of human-comparison: `bench run` makes them.")
    console = table_console()
    for board in found:
        title = f"Human-likeness on {'; '.join(dict.fromkeys(board.sets.values()))}"
        table = Table(title=title, title_justify="left", caption_justify="left", **PLAIN)
        table.add_column("observer", no_wrap=True)
        for name in ("mean rank", "place", "place by OOD accuracy"):
            table.add_column(name, justify="right")
        metrics = (*HUMAN_METRICS, "ood_accuracy")
        cells = {row.observer: row.cells for row in board.rows}
        rows = {
            name: {m: one[m].value if m in one else None for m in metrics}
            for name, one in cells.items()
        }
        for place in human_likeness(rows):
            values = (place.mean_rank, place.place, place.accuracy_place)
            table.add_row(place.name, *("-" if v is None else f"{v:.3g}" for v in values))
        table.caption = (
            "ranks hold among these networks only: another one can make two trade places"
        )
        console.print(table)
    return 0


def _pair_table(observers: Sequence[str], answered: Answered) -> Table:
    from rich.table import Table

    from benchmark.leaderboard.consistency import by_condition

    a, b = observers
    title = f"Error consistency of a = {a} and b = {b}"
    table = Table(title=title, title_justify="left", caption_justify="left", **PLAIN)
    for name in ("experiment", "condition"):
        table.add_column(name, no_wrap=True)
    for name in (
        "n",
        "both right",
        "only a",
        "only b",
        "both wrong",
        "c_obs",
        "c_exp",
        "kappa",
        "95 % interval",
    ):
        table.add_column(name, justify="right", no_wrap=name not in {"kappa", "both right"})
    apart = []
    for role, who in answered.items():
        rows = list(by_condition(who[a], who[b]))
        if all(not found.table.n for _, found in rows):
            apart.append(role)
            continue
        for condition, found in rows:
            table.add_row(role, condition, *_cells(found))
    none = f"; no image in common: {', '.join(apart)}" if apart else ""
    about = "interval: other images, or other shapes and textures where images share them"
    table.caption = f"{about}{none}{_made_again(answered.values())}"
    return table


def _cells(found: Agreement) -> list[str]:
    counts = found.table
    numbers = [counts.n, counts.both, counts.only_a, counts.only_b, counts.neither]
    if found.kappa is None or found.observed is None or found.expected is None:
        return [*map(str, numbers), "", "", found.reason, ""]
    bounds = (
        ""
        if found.low is None or found.high is None
        else f"[{_fixed(found.low)}, {_fixed(found.high)}]"
    )
    return [
        *map(str, numbers),
        f"{found.observed:.3f}",
        f"{found.expected:.3f}",
        _fixed(found.kappa),
        bounds,
    ]


def _fixed(value: float) -> str:
    """Three digits; nothing is "-0.000"."""
    text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _matrix_table(role: str, who: Mapping[str, Trials]) -> Table:
    """Kappa of all pairs on the images that both of a pair answered, all conditions together."""
    from rich.table import Table

    from benchmark.leaderboard.consistency import matched
    from benchmark.stats.agreement import pairwise

    names = sorted(who)
    found = matched([who[name] for name in names], every=False)
    matrix = pairwise(found.right, found.present)
    table = Table(
        title=f"Error consistency: {role}",
        caption="all conditions together; -: no image in common",
        title_justify="left",
        caption_justify="left",
        **PLAIN,
    )
    table.caption = f"{table.caption}{_made_again([who])}"
    table.add_column("", no_wrap=True)
    for number, _ in enumerate(names, 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for i, name in enumerate(names):
        cells = [
            "" if i == j else _kappa(matrix.kappa[i, j], int(matrix.n[i, j]))
            for j in range(len(names))
        ]
        table.add_row(f"{i + 1} {name}", *cells)
    return table


def _made_again(answered: Iterable[Mapping[str, Trials]]) -> str:
    """A warning where somebody saw images made again from their sources: same names, other pixels."""
    columns = [one.columns.get("made") for who in answered for one in who.values()]
    ways = {text.split()[0] for made in columns if made is not None for text in set(made) - {""}}
    saw = " and ".join(sorted(ways))  # "regenerated", "stylised"
    return f"; some observers saw {saw} images, not the published files" if saw else ""


def _kappa(value: float, n: int) -> str:
    return f"{value:.2f}" if n else "-"
