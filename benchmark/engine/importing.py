"""Published trials -> observers in the store. Scored like everything else, without any weights.

A new import of a source takes the place of all that was imported of it before: a corrected table takes a faulty one's
place, and the old one imported again takes it back. What an observer answered in several files of one import counts
together, such as the sessions of a person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

import benchmark
from benchmark.contracts import CHUNK, Array, Observer, Score, Stimuli
from benchmark.engine.reference_trials import left_out
from benchmark.errors import TrialsError, unknown_name
from benchmark.stack_columns import stacked
from benchmark.stimuli.catalogue import Named, known_of, prompt_order, stimulus_id
from benchmark.stimuli.regenerate import Recipes, named_recipe, recipes_beside, trial_stimuli
from benchmark.stimuli.score_tables import ReportedScore
from benchmark.stimuli.trials import MARGIN, NO_HINTS, TableHints, TrialFile, read_tables
from benchmark.store import IMPORTED, Chunk, Observation, ScoreRow, ScoreSet, Store
from registry.files import digest_data, digest_file

# Answers of one observer that came in several files or imports: put together, and held against one another.


KEPT = ("response", "session", "trial", "rt")


@dataclass
class ImportReport:
    """What came in: observers by experiment; `trials` counts rows; `known` observations were there already.

    sources: where the observers come from; notes: what a user should know, a line each; replaced: observations of
    earlier imports of the same sources that do not count any more.
    """

    observers: dict[str, list[str]] = field(default_factory=dict)
    trials: int = 0
    known: int = 0
    sources: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    replaced: int = 0
    unfit: list[str] = field(default_factory=list)
    """Why files that should hold trials were left out, one line each."""


def import_trials(
    path: Path,
    store: Store,
    run: str,
    training: Recipes | None = None,
    stated: TableHints = NO_HINTS,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Read a file or a folder of trial tables and store every observer's trials. Raises TrialsError.

    training: recipes of published networks by their name in the tables or here. They go before training.yaml
    beside the tables, that before the recipe that is stored, and that before what a name states. stated: what the
    user says of the tables; advance: told how many pieces of how many are stored.
    """
    tables = read_tables(path, stated)
    files = tables.files
    report = ImportReport(sources=tuple(sorted({file.named.source for file in files})))
    report.unfit += map(str, tables.unfit.values())
    report.notes += [f"{place.name}: {what}, no trials" for place, what in tables.others.items()]
    beside, given = recipes_beside(path), training or {}
    _check_recipes({**beside, **given} if path.is_dir() else given, files)
    rows = _put_observers(files, store, {**beside, **given})
    counting = {row.key for row in store.observations(suite=IMPORTED)}
    imported: dict[str, set[str]] = {}
    pieces, done = [with_conditions(file) for file in _per_observer(files)], 0
    for group in _by_images(pieces):
        stimuli = _put_stimuli(store, group)
        for file in group:
            who = report.observers.setdefault(file.experiment, [])
            if str(file.named) not in who:
                who.append(str(file.named))
            observation, columns = _observation(file, stimuli, rows[str(file.named)])
            if observation.key in counting:
                report.known += 1
            else:
                report.trials += len(file)
                _put(store, run, observation, columns)
            imported.setdefault(file.source, set()).add(observation.key)
            done += 1
            advance(done, len(pieces))
    for source, keys in imported.items():
        if gone := store.put_import(run, source, keys):
            report.replaced += gone
            report.notes.append(
                f"{source}: this import takes the place of an earlier one, of which {gone} observers' answers do not "
                "count any more; import all tables of a source together"
            )
    report.notes += left_out(store, report.observers)
    return report


def _asked(file: TrialFile) -> dict[str, object]:
    """The prompt, and by what the prompts of one observer are ordered; nothing where there is none."""
    if not file.prompt:
        return {}
    return {"prompt": file.prompt, "order": list(prompt_order(file.source, file.prompt))}


def _check_recipes(stated: Recipes, files: Sequence[TrialFile]) -> None:
    networks = {name for file in files if file.kind != "human" for name in _names(file)}
    people = {name for file in files if file.kind == "human" for name in _names(file)}
    for name in stated:
        if name in people:
            raise TrialsError(f"training of '{name}': people have no training recipe.")
        if name not in networks:
            raise unknown_name("observer in these tables", name, networks, "Its training was stated.")


def _names(file: TrialFile) -> tuple[str, str]:
    """What an observer is called in the tables, and here."""
    return file.observer, str(file.named)


