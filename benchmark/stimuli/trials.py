"""Published tables of trials: what people and other laboratories' networks answered.

A CSV file has one row per trial, columns in any case and order. Two layouts are known: that of model-vs-human and
texture-vs-shape (Geirhos et al. 2018-2021), which names everything in every row, and "image, response, pred_label"
(Gavrikov et al. 2024), one file per observer and prompt, whose names say the rest. A table of `bench ask` is of the
first layout and says more (`ASKED`); one of `bench export --trials` has our own names (`EXPORTED`). A file is taken
whole or not at all; every error names the file, the row (the header is row 1) and what was expected."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from benchmark.contracts import Array
from benchmark.errors import TrialsError
from benchmark.stimuli.experiment_names import canonical_condition, experiment_of, name_experiment, split_eidolon
from benchmark.stimuli.image_names import GEIRHOS16, NO_ANSWER, PREFIX, image_id, read_pair
from benchmark.stimuli.published_sources import (
    PUBLISHED_SPACE,
    ObserverName,
    known_source,
    observer_of_path,
    other_content,
    resolve_observer,
    sources_of,
)
from registry.foreign import foreign

REQUIRED = ("subj", "object_response", "category", "condition", "imagename")
OPTIONAL = ("session", "trial", "rt", "decision_margin")
#: What a table of `bench ask` says besides, all of it or nothing: which experiment's images, of which set and space;
#: the digest of each image; how the trial went, and what followed the image.
SHOWN = ("experiment", "set", "space")
ASKED = (*SHOWN, "digest", "status", "mask")
IN_TIME, LATE, CHECK = "ok", "late", "check"
#: Ends the number of a trial that shows an image once more, as its first trial had a late frame.
AGAIN = "b"
#: A mask that was left out because the person's device asks for less motion.
REDUCED = "reduced"
#: The other layout's column -> ours. "response" may be free text there: "pred_label" is what it was taken for.
LABELLED = {"image": "imagename", "pred_label": "object_response"}
#: A table of `bench export --trials`: its column -> ours.
EXPORTED = {"observer": "subj", "stimulus": "imagename", "response": "object_response", "margin": "decision_margin"}
#: How "pred_label" says that no category was named.
_NO_LABEL = frozenset({"", "none", "nan", NO_ANSWER})
#: Columns of a TrialFile; rt is in seconds (NaN: not measured), the others are text. Where a table states how clear
#: each decision was, a column MARGIN of numbers comes after them.
COLUMNS = ("stimulus", "category", "response", "condition", "session", "trial", "rt")
MARGIN = "margin"
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True, kw_only=True)
class TableHints:
    """What a user says of tables that do not say it: each goes before what names of files and columns say. columns:
    what the tables call a column -> what we call it; keep_late: trials with a late frame count, too."""

    experiment: str | None = None
    observer: str | None = None
    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    keep_late: bool = False


NO_HINTS = TableHints()


@dataclass(frozen=True, kw_only=True)
class TrialFile:
    """The trials of one observer in one experiment, from one file, in the file's order. columns: "stimulus" (image
    name), "category", "response" (one of the 16, or "na"), "condition" (canonical), "session", "trial": text [n]; "rt":
    float seconds [n]; of a table of `bench ask` also "digest" of each image. source: where the file comes from; prompt:
    how the observer was asked, where it was asked in several ways; space, shown: decision space and stimulus set, as
    the table of `bench ask` says; remarks: what a reader of its scores must know."""

    path: Path
    experiment: str
    observer: str
    kind: Kind
    columns: Mapping[str, Array]
    source: str = ""
    prompt: str = ""
    space: str = PUBLISHED_SPACE
    shown: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def who(self) -> ObserverName:
        """Who answered: a source, and the observer's name in it."""
        return resolve_observer(self.source, self.observer, self.experiment, human=self.kind == "human")

    def contents(self) -> dict[str, str]:
        """Image name -> digest of the image, "" where the table does not say."""
        unknown = np.full(len(self), "")
        return dict(zip(self.columns["stimulus"].tolist(), self.columns.get("digest", unknown).tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.columns["stimulus"])


@dataclass(frozen=True, kw_only=True)
class Read:
    """What was read of a folder. unfit: files that should be tables of trials and are not -> why; others: files that
    are known to be something else -> what."""

    files: tuple[TrialFile, ...]
    unfit: Mapping[Path, TrialsError] = field(default_factory=dict)
    others: Mapping[Path, str] = field(default_factory=dict)


def stated_columns(text: str) -> dict[str, str]:
    """ "answer=object_response, file=imagename" of the command line, the table's name first. Raises TrialsError."""
    columns: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        theirs, _, ours = (piece.strip().lower() for piece in part.partition("="))
        if not theirs or ours not in (*REQUIRED, *OPTIONAL) or ours in columns.values():
            raise TrialsError(
                f"--columns '{part}': expected THEIRS=OURS, each once, where OURS is one of "
                f"{', '.join((*REQUIRED, *OPTIONAL))}; such as 'file=imagename,answer=object_response'."
            )
        columns[theirs] = ours
    return columns


def trial_paths(path: Path) -> list[Path]:
    """The tables at `path`: the file itself, or every .csv below the folder. Raises TrialsError if there are none."""
    if path.is_file():
        return [path]
    paths = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".csv" and p.is_file())
    if not paths:
        what = "holds no .csv file" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise TrialsError(f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables.")
    return paths


def read_tables(path: Path, hints: TableHints = NO_HINTS) -> Read:
    """The trials of a file, or of all files below a folder that fit; one TrialFile per file, experiment and observer.
    Raises TrialsError if none fits, and if two files of one source contradict one another."""
    paths = trial_paths(path)
    sources = dict.fromkeys(paths, hints.source) if hints.source else sources_of(paths, path)
    files: list[TrialFile] = []
    unfit: dict[Path, TrialsError] = {}
    others: dict[Path, str] = {}
    for table in paths:
        source = sources[table] or ""
        if path != table and (what := other_content(source, table)):
            others[table] = f"{what}, no trials"
            continue
        try:
            observer, prompt = observer_of_path(source, table)
            parts, nameless = _by_experiment(_parse(table, replace(hints, observer=hints.observer or observer)))
            for part in parts:
                files += _read_table(part, hints, source, prompt)
            if nameless:
                others[table] = f"{nameless} trials of images that tables of trials cannot name are left out"
        except TrialsError as error:
            unfit[table] = error
    if not files and unfit:
        raise next(iter(unfit.values()))
    # An observer of a source answers an image once, or the same again, in whatever session and file.
    answered: dict[tuple[ObserverName, str, str], dict[tuple[str, str], tuple[str, Path]]] = {}
    for file in files:
        known = answered.setdefault((file.who, file.prompt, file.experiment), {})
        columns = (file.columns[name].tolist() for name in ("stimulus", "condition", "response"))
        for image, condition, answer in zip(*columns, strict=True):
            first, place = known.setdefault((image, condition), (answer, file.path))
            if first != answer:
                raise TrialsError(
                    f"{file.path}: {file.who} answered '{answer}' to '{image}' of {file.experiment}, but "
                    f"'{first}' in {place}; expected one answer. Import one of them, or give each a `--source`."
                )
    return Read(files=tuple(files), unfit=unfit, others=others)


def read_trials(path: Path) -> list[TrialFile]:
    """`read_tables` where every file must fit: else nothing of any file is returned. Raises TrialsError."""
    tables = read_tables(path)
    for error in tables.unfit.values():
        raise error
    return list(tables.files)


@dataclass(frozen=True, kw_only=True)
class TrialTable:
    """A table's columns as text, under our names, and the row number of each trial."""

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]

    @property
    def asked(self) -> bool:
        """Whether it is a table of `bench ask`."""
        return self.columns.keys() >= {*ASKED}

    @property
    def exported(self) -> bool:
        """Whether it is a table of `bench export --trials`."""
        return not self.asked and self.columns.keys() >= {*SHOWN}

    def where(self, i: int) -> str:
        """ "FILE, row N" of trial i."""
        return f"{self.path}, row {self.rows[i]}"

    def expect(self, name: str, allowed: frozenset[str], what: str) -> None:
        """Raise TrialsError if a column has another value."""
        for i, value in enumerate(self.columns[name]):
            if value not in allowed:
                raise TrialsError(f"{self.where(i)}: {name} is '{value}'; expected {what}.")

    def numbers(self, name: str, index: Sequence[int], what: str) -> Array:
        """Values of a column of numbers, NaN where there is none. Raises TrialsError on other text."""
        values = np.full(len(index), np.nan)
        for at, i in enumerate(index):
            text = self.columns[name][i]
            try:
                values[at] = float("nan" if text.lower() in {"", "na", "none"} else text)
            except ValueError:
                raise TrialsError(f"{self.where(i)}: {name} is '{text}'; expected {what} or NaN.") from None
        return values


