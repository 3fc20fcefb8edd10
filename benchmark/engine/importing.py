"""Published trials -> observers in the store. Scored like everything else, without any weights.

What an observer answered in an experiment may come in several imports: each is kept as it came. What counts is the
newest, and those before it that it does not contradict: two sessions of a person are one observer, a corrected table
takes a faulty one's place, and the old table imported again takes it back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark.contracts import CHUNK, Array, Observer, Stimuli
from benchmark.engine.scoring import IMPORTED, commonest, imported_groups
from benchmark.errors import TrialsError, unknown_name
from benchmark.identity import digest
from benchmark.stimuli.names import stimulus_id
from benchmark.stimuli.recipes import Recipes, named_recipe, recipes_beside
from benchmark.stimuli.sources import Named
from benchmark.stimuli.trials import TrialFile, read_trials, trial_stimuli
from benchmark.store import Chunk, Observation, Store, StoredObservation

KEPT = ("response", "session", "trial", "rt")
MERGED = "merged"  # the detail of an observation that is made of others: their keys
COLUMNS = ("stimulus", "category", *KEPT)


@dataclass
class ImportReport:
    """What came in: observers by experiment; `trials` counts rows; `known` observations were there already.

    sources: where the observers come from; notes: what a user should know, a line each; superseded: observations
    that count no longer.
    """

    observers: dict[str, list[str]] = field(default_factory=dict)
    trials: int = 0
    known: int = 0
    sources: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)


def import_trials(
    path: Path,
    store: Store,
    run: int,
    training: Recipes | None = None,
    source: str | None = None,
) -> ImportReport:
    """Read a file or a folder of trial tables and store every observer's trials. Raises TrialsError.

    training: recipes of published networks by their name in the tables or here. They go before training.yaml
    beside the tables, that before the recipe that is stored, and that before what a name states. source: where the
    tables come from, where their folder does not tell.
    """
    files = read_trials(path, source=source)
    report = ImportReport(sources=tuple(sorted({file.named.source for file in files})))
    beside, stated = recipes_beside(path), training or {}
    _check_recipes({**beside, **stated} if path.is_dir() else stated, files)
    rows = _put_observers(files, store, {**beside, **stated})
    stored = _stored(store)
    for group in _by_images(map(_with_conditions, _per_observer(files))):
        shared = _put_stimuli(store, group)
        for file in group:
            before = stored.get((str(file.named), file.experiment), [])
            report.observers.setdefault(file.experiment, []).append(str(file.named))
            _import(file, shared, before, _Import(store, run, report, rows[str(file.named)]))
    report.notes += _left_out(store, report.observers)
    return report


@dataclass(frozen=True)
class _Import:
    """Where one observer's trials go."""

    store: Store
    run: int
    report: ImportReport
    observer: int


def _import(
    file: TrialFile, stimuli: Stimuli, before: Sequence[StoredObservation], into: _Import
) -> None:
    """One observer's answers in one experiment, after what was imported before, the newest last."""
    current = _answers(into.store, before[-1]) if before else None
    if current is not None and _within(file.columns, current):
        into.report.known += 1
        return
    key = _put(file, stimuli, into, {"source": file.source, "files": [file.path.name]})
    into.report.trials += len(file)
    keys, whole, withdrawn = [key], file, 0
    for older in reversed(before):
        if MERGED in older.details or older.key == key:
            continue
        answers = _answers(into.store, older)
        if _contradict(whole.columns, answers):
            withdrawn += older.n
        elif not _within(answers, whole.columns):
            whole, keys = (
                replace(whole, columns=_united(whole.columns, answers)),
                [*keys, older.key],
            )
    counting = keys[:1]
    if len(keys) > 1:
        merged = _put(whole, _put_stimuli(into.store, [whole]), into, {MERGED: keys})
        counting = [*counting, merged]
        into.report.notes.append(
            f"{file.named}, {file.experiment}: {len(file)} trials join those imported before: {len(whole)} in all"
        )
    instead = {one.key for one in before} - set(counting)
    into.store.assert_trials(into.run, counting, instead)
    into.report.superseded |= instead
    if withdrawn:
        into.report.notes.append(
            f"{file.named}, {file.experiment}: other answers to the same images were imported before; "
            f"those {withdrawn} trials count no longer"
        )


def _stored(store: Store) -> dict[tuple[str, str], list[StoredObservation]]:
    """(observer, experiment) -> what was imported of them, in the order of their newest assertions."""
    found: dict[tuple[str, str], list[StoredObservation]] = {}
    for one in store.observations(suite=IMPORTED):
        found.setdefault((one.observer_name, one.role), []).append(one)
    return found


def _answers(store: Store, observation: StoredObservation) -> Mapping[str, Array]:
    trials = store.trials((observation.key,))
    return {name: np.asarray(trials[name]) for name in COLUMNS}


def _pairs(columns: Mapping[str, Array]) -> dict[str, tuple[str, str]]:
    """Image -> category and answer."""
    names = ("stimulus", "category", "response")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return {image: (category, answer) for image, category, answer in rows}


def _within(part: Mapping[str, Array], whole: Mapping[str, Array]) -> bool:
    known = _pairs(whole)
    return all(known.get(image) == answer for image, answer in _pairs(part).items())


