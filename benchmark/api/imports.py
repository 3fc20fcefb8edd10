"""Import trials and published collections; recompute scores from stored trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.leaderboards import chosen_suites, suites_with_scores
from benchmark.api.options import Db, Option, SuiteName, command_line
from benchmark.engine.reporters import Reporter, Silent
from benchmark.engine.score_shards import Completed, complete_parts
from benchmark.engine.scoring import Scorer
from benchmark.engine.trial_import import ImportReport, ScoresReport, put_reported_scores, store_trials
from benchmark.failures import BenchError, PluginError, unknown_name
from benchmark.identity import Codes, environment_record
from benchmark.stimuli.catalogue import find_entry, group_members
from benchmark.stimuli.experiments import added_experiments, name_experiment, published_experiments
from benchmark.stimuli.fetch import fetch_set
from benchmark.stimuli.image_names import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.published_sources import check_source
from benchmark.stimuli.regenerate import stated_recipes
from benchmark.stimuli.score_tables import check_names, read_scores, shipped_scores
from benchmark.stimuli.text_tables import stated_pairs
from benchmark.stimuli.trial_tables import OPTIONAL, REQUIRED, TableHints
from benchmark.store import Store, open_store
from benchmark.variables import read_settings
from registry.user_errors import foreign


def rescore(suite: SuiteName = None, *, db: Db = None) -> int:
    """Recompute scores from stored trials, without any network.

    Returns the number of new score sets."""
    # A missing leaderboard is an error here.
    with open_store(read_settings(db).db, create=False) as store, recorded(store, "bench db rescore") as number:
        return score_again(store, number, suite).new_sets


def score_again(store: Store, run: str, suite: str | None = None) -> Completed:
    """Score observations that were completed in parts, then outdated ones. PluginError: the code of a suite fails."""
    codes, total, shelf = Codes(), Completed(), plugins.find_suites(suite)
    suites = {chosen.name: chosen for chosen in chosen_suites(store, suite, shelf)}
    if not suite or suite == "all":
        partial = {outcome.suite for outcome in store.outcomes() if outcome.status == "partial"}
        suites |= plugins.known_suites(partial, shelf)
    for chosen in suites.values():
        hint = f"A metric is at fault (`bench suites check {chosen.name}`), or the trials are damaged."
        with foreign("stored trials under", chosen.name, PluginError, hint):
            done = complete_parts(store, run, [chosen], codes)
            for error in done.failed.values():
                raise error
            total.new_sets += done.new_sets + Scorer(store=store, run=run, suite=chosen, codes=codes).again()
            total.waiting |= done.waiting
    return total


@contextmanager
def recorded(store: Store, command: str, **more: Any) -> Iterator[str]:
    """Record a run without models and yield its number; an error ends it as failed. more: kept with the environment."""
    number = store.begin_run(command, {**environment_record("none", 1), **more})
    try:
        yield number
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "interrupted"
        store.end_run(number, status, str(error) or type(error).__name__)
        raise
    store.end_run(number, "done")


def import_trials(
    path: Annotated[str | Path, Option("A table, or a folder of tables.", kind="path")],
    *,
    training: Annotated[Sequence[str], Option("Give networks recipes (repeatable).", metavar="OBSERVER=RECIPE")] = (),
    source: Annotated[str | None, Option("Name the source (default: the folder's name).", metavar="NAME")] = None,
    experiment: Annotated[str | None, Option("Name the experiment if no file name does.", metavar="NAME")] = None,
    observer: Annotated[str | None, Option("Name the observer if the table does not.", metavar="NAME")] = None,
    columns: Annotated[str, Option("Map our columns to the tables' column names.", metavar="THEIRS=OURS,...")] = "",
    answers: Annotated[str, Option("Rename the tables' answers: plane=airplane.", metavar="THEIRS=OURS,...")] = "",
    keep_late: Annotated[bool, Option("Keep trials of `bench ask` with a late frame.", "--keep-late")] = False,
    db: Db = None,
) -> ImportReport:
    """Import a table or a folder of them and score the trials.

    Any separator and encoding is read, also JSON. The layouts of model-vs-human and texture-vs-shape are known: columns
    are subj, session, trial, rt, object_response, category, condition, imagename and decision_margin; or image,
    response and pred_label, in files named after observers. A malformed file is reported with its row and skipped; the
    others of its folder are imported (exit code 3). Recipes of published networks also come from the names of Geirhos
    et al. 2018.

    An observer is the name in a source, "resnet50 (texture-vs-shape)": two sources have two networks of one name.
    Tables of one import are joined. A new import of an experiment of a source replaces all earlier answers to that
    experiment; other experiments stay."""
    path, suites = Path(path), plugins.find_suites().suites
    scored = {name for suite in suites.values() for name in suite.experiments}
    settings = read_settings(db)
    known_ones = {**published_experiments(), **added_experiments(settings)}
    if experiment and name_experiment(experiment, known_ones) not in {*scored, *known_ones}:
        raise unknown_name("experiment", experiment, scored, "It names the experiment whose images were answered.")
    recipes = stated_recipes(training)
    stated = TableHints(
        experiment=experiment,
        observer=observer,
        source=None if source is None else check_source(source),
        columns=stated_pairs(columns, "--columns", (*REQUIRED, *OPTIONAL), "file=imagename,answer=object_response"),
        answers=stated_pairs(answers, "--answers", (*GEIRHOS16, NO_ANSWER), "plane=airplane,none=na"),
        keep_late=keep_late,
        known=known_ones,
    )
    asked = {"path": path.absolute(), "training": training, "source": source, "experiment": experiment}
    asked |= {"observer": observer, "columns": columns, "answers": answers, "keep_late": keep_late}
    command = command_line(import_trials, "bench import trials", **asked)
    with open_store(settings.db) as store, recorded(store, command) as number:
        report = store_trials(path, store, number, recipes, stated)
        for name in report.observers.keys() - scored:
            report.notes.append(f"{name}: answers are on no board, because no suite shows images of this experiment")
        for suite in (suite for suite in suites.values() if suite.experiments):
            scorer = Scorer(store=store, run=number, suite=suite)
            scorer.again() if report.replaced else scorer.imported()
    return report


@dataclass(kw_only=True)
class ReferenceReport:
    """The outcome of collecting published networks and people."""

    db: str
    observers: int = 0
    people: int = 0
    trials: int = 0
    reported: int = 0  # observers with scores but no trials
    suites: list[str] = field(default_factory=list)  # suites with scores
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # what could not be fetched or read, a line each


def reference(
    sources: Annotated[Sequence[str], Option("Import this collection (repeatable).", "--source", metavar="NAME")] = (),
    *,
    db: Annotated[
        str | None,
        Option("Write to this leaderboard (default: reference.db in BENCH_HOME).", metavar="FILE|URL", kind="place"),
    ] = None,
    reporter: Reporter | None = None,
) -> ReferenceReport:
    """Collect published networks and people in one leaderboard.

    Run your network into it to rank it among them. Missing collections are fetched (first from BENCH_MIRROR, if it is
    set) and imported. Repeating the command adds nothing. Exit code 3 means that a part could not be fetched or
    read."""
    settings, shown = read_settings(), reporter or Silent()
    collections = sources or ("published-trials", "published-scores")
    names = [find_entry(name, settings).name for collection in collections for name in group_members(collection)]
    outcome = ReferenceReport(db=db or str(settings.home / "reference.db"))
    folders: dict[str, Path] = {}
    for name in names:
        try:
            folders[name] = fetch_set(name, settings, shown.note)
        except BenchError as error:
            outcome.failed.append(f"{name}: {error}")
    if not folders:
        first, *others = outcome.failed  # the remedy is the same for all
        also = f" Also failed: {', '.join(failure.partition(':')[0] for failure in others)}." if others else ""
        raise BenchError(f"no collection could be fetched: {first}{also}")
    settings.home.mkdir(parents=True, exist_ok=True)
    with open_store(outcome.db) as store, recorded(store, "bench db reference") as run:
        if not sources:
            put_reported_scores(shipped_scores(), store, run)
        _bring_in(store, run, folders, outcome, shown)
        kinds = Counter(note.kind for note in store.observers())
        outcome.people, outcome.observers, outcome.reported = kinds["human"], kinds["published"], kinds["reported"]
        outcome.suites = [suite.name for suite in suites_with_scores(store)]
    return outcome


def _bring_in(store: Store, run: str, folders: Mapping[str, Path], report: ReferenceReport, reporter: Reporter) -> None:
    for name, folder in folders.items():
        try:
            if find_entry(name, read_settings()).kind == "scores":
                put_reported_scores(read_scores(folder), store, run)
            else:
                imported = store_trials(folder, store, run, advance=partial(_step, f"reading {name}", reporter))
                report.trials += imported.trials
                report.notes += imported.notes
                report.failed += imported.unfit
        except BenchError as error:
            report.failed.append(f"{name}: {error}")
    codes = Codes()
    for suite in (suite for suite in plugins.find_suites().suites.values() if suite.experiments):
        step = partial(_step, f"scoring {suite.name}", reporter)
        Scorer(store=store, run=run, suite=suite, codes=codes).imported(step)


def _step(name: str, reporter: Reporter, done: int, total: int) -> None:
    """Move a bar; the first step starts it again."""
    if done == 1:
        reporter.expect(name, total, 0)
    reporter.advance(name, 1)


def import_scores(
    path: Annotated[str | Path, Option("A CSV or JSON table, or a known folder.", kind="path")],
    *,
    source: Annotated[str | None, Option("Name the publisher (default: the file's name).", metavar="NAME")] = None,
    same: Annotated[Sequence[str], Option("Treat a metric as ours of that name (repeatable).", metavar="METRIC")] = (),
    db: Db = None,
) -> ScoresReport:
    """Import published scores that have no trials.

    PATH is a CSV or JSON file, or a published folder: critical-band-masking, RobustBench, timm's results, Gavrikov and
    Keuper's table. A file needs columns observer, metric and value; low, high, level, n, condition, source, suite and
    note are optional. JSON is a list of such records, or {observer: {metric: value}}.

    Imported scores have tables of their own below a suite's (`bench rank`). They are ordered, not ranked, and enter no
    paired test. Repeating an import adds nothing; a changed value replaces the earlier one."""
    path, plain = Path(path), plugins.find_suites().suites
    suites = {suite.name: suite for one in plain.values() for suite in (*one.variants.values(), one)}
    metrics = {metric.name: metric for suite in suites.values() for metric in suite.metrics}
    scores = read_scores(path, None if source is None else check_source(source), metrics)
    for name in {score.observer.source for score in scores}:
        check_source(name)
    check_names(scores, {n: [m.name for m in s.metrics] for n, s in suites.items()}, same)
    settings = read_settings(db)
    command = command_line(import_scores, "bench import scores", path=path.absolute(), source=source, same=same)
    with open_store(settings.db) as store, recorded(store, command) as run:
        return put_reported_scores(scores, store, run)