def _by_experiment(table: TrialTable) -> tuple[list[TrialTable], int]:
    """A table of `bench export --trials` as one table for each experiment, and how many of its trials belong to none;
    any other table as it is. Raises TrialsError where all of them belong to none."""
    if not table.exported:
        return [table], 0
    groups: dict[str, list[int]] = {}
    for i, experiment in enumerate(table.columns["experiment"]):
        groups.setdefault(experiment, []).append(i)
    nameless = len(groups.pop("", ()))
    if not groups:
        raise TrialsError(f"{table.path}: its images belong to no experiment, as `bench import trials` needs them to.")
    parts = []
    for index in groups.values():
        columns = {name: [values[i] for i in index] for name, values in table.columns.items()}
        pairs = zip(columns["imagename"], columns["condition"], strict=True)
        columns["imagename"] = [name.removeprefix(f"{condition}/") for name, condition in pairs]
        same = {
            "digest": "",
            "status": IN_TIME,
            "mask": "none",
        }  # images are known by name, as those of published tables
        columns |= {name: [value] * len(index) for name, value in same.items()}
        parts.append(replace(table, columns=columns, rows=[table.rows[i] for i in index]))
    return parts, nameless


def _read_table(table: TrialTable, hints: TableHints, source: str, prompt: str) -> Iterator[TrialFile]:
    """Rows grouped by experiment and observer, each group in the file's order."""
    path, stated = table.path, hints.experiment and name_experiment(hints.experiment)
    experiment, shown_set, space = (table.columns[name][0] if table.asked else "" for name in SHOWN)
    experiment, space = name_experiment(experiment), space or PUBLISHED_SPACE
    experiment = experiment or stated or known_source(source).experiment or experiment_of(path)
    remarks: dict[str, tuple[str, ...]] = {}
    if table.asked:
        table, remarks = timely(table, hints.keep_late)
    conditions = table.columns["condition"]
    first = {name: i for i, name in reversed(list(enumerate(conditions)))}
    shown = {name: split_eidolon(experiment, name, table.where(i)) for name, i in first.items()}
    groups: dict[tuple[str, str], list[int]] = {}
    for i, who in enumerate(table.columns["subj"]):
        groups.setdefault((shown[conditions[i]], who), []).append(i)
    for (own, who), index in groups.items():
        kind: Kind = "human" if who.startswith(PEOPLE) else "published"
        columns = _columns(table, own, index, space)
        yield TrialFile(
            path=path,
            experiment=own,
            observer=who,
            kind=kind,
            columns=columns,
            source=source,
            prompt=prompt,
            space=space,
            shown=shown_set,
            remarks=remarks.get(who, ()),
        )


