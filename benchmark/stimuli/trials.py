"""Published tables of trials: what people and other laboratories' networks answered.

Format: CSV of model-vs-human and texture-vs-shape, one row per trial, columns subj, session, trial, rt,
object_response, category, condition, imagename (any case, any order), or what `trial_columns` knows of others. A file
is taken whole or not at all."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from benchmark.contracts import Array
from benchmark.errors import TrialsError
from benchmark.stimuli.catalogue import (
    GEIRHOS16,
    NO_ANSWER,
    PREFIX,
    Named,
    Told,
    canonical_condition,
    experiment_of,
    image_id,
    is_no_table,
    known_source,
    name_experiment,
    named,
    read_pair,
    sources_of,
    split_eidolon,
    told_by_place,
)
from registry.foreign import foreign

# The columns of a table of trials: what they are called in the layouts in use, and what stands in for an absent one.
#
# Two layouts are known: that of model-vs-human and texture-vs-shape (Geirhos et al. 2018-2021), which names everything
# in every row, and "image, response, pred_label" (Gavrikov et al. 2024), one file per observer and prompt, whose names
# say the rest.
REQUIRED = ("subj", "object_response", "category", "condition", "imagename")
OPTIONAL = ("session", "trial", "rt", "decision_margin")
#: The other layout's column -> ours. "response" may be free text there: "pred_label" is what it was taken for.
LABELLED = {"image": "imagename", "pred_label": "object_response"}
#: How "pred_label" says that no category was named.
_NO_LABEL = frozenset({"", "none", "nan", NO_ANSWER})


@dataclass(frozen=True)
class Stated:
    """What a user says of tables that do not say it: each goes before what names of files and columns say.

    columns: what the tables call a column -> what we call it."""

    experiment: str | None = None
    observer: str | None = None
    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


NOTHING_STATED = Stated()


def stated_columns(text: str) -> dict[str, str]:
    """ "answer=object_response, file=imagename" of the command line, the table's name first. Raises TrialsError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, _, ours = (piece.strip().lower() for piece in part.partition("="))
        if not theirs or ours not in (*REQUIRED, *OPTIONAL) or ours in found.values():
            raise TrialsError(
                f"--columns '{part}': expected THEIRS=OURS, each once, where OURS is one of "
                f"{', '.join((*REQUIRED, *OPTIONAL))}; such as 'file=imagename,answer=object_response'."
            )
        found[theirs] = ours
    return found


def read_header(path: Path, header: Sequence[str], stated: Stated) -> list[str]:
    """The columns under our names. Raises TrialsError where one is there twice, or is needed and not there."""
    lost = [theirs for theirs in stated.columns if theirs not in header]
    if lost:
        raise TrialsError(
            f"{path}, row 1: no column '{lost[0]}', which --columns names; found: {', '.join(header) or 'nothing'}."
        )
    names = [stated.columns.get(name, name) for name in header]
    if not set(LABELLED.values()) & set(names):
        names = [LABELLED.get(name, name) for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is there twice.")
    free = (bool(stated.columns) or "pred_label" in header) and "imagename" in names
    known = {"subj"} if stated.observer is not None else set()  # what something else says
    known |= {"condition", "category"} if free else set()
    for name in REQUIRED:
        if name not in names and name not in known:
            more = " Or say who answered with `--observer NAME`." if name == "subj" else ""
            raise TrialsError(
                f"{path}, row 1: no column '{name}'. Expected the columns {', '.join(REQUIRED)} "
                f"(and, if known, {', '.join(OPTIONAL)}), or {', '.join(LABELLED)}; found: "
                f"{', '.join(header) or 'nothing'}. `--columns THEIRS=OURS` says what others mean.{more}"
            )
    return names


def filled(path: Path, columns: dict[str, list[str]], rows: Sequence[int], stated: Stated) -> dict[str, list[str]]:
    """All columns, those that the table lacks from what is known beside it. Raises TrialsError."""
    n = len(rows)
    if stated.observer is not None:
        columns["subj"] = [stated.observer] * n
    columns.setdefault("session", ["1"] * n)
    columns.setdefault("trial", [str(i + 1) for i in range(n)])
    columns.setdefault("rt", [""] * n)
    columns.setdefault("condition", [""] * n)
    if "category" not in columns:  # the other layout: its images are named without an ending
        columns["imagename"] = [
            name if PurePath(name).suffix or not read_pair(name) else f"{name}.png" for name in columns["imagename"]
        ]
        columns["object_response"] = [
            NO_ANSWER if text.lower() in _NO_LABEL else text for text in columns["object_response"]
        ]
        columns["category"] = [_category(path, row, name) for row, name in zip(rows, columns["imagename"], strict=True)]
    return columns


def _category(path: Path, row: int, name: str) -> str:
    """The category that an image's name states: its shape, or what its prefix says."""
    prefix, pair = PREFIX.match(name), read_pair(image_id(name))
    if prefix:
        return prefix["category"]
    if pair:
        return pair.shape
    raise TrialsError(
        f"{path}, row {row}: no column 'category', and '{name}' does not name one; expected a cue-conflict image "
        "such as 'cat7-elephant1.png', or a column for it (`--columns THEIRS=category`)."
    )


_ANSWERS = frozenset((*GEIRHOS16, NO_ANSWER))
_CATEGORIES = frozenset(GEIRHOS16)


@dataclass(frozen=True)
class Table:
    """A table's columns as text, by lower-case name, and the row number of each trial (the header is row 1)."""

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]

    def where(self, i: int) -> str:
        """ "FILE, row N" of trial i."""
        return f"{self.path}, row {self.rows[i]}"


