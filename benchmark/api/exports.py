"""Export a leaderboard as tidy tables or as one document; compute error consistency from its trials."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np

from benchmark import plugins
from benchmark.api import leaderboards
from benchmark.api.leaderboards import Filtered, Selection, chosen_names, notes_of, require_observer
from benchmark.api.options import AmongShown, By, Filters, Names, Option, SuiteName, Unseen, joined
from benchmark.api.ranking import rank, reported
from benchmark.contracts import Suite, Trials
from benchmark.contracts.trials import Columns, as_coded
from benchmark.display import published
from benchmark.failures import BenchError, UsageError, unknown_name
from benchmark.leaderboard import field_formats, leaderboard_document
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.citations import bibliography, works_of
from benchmark.leaderboard.consistency import AVERAGED, ExperimentTrials, shared
from benchmark.leaderboard.forms import rendered, written
from benchmark.leaderboard.table import Table, finite, records
from benchmark.observer_trials import counting_observations, observer_trials
from benchmark.stimuli.trial_tables import SHOWN
from benchmark.store import IMPORTED, PAIRED, ScoreRow, Store
from benchmark.store.codec import encode
from benchmark.version import __version__
from registry.files import write_whole
from registry.labels import label_space

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel


#: Label spaces whose categories name the columns of probabilities.
NAMED_SPACES = ("geirhos16", "world16")
SEVERAL = "every-eval-ever"  # the form that is a folder of files
#: Ending of a file -> form; every other file is written as CSV.
ENDINGS = {f".{form}": form for form in ("json", "markdown", "html", "parquet")} | {".md": "markdown", ".tex": "latex"}
Part = TypeVar("Part", bound="BaseModel")


def _named_trials(store: Store, suite: Suite, observer: str) -> Trials | None:
    require_observer(store, observer, trials=True)
    return observer_trials(store, suite, observer)


def consistency(
    leaderboard: Filtered,
    observers: Annotated[Sequence[str], Option("Two or more observers (default: all).")] = (),
    *,
    experiment: Annotated[str | None, Option("Use only this experiment: edges, ...", "--experiment", "-e")] = None,
) -> ExperimentTrials:
    """Compute error consistency (kappa) between observers.

    Each pair is compared on the images that both answered; the table shows intervals and counts. Kappa is 1 if two
    observers are correct and incorrect on the same images, 0 if they agree as often as expected from their accuracies,
    and negative if they agree less often (Geirhos, Meding & Wichmann 2020). The value of an experiment is the mean over
    the conditions that enter its averages."""
    if isinstance(observers, str):
        observers = [name.strip() for name in observers.split(",") if name.strip()]
    suites = [suite for suite in plugins.find_suites().suites.values() if suite.experiments]
    answers: dict[str, dict[str, Trials]] = {}
    with leaderboard.reading() as store:
        every = observers or [note.name for note in store.observers() if note.kind != "reported"]
        shown = chosen_names(store, every, leaderboard.filters)
        for name, suite in product([name for name in every if name in shown], suites):
            if (trials := _named_trials(store, suite, name)) is not None:
                counts = np.ones(len(trials), bool) if suite.averaged is None else suite.averaged(trials)
                trials = replace(trials, columns=Columns({**as_coded(trials.columns), AVERAGED: counts}))
                for role in dict.fromkeys(trials["role"].tolist()):
                    answers.setdefault(role, {}).setdefault(name, trials.of(role))
    return shared(answers, experiment)


def trials(
    leaderboard: Selection,
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str, Option("Use this suite.")],
) -> pd.DataFrame:
    """Return one row per trial with its labels and the columns that the suite kept; vectors have a column each."""
    with leaderboard.reading() as store:
        return _answers(store, plugins.named_suite(suite.strip(), plugins.find_suites(suite)), observer)[1]


def _answers(store: Store, suite: Suite, observer: str) -> tuple[Trials, pd.DataFrame]:
    import pandas as pd

    if (answers := _named_trials(store, suite, observer)) is None:
        raise BenchError(f"'{observer}' has no trials under '{suite.name}': compute them with `bench run`.")
    columns: dict[str, Any] = {}
    for name, values in answers.columns.items():
        if values.ndim == 1:
            columns[name] = values
            continue
        # Probabilities are named by the categories of the label space that fits, other vectors are numbered.
        flat = values.reshape(len(values), -1)
        parts: Sequence[object] = range(flat.shape[1])
        for space in map(label_space, NAMED_SPACES) if name == "probability" else ():
            if len(space.classes) == len(parts) and set(answers["category"]) <= set(space.classes):
                parts = space.classes
        columns |= {f"{name}_{part}": flat[:, i] for i, part in enumerate(parts)}
    return answers, pd.DataFrame(columns)


def export(
    leaderboard: Filtered,
    suite: SuiteName = None,
    *,
    by: By = None,
    unseen_only: Unseen = False,
    among_shown: AmongShown = False,
    columns: Annotated[Names | None, Option("Take these columns, in this order.", metavar="COLUMN")] = None,
    digits: Annotated[int | None, Option("Round numbers to this many decimals.", least=0, most=15)] = None,
    format: Annotated[
        Literal["csv", "json", "markdown", "latex", "html", "parquet", "every-eval-ever", "eval-results", "model-index"]
        | None,
        Option("Choose the format (default: by the ending of --output)."),
    ] = None,
    every_score: Annotated[bool, Option("Export every score (json: with provenance).", "--scores")] = False,
    trials_of: Annotated[str | None, Option("Export all trials under --suite.", "--trials", metavar="OBSERVER")] = None,
    output: Annotated[str | Path | None, Option("Write to this path.", "--output", "-o", kind="new path")] = None,
) -> str:
    """Export ranked tables, scores or trials.

    Tables in csv, json and parquet have full precision; markdown, latex (booktabs) and html (to embed) have the printed
    numbers. --columns takes keys or titles of columns, such as "rank,shape_bias,n,edges*". --scores exports every
    score, --trials every trial of an observer. every-eval-ever, eval-results (Hugging Face) and model-index are formats
    of others, for networks (docs/export.md).

    Returns the text, or "" if it was written to an output file."""
    form = format or (ENDINGS.get(Path(output).suffix.lower(), "csv") if output else "csv")
    whole = {"scores": every_score, "trials": bool(trials_of)}
    said = {"by": by, "unseen-only": unseen_only, "among-shown": among_shown, "columns": columns, "digits": digits}
    named = [f"--{name}" for name, value in {**whole, **said}.items() if value is not None and value is not False]
    named += [form] * (form in field_formats.FORMS)
    if len(named) > 1 and (any(whole.values()) or form in field_formats.FORMS):
        raise UsageError(f"{', '.join(named)} cannot be combined: each of them decides what is exported.")
    if trials_of and (leaderboard.filters or form not in ("csv", "parquet")):
        raise UsageError("--trials OBSERVER writes csv or parquet and takes no filters.")
    if output is None and form in (SEVERAL, "parquet"):
        raise UsageError(f"{form} is not printed: give -o {'FOLDER' if form == SEVERAL else 'FILE.parquet'}.")
    if output is not None and (Path(output).is_file() if form == SEVERAL else Path(output).is_dir()):
        raise UsageError(f"{output} is {'a file' if form == SEVERAL else 'a folder'}: name another with --output.")
    if form in field_formats.FORMS:
        return _in_field_format(leaderboard, suite, form, output)
    tables: Iterable[Table] = ()
    if every_score:
        tables = score_tables(leaderboard, suite)
    elif not trials_of:
        tables = map(board_table, rank(leaderboard, suite, by=by, unseen_only=unseen_only, among_shown=among_shown))
        if not by and not unseen_only:  # published scores have no metric of --by, and their conditions are not known
            tables = chain(tables, map(board_table, reported(leaderboard, suite)))
        if columns:
            tables = _of_columns([*tables], [name.strip() for name in joined(columns).split(",")])
        if digits is not None:
            tables = (replace(table, digits=digits) for table in tables)
    if form == "parquet" or trials_of:
        return _framed(_trials_of(leaderboard, trials_of, suite) if trials_of else tables, form, output)
    if every_score and form == "json":
        plain = document(leaderboard, suite).model_dump(mode="json")
        return written([json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"], output)
    return written(rendered(tables, form), output)


def _framed(rows: pd.DataFrame | Iterable[Table], form: str, output: str | Path | None) -> str:
    """Write trials or tables with pandas."""
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame([r for table in rows for r in records(table)])
    if form == "csv":
        text = frame.to_csv(index=False)
        # "\r" is quoted only if it is part of the line's end.
        return written([frame.to_csv(index=False, lineterminator="\r\n") if "\r" in text else text], output)
    try:
        frame.to_parquet(output, index=False)
    except ImportError as error:
        raise BenchError("Parquet needs pyarrow: pip install 'gestaltbench[parquet]', or write a .csv.") from error
    return ""


def _in_field_format(leaderboard: Selection, suite: str | None, form: str, output: str | Path | None) -> str:
    """Return the scores of networks in another project's format; write them if there is an output."""
    with leaderboard.reading() as store:
        every = _current_scores(store, suite, leaderboard.filters)
        parts = [part for rows in every for part in _suite_scores(store, rows)]
        if not parts:
            raise BenchError("no network has scores of its trials in this leaderboard: see `bench rank`.")
        if form == "eval-results" and len(names := {part.observer.name for part in parts}) > 1:
            raise UsageError(f"{form} is for one network's repository: choose one of {len(names)} with --model.")
        if form != SEVERAL:
            return written([field_formats.headlines(parts, form)], output)
        for part in parts:
            answers = _named_trials(store, part.suite, part.observer.name)
            for path, text in field_formats.every_eval_ever(part, answers):
                write_whole(Path(str(output)) / path, text)
    return ""


