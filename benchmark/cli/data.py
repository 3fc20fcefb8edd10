"""`bench data`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.printing import safe_console, say, table_console
from benchmark.cli.stylize import stylize

if TYPE_CHECKING:
    from benchmark.stimuli.catalogue import Entry
    from benchmark.stimuli.verify import Row


@click.group()
def data() -> None:
    """List, fetch, add, make and verify stimulus sets."""


data.add_command(stylize)


@data.command("list")
def list_sets() -> int:
    """The catalogue: what there is, what is on this disk, and under which licence."""
    from rich.table import Table

    from benchmark.stimuli.catalogue import locate, read_catalogue
    from benchmark.variables import read_settings

    settings = read_settings()
    table = Table(box=None, pad_edge=False)
    for column in ("set", "on disk", "kind", "count", "licence", "what"):
        table.add_column(column, overflow="fold")
    for name, entry in read_catalogue(settings).items():
        there = locate(name, settings)
        table.add_row(
            name,
            _on_disk(entry, there),
            entry.kind,
            _count(entry),
            entry.license,
            entry.title,
        )
    table_console().print(table)
    return 0


def _on_disk(entry: Entry, there: Path | None) -> str:
    """ "no", "yes", or of a set of which only a part is there how much: "320 of 1280"."""
    if there is None:
        return "no"
    whole = entry.count or 0
    if entry.kind != "images" or entry.levels or not whole:
        return "yes"
    from benchmark.stimuli.items import SUFFIXES

    files = (name for _, _, names in os.walk(there) for name in names if not name.startswith("."))
    images = sum(Path(name).suffix.lower() in SUFFIXES for name in files)
    return f"{images} of {whole}" if images < whole else "yes"


def _count(entry: Entry) -> str:
    """The images of the full set; of a set in cells, of how many cells how many each."""
    cells = len((*entry.parts, *entry.extra)) * len(entry.levels)
    return f"{cells} x {entry.count}" if cells else str(entry.count or "")


@data.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--only",
    multiple=True,
    help="Of a set in several archives, the one to get: noise, blur, ... (can be repeated).",
)
def fetch(names: tuple[str, ...], only: tuple[str, ...]) -> int:
    """Download sets (from BENCH_MIRROR first, where it is set), verify and unpack them.

    "published-trials" stands for every table of published answers; of such a group, what cannot be got is said and the
    rest is got (exit code 3).
    """
    from benchmark.errors import BenchError
    from benchmark.stimuli.catalogue import members
    from benchmark.stimuli.fetch import fetch as get
    from benchmark.variables import read_settings

    failed = 0
    for name in names:
        group = members(name)
        for one in group:
            try:
                say(get(one, read_settings(), lambda text: say(text, err=True), only))
            except BenchError as error:
                if len(group) == 1:
                    raise
                failed += 1
                say(f"{one}: {error}", err=True)
    return 3 if failed else 0


@data.command()
@click.argument("name")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--role",
    help="What suites know it as (a catalogue name brings its own): natural, cue-conflict, edges, ...; `bench suites "
    "show NAME` names a suite's.",
)
@click.option("--space", help="Label space of its categories: geirhos16, imagenet1k, ...")
@click.option("--layout", help="How the folder is laid out: class-folder, masks, coco, ...")
def add(name: str, folder: Path, role: str | None, space: str | None, layout: str | None) -> int:
    """Use a folder that is already on this disk."""
    from benchmark.stimuli.fetch import add as note
    from benchmark.variables import read_settings

    settings = read_settings()
    entry = note(name, folder, settings, role=role, space=space, layout=layout, report=say)
    say(f"added '{entry.name}' from {folder}")
    return 0


@data.command()
@click.argument("experiment")
@click.option(
    "--source", default="imagenet-train", show_default=True, help="The set with the photographs."
)
@click.option(
    "--trials",
    default="human-trials",
    show_default=True,
    help="The tables that name each trial's photograph.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Make the set's folder in this one (default: beside the fetched sets).",
)
def regenerate(experiment: str, source: str, trials: str, output: Path | None) -> int:
    """Make the stimuli of EXPERIMENT (or of all twelve: "all") again from ImageNet photographs.

    For who has ImageNet but not the published files: the set plays the experiment's role where those are absent, and
    every score on it is flagged. An interrupted run goes on where it stopped.
    """
    from benchmark.stimuli.regenerate import make_set, parametric
    from benchmark.variables import read_settings

    settings = read_settings()
    for name in parametric() if experiment == "all" else [experiment]:
        make_set(name, settings, say, source=source, trials=trials, output=output)
    return 0


@data.command()
@click.argument("name")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Images to read of each folder (default: all of a small set, some 1,000 to 2,000 of a large one).",
)
@click.option("--full", is_flag=True, help="Read every image, however many.")
def verify(name: str, sample: int | None, full: bool) -> int:
    """Count and read a set's files, and compare them with the catalogue.

    Names, classes and empty files are checked of all images; a sample of a large set is read. Exit code 1 where
    something is broken; a part of a set is all right, and said.
    """
    from benchmark.stimuli.verify import Depth
    from benchmark.stimuli.verify import verify as check
    from benchmark.variables import read_settings

    with _counted(name) as expect:
        found = check(name, read_settings(), Depth(sample, full, expect))
    if found.table:
        _print_cells(found.table)
    for line in found.lines:
        say(line)
    say("usable" if found.ok else "BROKEN: see above")
    return 0 if found.ok else 1


@contextmanager
def _counted(what: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """`expect(total)` starts the bar and gives what is called after each piece."""
    from benchmark.cli.progress import Bars

    with Bars(safe_console(stderr=True)) as bars:

        def expect(total: int) -> Callable[[], None]:
            bars.expect(what, total)
            return lambda: bars.advance(what, 1)

        yield expect


def _print_cells(rows: Sequence[Row]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("corruption", "severities", "classes", "images each", "px", "state"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.corruption, row.severities, row.classes, row.images, row.size, row.remark)
    table_console().print(table)


@data.command()
@click.argument("name")
def path(name: str) -> int:
    """Where a set lies on this disk."""
    from benchmark.errors import MissingStimuli, unknown_name
    from benchmark.stimuli.catalogue import locate, read_catalogue
    from benchmark.variables import read_settings

    settings = read_settings()
    known = read_catalogue(settings)
    if name not in known:
        raise unknown_name("stimulus set", name, known, "`bench data list` explains them.")
    found = locate(name, settings)
    if found is None:
        raise MissingStimuli(
            f"'{name}' is not on this disk. Get it with `bench data fetch {name}`."
        )
    say(found)
    return 0