def _parse(path: Path, hints: TableHints) -> TrialTable:
    """A table whose form, categories and answers are checked."""
    expected = "Expected a CSV table."
    with foreign("table of trials", path, TrialsError, expected), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(_from_json(path, file.read()) if path.suffix.lower() == ".json" else file, strict=True)
        names = _read_header(path, [name.strip().lower() for name in next(reader, [])], hints)
        rows: list[int] = []
        fields: list[list[str]] = []
        for row in filter(None, reader):
            if len(row) != len(names):
                raise TrialsError(f"{path}, row {reader.line_num}: {len(row)} fields; the header has {len(names)}.")
            rows.append(reader.line_num)
            fields.append([text.strip() for text in row])
    if not rows:
        raise TrialsError(f"{path}: a header and no trials.")
    columns = {name: list(values) for name, values in zip(names, zip(*fields, strict=True), strict=True)}
    table = TrialTable(path=path, columns=columns, rows=rows)
    _fill(table, hints.observer)
    table.expect("category", frozenset(GEIRHOS16), f"one of {', '.join(GEIRHOS16)}")
    table.expect("object_response", frozenset((*GEIRHOS16, NO_ANSWER)), f"one of the 16 categories or '{NO_ANSWER}'")
    for name in ("subj", "imagename"):
        if "" in columns[name]:
            raise TrialsError(f"{table.where(columns[name].index(''))}: '{name}' is empty.")
    return table