def _contradict(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    known = _pairs(other)
    return any(known.get(image, answer) != answer for image, answer in _pairs(one).items())


def _united(one: Mapping[str, Array], more: Mapping[str, Array]) -> dict[str, Array]:
    new = ~np.isin(more["stimulus"], one["stimulus"])
    return {name: np.concatenate([one[name], more[name][new]]) for name in COLUMNS}


def _check_recipes(stated: Recipes, files: Sequence[TrialFile]) -> None:
    networks = {name for file in files if file.kind != "human" for name in _names(file)}
    people = {name for file in files if file.kind == "human" for name in _names(file)}
    for name in stated:
        if name in people:
            raise TrialsError(f"training of '{name}': people have no training recipe.")
        if name not in networks:
            raise unknown_name(
                "observer in these tables", name, networks, "Its training was stated."
            )


def _names(file: TrialFile) -> tuple[str, str]:
    """What an observer is called in the tables, and here."""
    return file.observer, str(file.named)


def _put_observers(files: Iterable[TrialFile], store: Store, stated: Recipes) -> dict[str, int]:
    """Every observer under its name, with its source and the recipe on its card; name -> id."""
    cards = {row.name: row.card for row in store.observers()}
    rows = {}
    for name, file in {str(file.named): file for file in files}.items():
        source, known_as = file.named
        card = {**cards.get(name, {}), "source": source, "named": known_as}
        told = next((stated[one] for one in _names(file) if one in stated), None)
        recipe = told or card.get("training") or named_recipe(file.observer)
        if recipe:
            card["training"] = list(recipe)
        identity = digest([file.kind, source, known_as])
        rows[name] = store.put_observer(Observer(name, file.kind, identity, card))
    return rows


def _per_observer(files: Iterable[TrialFile]) -> list[TrialFile]:
    """All that one observer answered in one experiment as one file: each image once, as it was first answered."""
    groups: dict[tuple[str, Named], list[TrialFile]] = {}
    for file in files:
        groups.setdefault((file.experiment, file.named), []).append(file)
    return [_joined(mine) for mine in groups.values()]


def _joined(files: Sequence[TrialFile]) -> TrialFile:
    columns = {
        name: np.concatenate([file.columns[name] for file in files]) for name in files[0].columns
    }
    shown: dict[tuple[str, str], int] = {}
    pairs = zip(columns["condition"].tolist(), columns["stimulus"].tolist(), strict=True)
    for i, pair in enumerate(pairs):
        shown.setdefault(pair, i)
    first = list(shown.values())
    return replace(files[0], columns={name: values[first] for name, values in columns.items()})


def _with_conditions(file: TrialFile) -> TrialFile:
    """One image under eight degradations is eight stimuli: "c05/n02134084_5274.png"."""
    pairs = zip(file.columns["condition"], file.columns["stimulus"], strict=True)
    names = [stimulus_id(str(condition), str(image)) for condition, image in pairs]
    return replace(file, columns={**file.columns, "stimulus": np.array(names)})


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


def _put(file: TrialFile, stimuli: Stimuli, into: _Import, details: Mapping[str, object]) -> str:
    """Store one observer's answers to all images of a set; the observation's key."""
    columns, n = _ordered(file.columns, stimuli), len(stimuli)
    named = [file.named.source, file.named.name]
    key = digest([IMPORTED, *named, stimuli.digest, columns["response"].tolist()])
    observation = Observation(
        key=key,
        observer=into.observer,
        suite=IMPORTED,
        version=1,
        space=stimuli.space,
        stimuli=stimuli.digest,
        role=stimuli.name,
        condition="",
        presentation="published",
        transform="",
        n=n,
        details=details,
    )
    into.store.put_observation(into.run, observation)
    chunks = [
        Chunk(key, start // CHUNK, start, {k: v[start : start + CHUNK] for k, v in columns.items()})
        for start in range(0, n, CHUNK)
    ]
    into.store.put_chunks(into.run, chunks)
    return key


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
    return {name: columns[name][at] for name in KEPT}


def _left_out(store: Store, experiments: Iterable[str]) -> list[str]:
    """A line for each experiment in which observers lack images that most of their source answered: no table has them,
    or in case of people none has them in their group.
    """
    groups = imported_groups(store)
    lines = []
    for role in experiments:
        current = {name: mine[-1] for (name, of), mine in _stored(store).items() if of == role}
        sets = {one.stimuli for one in current.values()}
        ids = {stimuli: set(store.stimuli(stimuli).ids) for stimuli in sets}
        usual = {
            group: commonest(
                [{role: one} for name, one in current.items() if groups[name] == group]
            )
            for group in {groups[name] for name in current}
        }
        shown = [ids[chosen[role]] for chosen in usual.values()]
        partial = []
        for name, one in current.items():
            wanted, answered = ids[usual[groups[name]][role]], ids[one.stimuli]
            alone = groups[name][0] != "human" and any(images <= answered for images in shown)
            if not alone and (lacking := len(wanted - answered)):
                partial.append(f"{name} lacks {lacking} of {len(wanted)}")
        if partial:
            lines.append(
                f"{role}: {', '.join(partial)} images that most others answered: left out of its tables; "
                "the trials are kept"
            )
    return lines