def _put_observers(files: Iterable[TrialFile], store: Store, stated: Recipes) -> dict[str, str]:
    """Every observer under its name, with its source and the recipe on its card; name -> id."""
    cards = {row.name: row.card for row in store.observers()}
    rows = {}
    for name, file in {str(file.named): file for file in files}.items():
        source, known_as = file.named
        card = {**cards.get(name, {}), "source": source, "named": known_as}
        given = next((stated[observer] for observer in _names(file) if observer in stated), None)
        known = known_of(file.named)
        if known.family:
            card["family"] = known.family
        recipe = given or card.get("training") or known.training or named_recipe(file.observer)
        if recipe:
            card["training"] = list(recipe)
        identity = digest_data([file.kind, source, known_as])
        rows[name] = store.put_observer(Observer(name, file.kind, identity, card))
    return rows


def _per_observer(files: Iterable[TrialFile]) -> list[TrialFile]:
    """All that one observer answered in one experiment, asked in one way, as one file: each image once, as it was
    first answered.
    """
    groups: dict[tuple[str, Named, str], list[TrialFile]] = {}
    for file in files:
        groups.setdefault((file.experiment, file.named, file.prompt), []).append(file)
    return [joined(same) for same in groups.values()]


def _put_stimuli(store: Store, files: Sequence[TrialFile]) -> Stimuli:
    """The set that these observers answered."""
    stimuli = _labelled(trial_stimuli(files))
    store.put_stimuli(stimuli)
    return stimuli


def _labelled(stimuli: Stimuli) -> Stimuli:
    """The set with a label column "condition" where its names carry one."""
    conditions = [name.rpartition("/")[0] for name in stimuli.ids]
    if not any(conditions):
        return stimuli
    return replace(stimuli, labels={**stimuli.labels, "condition": np.array(conditions)})


def _observation(file: TrialFile, stimuli: Stimuli, observer: str) -> tuple[Observation, dict[str, Array]]:
    """One observer's answers to all images of a set, and their columns."""
    columns = _ordered(file.columns, stimuli)
    answers: list[object] = [columns["response"].tolist()]
    if MARGIN in columns:  # what was imported without them is another observation
        answers.append(columns[MARGIN].tobytes().hex())
    if file.prompt:
        answers.append(file.prompt)
    observation = Observation(
        key=digest_data([IMPORTED, *file.named, stimuli.digest, *answers]),
        observer=observer,
        suite=IMPORTED,
        version=1,
        space=stimuli.space,
        stimuli=stimuli.digest,
        role=stimuli.name,
        condition="",
        presentation="published",
        transform="",
        n=len(stimuli),
        details={"source": file.source, "files": [file.path.name], **_asked(file)},
    )
    return observation, columns


def _put(store: Store, run: str, observation: Observation, columns: Mapping[str, Array]) -> None:
    store.put_observation(run, observation)
    parts = [
        {name: values[start : start + CHUNK] for name, values in columns.items()}
        for start in range(0, observation.n, CHUNK)
    ]
    store.put_chunks(run, [Chunk(observation.key, at, at * CHUNK, part) for at, part in enumerate(parts)])


def joined(files: Sequence[TrialFile]) -> TrialFile:
    """One file of several: each image once, as it was first answered."""
    columns = stacked([file.columns for file in files])
    shown: dict[tuple[str, str], int] = {}
    pairs = zip(columns["condition"].tolist(), columns["stimulus"].tolist(), strict=True)
    for i, pair in enumerate(pairs):
        shown.setdefault(pair, i)
    first = list(shown.values())
    return replace(files[0], columns={name: values[first] for name, values in columns.items()})


def with_conditions(file: TrialFile) -> TrialFile:
    """One image under eight degradations is eight stimuli: "c05/n02134084_5274.png"."""
    shown = (file.columns[name].tolist() for name in ("condition", "stimulus"))
    names = [stimulus_id(condition, image) for condition, image in zip(*shown, strict=True)]
    return replace(file, columns={**file.columns, "stimulus": np.array(names)})


def _by_images(files: Iterable[TrialFile]) -> list[list[TrialFile]]:
    """Files of one experiment grouped by the set of images that their observer answered."""
    groups: dict[tuple[str, frozenset[str]], list[TrialFile]] = {}
    for file in files:
        images = frozenset(file.columns["stimulus"].tolist())
        groups.setdefault((file.experiment, images), []).append(file)
    return list(groups.values())


def _ordered(columns: Mapping[str, Array], stimuli: Stimuli) -> dict[str, Array]:
    """One answer per image, in the set's order."""
    order = np.argsort(columns["stimulus"])
    at = order[np.searchsorted(columns["stimulus"][order], np.asarray(stimuli.ids))]
    return {name: columns[name][at] for name in (*KEPT, MARGIN) if name in columns}


# Published scores -> observers of the kind "reported" in the store, without any trials.


#: The kind of observer, and the suite of its scores as the store knows it.
REPORTED: Final = "reported"
SPACE = "as published"
NO_SUITE = "-"  # the role of a score that is no suite's subject

