"""Published tables of trials: what people and other laboratories' networks answered.

Format: CSV of model-vs-human and texture-vs-shape, one row per trial, columns subj, session, trial,
rt, object_response, category, condition, imagename (any case, any order), or what `trial_columns`
knows of others. A file is taken whole or not at all.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts import Array
from benchmark.errors import TrialsError
from benchmark.stimuli.experiments import experiment_of, name_experiment, split_eidolon
from benchmark.stimuli.names import canonical_condition, image_id, read_pair
from benchmark.stimuli.sources import (
    Named,
    Told,
    is_no_table,
    known_sources,
    named,
    sources_of,
    told_by_place,
)
from benchmark.stimuli.trial_columns import Unsaid
from benchmark.stimuli.trial_csv import Table, load, numbers

#: Columns of a TrialFile; rt is in seconds (NaN: not measured), the others are text. Where a table states how clear
#: each decision was, a column MARGIN of numbers comes after them.
COLUMNS = ("stimulus", "category", "response", "condition", "session", "trial", "rt")
MARGIN = "margin"
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True)
class TrialFile:
    """The trials of one observer in one experiment, from one file, in the file's order.

    columns: "stimulus" (image name), "category", "response" (one of the 16, or "na"), "condition"
    (canonical), "session", "trial": text [n]; "rt": float seconds [n]; source: where the file comes from; prompt: how
    the observer was asked, where it was asked in several ways.
    """

    path: Path
    experiment: str
    observer: str
    kind: Kind
    columns: Mapping[str, Array]
    source: str = ""
    prompt: str = ""

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
        what = (
            "holds no .csv file"
            if path.is_dir()
            else "is no regular file"
            if path.exists()
            else "does not exist"
        )
        raise TrialsError(
            f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables."
        )
    return found


@dataclass(frozen=True)
class Stated:
    """What a user says of tables that do not say it: each goes before what names of files and columns say.

    columns: what the tables call a column -> what we call it.
    """

    experiment: str | None = None
    observer: str | None = None
    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


NOTHING_STATED = Stated()


@dataclass(frozen=True)
class Read:
    """What was read of a folder. unfit: files that should be tables of trials and are not -> why; others: files that
    are known to be something else -> what.
    """

    files: tuple[TrialFile, ...]
    unfit: Mapping[Path, TrialsError] = field(default_factory=dict)
    others: Mapping[Path, str] = field(default_factory=dict)


def read_tables(path: Path, stated: Stated = NOTHING_STATED) -> Read:
    """The trials of a file, or of all files below a folder that fit; one TrialFile per file, experiment and observer.

    Raises TrialsError where none fits, and where two files of one source contradict one another.
    """
    paths = trial_paths(path)
    sources = dict.fromkeys(paths, stated.source) if stated.source else sources_of(paths, path)
    files: list[TrialFile] = []
    unfit: dict[Path, TrialsError] = {}
    others: dict[Path, str] = {}
    for table in paths:
        source = sources[table] or ""
        if path != table and (what := is_no_table(source, table)):
            others[table] = what
            continue
        try:
            files += _read_table(table, stated, source)
        except TrialsError as error:
            unfit[table] = error
    if not files and unfit:
        raise next(iter(unfit.values()))
    _check_across(files)
    return Read(tuple(files), unfit, others)


def read_trials(
    path: Path, experiment: str | None = None, source: str | None = None
) -> list[TrialFile]:
    """`read_tables` where every file must fit. Raises TrialsError naming file and row (the header is row 1) and what
    was expected; then nothing of any file is returned.
    """
    found = read_tables(path, Stated(experiment, source=source))
    for error in found.unfit.values():
        raise error
    return list(found.files)


def _read_table(path: Path, stated: Stated, source: str) -> list[TrialFile]:
    """Rows grouped by experiment and observer, each group in the file's order."""
    experiment, told = _experiment(path, stated, source), told_by_place(source, path)
    observer = stated.observer or told.observer
    table = load(path, Unsaid(stated.columns, observer))
    return list(_groups(table, experiment, source, told))


def _experiment(path: Path, stated: Stated, source: str) -> str:
    if stated.experiment:
        return name_experiment(stated.experiment)
    known = known_sources().get(source)
    return known.experiment if known and known.experiment else experiment_of(path)


def _groups(table: Table, experiment: str, source: str, told: Told) -> Iterator[TrialFile]:
    groups: dict[tuple[str, str], list[int]] = {}
    conditions = table.columns["condition"]
    at = {name: i for i, name in reversed(list(enumerate(conditions)))}  # first row of each
    shown = {name: split_eidolon(experiment, name, table.where(i)) for name, i in at.items()}
    for i, observer in enumerate(table.columns["subj"]):
        groups.setdefault((shown[conditions[i]], observer), []).append(i)
    for (own, observer), index in groups.items():
        kind: Kind = "human" if observer.startswith(PEOPLE) else "published"
        columns = _columns(table, own, index)
        yield TrialFile(table.path, own, observer, kind, columns, source, told.prompt)


def _columns(table: Table, experiment: str, index: list[int]) -> dict[str, Array]:
    raw = table.columns
    names = [image_id(raw["imagename"][i]) for i in index]
    spelt = {text: canonical_condition(experiment, text) for text in set(raw["condition"])}
    conditions = [spelt[raw["condition"][i]] for i in index]
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
    columns["rt"] = np.array(numbers(table, "rt", index, "seconds"), dtype=np.float64)
    if "decision_margin" in raw:
        margins = numbers(table, "decision_margin", index, "a number")
        columns[MARGIN] = np.array(margins, dtype=np.float64)
    return columns


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
    answered: dict[tuple[Named, str, str], dict[tuple[str, str], tuple[str, Path]]] = {}
    names = [(file.named, file.prompt, file.experiment) for file in files]
    times = Counter(names)
    for file, name in zip(files, names, strict=True):
        if times[name] == 1 and len(set(file.columns["session"].tolist())) == 1:
            continue  # no image twice: that was looked at when it was read
        who, known = name[0], answered.setdefault(name, {})
        columns = (file.columns[name].tolist() for name in ("stimulus", "condition", "response"))
        for image, condition, answer in zip(*columns, strict=True):
            first, path = known.setdefault((image, condition), (answer, file.path))
            if first != answer:
                raise TrialsError(
                    f"{file.path}: {who} answered '{answer}' to '{image}' of {file.experiment}, but "
                    f"'{first}' in {path}; expected one answer. Import one of them, or give each a `--source`."
                )