def _from_json(path: Path, text: str) -> Iterator[str]:
    """A list of records of texts and numbers, as the lines of a CSV table. Raises TrialsError."""
    import pandas as pd

    records = json.loads(text)
    if not (isinstance(records, list) and records and all(isinstance(row, dict) for row in records)):
        raise TrialsError(f"{path}: expected a list of records, one for each trial.")
    return iter(str(pd.DataFrame(records).to_csv(index=False)).splitlines(keepends=True))


def timely(table: TrialTable, keep_late: bool) -> tuple[TrialTable, dict[str, tuple[str, ...]]]:
    """The trials of a table of `bench ask` that count, and by person what a reader of the scores must know. Attention
    checks do not count, nor trials with a late frame, whose images are shown once more (with `keep_late` the first
    trial counts instead). Raises TrialsError where nothing is left."""
    for name in SHOWN:
        table.expect(name, frozenset(table.columns[name][:1]), f"'{table.columns[name][0]}', as in the first row")
    table.expect("status", frozenset({IN_TIME, LATE, CHECK}), f"{IN_TIME}, {LATE} or {CHECK}")
    names = ("subj", "session", "trial", "status", "mask", "object_response", "category")
    counts: dict[str, Counter[str]] = {}
    kept: dict[tuple[str, ...], int] = {}
    asked: dict[str, set[tuple[str, ...]]] = {}
    for i, row in enumerate(zip(*(table.columns[name] for name in names), strict=True)):
        who, session, trial, status, mask, answer, category = row
        missed = ["failed"] * (status == CHECK and answer != category)
        counts.setdefault(who, Counter()).update([status, mask, *missed])
        place = (who, session, trial.removesuffix(AGAIN))
        asked.setdefault(who, set()).update([place] * (status != CHECK))
        if status == IN_TIME or (status == LATE and keep_late):
            kept.setdefault(place, i)
    if not kept:
        raise TrialsError(f"{table.path}: every trial has a late frame; `--keep-late` takes them all the same.")
    remarks = {}
    for who, n in counts.items():
        late = f"{n[LATE]} of {n[LATE] + n[IN_TIME]} trials had a late frame: {'kept' if keep_late else 'left out'}"
        failed = f"{n['failed']} of {n[CHECK]} attention checks failed"
        bare = f"{n[REDUCED]} trials without a mask, as the device asks for less motion"
        missing = len(asked[who] - kept.keys())
        lost = (
            f"{missing} of {len(asked[who])} images have no trial in time: no table that needs all of them has this "
            "person (`--keep-late` counts the late trials)"
        )
        said = ((n[LATE], late), (missing, lost), (n["failed"], failed), (n[REDUCED], bare))
        remarks[who] = tuple(text for number, text in said if number)
    columns = {name: [values[i] for i in kept.values()] for name, values in table.columns.items()}
    return replace(table, columns=columns, rows=[table.rows[i] for i in kept.values()]), remarks


