"""Published tables of trials: answers of people and of other laboratories' networks.

A CSV file has one row per trial, with columns in any case and order. Two layouts are known: that of model-vs-human and
texture-vs-shape (Geirhos et al. 2018-2021), with every field in each row, and "image, response, pred_label" (Gavrikov
et al. 2024), one file per observer and prompt, with the other fields in its names. A table of `bench ask` has the first
layout and more columns (`ASKED`); one of `bench export --trials` has gestaltbench's names (`EXPORTED`). A file is
accepted or refused as one; errors name the file, the row (the header is row 1) and the expectation."""

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
#: Additional columns of `bench ask`, all or none: experiment, set and label space of the images; digest of each image;
#: outcome of the trial; mask.
SHOWN = ("experiment", "set", "space")
ASKED = (*SHOWN, "digest", "status", "mask")
IN_TIME, LATE, CHECK = "ok", "late", "check"
#: Suffix of the number of a trial that repeats an image whose first trial had a late frame.
AGAIN = "b"
#: A mask that was left out because the person's device asks for less motion.
REDUCED = "reduced"
#: The second layout's column -> ours. Its "response" may be free text; "pred_label" is the category assigned to that.
LABELLED = {"image": "imagename", "pred_label": "object_response"}
#: A table of `bench export --trials`: its column -> ours.
EXPORTED = {"observer": "subj", "stimulus": "imagename", "response": "object_response", "margin": "decision_margin"}
#: Values of "pred_label" if no category was named.
_NO_LABEL = frozenset({"", "none", "nan", NO_ANSWER})
#: Columns of a TrialFile; rt is in seconds (NaN: not measured), the others are text. A column MARGIN of numbers follows
#: if the table has the margins of decisions.
COLUMNS = ("stimulus", "category", "response", "condition", "session", "trial", "rt")
MARGIN = "margin"
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True, kw_only=True)
class TableHints:
    """What a user states about tables; it overrides the names of files and columns."""

    experiment: str | None = None
    observer: str | None = None
    source: str | None = None
    #: The table's column -> gestaltbench's.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: Count trials with a late frame.
    keep_late: bool = False


NO_HINTS = TableHints()