def _suite_scores(store: Store, rows: Sequence[ScoreRow]) -> Iterator[field_formats.SuiteScores]:
    own: dict[tuple[str, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.kind in ("network", "published") and row.suite != REPORTED and row.value is not None:
            own[row.suite, row.observer].append(row)
    for (name, observer), scores in own.items():
        (who,), suite = store.observers(names=(observer,)), plugins.named_suite(name, plugins.find_suites(name))
        yield field_formats.SuiteScores(observer=who, suite=suite, rows=tuple(scores), sets=notes_of(store))


def badge(
    leaderboard: Selection,
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str | None, Option("Use this suite (default: the only one with scores).")] = None,
    *,
    metric: Annotated[str | None, Option("Use this metric (default: the headline).")] = None,
    output: Annotated[str | Path | None, Option("Write to this file.", "--output", "-o", kind="new file")] = None,
) -> str:
    """Draw a number with its interval as a badge (SVG).

    Returns the text, or "" if it was written to an output file."""
    with leaderboard.reading() as store:
        require_observer(store, observer)
        held = list(_suite_scores(store, store.latest_scores(suite=suite, observers=[observer], conditions=("",))))
    if len(held) != 1:
        names = ", ".join(part.suite.name for part in held)
        raise UsageError(f"'{observer}' needs one suite: as a network, it has scores under {names or 'none'}.")
    part, name = held[0], metric or held[0].suite.headline.name
    found = [row for row in part.rows if row.metric == name]
    if not found:
        raise unknown_name("metric", name, {row.metric for row in part.rows})
    # of several stimulus sets, the one with most trials
    return written([field_formats.badge_svg(part, max(found, key=lambda row: row.n))], output)


def cite(leaderboard: Filtered, suite: SuiteName = None) -> str:
    """Print BibTeX of what the tables rest on: suites, stimuli, published answers, networks.

    A comment above each entry names what rests on it. Filters choose rows, as for `bench rank`.

    Returns the text."""
    boards = [*rank(leaderboard, suite), *reported(leaderboard, suite)]
    with leaderboard.reading() as store:
        observers = {row.name: row for row in store.observers()}
        return bibliography(works_of(boards, observers, leaderboards.suites_with_scores(store)))


def _of_columns(tables: Sequence[Table], names: Sequence[str]) -> list[Table]:
    """Return the tables that have a number of these columns. Raises UnknownName for a column that no table has."""
    for name in names:
        if not any(table.named(name) for table in tables):
            known = {field.key or field.title for table in tables for field in table.fields}
            raise unknown_name("column", name, known - {""}, "`bench rank --explain` explains them.")
    chosen = [table for table in (each.of_columns(names) for each in tables) if table is not None]
    return [table for table in chosen if table.numbers] or chosen


def _trials_of(leaderboard: Selection, observer: str, suite: str | None) -> pd.DataFrame:
    """Return trials with the columns that `bench import trials` needs, under a suite or the only suite with trials."""
    with leaderboard.reading() as store:
        if suite is None:
            names = {held.suite for held in store.observations() if held.observer_name == observer}
            names = {name for name in names if name != IMPORTED and not name.endswith(PAIRED)}  # not one suite's own
            if len(names) != 1:
                under = f" ({', '.join(sorted(names))})" if names else ""
                raise UsageError(f"--trials {observer} needs --suite{under}.")
            (suite,) = names
        chosen = plugins.named_suite(suite.strip(), plugins.find_suites(suite))
        answers, frame = _answers(store, chosen, observer)
        (who,) = store.observers(names=(observer,))
        # Each trial's experiment (its name in tables of trials, or ""), stimulus set and label space.
        shown = [dict.fromkeys(SHOWN, "") for _ in range(len(answers))]
        experiments = {role: name for name, role in reversed([*chosen.experiments.items()])}
        trials = list(zip(*(answers[name].tolist() for name in ("role", "condition", "stimulus")), strict=True))
        for own, held in counting_observations(store, chosen, observer):
            stimuli = store.stimuli(held.stimuli)
            images = {*stimuli.ids}
            for facts, (role, condition, image) in zip(shown, trials, strict=True):
                if role == own and image in images:
                    # an image under the suite's own transform has the name of the image without it
                    named = experiments.get(role, "") if image.startswith(f"{condition}/" if condition else "") else ""
                    facts |= zip(SHOWN, (named, stimuli.name, held.space), strict=True)
    frame.insert(0, "observer", who.card.get("named", observer))
    for i, name in enumerate(SHOWN, 1):
        frame.insert(i, name, [facts[name] for facts in shown])
    return frame


def score_tables(leaderboard: Selection, suite: str | None = None) -> Iterator[Table]:
    """Yield a table of each suite's current scores, single conditions included; scores of older weights are flagged."""
    texts = ("observer", "condition", "reason", "flags", "method")
    with leaderboard.reading() as store:
        now, sets = leaderboards.card_status(store, leaderboard.settings), notes_of(store)
        for rows in _current_scores(store, suite, leaderboard.filters):
            marked = map(now.marked, rows)
            if safe := [row._replace(**{text: published(getattr(row, text)) for text in texts}) for row in marked]:
                yield score_table(safe, sets)


def _current_scores(store: Store, suite: str | None, filters: Filters) -> Iterator[list[ScoreRow]]:
    """Yield the scores of each suite; published scores are included if all suites are asked for."""
    names = [each.name for each in leaderboards.suites_with_scores(store, suite)]
    for name in [*names, REPORTED] if suite in (None, "all") else names:
        rows = store.latest_scores(suite=name)
        chosen = chosen_names(store, {row.observer for row in rows}, filters)
        yield [row for row in rows if row.observer in chosen]


def document(leaderboard: Filtered, suite: str | None = None) -> leaderboard_document.Document:
    """Return every current score with its conditions, intervals, provenance and trials, as one document."""
    form = leaderboard_document
    with leaderboard.reading() as store:
        rows = [row for part in _current_scores(store, suite, leaderboard.filters) for row in part]
        origins = {set_id: store.provenance(set_id) for set_id in dict.fromkeys(row.set_id for row in rows)}
        runs = {run: facts for origin in origins.values() for run, facts in origin["runs"].items()}
        keys = {key for facts in origins.values() for key in facts["keys"]} - store.incomplete().keys()
        observations = [*{row.key: row for row in store.observations() if row.key in keys}.values()]
        names = {row.observer for row in rows} | {row.observer_name for row in observations}
        asked = {row.stimuli for row in observations}
        used = asked | {row.stimuli for row in rows}
        # A document numbers its runs and score sets: their digests mean nothing elsewhere.
        order = sorted(runs, key=lambda run: (runs[run]["started"], run))
        run_numbers, set_numbers = ({key: i for i, key in enumerate(keys, 1)} for keys in (order, origins))
        scores, sets, answers, chunks = [], [], [], []
        for row in rows:
            plain = published(row._asdict()) | {"score_set": set_numbers[row.set_id]}
            # Scores that were not finite have no value.
            scores.append(_part(form.ExportedScore, plain, value=finite(plain["value"])))
        for set_id, facts in origins.items():
            own = {"id": set_numbers[set_id], "runs": tuple(sorted(run_numbers[run] for run in facts["runs"]))}
            sets.append(_part(form.ExportedScoreSet, facts, **own, observations=tuple(facts["keys"])))
        for held in observations:
            own = {"observer": held.observer_name, "details": published(held.details)}
            answers.append(_part(form.ExportedObservation, asdict(held), **own))
            for chunk in store.stored_chunks(held.key):
                n, payload = len(next(iter(chunk.columns.values()))), b64encode(encode(chunk.columns)).decode()
                chunks.append(form.ExportedChunk(observation=held.key, index=chunk.index, n=n, payload=payload))
        stated = form.ExportedStimuli
        shown = {digest: note for digest, note in notes_of(store).items() if digest in used}
        cards = ((row._asdict(), published(row.card)) for row in store.observers(names=names))
        return form.Document(
            program=__version__,
            observers=tuple(_part(form.ExportedObserver, row, card=card) for row, card in cards),
            stimuli=tuple(
                stated.of(store.stimuli(digest)) if digest in asked else _part(stated, note._asdict())
                for digest, note in shown.items()
            ),
            runs=tuple(_part(form.ExportedRun, published(runs[run]), run=run_numbers[run]) for run in order),
            score_sets=tuple(sets),
            scores=tuple(scores),
            observations=tuple(answers),
            chunks=tuple(chunks),
        )


def _part(kind: type[Part], facts: Mapping[str, Any], **own: Any) -> Part:
    """Return a part of a document: the facts under its field names, and its own values."""
    known = {name: facts[name] for name in kind.model_fields if finite(facts.get(name)) is not None}
    return kind(**{**known, **own})
