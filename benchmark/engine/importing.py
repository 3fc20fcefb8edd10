"""Published trials -> observers in the store. Scored like everything else, without any weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark.contracts import CHUNK, Array, Observer, Stimuli
from benchmark.engine.scoring import IMPORTED
from benchmark.errors import TrialsError, unknown_name
from benchmark.keys import digest
from benchmark.stimuli.names import stimulus_id
from benchmark.stimuli.recipes import Recipes, named_recipe, recipes_beside
from benchmark.stimuli.trials import TrialFile, read_trials, trial_stimuli
from benchmark.store import Chunk, Observation, Store

KEPT = ("response", "session", "trial", "rt")


#: What published tables call their networks -> what they are (Geirhos et al. 2019, texture-vs-shape).
PUBLISHED_NAMES = {"resnet50-train-60-epochs": "resnet50-sin", "alexnet": "alexnet-caffe"}


def observer_name(file: TrialFile) -> str:
    """People keep their number; a published network is marked, lest it pass for a registered model."""
    if file.kind == "human":
        return file.observer
    return f"{PUBLISHED_NAMES.get(file.observer, file.observer)} (published)"


@dataclass
class ImportReport:
    """What came in: observers by experiment; `trials` counts rows; `known` observations were there already."""

    observers: dict[str, list[str]] = field(default_factory=dict)
    trials: int = 0
    known: int = 0


def import_trials(
    path: Path, store: Store, run: int, training: Recipes | None = None
) -> ImportReport:
    """Read a file or a folder of trial tables and store every observer's trials. Raises TrialsError.

    training: recipes of published networks by their name in the tables or here. They go before training.yaml
    beside the tables, that before the recipe that is stored, and that before what a name states.
    """
    report = ImportReport()
    files = read_trials(path)
    beside, stated = recipes_beside(path), training or {}
    _check_recipes({**beside, **stated} if path.is_dir() else stated, files)
    _put_observers(files, store, {**beside, **stated})
    for experiment in dict.fromkeys(file.experiment for file in files):
        mine = [_with_conditions(file) for file in files if file.experiment == experiment]
        for same_images in _by_images(mine):
            _import(same_images, store, run, report)
    return report


def _import(files: Sequence[TrialFile], store: Store, run: int, report: ImportReport) -> None:
    """The files of observers who answered the same images: one stimulus set, one observation per observer."""
    stimuli = _labelled(trial_stimuli(list(files)))
    store.put_stimuli(stimuli)
    for observer in dict.fromkeys(map(observer_name, files)):
        mine = [file for file in files if observer_name(file) == observer]
        columns = _ordered(_joined(mine), stimuli)
        key = digest(
            [
                IMPORTED,
                observer,
                stimuli.digest,
                columns["response"].tolist(),
            ]
        )
        report.observers.setdefault(stimuli.name, []).append(observer)
        if store.complete(key):
            report.known += 1
            continue
        row = next(known.id for known in store.observers() if known.name == observer)
        _put(store, run, row, stimuli, key, columns)
        report.trials += len(stimuli)


def _check_recipes(stated: Recipes, files: Sequence[TrialFile]) -> None:
    networks = {name for file in files if file.kind != "human" for name in _names(file)}
    people = {file.observer for file in files if file.kind == "human"}
    for name in stated:
        if name in people:
            raise TrialsError(f"training of '{name}': people have no training recipe.")
        if name not in networks:
            raise unknown_name(
                "observer in these tables", name, networks, "Its training was stated."
            )


def _names(file: TrialFile) -> tuple[str, str]:
    """What an observer is called in the tables, and here."""
    return file.observer, observer_name(file)


def _put_observers(files: Iterable[TrialFile], store: Store, stated: Recipes) -> None:
    """Every observer under its name, with the recipe on its card."""
    cards = {row.name: row.card for row in store.observers()}
    for name, file in {observer_name(file): file for file in files}.items():
        card = dict(cards.get(name, {}))
        told = next((stated[one] for one in _names(file) if one in stated), None)
        recipe = told or card.get("training") or named_recipe(file.observer)
        if recipe:
            card["training"] = list(recipe)
        store.put_observer(Observer(name, file.kind, digest([file.kind, name]), card))


def _with_conditions(file: TrialFile) -> TrialFile:
    """One image under eight degradations is eight stimuli: "c05/n02134084_5274.png"."""
    pairs = zip(file.columns["condition"], file.columns["stimulus"], strict=True)
    names = [stimulus_id(str(condition), str(image)) for condition, image in pairs]
    return replace(file, columns={**file.columns, "stimulus": np.array(names)})


def _labelled(stimuli: Stimuli) -> Stimuli:
    """The set with a label column "condition" where its names carry one."""
    conditions = [name.rpartition("/")[0] for name in stimuli.ids]
    if not any(conditions):
        return stimuli
    return replace(stimuli, labels={**stimuli.labels, "condition": np.array(conditions)})


def _put(
    store: Store, run: int, observer: int, stimuli: Stimuli, key: str, columns: dict[str, Array]
) -> None:
    n = len(stimuli)
    store.put_observation(
        run,
        Observation(
            key=key,
            observer=observer,
            suite=IMPORTED,
            version=1,
            space=stimuli.space,
            stimuli=stimuli.digest,
            role=stimuli.name,
            condition="",
            presentation="published",
            transform="",
            n=n,
            details={},
        ),
    )
    store.put_chunks(
        run,
        [
            Chunk(
                key,
                start // CHUNK,
                start,
                {name: values[start : start + CHUNK] for name, values in columns.items()},
            )
            for start in range(0, n, CHUNK)
        ],
    )


def _by_images(files: Iterable[TrialFile]) -> list[list[TrialFile]]:
    """Files grouped by the set of images that their observer answered."""
    images: dict[str, set[str]] = {}
    kept = list(files)
    for file in kept:
        images.setdefault(file.observer, set()).update(file.columns["stimulus"].tolist())
    groups: dict[frozenset[str], list[TrialFile]] = {}
    for file in kept:
        groups.setdefault(frozenset(images[file.observer]), []).append(file)
    return list(groups.values())


def _joined(files: Sequence[TrialFile]) -> dict[str, Array]:
    names = ("stimulus", *KEPT)
    return {name: np.concatenate([file.columns[name] for file in files]) for name in names}


def _ordered(columns: dict[str, Array], stimuli: Stimuli) -> dict[str, Array]:
    """One answer per image, in the set's order: the first session's, where later sessions repeat an image."""
    _, first = np.unique(columns["stimulus"], return_index=True)
    names = columns["stimulus"][first]
    order = first[np.searchsorted(names, np.asarray(stimuli.ids))]
    return {name: columns[name][order] for name in KEPT}
