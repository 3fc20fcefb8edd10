"""Published tables of trials: what people and other laboratories' networks answered.

Format: CSV of model-vs-human and texture-vs-shape, one row per trial, columns subj, session, trial,
rt, object_response, category, condition, imagename (any case, any order). A file is taken whole or
not at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts import Array, Stimuli
from benchmark.errors import StimuliError, TrialsError
from benchmark.stimuli.digests import set_digest, text_digest
from benchmark.stimuli.experiments import experiment_of, name_experiment, split_eidolon
from benchmark.stimuli.names import canonical_condition, image_id, read_pair
from benchmark.stimuli.sources import Named, named, sources_of
from benchmark.stimuli.trial_csv import Table, load, seconds

#: Columns of a TrialFile; rt is in seconds (NaN: not measured), the others are text.
COLUMNS = ("stimulus", "category", "response", "condition", "session", "trial", "rt")
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True)
class TrialFile:
    """The trials of one observer in one experiment, from one file, in the file's order.

    columns: "stimulus" (image name), "category", "response" (one of the 16, or "na"), "condition"
    (canonical), "session", "trial": text [n]; "rt": float seconds [n]; source: where the file comes from.
    """

    path: Path
    experiment: str
    observer: str
    kind: Kind
    columns: Mapping[str, Array]
    source: str = ""

    @property
    def named(self) -> Named:
        """Who answered: under which name of which source."""
        return named(self.source, self.observer, self.experiment, human=self.kind == "human")

    def __len__(self) -> int:
        return len(self.columns["stimulus"])


def trial_paths(path: Path) -> list[Path]:
    """The tables at `path`: the file itself, or every .csv below the folder. Raises TrialsError if
    none."""
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".csv" and p.is_file())
    if not found:
        what = "holds no .csv file" if path.is_dir() else "does not exist"
        raise TrialsError(
            f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables."
        )
    return found


def read_trials(
    path: Path, experiment: str | None = None, source: str | None = None
) -> list[TrialFile]:
    """The trials of a file, or of all files below a folder; one TrialFile per file, experiment and
    observer.

    experiment, source: override what folder and file names say. Raises TrialsError naming file and row
    (the header is row 1) and what was expected; then nothing of any file is returned.
    """
    paths = trial_paths(path)
    told = dict.fromkeys(paths, source) if source else sources_of(paths, path)
    files = [one for table in paths for one in _read_table(table, experiment, told[table])]
    _check_across(files)
    return files


def trial_stimuli(files: Sequence[TrialFile]) -> Stimuli:
    """The images of one experiment, known by name alone: the union over `files`, by category, then
    name.

    Labels: category; for cue-conflict also shape and texture. Its digest is of names and labels, so
    it never equals that of a set of files; `decode` raises StimuliError. Raises TrialsError where
    files disagree.
    """
    experiment = _one_experiment(files)
    category = _categories(files)
    ids = tuple(sorted(category, key=lambda name: (category[name], name)))
    items = tuple(text_digest(f"{experiment}/{name}") for name in ids)
    labels: dict[str, Array] = {"category": np.array([category[name] for name in ids])}
    if experiment == "cue-conflict":
        labels["shape"] = labels["category"]
        labels["texture"] = np.array([pair.texture for pair in map(read_pair, ids) if pair])
    return Stimuli(
        name=experiment,
        digest=set_digest(ids, items, labels),
        space="geirhos16",
        ids=ids,
        items=items,
        labels=labels,
        decode=NoImages(experiment),
        whole=len(ids),
        origin="trial tables",
    )


@dataclass(frozen=True)
class NoImages:
    """decode of a set that is known by tables of trials alone: raises."""

    experiment: str

    def __call__(self, index: int) -> Array:
        """Raises StimuliError."""
        raise StimuliError(
            f"the images of '{self.experiment}' are known by name only (image {index})."
        )


def _read_table(path: Path, forced: str | None, source: str) -> Iterator[TrialFile]:
    """Rows grouped by experiment and observer, each group in the file's order."""
    named = name_experiment(forced) if forced else experiment_of(path)
    table = load(path)
    groups: dict[tuple[str, str], list[int]] = {}
    conditions = table.columns["condition"]
    for i, observer in enumerate(table.columns["subj"]):
        experiment = split_eidolon(named, conditions[i], table.where(i))
        groups.setdefault((experiment, observer), []).append(i)
    for (experiment, observer), index in groups.items():
        kind: Kind = "human" if observer.startswith(PEOPLE) else "published"
        columns = _columns(table, experiment, index)
        yield TrialFile(path, experiment, observer, kind, columns, source)


