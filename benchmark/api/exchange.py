"""A leaderboard as one document, and as tidy tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from benchmark import plugins
from benchmark.api.leaderboards import notes_of, reading, require_observer, standing, suites_with_scores
from benchmark.api.options import By, Db, Option, SuiteName, Unseen
from benchmark.api.ranking import check_trials, rank, reported
from benchmark.display import published
from benchmark.errors import BenchError, UsageError
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.forms import written
from benchmark.leaderboard.model import REPORTED
from benchmark.leaderboard.table import Table, records
from benchmark.plugins import named_suite
from benchmark.store import IMPORTED
from benchmark.variables import read_settings
from benchmark.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.contracts import Array, Suite, Trials
    from benchmark.leaderboard.consistency import Answered
    from benchmark.leaderboard.exchange import Document
    from benchmark.store import ScoreRow, Store


# Stored trials as tables.


#: Decision spaces whose categories name the columns of probabilities.
NAMED_SPACES = ("geirhos16", "world16")


def observer_trials(store: Store, suite: Suite, observer: str) -> Trials | None:
    """An observer's stored trials under a suite, from its own runs or from imported tables; None without any."""
    from benchmark.engine.reference_trials import suite_trials

    require_observer(store, observer)
    check_trials(store, observer)
    return suite_trials(store, suite, observer)


def consistency(
    observers: Annotated[Sequence[str], Option("Two or more; with none, everybody.")] = (),
    *,
    experiment: Annotated[
        str | None,
        Option("Only this experiment (cue-conflict, edges, contrast, ...).", "--experiment", "-e", metavar="NAME"),
    ] = None,
    db: Db = None,
) -> Answered:
    """Error consistency (kappa) of observers on the images that both of a pair answered, with interval and counts.

    Kappa is 1 where two observers are right and wrong on the same images, 0 where they agree as often as their
    accuracies alone would have it, negative where less (Geirhos, Meding & Wichmann 2020).
    """
    from benchmark.leaderboard.consistency import shared

    if isinstance(observers, str):
        observers = [name.strip() for name in observers.split(",") if name.strip()]
    suites = [suite for suite in plugins.find_suites().suites.values() if suite.experiments]
    answers: dict[str, dict[str, Trials]] = {}
    with reading(read_settings(db)) as store:
        for name in observers or [note.name for note in store.observers() if note.kind != "reported"]:
            for suite in suites:
                trials = observer_trials(store, suite, name)
                if trials is not None:
                    for role in dict.fromkeys(trials["role"].tolist()):
                        answers.setdefault(role, {}).setdefault(name, trials.of(role))
    return shared(answers, experiment)


def trials(
    observer: Annotated[str, Option("An observer.")], suite: Annotated[str, Option("One suite.")], *, db: Db = None
) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels, what the suite kept (columns of vectors are spread)."""
    import pandas as pd

    with reading(read_settings(db)) as store:
        chosen = named_suite(suite.strip(), plugins.find_suites(suite))
        answers = observer_trials(store, chosen, observer)
    if answers is None:
        raise BenchError(f"'{observer}' has no trials under '{suite}'. `bench run` makes them.")
    return pd.DataFrame(dict(_flat(answers.columns)))


def _only_suite(observer: str, db: str | None) -> str:
    """The suite under which an observer has trials. Raises UsageError if there are several, or none."""
    with reading(read_settings(db)) as store:
        names = {held.suite for held in store.observations() if held.observer_name == observer}
    names.discard(IMPORTED)  # answers to the stimuli of several suites
    if len(names) != 1:
        under = f" ({', '.join(sorted(names))})" if names else ""
        raise UsageError(f"--trials {observer}: --suite says under which suite{under}.")
    return names.pop()


def _flat(columns: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Columns of vectors as one column per element: of probabilities by category, of others by number."""
    for name, values in columns.items():
        if values.ndim == 1:
            yield name, values
        else:
            flat = values.reshape(len(values), -1)
            parts = _parts(name, flat.shape[1], columns["category"])
            yield from ((f"{name}_{part}", flat[:, i]) for i, part in enumerate(parts))


