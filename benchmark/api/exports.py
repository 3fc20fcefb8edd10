"""A leaderboard as one document, and as tidy tables."""

from __future__ import annotations

import csv
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from benchmark import plugins
from benchmark.api.leaderboards import (
    Filtered,
    Selection,
    card_status,
    chosen_names,
    notes_of,
    require_observer,
    suites_with_scores,
)
from benchmark.api.options import By, Filters, Option, SuiteName, Unseen
from benchmark.api.ranking import check_trials, rank, reported
from benchmark.contracts import Suite, Trials
from benchmark.contracts.trials import Columns
from benchmark.contracts.trials import as_coded as columns_of
from benchmark.display import published
from benchmark.errors import BenchError, UsageError
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.consistency import AVERAGED, ExperimentTrials, shared
from benchmark.leaderboard.forms import written
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedChunk,
    ExportedObservation,
    ExportedObserver,
    ExportedRun,
    ExportedScore,
    ExportedScoreSet,
    ExportedStimuli,
)
from benchmark.leaderboard.table import Table, records
from benchmark.observer_trials import counting_observations, observer_trials
from benchmark.plugins import named_suite
from benchmark.stimuli.trial_tables import SHOWN
from benchmark.store import IMPORTED, ScoreRow, StimuliNote, Store, StoredObservation
from benchmark.store.codec import encode
from benchmark.version import __version__
from registry.labels import label_space

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel


#: Decision spaces whose categories name the columns of probabilities.
NAMED_SPACES = ("geirhos16", "world16")


def _named_trials(store: Store, suite: Suite, observer: str) -> Trials | None:
    require_observer(store, observer)
    check_trials(store, observer)
    return observer_trials(store, suite, observer)


def consistency(
    leaderboard: Filtered,
    observers: Annotated[Sequence[str], Option("Two or more observers. The default is all.")] = (),
    *,
    experiment: Annotated[
        str | None, Option("Use only this experiment (edges, contrast, ...).", "--experiment", "-e")
    ] = None,
) -> ExperimentTrials:
    """Compute error consistency (kappa) between observers.

    Each pair is compared on the images that both answered, with interval and counts. Kappa is 1 if two observers are
    correct and incorrect on the same images, 0 if they agree as often as expected from their accuracies, and negative
    if less often (Geirhos, Meding & Wichmann 2020). The value of an experiment is the mean over the conditions that
    enter its averages."""
    if isinstance(observers, str):
        observers = [name.strip() for name in observers.split(",") if name.strip()]
    suites = [suite for suite in plugins.find_suites().suites.values() if suite.experiments]
    answers: dict[str, dict[str, Trials]] = {}
    with leaderboard.reading() as store:
        every = observers or [note.name for note in store.observers() if note.kind != "reported"]
        shown = chosen_names(store, every, leaderboard.filters)
        for name in [name for name in every if name in shown]:
            for suite in suites:
                trials = _named_trials(store, suite, name)
                if trials is not None:
                    counts = np.ones(len(trials), bool) if suite.averaged is None else suite.averaged(trials)
                    trials = replace(trials, columns=Columns({**columns_of(trials.columns), AVERAGED: counts}))
                    for role in dict.fromkeys(trials["role"].tolist()):
                        answers.setdefault(role, {}).setdefault(name, trials.of(role))
    return shared(answers, experiment)


