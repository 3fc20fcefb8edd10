"""Trials brought in, and stored trials scored again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from benchmark import plugins
from benchmark.api.leaderboards import chosen_suites
from benchmark.api.options import Db, Option, SuiteName
from benchmark.display import masked
from benchmark.errors import BenchError, PluginError
from benchmark.plugins import scored_suites
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import PUBLISHED_SPACE
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.api.running import Prepared
    from benchmark.contracts import Suite
    from benchmark.engine.importing import ImportReport
    from benchmark.engine.score_shards import Completed
    from benchmark.store import Store


def rescore(suite: SuiteName = None, *, db: Db = None) -> int:
    """Score stored trials again with today's metrics, without any network. Gives the number of new score sets."""
    from benchmark.store import open_store

    settings = read_settings(db)
    # A missing leaderboard is an error, not a new one; an older one is brought up to date.
    with open_store(settings.db, create=False) as store, recorded(store, "bench db rescore") as number:
        return score_again(store, number, suite).made


def score_again(store: Store, run: str, suite: str | None = None) -> Completed:
    """Score what was answered in parts and is whole now, then all stored trials that today's code scores otherwise."""
    from benchmark.engine.score_shards import Completed, complete_parts
    from benchmark.engine.scoring import Scorer
    from benchmark.identity import Codes

    codes, total, shelf = Codes(), Completed(), plugins.find_suites(suite)
    named = {chosen.suite for chosen in store.outcomes() if chosen.status == "partial"}
    suites = {chosen.name: chosen for chosen in chosen_suites(store, suite, shelf)}
    if not suite or suite == "all":
        suites |= {chosen.name: chosen for chosen in scored_suites(sorted(named), shelf)}
    for chosen in suites.values():
        with _blamed(chosen):
            done = complete_parts(store, run, [chosen], codes)
            again = Scorer(store, run, chosen, codes).again()
        total.made += done.made + again
        total.waiting |= done.waiting
    return total