def _parts(name: str, count: int, categories: Array) -> Sequence[object]:
    """Names of a vector's elements: the categories of the decision space that has as many and holds these."""
    from registry.labels import label_space

    if name == "probability":
        for space in map(label_space, NAMED_SPACES):
            if len(space.classes) == count and set(categories) <= set(space.classes):
                return space.classes
    return range(count)


TOGETHER = 50  # observers whose scores are in memory at a time
ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".parquet": "parquet",
}


def export(
    suite: SuiteName = None,
    *,
    by: By = None,
    unseen_only: Unseen = False,
    format: Annotated[
        Literal["csv", "json", "markdown", "latex", "parquet"] | None,
        Option("Default: by the ending of --output (.csv .json .md .tex .parquet), else csv."),
    ] = None,
    every_score: Annotated[
        bool,
        Option(
            "Not the ranked tables but every score with its conditions: tidy csv or parquet; json: one document with "
            "all provenance (docs/export.md).",
            "--scores",
        ),
    ] = False,
    trials_of: Annotated[
        str | None,
        Option(
            "Every stored trial of this observer under one suite (--suite): csv or parquet.",
            "--trials",
            metavar="OBSERVER",
        ),
    ] = None,
    output: Annotated[
        str | Path | None, Option("File to write (default: standard output).", "--output", "-o", kind="new file")
    ] = None,
    db: Db = None,
) -> str:
    """The ranked tables at full precision (csv, json, parquet) or as printed (markdown, latex with booktabs); or every
    score, or every trial of an observer. Gives the text, or "" if an output is named, which has it then.
    """
    asked = (suite, by, unseen_only, format, every_score, trials_of, output, db)
    return "".join(exported(*asked))


def exported(
    suite: str | None,
    by: str | None,
    unseen_only: bool,
    format: str | None,
    every_score: bool,
    trials_of: str | None,
    output: str | Path | None,
    db: str | None,
) -> Iterator[str]:
    """The text of `export` piece by piece: a big leaderboard is never in memory as a whole."""
    form = format or (ENDINGS.get(Path(output).suffix.lower(), "csv") if output else "csv")
    if (every_score or trials_of) and (by or unseen_only):
        raise UsageError("--scores and --trials have every condition: no --by, no --unseen-only.")
    if trials_of and (every_score or form not in ("csv", "parquet")):
        raise UsageError("--trials OBSERVER gives csv or parquet, and no scores.")
    if trials_of:
        frame = trials(trials_of, _only_suite(trials_of, db) if suite is None else suite, db=db)
        pieces = iter([_csv(frame)]) if form == "csv" else iter(())
    elif every_score and form == "json":
        plain = document(suite, db=db).model_dump(mode="json")
        pieces = iter([json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"])
    else:
        tables = score_tables(suite, db) if every_score else _boards(suite, by, unseen_only, db)
        if form != "parquet":
            pieces = written(tables, form)
        else:
            import pandas as pd

            frame = pd.DataFrame([one for table in tables for one in records(table)])
    if form == "parquet":
        if output is None:
            raise UsageError("Parquet is no text: name a file with -o FILE.parquet.")
        try:
            frame.to_parquet(output, index=False)
        except ImportError as error:
            raise BenchError("Parquet needs pyarrow: pip install 'gestaltbench[parquet]', or write a .csv.") from error
    elif output is None:
        yield from pieces
    else:
        with Path(output).open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)


def _boards(suite: str | None, by: str | None, unseen_only: bool, db: str | None) -> list[Table]:
    """The ranked boards, and published scores unless something is asked that these cannot say."""
    boards = rank(suite, by=by, unseen_only=unseen_only, db=db)
    more = [] if by or unseen_only else reported(suite, db=db)
    return list(map(board_table, (*boards, *more)))


def _csv(frame: pd.DataFrame) -> str:
    """Trials as CSV, one line per trial."""
    text: str = frame.to_csv(index=False)
    # A carriage return inside a name is quoted only where all texts are.
    return text if "\r" not in text else frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)


def scores(suite: SuiteName = None, *, db: Db = None) -> list[ScoreRow]:
    """Every current score of one suite or of all, single conditions included; those of older weights are flagged."""
    settings = read_settings(db)
    with reading(settings) as store:
        now = standing(store, settings)
        return [now.marked(row) for row in _scores(store, suite)]