def trials(
    leaderboard: Selection,
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str, Option("Use this suite.")],
) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels, what the suite kept (columns of vectors are spread)."""
    with leaderboard.reading() as store:
        chosen = named_suite(suite.strip(), plugins.find_suites(suite))
        return _spread(_answers(store, chosen, observer))


def _answers(store: Store, suite: Suite, observer: str) -> Trials:
    if (answers := _named_trials(store, suite, observer)) is None:
        raise BenchError(f"'{observer}' has no trials under '{suite.name}'. `bench run` makes them.")
    return answers


def _spread(answers: Trials) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, values in answers.columns.items():
        if values.ndim == 1:
            columns[name] = values
            continue
        # A column per element: of probabilities by the categories of the decision space that has as many and holds
        # these, of others by number.
        flat = values.reshape(len(values), -1)
        parts: Sequence[object] = range(flat.shape[1])
        for space in map(label_space, NAMED_SPACES) if name == "probability" else ():
            if len(space.classes) == len(parts) and set(answers["category"]) <= set(space.classes):
                parts = space.classes
        columns |= {f"{name}_{part}": flat[:, i] for i, part in enumerate(parts)}
    return pd.DataFrame(columns)


#: Ending of a file -> form, of all that are not written as csv.
ENDINGS = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".tex": "latex", ".parquet": "parquet"}


def export(
    leaderboard: Filtered,
    suite: SuiteName = None,
    *,
    by: By = None,
    unseen_only: Unseen = False,
    format: Annotated[
        Literal["csv", "json", "markdown", "latex", "parquet"] | None, Option("The same as --output.")
    ] = None,
    every_score: Annotated[
        bool, Option("Export every score; json adds provenance (docs/export.md).", "--scores")
    ] = False,
    trials_of: Annotated[
        str | None, Option("Export every trial under --suite.", "--trials", metavar="OBSERVER")
    ] = None,
    output: Annotated[str | Path | None, Option("Write to this file.", "--output", "-o", kind="new file")] = None,
) -> str:
    """Export ranked tables, scores or trials.

    Ranked tables have full precision (csv, json, parquet) or the printed form (markdown, latex with booktabs). --scores
    exports every score, --trials every trial of an observer.

    Returns the text, or "" if an output file has it."""
    form = format or (ENDINGS.get(Path(output).suffix.lower(), "csv") if output else "csv")
    if trials_of and leaderboard.filters:
        raise UsageError("--trials OBSERVER names whose trials are exported: no filters.")
    if (every_score or trials_of) and (by or unseen_only):
        raise UsageError("--scores and --trials have every condition: no --by, no --unseen-only.")
    if trials_of and (every_score or form not in ("csv", "parquet")):
        raise UsageError("--trials OBSERVER gives csv or parquet, and no scores.")
    if form == "parquet" and output is None:
        raise UsageError("Parquet is no text: name a file with -o FILE.parquet.")
    frame = _trials_of(leaderboard, trials_of, suite) if trials_of else None
    if every_score or trials_of:
        tables: Iterable[Table] = score_tables(leaderboard, suite) if every_score else ()
    else:  # published scores, too, unless something is asked that these cannot say
        more = [] if by or unseen_only else reported(leaderboard, suite)
        tables = map(board_table, (*rank(leaderboard, suite, by=by, unseen_only=unseen_only), *more))
    if form == "parquet":
        import pandas as pd

        if frame is None:
            frame = pd.DataFrame([record for table in tables for record in records(table)])
        try:
            frame.to_parquet(output, index=False)
        except ImportError as error:
            raise BenchError("Parquet needs pyarrow: pip install 'gestaltbench[parquet]', or write a .csv.") from error
        return ""
    if frame is not None:
        text = frame.to_csv(index=False)
        # a carriage return inside a name is quoted only where all texts are
        pieces: Iterable[str] = [frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text]
    elif every_score and form == "json":
        plain = document(leaderboard, suite).model_dump(mode="json")
        pieces = [json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"]
    else:
        pieces = written(tables, form)
    if output is None:
        return "".join(pieces)
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)  # piece by piece: a big leaderboard is never in memory as a whole
    return ""


def _trials_of(leaderboard: Selection, observer: str, suite: str | None) -> pd.DataFrame:
    """`trials` under a suite, or under the only one that there is, with what `bench import trials` needs to know of
    them. Raises UsageError if there are several suites, or none."""
    with leaderboard.reading() as store:
        if suite is None:
            names = {held.suite for held in store.observations() if held.observer_name == observer}
            names.discard(IMPORTED)  # answers to the stimuli of several suites
            if len(names) != 1:
                under = f" ({', '.join(sorted(names))})" if names else ""
                raise UsageError(f"--trials {observer}: --suite says under which suite{under}.")
            (suite,) = names
        chosen = named_suite(suite.strip(), plugins.find_suites(suite))
        answers = _answers(store, chosen, observer)
        shown = _shown(store, chosen, observer, answers)
        card = next(row.card for row in store.observers(names=(observer,)))
    frame = _spread(answers)
    for i, (name, values) in enumerate({"observer": card.get("named", observer), **shown}.items()):
        frame.insert(i, name, values)
    return frame


def _shown(store: Store, suite: Suite, observer: str, answers: Trials) -> dict[str, list[str]]:
    """For each trial its experiment, as tables of trials name it ("" for images that they cannot name), and its
    stimulus set and label space."""
    known = [dict.fromkeys(SHOWN, "") for _ in range(len(answers))]
    experiments = {role: name for name, role in reversed([*suite.experiments.items()])}
    rows = list(zip(*(answers[name].tolist() for name in ("role", "condition", "stimulus")), strict=True))
    for own, held in counting_observations(store, suite, observer):
        stimuli = store.stimuli(held.stimuli)
        images = {*stimuli.ids}
        for facts, (role, condition, image) in zip(known, rows, strict=True):
            if role == own and image in images:
                # an image under a transform of the suite's own is called like the image without it
                named = experiments.get(role, "") if image.startswith(f"{condition}/" if condition else "") else ""
                facts |= zip(SHOWN, (named, stimuli.name, held.space), strict=True)
    return {name: [facts[name] for facts in known] for name in SHOWN}


def scores(leaderboard: Filtered, suite: SuiteName = None) -> list[ScoreRow]:
    """Every current score of one suite or of all, single conditions included; those of older weights are flagged."""
    with leaderboard.reading() as store:
        now = card_status(store, leaderboard.settings)
        return [
            now.marked(row) for name in _scored(store, suite) for row in _of_suite(store, name, leaderboard.filters)
        ]


def document(leaderboard: Filtered, suite: str | None = None) -> Document:
    """Every current score with its conditions, intervals and provenance, as one document."""
    with leaderboard.reading() as store:
        rows = [row for name in _scored(store, suite) for row in _of_suite(store, name, leaderboard.filters)]
        origins = {set_id: store.provenance(set_id) for set_id in dict.fromkeys(row.set_id for row in rows)}
        runs = {run: facts for origin in origins.values() for run, facts in origin["runs"].items()}
        # a document counts its runs and score sets from 1: the digests of a leaderboard say nothing elsewhere
        observations = _with_trials(store, {key for facts in origins.values() for key in facts["keys"]})
        names = {row.observer for row in rows} | {row.observer_name for row in observations}
        asked = {row.stimuli for row in observations}
        order = sorted(runs, key=lambda run: (runs[run]["started"], run))
        run_numbers, set_numbers = ({key: i for i, key in enumerate(keys, 1)} for keys in (order, origins))
        return Document(
            program=__version__,
            observers=tuple(
                ExportedObserver(**_stated({**row._asdict(), "card": published(row.card)}, ExportedObserver))
                for row in store.observers(names=names)
            ),
            stimuli=tuple(
                ExportedStimuli(**_named_images(store, digest, note) if digest in asked else note._asdict())
                for digest, note in notes_of(store).items()
                if digest in asked | {row.stimuli for row in rows}
            ),
            runs=tuple(
                ExportedRun(run=run_numbers[run], **_stated(published(runs[run]), ExportedRun)) for run in order
            ),
            score_sets=tuple(
                ExportedScoreSet(
                    id=set_numbers[set_id],
                    observations=tuple(facts["keys"]),
                    runs=tuple(sorted(run_numbers[run] for run in facts["runs"])),
                    **_stated(facts, ExportedScoreSet),
                )
                for set_id, facts in origins.items()
            ),
            scores=tuple(
                ExportedScore(
                    score_set=set_numbers[row.set_id],
                    value=_finite(row.value),
                    **_stated(published(row._asdict()), ExportedScore),
                )
                for row in rows
            ),
            observations=tuple(
                ExportedObservation(
                    **_stated(
                        {**asdict(row), "observer": row.observer_name, "details": published(row.details)},
                        ExportedObservation,
                    )
                )
                for row in observations
            ),
            chunks=tuple(
                ExportedChunk(
                    observation=row.key,
                    index=chunk.index,
                    n=len(next(iter(chunk.columns.values()))),
                    payload=b64encode(encode(chunk.columns)).decode(),
                )
                for row in observations
                for chunk in store.stored_chunks(row.key)
            ),
        )


def _with_trials(store: Store, keys: Set[str]) -> list[StoredObservation]:
    """Those of these observations that are whole, each once."""
    lacking = store.incomplete()
    return [*{row.key: row for row in store.observations() if row.key in keys and row.key not in lacking}.values()]


def _named_images(store: Store, digest: str, note: StimuliNote) -> dict[str, Any]:
    """A stimulus set with the names and labels of its images, which its trials need."""
    shown = store.stimuli(digest)
    return {**note._asdict(), "ids": shown.ids, "labels": {name: tuple(v.tolist()) for name, v in shown.labels.items()}}


def _stated(facts: Mapping[str, Any], part: type[BaseModel]) -> dict[str, Any]:
    """The facts that a part of a document has under the same names, except those that it counts or checks itself."""
    own = {"run", "runs", "id", "observations", "score_set", "value"}
    return {name: facts[name] for name in part.model_fields if name not in own and _finite(facts.get(name)) is not None}


def _of_suite(store: Store, suite: str, filters: Filters) -> list[ScoreRow]:
    rows = store.latest_scores(suite=suite)
    names = chosen_names(store, {row.observer for row in rows}, filters)
    return [row for row in rows if row.observer in names]


def _scored(store: Store, suite: str | None) -> list[str]:
    """The suites with scores, or the one that is asked for; published scores are with all."""
    names = [each.name for each in suites_with_scores(store, suite)]
    return [*names, REPORTED] if suite in (None, "all") else names


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def score_tables(leaderboard: Selection, suite: str | None = None) -> Iterator[Table]:
    """Every current score, single conditions included, those of older weights flagged: a table for each suite."""
    texts = ("observer", "condition", "reason", "flags", "method")
    with leaderboard.reading() as store:
        now, sets = card_status(store, leaderboard.settings), notes_of(store)
        for name in _scored(store, suite):
            rows = map(now.marked, _of_suite(store, name, leaderboard.filters))
            if safe := [row._replace(**{text: published(getattr(row, text)) for text in texts}) for row in rows]:
                yield score_table(safe, sets)