@contextmanager
def _blamed(suite: Suite) -> Iterator[None]:
    """An error of a suite's own code is its."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"suite '{suite.name}': stored trials cannot be scored ({type(error).__name__}: {error}). "
            f"Either one of its metrics is at fault (`bench suites check {suite.name}`), or the trials are "
            "damaged."
        ) from error


def command_line(words: Sequence[object], options: Mapping[str, str | Sequence[str] | None]) -> str:
    """A command that does the same again, as it is typed in a shell; options without a value are left out."""
    typed = [str(word) for word in words]
    for option, value in options.items():
        values = [value] if isinstance(value, str) else value or ()
        typed += [word for text in values if text for word in (option, text)]
    return shlex.join(typed)


@contextmanager
def recorded(store: Store, command: str, **more: Any) -> Iterator[str]:
    """A run without models: its number. It ends whatever happens, with the error that ended it. more: what is kept
    beside the environment."""
    from benchmark.engine.environment import environment

    number = store.begin_run(command, {**environment("none", 1), **more})
    try:
        yield number
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "interrupted"
        store.end_run(number, status, str(error) or type(error).__name__)
        raise
    store.end_run(number, "done")


def import_trials(
    path: Annotated[str | Path, Option("A table, or a folder of them.", kind="path")],
    *,
    training: Annotated[
        Sequence[str],
        Option(
            "What a published network was trained on (repeatable): 'my-net=noise(uniform)'.", metavar="OBSERVER=RECIPE"
        ),
    ] = (),
    source: Annotated[
        str | None, Option("Where the tables come from (default: told by their folder's name).", metavar="NAME")
    ] = None,
    experiment: Annotated[
        str | None, Option("Whose images they show, where file and folder do not tell.", metavar="NAME")
    ] = None,
    observer: Annotated[str | None, Option("Who answered, where the table does not tell.", metavar="NAME")] = None,
    columns: Annotated[
        str,
        Option("What the tables' columns mean: 'file=imagename,answer=object_response'.", metavar="THEIRS=OURS,..."),
    ] = "",
    db: Db = None,
) -> ImportReport:
    """Import a CSV or a folder of them, in the layout of model-vs-human and texture-vs-shape, and score them.

    Columns: subj, session, trial, rt, object_response, category, condition, imagename, decision_margin; or image,
    response, pred_label, whose files are called by their observers. A malformed file is named with its row and
    nothing of it is imported; the others of its folder are (exit code 3).

    Recipes of published networks also come from a file training.yaml in the folder (OBSERVER: [RECIPE, ...]) and from
    the names of Geirhos et al. 2018; a second import may add them.

    An observer is a name of a source, "resnet50 (texture-vs-shape)": networks of one name from two sources are two.
    Several tables of one observer are joined; where answers differ, a later import takes the earlier one's place.
    """
    path = Path(path)
    from benchmark.engine.importing import import_trials as read_in
    from benchmark.engine.scoring import Scorer
    from benchmark.stimuli.catalogue import check_source
    from benchmark.stimuli.regenerate import stated_recipes
    from benchmark.stimuli.trials import Stated, stated_columns
    from benchmark.store import open_store

    recipes = stated_recipes(training)
    known = None if source is None else check_source(source)
    stated = Stated(experiment, observer, known, stated_columns(columns))
    settings = read_settings(db)
    options = {
        "--training": training,
        "--source": source,
        "--experiment": experiment,
        "--observer": observer,
        "--columns": columns,
    }
    command = command_line(["bench", "import", "trials", path.absolute()], options)
    with open_store(settings.db) as store, recorded(store, command) as number:
        report = read_in(path, store, number, recipes, stated)
        for suite in plugins.find_suites().suites.values():
            if suite.experiments:
                scorer = Scorer(store, number, suite)
                scorer.again() if report.replaced else scorer.imported()
    return report


# All published observers in one leaderboard, from nothing.


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
        str | None, Option("Where (default: reference.db in BENCH_HOME).", "--db", metavar="FILE|URL", kind="place")
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
    names = [find_entry(name, settings).name for collection in sources or GROUPS for name in members(collection)]
    outcome = ReferenceReport(db or reference_db(settings))
    folders = _fetched(names, settings, report, outcome)
    if not folders:
        raise BenchError("nothing published came in: " + "; ".join(outcome.failed))
    Path(settings.home).mkdir(parents=True, exist_ok=True)
    with open_store(outcome.db) as store, recorded(store, "bench db reference") as run:
        _bring_in(store, run, folders, outcome, progress)
        kinds = Counter(note.kind for note in store.observers())
        outcome.people, outcome.observers = kinds["human"], kinds["published"]
        outcome.reported = kinds["reported"]
    return outcome


def offer_reference(prepared: Prepared) -> str:
    """One line for who ran networks on published images where no published observer stands beside them; "" for
    everybody else.
    """
    from benchmark.api.leaderboards import reading

    shown = any(
        block.stimuli.space == PUBLISHED_SPACE and block.stimuli.name in task.suite.experiments
        for task in prepared.tasks
        for block in task.plan.blocks
    )
    if not shown:
        return ""
    with reading(prepared.settings) as store:
        if any(note.kind == "published" for note in store.observers()):
            return ""
    return (
        "published networks and people answered these images: "
        f"`bench db reference --db {masked(prepared.settings.db)}` puts them beside yours"
    )


def _fetched(
    names: Sequence[str], settings: Settings, report: Callable[[str], None], outcome: ReferenceReport
) -> dict[str, Path]:
    from benchmark.stimuli.catalogue import locate
    from benchmark.stimuli.fetch import fetch

    folders: dict[str, Path] = {}
    for name in names:
        try:
            fetch(name, settings, report)
            place = locate(name, settings)
        except BenchError as error:
            outcome.failed.append(f"{name}: {error}")
            continue
        if place is not None:
            folders[name] = place
    return folders


def _bring_in(
    store: Store, run: str, folders: dict[str, Path], outcome: ReferenceReport, progress: Progress | None
) -> None:
    from benchmark.engine.importing import are_in, note_tables
    from benchmark.engine.scoring import Scorer
    from benchmark.identity import Codes
    from benchmark.stimuli.catalogue import members

    whole: dict[str, Path] = {}
    for name, folder in folders.items():
        if name in members("published-scores"):
            _bring_in_scores(store, run, name, folder, outcome)
        elif are_in(store, folder):
            outcome.notes.append(f"{name}: these tables are in it already")
        elif _bring_in_trials(store, run, name, folder, outcome, progress):
            whole[name] = folder
    codes = Codes()
    for suite in plugins.find_suites().suites.values():
        if suite.experiments:
            Scorer(store, run, suite, codes).imported(_steps(f"scoring {suite.name}", progress))
    for name, folder in whole.items():
        note_tables(store, name, folder)


def _bring_in_trials(
    store: Store, run: str, name: str, folder: Path, outcome: ReferenceReport, progress: Progress | None
) -> bool:
    """Read a folder of tables; whether all of them fit."""
    from benchmark.engine.importing import import_trials

    try:
        imported = import_trials(folder, store, run, advance=_steps(f"reading {name}", progress))
    except BenchError as error:
        outcome.failed.append(f"{name}: {error}")
        return False
    outcome.trials += imported.trials
    outcome.notes += imported.notes
    outcome.failed += imported.unfit
    return not imported.unfit


def _bring_in_scores(store: Store, run: str, name: str, folder: Path, outcome: ReferenceReport) -> None:
    from benchmark.engine.importing import put_scores
    from benchmark.stimuli.score_tables import read_scores

    try:
        tables = read_scores(folder)
    except BenchError as error:
        outcome.failed.append(f"{name}: {error}")
        return
    put_scores(tables.scores, store, run)
    outcome.notes += tables.notes


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
