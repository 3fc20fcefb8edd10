"""`bench data regenerate`: from the tables of trials and the photographs on this disk to a set on the shelf."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmark.contracts import Stimuli, Trials
from benchmark.errors import MissingStimuli, unknown_name
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry, save_entry
from benchmark.stimuli.digests import file_digests, set_digest
from benchmark.stimuli.experiments import experiment_of
from benchmark.stimuli.pixels import FileImages
from benchmark.stimuli.places import absent, folder_of, remedy
from benchmark.stimuli.regeneration import (
    REGENERATED,
    parametric,
    photographs,
    regenerate,
    write_set,
)
from benchmark.stimuli.settling import Note, is_made, make_folder
from benchmark.stimuli.trials import read_trials, trial_paths
from registry.places import expanded

Report = Callable[[str], None]
SUFFIXES = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png")
MADE = ".made"  # the digest of what was made, in the set's folder


def make_set(
    experiment: str,
    settings: Settings,
    report: Report,
    *,
    source: str = "imagenet-train",
    trials: str = "human-trials",
    output: Path | None = None,
) -> Entry:
    """Make the stimuli of a parametric experiment again and put them on the shelf as `regenerated-EXPERIMENT`.

    source, trials: catalogue names of the photographs and of the tables that name them; output: the folder in which
    the set's folder is made (default: where fetched sets lie). The folder appears in one move once it is whole; an
    interrupted run goes on where it stopped. Raises UnknownName and MissingStimuli (with the command that helps).
    """
    if experiment not in parametric():
        raise unknown_name("experiment that is made by degrading", experiment, parametric())
    answered = _answered(experiment, _folder(trials, settings))
    wanted = list(dict.fromkeys(one.source for one in photographs(experiment, answered)))
    made = regenerate(experiment, answered, _photographs(source, wanted, settings))
    target = expanded(output or settings.stimuli).resolve() / made.name
    _write(made, target, report)
    entry = _entry(experiment, made, target)
    save_entry(entry, settings)
    part = "" if len(made) == made.whole else f" ({made.whole} are published: a part)"
    report(f"{made.name}: {len(made)} images{part} at {target}")
    return entry


def _folder(name: str, settings: Settings) -> Path:
    entry = find_entry(name, settings)
    folder = folder_of(entry, settings)
    if folder is None:
        raise absent(entry)
    return folder


def _answered(experiment: str, folder: Path) -> Trials:
    """What people were shown, from the experiment's own tables."""
    paths = [path for path in trial_paths(folder) if experiment_of(path) == experiment]
    files = [file for path in paths for file in read_trials(path)]
    if not files:
        raise MissingStimuli(f"{folder}: no table of trials of '{experiment}'.")
    names = ("stimulus", "condition", "category")
    columns = {name: np.concatenate([file.columns[name] for file in files]) for name in names}
    return Trials({**columns, "role": np.full(len(columns["stimulus"]), experiment)})


def _photographs(name: str, wanted: Sequence[str], settings: Settings) -> Stimuli:
    """Those of `wanted` that are there: of more than a million images, only these are looked at."""
    entry, folder = find_entry(name, settings), _folder(name, settings)
    paths = tuple(path for one in wanted if (path := _photograph(folder, one)) is not None)
    ids = tuple(path.name for path in paths)
    items = file_digests(paths, folder, settings)
    labels = {"category": np.array([path.parent.name for path in paths], dtype=str)}
    return Stimuli(
        name=entry.name,
        digest=set_digest(ids, items, labels),
        space=entry.space,
        ids=ids,
        items=items,
        labels=labels,
        decode=FileImages(paths, remedy(entry), items),
        whole=entry.count,
        origin="catalogue",
    )


def _photograph(folder: Path, name: str) -> Path | None:
    places = (folder / name.partition("_")[0] / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def _write(made: Stimuli, target: Path, report: Report) -> None:
    """A set that is there is not made again; one from other photographs gives way."""
    note = Note(MADE, made.digest)
    if is_made(target, note):
        report(f"{made.name}: already there")
        return
    report(f"{made.name}: making {len(made)} images")
    make_folder(target, note, lambda folder: write_set(made, folder), replace=True)


def _entry(experiment: str, made: Stimuli, target: Path) -> Entry:
    return Entry(
        name=made.name,
        role=experiment,
        space=made.space,
        layout="labels-csv",
        title=f"{experiment}, {REGENERATED} from ImageNet photographs: not the published files",
        license="ImageNet terms: research only",
        count=made.whole,
        folder=str(target),
    )