def load(path: Path, stated: Stated = NOTHING_STATED) -> Table:
    """A table with form, categories and answers checked; stated: what its columns do not say. Raises TrialsError."""
    table = _parse(path, stated)
    columns = table.columns
    _expect(table, "category", _CATEGORIES, f"one of {', '.join(GEIRHOS16)}")
    _expect(table, "object_response", _ANSWERS, f"one of the 16 categories or '{NO_ANSWER}'")
    for name in ("subj", "imagename"):
        if "" in columns[name]:
            raise TrialsError(f"{table.where(columns[name].index(''))}: '{name}' is empty.")
    return table


def numbers(table: Table, name: str, index: Sequence[int], what: str) -> list[float]:
    """A column of numbers, NaN where there is none; what: what they are. Raises TrialsError on other text."""
    values = []
    for i in index:
        text = table.columns[name][i]
        try:
            values.append(float(text or "nan") if text.lower() not in {"na", "none"} else float("nan"))
        except ValueError:
            where = table.where(i)
            raise TrialsError(f"{where}: {name} is '{text}'; expected {what} or NaN.") from None
    return values


def _parse(path: Path, stated: Stated) -> Table:
    expected = "Expected a CSV table."
    with foreign("table of trials", path, TrialsError, expected), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        names = read_header(path, header, stated)
        rows: list[int] = []
        kept: list[list[str]] = []
        for row in reader:
            if row and len(row) != len(names):
                raise TrialsError(f"{path}, row {reader.line_num}: {len(row)} fields; the header has {len(names)}.")
            if row:
                rows.append(reader.line_num)
                kept.append(row)
    if not rows:
        raise TrialsError(f"{path}: a header and no trials.")
    columns = {
        name: [text.strip() for text in values] for name, values in zip(names, zip(*kept, strict=True), strict=True)
    }
    return Table(path, filled(path, columns, rows, stated), rows)


def _expect(table: Table, name: str, allowed: frozenset[str], what: str) -> None:
    values = table.columns[name]
    if set(values) <= allowed:
        return
    i = next(i for i, value in enumerate(values) if value not in allowed)
    raise TrialsError(f"{table.where(i)}: {name} is '{values[i]}'; expected {what}.")


#: Columns of a TrialFile; rt is in seconds (NaN: not measured), the others are text. Where a table states how clear
#: each decision was, a column MARGIN of numbers comes after them.
COLUMNS = ("stimulus", "category", "response", "condition", "session", "trial", "rt")
MARGIN = "margin"
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True)
class TrialFile:
    """The trials of one observer in one experiment, from one file, in the file's order.

    columns: "stimulus" (image name), "category", "response" (one of the 16, or "na"), "condition" (canonical),
    "session", "trial": text [n]; "rt": float seconds [n]; source: where the file comes from; prompt: how the observer
    was asked, where it was asked in several ways."""

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
    """The tables at `path`: the file itself, or every .csv below the folder. Raises TrialsError if none."""
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".csv" and p.is_file())
    if not found:
        what = "holds no .csv file" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise TrialsError(f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables.")
    return found


@dataclass(frozen=True)
class Read:
    """What was read of a folder. unfit: files that should be tables of trials and are not -> why; others: files that
    are known to be something else -> what."""

    files: tuple[TrialFile, ...]
    unfit: Mapping[Path, TrialsError] = field(default_factory=dict)
    others: Mapping[Path, str] = field(default_factory=dict)


def read_tables(path: Path, stated: Stated = NOTHING_STATED) -> Read:
    """The trials of a file, or of all files below a folder that fit; one TrialFile per file, experiment and observer.

    Raises TrialsError where none fits, and where two files of one source contradict one another."""
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


def read_trials(path: Path, experiment: str | None = None, source: str | None = None) -> list[TrialFile]:
    """`read_tables` where every file must fit. Raises TrialsError naming file and row (the header is row 1) and what
    was expected; then nothing of any file is returned."""
    found = read_tables(path, Stated(experiment, source=source))
    for error in found.unfit.values():
        raise error
    return list(found.files)


def _read_table(path: Path, stated: Stated, source: str) -> list[TrialFile]:
    """Rows grouped by experiment and observer, each group in the file's order."""
    told = told_by_place(source, path)
    if stated.experiment:
        experiment = name_experiment(stated.experiment)
    else:
        experiment = known_source(source).experiment or experiment_of(path)
    observer = stated.observer or told.observer
    table = load(path, replace(stated, observer=observer))
    return list(_groups(table, experiment, source, told))


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
    if experiment == "cue-conflict":
        _check_pairs(table, index, names)
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


def _check_pairs(table: Table, index: list[int], names: list[str]) -> None:
    """Cue-conflict names must give a shape, equal to the category column, and a texture."""
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