Key = tuple[str, str, str]  # role, metric, condition


@dataclass
class ScoresReport:
    """What came in. scores: new numbers; known: those that were there; changed: those that had another value."""

    observers: list[str] = field(default_factory=list)
    sources: tuple[str, ...] = ()
    scores: int = 0
    known: int = 0
    changed: int = 0
    notes: list[str] = field(default_factory=list)


def reported_name(observer: Named) -> str:
    """What an observer without trials is called: no name that one with trials has."""
    return f"{observer.name} ({observer.source}, {REPORTED})"


def put_scores(scores: Iterable[ReportedScore], store: Store, run: str) -> ScoresReport:
    """Store every observer's scores beside those that it has; of two values of one metric the newer one counts."""
    by_observer: dict[Named, list[ReportedScore]] = {}
    for score in scores:
        by_observer.setdefault(score.observer, []).append(score)
    report = ScoresReport(sources=tuple(sorted({observer.source for observer in by_observer})))
    before = _stored_scores(store)
    for observer, rows in by_observer.items():
        name = reported_name(observer)
        report.observers.append(name)
        held, new = before.get(name, {}), {_key(row): _stated(row) for row in rows}
        report.known += sum(held.get(key) == score for key, score in new.items())
        report.changed += sum(key in held and held[key] != score for key, score in new.items())
        report.scores += len(new.keys() - held.keys())
        merged = {**held, **new}
        _put_scores(store, run, observer, [merged[key] for key in sorted(merged)])
    return report


def _put_scores(store: Store, run: str, observer: Named, scores: list[Score]) -> None:
    known = known_of(observer)
    card: dict[str, object] = {"source": observer.source, "named": observer.name}
    if known.family:
        card["family"] = known.family
    if known.training:
        card["training"] = list(known.training)
    identity = digest_data([REPORTED, *observer])
    row = store.put_observer(Observer(reported_name(observer), REPORTED, identity, card))
    code = digest_data([[repr(part) for part in _parts(score)] for score in scores])
    target = ScoreSet(row, REPORTED, 1, SPACE, code, {}, ())
    if not store.has_scores(target):
        store.put_scores(run, target, scores)


def _stored_scores(store: Store) -> dict[str, dict[Key, Score]]:
    stored: dict[str, dict[Key, Score]] = {}
    for row in store.latest_scores(suite=REPORTED):
        key = row.role, row.metric, row.condition
        stored.setdefault(row.observer, {})[key] = _score(row)
    return stored


def _key(score: ReportedScore) -> Key:
    return score.suite or NO_SUITE, score.metric, score.condition


def _stated(score: ReportedScore) -> Score:
    return _score(score, role=score.suite or NO_SUITE, flags=score.remarks)


def _score(given: ScoreRow | ReportedScore, **own: Any) -> Score:
    """What is called alike in both, and `own`."""
    alike = {column.name: getattr(given, column.name) for column in fields(Score) if hasattr(given, column.name)}
    return Score(**{**alike, **own})


def _parts(score: Score) -> tuple[object, ...]:
    numbers = (score.value, score.low, score.high, score.level, score.n)
    return (score.role, score.metric, score.condition, *numbers, score.method, *score.flags)


# Folders of published tables that are in a leaderboard already: known by their files, so that none is read again.
#
# Noted is a digest of three things: the folder's files, the program that reads them, and what counts in the
# leaderboard
# (imported observers, their cards, their answers). Where one of them has changed the tables are read again.


_PROGRAM = (".py", ".yaml")


def note_tables(store: Store, name: str, folder: Path) -> None:
    """Remember that all tables of a folder are in, as they are."""
    store.note_run(f"tables of {name} as they were read", {"read": _now(store, folder)})


def are_in(store: Store, folder: Path) -> bool:
    """Whether reading this folder would change nothing."""
    return store.was_noted({"read": _now(store, folder)})


def _now(store: Store, folder: Path) -> str:
    program = Path(benchmark.__file__).parent
    return digest_data([_files(folder), _files(program, _PROGRAM), _counting(store)])


def _files(folder: Path, endings: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    places = sorted(place for place in folder.rglob("*") if place.is_file())
    return [
        (place.relative_to(folder).as_posix(), digest_file(place))
        for place in places
        if not endings or place.suffix in endings
    ]


def _counting(store: Store) -> list[list[object]]:
    """Imported observers, and what counts of their answers, in the order in which it came."""
    rows = store.observers(kinds=("human", "published"))
    answers = store.observations(suite=IMPORTED)
    observers: list[list[object]] = [[row.name, row.identity, row.card] for row in rows]
    return observers + [[row.observer_name, row.role, row.key] for row in answers]