def _read_header(path: Path, header: Sequence[str], hints: TableHints) -> list[str]:
    """The columns under our names. Raises TrialsError if one is there twice, or is needed and not there."""
    columns = f"found: {', '.join(header) or 'nothing'}."
    if lost := [theirs for theirs in hints.columns if theirs not in header]:
        raise TrialsError(f"{path}, row 1: no column '{lost[0]}', which --columns names; {columns}")
    names = [hints.columns.get(name, name) for name in header]
    if {*SHOWN, *tuple(EXPORTED)[:3]} <= {*names}:
        names = [EXPORTED.get(name, name) for name in names]
    if not set(LABELLED.values()) & set(names):
        names = [LABELLED.get(name, name) for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is there twice.")
    known = {"subj"} if hints.observer is not None else set()  # what something else says
    if (hints.columns or "pred_label" in header) and "imagename" in names:
        known |= {"condition", "category"}
    for name in REQUIRED:
        if name not in names and name not in known:
            more = " Or say who answered with `--observer NAME`." if name == "subj" else ""
            raise TrialsError(
                f"{path}, row 1: no column '{name}'. Expected the columns {', '.join(REQUIRED)} (and, if known, "
                f"{', '.join(OPTIONAL)}), or {', '.join(LABELLED)}; {columns} `--columns THEIRS=OURS` says what others "
                f"mean.{more}"
            )
    return names


def _fill(table: TrialTable, observer: str | None) -> None:
    """Add the columns that the table lacks, from what is known beside it. Raises TrialsError."""
    columns, n = table.columns, len(table.rows)
    if observer is not None:
        columns["subj"] = [observer] * n
    columns.setdefault("session", ["1"] * n)
    columns.setdefault("trial", [str(i + 1) for i in range(n)])
    columns.setdefault("rt", [""] * n)
    columns.setdefault("condition", [""] * n)
    if "category" in columns:
        return
    # The other layout: its image names have no suffix but contain the category.
    columns["imagename"] = [
        name if PurePath(name).suffix or not read_pair(name) else f"{name}.png" for name in columns["imagename"]
    ]
    columns["object_response"] = [NO_ANSWER if x.lower() in _NO_LABEL else x for x in columns["object_response"]]
    columns["category"] = []
    for i, name in enumerate(columns["imagename"]):
        prefix, pair = PREFIX.match(name), read_pair(image_id(name))
        if not prefix and not pair:
            raise TrialsError(f"{table.where(i)}: '{name}' names no category; say `--columns THEIRS=category`.")
        columns["category"].append(prefix["category"] if prefix else pair.shape if pair else "")


def _columns(table: TrialTable, experiment: str, index: list[int], space: str) -> dict[str, Array]:
    """The columns of a TrialFile. Raises TrialsError: published cue-conflict names must give a shape, equal to the
    category column, and a texture; one observer answers an image once per condition and session."""
    raw = {name: [values[i] for i in index] for name, values in table.columns.items()}
    names = [image_id(name) for name in raw["imagename"]]
    spelt = {text: canonical_condition(experiment, text) for text in set(raw["condition"])}
    conditions = [spelt[text] for text in raw["condition"]]
    seen: dict[tuple[str, str, str], int] = {}
    for i, name, category, *key in zip(index, names, raw["category"], conditions, raw["session"], strict=True):
        pair = read_pair(name)
        if (experiment, space) == ("cue-conflict", PUBLISHED_SPACE) and (pair is None or pair.shape != category):
            raise TrialsError(f"{table.where(i)}: '{name}' of '{category}'; expected '{category}7-elephant1.png'.")
        first = seen.setdefault((name, key[0], key[1]), i)
        if first != i:
            raise TrialsError(
                f"{table.where(i)}: {table.columns['subj'][i]} answered '{name}' (condition '{key[0]}', session "
                f"{key[1]}) already in row {table.rows[first]}; expected one answer."
            )
    texts = (names, raw["category"], raw["object_response"], conditions, raw["session"], raw["trial"])
    columns: dict[str, Array] = {name: np.array(values) for name, values in zip(COLUMNS, texts, strict=False)}
    columns["rt"] = table.numbers("rt", index, "seconds")
    if table.asked:
        columns["digest"] = np.array(raw["digest"])
    if "decision_margin" in raw:
        columns[MARGIN] = table.numbers("decision_margin", index, "a number")
    return columns