def _columns(table: Table, experiment: str, index: list[int]) -> dict[str, Array]:
    raw = table.columns
    names = [image_id(raw["imagename"][i]) for i in index]
    conditions = [canonical_condition(experiment, raw["condition"][i]) for i in index]
    _check_pairs(table, experiment, index, names)
    _check_repeats(table, index, names, conditions)
    texts = {
        "stimulus": names,
        "category": [raw["category"][i] for i in index],
        "response": [raw["object_response"][i] for i in index],
        "condition": conditions,
        "session": [raw["session"][i] for i in index],
        "trial": [raw["trial"][i] for i in index],
    }
    columns: dict[str, Array] = {name: np.array(values) for name, values in texts.items()}
    return {**columns, "rt": np.array(seconds(table, index), dtype=np.float64)}


def _check_pairs(table: Table, experiment: str, index: list[int], names: list[str]) -> None:
    """Cue-conflict names must give a shape, equal to the category column, and a texture."""
    if experiment != "cue-conflict":
        return
    for i, name in zip(index, names, strict=True):
        pair, category = read_pair(name), table.columns["category"][i]
        if pair is None or pair.shape != category:
            raise TrialsError(
                f"{table.where(i)}: image '{name}' of category '{category}'; expected a name like "
                f"'{category}7-elephant1.png', shape then texture, both of the 16 categories."
            )


def _check_repeats(table: Table, index: list[int], names: list[str], conditions: list[str]) -> None:
    """One observer answers an image once per condition and session."""
    seen: dict[tuple[str, str, str], int] = {}
    for i, name, condition in zip(index, names, conditions, strict=True):
        key = (name, condition, table.columns["session"][i])
        if key in seen:
            raise TrialsError(
                f"{table.where(i)}: {table.columns['subj'][i]} answered '{name}' "
                f"(condition '{condition}', session {key[2]}) already in row "
                f"{table.rows[seen[key]]}; expected one answer."
            )
        seen[key] = i


def _check_across(files: Sequence[TrialFile]) -> None:
    """An observer of a source answers an image once, or the same again, in whatever session and file."""
    known: dict[tuple[Named, str, str, str], tuple[str, Path]] = {}
    for file in files:
        names = ("stimulus", "condition", "response")
        for image, condition, answer in zip(
            *(file.columns[n].tolist() for n in names), strict=True
        ):
            key = (file.named, file.experiment, image, condition)
            first, path = known.setdefault(key, (answer, file.path))
            if first != answer:
                raise TrialsError(
                    f"{file.path}: {file.named} answered '{answer}' to '{image}' of {file.experiment}, but "
                    f"'{first}' in {path}; expected one answer. Import one of them, or give each a `--source`."
                )


def _one_experiment(files: Sequence[TrialFile]) -> str:
    names = sorted({file.experiment for file in files})
    if len(names) != 1:
        raise TrialsError(
            f"expected the trials of one experiment, got {', '.join(names) or 'none'}."
        )
    return names[0]


def _categories(files: Sequence[TrialFile]) -> dict[str, str]:
    """Image -> category. Raises TrialsError where two trials disagree."""
    category: dict[str, str] = {}
    for file in files:
        pairs = zip(
            file.columns["stimulus"].tolist(), file.columns["category"].tolist(), strict=True
        )
        for name, value in pairs:
            if category.setdefault(name, value) != value:
                raise TrialsError(
                    f"{file.path}: '{name}' is of category '{value}' here and "
                    f"'{category[name]}' elsewhere."
                )
    return category