def document(suite: str | None = None, *, db: str | None = None) -> Document:
    """Every current score with its conditions, intervals and provenance: `benchmark.leaderboard.exchange`."""
    from benchmark.leaderboard import exchange

    with reading(read_settings(db)) as store:
        rows = _scores(store, suite)
        names, digests = {row.observer for row in rows}, {row.stimuli for row in rows}
        origins = {set_id: store.provenance(set_id) for set_id in dict.fromkeys(row.set_id for row in rows)}
        runs = {run: facts for origin in origins.values() for run, facts in origin["runs"].items()}
        # a document counts its runs and score sets from 1: the digests of a leaderboard say nothing elsewhere
        order = sorted(runs, key=lambda run: (runs[run]["started"], run))
        numbers = {run: number for number, run in enumerate(order, 1)}
        sets_by_id = {set_id: number for number, set_id in enumerate(origins, 1)}
        sets = notes_of(store)
        return exchange.Document(
            program=__version__,
            observers=tuple(
                exchange.ExportedObserver(name=row.name, kind=row.kind, identity=row.identity, card=published(row.card))
                for row in store.observers()
                if row.name in names
            ),
            stimuli=tuple(
                exchange.ExportedStimuli.model_validate(note, from_attributes=True)
                for digest, note in sets.items()
                if digest in digests
            ),
            runs=tuple(_run(numbers[run], runs[run]) for run in order),
            score_sets=tuple(
                _score_set(sets_by_id[set_id], facts, [numbers[run] for run in facts["runs"]])
                for set_id, facts in origins.items()
            ),
            scores=tuple(_score(row, sets_by_id[row.set_id]) for row in rows),
        )


def _scores(store: Store, suite: str | None) -> list[ScoreRow]:
    return [row for name in _scored(store, suite) for row in store.latest_scores(suite=name)]


def _scored(store: Store, suite: str | None) -> list[str]:
    """The suites with scores, or the one that is asked for; published scores are with all."""
    names = [one.name for one in suites_with_scores(store, suite)]
    return [*names, REPORTED] if suite in (None, "all") else names


def _run(number: int, facts: Mapping[str, Any]) -> Any:
    from benchmark.leaderboard.exchange import ExportedRun

    names = ("command", "started", "ended", "status", "environment")
    stated = {name: facts[name] for name in names if facts.get(name) is not None}
    return ExportedRun.model_validate({"run": number, **published(stated)})


def _score_set(number: int, facts: Mapping[str, Any], runs: Sequence[int]) -> Any:
    from benchmark.leaderboard.exchange import ExportedScoreSet

    names = ("suite", "version", "space", "code", "created", "stimuli")
    keys = tuple(facts["keys"])
    plain = {name: facts[name] for name in names}
    return ExportedScoreSet(id=number, observations=keys, runs=tuple(sorted(runs)), **plain)


def _score(row: ScoreRow, score_set: int) -> Any:
    from benchmark.leaderboard.exchange import ExportedScore

    plain: dict[str, Any] = {
        name: published(getattr(row, name))
        for name in ExportedScore.model_fields
        if name not in ("value", "low", "high", "score_set")
    }
    numbers = {name: _finite(getattr(row, name)) for name in ("value", "low", "high")}
    return ExportedScore.model_validate({**plain, **numbers, "score_set": score_set})


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def score_tables(suite: str | None = None, db: str | None = None) -> Iterator[Table]:
    """What `scores` gives as tables, some observers at a time."""
    settings = read_settings(db)
    with reading(settings) as store:
        now, sets = standing(store, settings), notes_of(store)
        observers = sorted(row.name for row in store.observers())
        for name in _scored(store, suite):
            for at in range(0, len(observers), TOGETHER):
                some = observers[at : at + TOGETHER]
                rows = store.latest_scores(suite=name, observers=some)
                if rows:
                    yield score_table([_published(now.marked(row)) for row in rows], sets)


def _published(row: ScoreRow) -> ScoreRow:
    texts = ("observer", "condition", "reason", "flags", "method")
    return row._replace(**{name: published(getattr(row, name)) for name in texts})