@dataclass(frozen=True, kw_only=True)
class TrialFile:
    """The trials of one observer in one experiment from one file, in the file's order."""

    path: Path
    experiment: str
    observer: str
    kind: Kind
    #: "stimulus" (image name), "category", "response" (one of the 16, or "na"), "condition" (canonical), "session",
    #: "trial": text [n]; "rt": float seconds [n]; in a table of `bench ask` also "digest" of each image.
    columns: Mapping[str, Array]
    #: Where the file comes from.
    source: str = ""
    #: The prompt, if the observer was asked in several ways.
    prompt: str = ""
    #: Label space and stimulus set in a table of `bench ask`.
    space: str = PUBLISHED_SPACE
    shown: str = ""
    #: Caveats for readers of the scores.
    remarks: tuple[str, ...] = ()

    @property
    def who(self) -> ObserverName:
        """Who answered: a source, and the observer's name in it."""
        return resolve_observer(self.source, self.observer, self.experiment, human=self.kind == "human")

    def contents(self) -> dict[str, str]:
        """Map image names to image digests; "" if the table has none."""
        unknown = np.full(len(self), "")
        return dict(zip(self.columns["stimulus"].tolist(), self.columns.get("digest", unknown).tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.columns["stimulus"])


@dataclass(frozen=True, kw_only=True)
class Read:
    """The result of reading a folder."""

    files: tuple[TrialFile, ...]
    #: Invalid tables -> the error.
    unfit: Mapping[Path, TrialsError] = field(default_factory=dict)
    #: Files known to hold something else -> their content.
    others: Mapping[Path, str] = field(default_factory=dict)


def stated_columns(text: str) -> dict[str, str]:
    """Parse "answer=object_response, file=imagename" on the command line: THEIRS=OURS. Raises TrialsError."""
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
    """List the tables at `path`: the file, or every .csv below the folder. Raises TrialsError if there are none."""
    if path.is_file():
        return [path]
    paths = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".csv" and p.is_file())
    if not paths:
        what = "holds no .csv file" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise TrialsError(f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables.")
    return paths


def read_tables(path: Path, hints: TableHints = NO_HINTS) -> Read:
    """Read a file, or all valid files below a folder, as one TrialFile per file, experiment and observer. Raises
    TrialsError if no file is valid, or two files of one source disagree."""
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
    # An observer of a source gives one answer to an image, over all sessions and files.
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
    """Read tables as `read_tables`, but raise TrialsError if any file is invalid."""
    tables = read_tables(path)
    for error in tables.unfit.values():
        raise error
    return list(tables.files)


@dataclass(frozen=True, kw_only=True)
class TrialTable:
    """A table's columns as text under gestaltbench's names."""

    path: Path
    columns: dict[str, list[str]]
    #: Row number of each trial.
    rows: list[int]

    @property
    def asked(self) -> bool:
        """Whether `bench ask` wrote the table."""
        return self.columns.keys() >= {*ASKED}

    @property
    def exported(self) -> bool:
        """Whether `bench export --trials` wrote the table."""
        return not self.asked and self.columns.keys() >= {*SHOWN}

    def where(self, i: int) -> str:
        """Return "FILE, row N" for trial i."""
        return f"{self.path}, row {self.rows[i]}"

    def expect(self, name: str, allowed: frozenset[str], what: str) -> None:
        """Raise TrialsError if a column has a value that is not allowed."""
        for i, value in enumerate(self.columns[name]):
            if value not in allowed:
                raise TrialsError(f"{self.where(i)}: {name} is '{value}'; expected {what}.")

    def numbers(self, name: str, index: Sequence[int], what: str) -> Array:
        """Parse a column of numbers, NaN for missing ones. Raises TrialsError on other text."""
        values = np.full(len(index), np.nan)
        for at, i in enumerate(index):
            text = self.columns[name][i]
            try:
                values[at] = float("nan" if text.lower() in {"", "na", "none"} else text)
            except ValueError:
                raise TrialsError(f"{self.where(i)}: {name} is '{text}'; expected {what} or NaN.") from None
        return values


def _by_experiment(table: TrialTable) -> tuple[list[TrialTable], int]:
    """Split a table of `bench export --trials` by experiment and count its trials without one; return other tables
    unchanged. Raises TrialsError if no trial has an experiment."""
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
    """Group rows by experiment and observer, in the file's order."""
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
    """Read a table and check its form, categories and answers."""
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
    """Convert a list of records to the lines of a CSV table. Raises TrialsError."""
    import pandas as pd

    records = json.loads(text)
    if not (isinstance(records, list) and records and all(isinstance(row, dict) for row in records)):
        raise TrialsError(f"{path}: expected a list of records, one for each trial.")
    return iter(str(pd.DataFrame(records).to_csv(index=False)).splitlines(keepends=True))


def timely(table: TrialTable, keep_late: bool) -> tuple[TrialTable, dict[str, tuple[str, ...]]]:
    """Select the trials of `bench ask` that count, and write the remarks on each person.

    Attention checks do not count. A late frame also excludes a trial, whose image is then shown a second time; with
    `keep_late` the first trial counts instead. Raises TrialsError if no trial is left."""
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
        raise TrialsError(f"{table.path}: every trial has a late frame; `--keep-late` includes them.")
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
    """Translate the columns to gestaltbench's names. Raises TrialsError if one is duplicate or a required one is
    missing."""
    columns = f"found: {', '.join(header) or 'nothing'}."
    if lost := [theirs for theirs in hints.columns if theirs not in header]:
        raise TrialsError(f"{path}, row 1: no column '{lost[0]}', which --columns names; {columns}")
    names = [hints.columns.get(name, name) for name in header]
    if {*SHOWN, *tuple(EXPORTED)[:3]} <= {*names}:
        names = [EXPORTED.get(name, name) for name in names]
    if not set(LABELLED.values()) & set(names):
        names = [LABELLED.get(name, name) for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is duplicate.")
    known = {"subj"} if hints.observer is not None else set()  # columns that hints or names provide
    if (hints.columns or "pred_label" in header) and "imagename" in names:
        known |= {"condition", "category"}
    for name in REQUIRED:
        if name not in names and name not in known:
            more = " Or say who answered with `--observer NAME`." if name == "subj" else ""
            raise TrialsError(
                f"{path}, row 1: no column '{name}'. Expected the columns {', '.join(REQUIRED)} (and, if known, "
                f"{', '.join(OPTIONAL)}), or {', '.join(LABELLED)}; {columns} `--columns THEIRS=OURS` translates "
                f"others.{more}"
            )
    return names


def _fill(table: TrialTable, observer: str | None) -> None:
    """Add missing columns that file names or hints provide. Raises TrialsError."""
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
    """Build the columns of a TrialFile.

    Raises TrialsError if a published cue-conflict name lacks a texture or a shape equal to the category, or an observer
    answers an image twice in one condition and session."""
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
