"""Trials brought in, and stored trials scored again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
from benchmark.api.leaderboards import chosen_suites
from benchmark.api.options import Db, Option, SuiteName
from benchmark.errors import BenchError, PluginError
from benchmark.plugins import scored_suites
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.engine.importing import ImportReport
    from benchmark.engine.score_shards import Completed
    from benchmark.store import Store


def rescore(suite: SuiteName = None, *, db: Db = None) -> int:
    """Score stored trials again with today's metrics, without any network. Gives the number of new score sets."""
    from benchmark.store import open_store

    settings = read_settings(db)
    # A missing leaderboard is an error, not a new one; an older one is brought up to date.
    with (
        open_store(settings.db, create=False) as store,
        recorded(store, "bench db rescore") as number,
    ):
        return score_again(store, number, suite).made


def score_again(store: Store, run: str, suite: str | None = None) -> Completed:
    """Score what was answered in parts and is whole now, then all stored trials that today's code scores otherwise."""
    from benchmark.engine.score_shards import Completed, complete_parts
    from benchmark.engine.scoring import Scorer
    from benchmark.identity import Codes

    codes, total, shelf = Codes(), Completed(), plugins.find_suites(suite)
    named = {one.suite for one in store.outcomes() if one.status == "partial"}
    suites = {one.name: one for one in chosen_suites(store, suite, shelf)}
    if not suite or suite == "all":
        suites |= {one.name: one for one in scored_suites(sorted(named), shelf)}
    for one in suites.values():
        with _blamed(one):
            done = complete_parts(store, run, [one], codes)
            again = Scorer(store, run, one, codes).again()
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
        typed += [word for one in values if one for word in (option, one)]
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
            "What a published network was trained on (repeatable): 'my-net=noise(uniform)'.",
            metavar="OBSERVER=RECIPE",
        ),
    ] = (),
    source: Annotated[
        str | None,
        Option(
            "Where the tables come from (default: told by their folder's name).", metavar="NAME"
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        Option("Whose images they show, where file and folder do not tell.", metavar="NAME"),
    ] = None,
    observer: Annotated[
        str | None, Option("Who answered, where the table does not tell.", metavar="NAME")
    ] = None,
    columns: Annotated[
        str,
        Option(
            "What the tables' columns mean: 'file=imagename,answer=object_response'.",
            metavar="THEIRS=OURS,...",
        ),
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
