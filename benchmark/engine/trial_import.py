"""Published trials -> observers in the store, which are scored like networks, without any weights. A new import of an
experiment from a source replaces its earlier ones; several files of one import count together."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmark.contracts import CHUNK, Observer, Score, Stimuli
from benchmark.contracts.trials import stacked_tables
from benchmark.failures import unknown_name
from benchmark.observer_trials import left_out
from benchmark.stimuli.image_names import stimulus_id
from benchmark.stimuli.published_sources import ObserverName, prompt_order, published_network
from benchmark.stimuli.regenerate import Recipes, named_recipe, trial_stimuli
from benchmark.stimuli.score_tables import ReportedScore
from benchmark.stimuli.trial_tables import CHOICES, CONFIDENCE, MARGIN, NO_HINTS, TableHints, TrialFile, read_tables
from benchmark.store import IMPORTED, Chunk, Observation, ScoreRow, ScoreSet, Store
from registry.files import digest_data

KEPT = ("response", "session", "trial", "rt", CONFIDENCE, CHOICES)


@dataclass(kw_only=True)
class ImportReport:
    """The outcome of an import of trials."""

    observers: dict[str, list[str]] = field(default_factory=dict)  # by experiment
    trials: int = 0  # new rows
    known: int = 0  # observations that were stored already
    sources: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)  # for the user, a line each
    replaced: int = 0  # observations of earlier imports of the same sources that no longer count
    unfit: list[str] = field(default_factory=list)  # why files that should hold trials were left out, a line each


def store_trials(
    path: Path,
    store: Store,
    run: str,
    training: Recipes | None = None,
    stated: TableHints = NO_HINTS,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Store every observer's trials of a file or a folder of tables. training: recipes of networks by name, before
    stored ones and those in names; advance: called with (stored, all) pieces. Raises TrialsError."""
    tables = read_tables(path, stated)
    report = ImportReport(
        sources=tuple(sorted({file.who.source for file in tables.files})),
        unfit=list(map(str, tables.unfit.values())),
        notes=[f"{place.name}: {what}" for place, what in tables.others.items()],
    )
    rows = _put_observers(tables.files, store, training or {})
    counting = {row.key: row for row in store.observations(suite=IMPORTED)}
    brought = defaultdict[str, dict[str, tuple[str, str]]](dict)  # source -> key -> experiment and label space
    groups = _by_images(tables.files)
    pieces, wholes = sum(map(len, groups)), _whole_experiments(groups, store, report)
    for group in groups:
        stimuli = _stimuli(group)
        store.put_stimuli(stimuli)
        for file in group:
            observation, chunks = _observation(file, stimuli, rows[str(file.who)], wholes.get(file.experiment, ""))
            if observation.key in counting:
                report.known += 1
            else:
                report.trials += len(file)
                store.put_observation(run, observation)
                store.put_chunks(run, chunks)
            report.notes += [f"{file.who}: {remark}" for remark in file.remarks]
            brought[file.source][observation.key] = (observation.role, observation.space)
            names = report.observers.setdefault(file.experiment, [])
            names += [str(file.who)] * (str(file.who) not in names)
            advance(sum(map(len, brought.values())), pieces)
    for source, new in brought.items():
        _replace_earlier(source, new, counting, store, run, report)
    report.notes += left_out(store, {file.experiment for file in tables.files if not file.added})
    return report


def _whole_experiments(groups: Sequence[Sequence[TrialFile]], store: Store, report: ImportReport) -> dict[str, str]:
    """Return added experiment -> digest of all images that its people answered."""
    wholes = {}
    for own in {file.experiment: file.added for group in groups for file in group if file.added}.values():
        mine = [group for group in groups if group[0].experiment == own.name]
        whole = _stimuli([file for group in mine for file in group])
        store.put_stimuli(whole)
        wholes[own.name] = whole.digest
        if sum(group[0].kind == "human" for group in mine) > 1 and not own.partial:
            way = f"`partial: true` in {own.file} compares each pair on what both saw"
            report.notes.append(f"{own.name}: not all people answered the same images; {way}")
    return wholes


