"""All published observers in one leaderboard, from nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from benchmark import plugins
from benchmark.api.importing import recorded
from benchmark.api.options import Option
from benchmark.display import masked
from benchmark.errors import BenchError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.api.running import Prepared
    from benchmark.store import Store

GROUPS = ("published-trials", "published-scores")


class Progress(Protocol):
    """Told of pieces of work: a bar each."""

    def expect(self, observer: str, trials: int, /) -> None:
        """A piece of so many steps begins."""

    def advance(self, observer: str, trials: int, /) -> None:
        """So many steps of it are done."""


@dataclass
class ReferenceReport:
    """Where the leaderboard is and what came in. reported: observers with scores alone; failed: what could
    not be got or read, a line each."""

    db: str
    observers: int = 0
    people: int = 0
    trials: int = 0
    reported: int = 0
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def reference_db(settings: Settings) -> str:
    """Where the leaderboard of published observers is, unless somebody says another place."""
    return str(settings.home / "reference.db")


def reference(
    sources: Annotated[
        Sequence[str],
        Option(
            "Only this collection (repeatable): human-trials, error-consistency, ... (default: all).",
            "--source",
            metavar="NAME",
        ),
    ] = (),
    *,
    db: Annotated[
        str | None,
        Option(
            "Where (default: reference.db in BENCH_HOME).",
            "--db",
            metavar="FILE|URL",
            kind="place",
        ),
    ] = None,
    report: Callable[[str], None] = lambda _line: None,
    progress: Progress | None = None,
) -> ReferenceReport:
    """Published networks and people in one leaderboard, so that your network stands among them.

    Gets what is not on this disk (from BENCH_MIRROR first, where it is set) and brings it in. A second time adds
    nothing. Exit code 3 where a part could not be got or read.
    """
    from benchmark.stimuli.catalogue import find_entry, members
    from benchmark.store import open_store

    settings = read_settings()
    names = [find_entry(name, settings).name for one in sources or GROUPS for name in members(one)]
    made = ReferenceReport(db or reference_db(settings))
    folders = _fetched(names, settings, report, made)
    if not folders:
        raise BenchError("nothing published came in: " + "; ".join(made.failed))
    Path(settings.home).mkdir(parents=True, exist_ok=True)
    with open_store(made.db) as store, recorded(store, "bench db reference") as run:
        _bring_in(store, run, folders, made, progress)
        kinds = Counter(note.kind for note in store.observer_notes())
        made.people, made.observers = kinds["human"], kinds["published"]
        made.reported = kinds["reported"]
    return made


def offer_reference(prepared: Prepared) -> str:
    """One line for who ran networks on published cue-conflict images where no published observer stands beside them;
    "" for everybody else.
    """
    from benchmark.api.leaderboards import reading

    shown = {
        block.stimuli.name
        for task in prepared.tasks
        if task.suite.name == "cue-conflict"
        for block in task.plan.blocks
        if block.stimuli.space == PUBLISHED_SPACE
    }
    if "cue-conflict" not in shown:
        return ""
    with reading(prepared.settings) as store:
        if any(note.kind == "published" for note in store.observer_notes()):
            return ""
    return (
        "some 60 published networks and 10 people answered these images: "
        f"`bench db reference --db {masked(prepared.settings.db)}` puts them beside yours"
    )


def _fetched(
    names: Sequence[str], settings: Settings, report: Callable[[str], None], made: ReferenceReport
) -> dict[str, Path]:
    from benchmark.stimuli.catalogue import locate
    from benchmark.stimuli.fetch import fetch

    found: dict[str, Path] = {}
    for name in names:
        try:
            fetch(name, settings, report)
            place = locate(name, settings)
        except BenchError as error:
            made.failed.append(f"{name}: {error}")
            continue
        if place is not None:
            found[name] = place
    return found


def _bring_in(
    store: Store,
    run: str,
    folders: dict[str, Path],
    made: ReferenceReport,
    progress: Progress | None,
) -> None:
    from benchmark.engine.importing import are_in, note_tables
    from benchmark.engine.scoring import Scorer
    from benchmark.identity import Codes
    from benchmark.stimuli.catalogue import members

    whole: dict[str, Path] = {}
    for name, folder in folders.items():
        if name in members("published-scores"):
            _bring_in_scores(store, run, name, folder, made)
        elif are_in(store, folder):
            made.notes.append(f"{name}: these tables are in it already")
        elif _bring_in_trials(store, run, name, folder, made, progress):
            whole[name] = folder
    codes = Codes()
    for suite in plugins.find_suites().suites.values():
        if suite.experiments:
            Scorer(store, run, suite, codes).imported(_steps(f"scoring {suite.name}", progress))
    for name, folder in whole.items():
        note_tables(store, name, folder)


def _bring_in_trials(
    store: Store,
    run: str,
    name: str,
    folder: Path,
    made: ReferenceReport,
    progress: Progress | None,
) -> bool:
    """Read a folder of tables; whether all of them fit."""
    from benchmark.engine.importing import import_trials

    try:
        found = import_trials(folder, store, run, advance=_steps(f"reading {name}", progress))
    except BenchError as error:
        made.failed.append(f"{name}: {error}")
        return False
    made.trials += found.trials
    made.notes += found.notes
    made.failed += found.unfit
    return not found.unfit


def _bring_in_scores(
    store: Store, run: str, name: str, folder: Path, made: ReferenceReport
) -> None:
    from benchmark.engine.importing import put_scores
    from benchmark.stimuli.score_tables import read_scores

    try:
        found = read_scores(folder)
    except BenchError as error:
        made.failed.append(f"{name}: {error}")
        return
    put_scores(found.scores, store, run)
    made.notes += found.notes


def _steps(name: str, progress: Progress | None) -> Callable[[int, int], None]:
    """What is told "so many of so many are done"."""
    begun: list[int] = []

    def step(done: int, total: int) -> None:
        if progress is None:
            return
        if not begun or done == 1:
            begun.append(total)
            progress.expect(f"{name} ({len(begun)})" if len(begun) > 1 else name, total)
        progress.advance(f"{name} ({len(begun)})" if len(begun) > 1 else name, 1)

    return step