def _replace_earlier(
    source: str, new: Mapping[str, tuple[str, str]], counting: Mapping[str, Observation], store: Store, run: str,
    report: ImportReport,
) -> None:  # fmt: skip
    # Experiments of the source that these tables do not have stay.
    earlier = (row for row in counting.values() if row.details.get("source") == source)
    others = {row.key for row in earlier if (row.role, row.space) not in new.values()}
    if gone := store.put_import(run, source, {*new, *others}):
        report.replaced += gone
        experiments = ", ".join(sorted({role for role, _ in new.values()}))
        report.notes.append(
            f"{source}: this import takes the place of an earlier one of {experiments}, of which {gone} observers' "
            "answers do not count any more; import all tables of an experiment together"
        )


def _stimuli(files: Sequence[TrialFile]) -> Stimuli:
    """Return the images of an experiment's files, labelled with their conditions."""
    stimuli = trial_stimuli(files)
    columns = [[file.columns[name].tolist() for name in ("stimulus", "condition")] for file in files]
    shown = {image: condition for pair in columns for image, condition in zip(*pair, strict=True)}
    if not any(shown.values()):
        return stimuli
    return replace(stimuli, labels={**stimuli.labels, "condition": np.array([shown[name] for name in stimuli.ids])})


def _by_images(files: Iterable[TrialFile]) -> list[list[TrialFile]]:
    """Group the files of one experiment whose observers answered the same images, one a prompt. Several files of an
    observer are joined, with the first answer to each image."""
    same = defaultdict[tuple[str, str, ObserverName, str], list[TrialFile]](list)
    for file in files:
        same[file.space, file.experiment, file.who, file.prompt].append(file)
    groups = defaultdict[tuple[str, str, frozenset[tuple[str, str]]], list[TrialFile]](list)
    for own in same.values():
        joined, first = stacked_tables([file.columns for file in own]), dict[tuple[str, str], int]()
        for i, pair in enumerate(zip(joined["condition"].tolist(), joined["stimulus"].tolist(), strict=True)):
            first.setdefault(pair, i)
        columns = {name: values[list(first.values())] for name, values in joined.items()}
        # One image under eight degradations is eight stimuli: "c05/n02134084_5274.png".
        columns["stimulus"] = np.array([stimulus_id(condition, image) for condition, image in first])
        whole = replace(own[0], columns=columns, remarks=tuple(remark for file in own for remark in file.remarks))
        groups[whole.space, whole.experiment, frozenset(whole.contents().items())].append(whole)
    return list(groups.values())


def _put_observers(files: Sequence[TrialFile], store: Store, stated: Recipes) -> dict[str, str]:
    """Store every observer, and return name -> id. Raises UnknownName for a training of none of these networks."""
    networks = {name for file in files if file.kind != "human" for name in (file.observer, str(file.who))}
    if odd := [name for name in stated if name not in networks]:
        raise unknown_name("network in these tables", odd[0], networks, "Its training was stated.")
    cards, rows = {row.name: row.card for row in store.observers()}, dict[str, str]()
    for name, file in {str(file.who): file for file in files}.items():
        before = cards.get(name, {})
        given = next((stated[observer] for observer in (file.observer, name) if observer in stated), None)
        card = {**before, **_described(file.who)}
        recipe = given or before.get("training") or card.get("training") or named_recipe(file.observer)
        if recipe:
            card["training"] = list(recipe)
        rows[name] = store.put_observer(
            Observer(name=name, kind=file.kind, identity=digest_data([file.kind, *file.who]), card=card)
        )
    return rows


def _described(observer: ObserverName) -> dict[str, object]:
    training, family = published_network(observer)
    card = {"source": observer.source, "named": observer.name, "family": family, "training": [*training]}
    return {name: value for name, value in card.items() if value}


def _observation(file: TrialFile, stimuli: Stimuli, observer: str, whole: str) -> tuple[Observation, list[Chunk]]:
    """Return one observer's answers to all images of a set. whole: the digest of all images of people."""
    order = np.argsort(file.columns["stimulus"])
    rows = order[np.searchsorted(file.columns["stimulus"][order], np.asarray(stimuli.ids))]
    columns = {name: file.columns[name][rows] for name in (*KEPT, MARGIN) if name in file.columns}
    details: dict[str, object] = {"source": file.source, "files": [file.path.name]}
    details |= {"remarks": list(file.remarks)} if file.remarks else {}
    answers: list[object] = [columns["response"].tolist()]
    if MARGIN in columns:  # an import without margins is another observation
        answers.append(columns[MARGIN].tobytes().hex())
    if whole not in ("", stimuli.digest):
        answers.append(whole)
        details |= {"whole": whole}
    if file.prompt:  # and by what the prompts of one observer are ordered
        answers.append(file.prompt)
        details |= {"prompt": file.prompt, "order": list(prompt_order(file.source, file.prompt))}
    observation = Observation(
        key=digest_data([IMPORTED, *file.who, stimuli.digest, *answers, *file.remarks]),
        observer=observer,
        suite=IMPORTED,
        version=1,
        space=stimuli.space,
        stimuli=stimuli.digest,
        role=file.experiment,
        presentation="published",
        n=len(stimuli),
        details=details,
    )
    parts = enumerate(range(0, observation.n, CHUNK))
    cut = ((i, at, {name: column[at : at + CHUNK] for name, column in columns.items()}) for i, at in parts)
    return observation, [Chunk(key=observation.key, index=i, start=at, columns=part) for i, at, part in cut]


#: The kind of observer, and the suite of its scores as the store knows it.
REPORTED: Final = "reported"
SPACE = "as published"
NO_SUITE = "-"  # the role of a score that is no suite's subject

Key = tuple[str, str, str]  # role, metric, condition


@dataclass(kw_only=True)
class ScoresReport:
    """The outcome of an import of scores."""

    observers: list[str] = field(default_factory=list)
    sources: tuple[str, ...] = ()
    scores: int = 0  # new numbers
    known: int = 0  # numbers that were stored already
    changed: int = 0  # numbers that had another value
    notes: list[str] = field(default_factory=list)


def put_reported_scores(scores: Iterable[ReportedScore], store: Store, run: str) -> ScoresReport:
    """Store every observer's scores beside those that it has; of two values of one metric the newer one counts."""
    by_observer: dict[ObserverName, dict[Key, Score]] = {}
    for given in scores:
        role = given.suite or NO_SUITE
        score = _score(given, role=role, flags=given.remarks)
        by_observer.setdefault(given.observer, {})[role, given.metric, given.condition] = score
    report = ScoresReport(sources=tuple(sorted({observer.source for observer in by_observer})))
    before: dict[str, dict[Key, Score]] = {}
    for stored in store.latest_scores(suite=REPORTED):
        if stored.value is None:  # somebody altered the leaderboard
            continue
        before.setdefault(stored.observer, {})[stored.role, stored.metric, stored.condition] = _score(stored)
    for observer, new in by_observer.items():
        name = f"{observer.name} ({observer.source}, {REPORTED})"  # different from the name of an observer with trials
        report.observers.append(name)
        held = before.get(name, {})
        report.known += sum(held.get(key) == score for key, score in new.items())
        changed = [key for key, score in new.items() if key in held and held[key] != score]
        report.changed += len(changed)
        report.notes += [f"{name}: {key[1]} was {held[key].value}, is {new[key].value} now" for key in changed[:3]]
        report.scores += len(new.keys() - held.keys())
        merged = [score for _, score in sorted({**held, **new}.items())]
        card, identity = _described(observer), digest_data([REPORTED, *observer])
        row = store.put_observer(Observer(name=name, kind=REPORTED, identity=identity, card=card))
        parts = attrgetter("role", "metric", "condition", "value", "low", "high", "level", "n", "method")
        code = digest_data([[repr(part) for part in (*parts(score), *score.flags)] for score in merged])
        target = ScoreSet(observer=row, suite=REPORTED, version=1, space=SPACE, code=code, stimuli={}, keys=())
        if not store.has_scores(target):
            store.put_scores(run, target, merged)
    return report


def _score(given: ScoreRow | ReportedScore, **own: Any) -> Score:
    alike = {column.name: getattr(given, column.name) for column in fields(Score) if hasattr(given, column.name)}
    return Score(**{**alike, **own})
