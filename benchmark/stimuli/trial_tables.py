"""Published tables of trials: answers of people and of other laboratories' networks, a row a trial. A file is taken or
refused as one; errors name the file, the row (the header is row 1) and the expectation."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.contracts import Array
from benchmark.failures import TrialsError
from benchmark.stimuli import experiments, published_sources
from benchmark.stimuli.experiments import Experiment, PeopleTables, name_experiment, published_experiments
from benchmark.stimuli.image_names import GEIRHOS16, NO_ANSWER, cues_of
from benchmark.stimuli.items import experiment_images
from benchmark.stimuli.published_sources import PUBLISHED_SPACE, ObserverName, known_source
from benchmark.stimuli.text_tables import read_frame
from registry.user_errors import foreign

if TYPE_CHECKING:
    from pandas import DataFrame, Series

REQUIRED = ("subj", "object_response", "category", "condition", "imagename")
OPTIONAL = ("session", "trial", "rt", "decision_margin")
#: Additional columns of `bench ask`, all or none: experiment, set and label space of the images; digest of each image;
#: outcome of the trial; mask.
SHOWN = ("experiment", "set", "space")
ASKED = (*SHOWN, "digest", "status", "mask")
IN_TIME, LATE, CHECK, PRACTISED = "ok", "late", "check", "practice"
#: Column of `bench ask`: the presentation time in ms. If a table has several, they are ways of asking, as prompts are.
DURATION = "duration_ms"
#: Suffix of the number of a trial that repeats an image whose first trial had a late frame.
AGAIN = "b"
#: A mask that was left out because the person's device asks for less motion.
REDUCED = "reduced"
#: The second layout's column -> ours. Its "response" may be free text; "pred_label" is the category assigned to that.
LABELLED = {"image": "imagename", "pred_label": "object_response"}
#: A table of `bench export --trials`: its column -> ours.
EXPORTED = {"observer": "subj", "stimulus": "imagename", "response": "object_response", "margin": "decision_margin"}
#: What the YAML of an experiment calls a column -> ours.
CALLED = {"person": "subj", "answer": "object_response", "image": "imagename", "margin": "decision_margin"}
#: Labels of an image beside its category: columns of a TrialFile of an added experiment whose images have them.
CUES = ("shape", "texture", "shape_exemplar", "texture_exemplar")
#: Columns of a TrialFile beside an answer, where an added experiment's tables have them: how sure the person was, and
#: the ranked answers, which "|" separates.
CONFIDENCE, CHOICES = "confidence", "choices"
#: Values of "pred_label" if no category was named.
_NO_LABEL = frozenset({"", "none", "nan", NO_ANSWER})
#: Column of a TrialFile with the margins of decisions, if the table has them.
MARGIN = "margin"
PEOPLE = "subject-"
Kind = Literal["human", "published"]


@dataclass(frozen=True, kw_only=True)
class TableHints:
    """What a user states about tables; it overrides the names of files and columns."""

    experiment: str | None = None
    observer: str | None = None
    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # the table's column -> gestaltbench's
    #: The table's answer or category, in small letters -> one of the 16.
    answers: Mapping[str, str] = field(default_factory=dict)
    keep_late: bool = False  # count trials with a late frame
    known: Mapping[str, Experiment] = field(default_factory=published_experiments)  # by name, added ones among them

    def added(self, path: Path, shown: str = "", asked: bool = False) -> Experiment | None:
        """Return the added experiment of a table: the stated one, or the one that the table or its path names. Tables
        of `bench ask` (`asked`) do not read as the YAML describes others."""
        name = name_experiment(self.experiment or shown, self.known)
        with suppress(TrialsError):
            name = name or experiments.experiment_of(path, self.known)
        own = self.known.get(name)
        if own is None or not own.file:
            return None
        return replace(own, trials=PeopleTables()) if asked else own


NO_HINTS = TableHints()


@dataclass(frozen=True, kw_only=True)
class TrialFile:
    """The trials of one observer in one experiment from one file, in the file's order."""

    path: Path
    experiment: str
    observer: str
    kind: Kind
    #: "stimulus" (image name), "category", "response" (one of the 16, or "na"), "condition" (canonical), "session",
    #: "trial": text [n]; "rt": float seconds [n], NaN if not measured; of `bench ask` also "digest" of each image.
    columns: Mapping[str, Array]
    source: str = ""  # where the file comes from
    prompt: str = ""  # the prompt or the presentation time, if the observer was asked in several ways
    added: Experiment | None = None  # the experiment if it is a user's
    space: str = PUBLISHED_SPACE  # label space and stimulus set in a table of `bench ask`
    shown: str = ""
    remarks: tuple[str, ...] = ()  # caveats for readers of the scores

    @property
    def who(self) -> ObserverName:
        """Who answered: a source, and the observer's name in it."""
        human = self.kind == "human"
        return published_sources.resolve_observer(self.source, self.observer, self.experiment, human=human)

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
    unfit: Mapping[Path, TrialsError] = field(default_factory=dict)  # invalid tables -> the error
    others: Mapping[Path, str] = field(default_factory=dict)  # files known to hold something else -> their content


def trial_paths(path: Path) -> list[Path]:
    """List the tables at `path`: the file, or every .csv, .tsv and .jsonl below it. Raises TrialsError if none."""
    paths = [path] if path.is_file() else sorted(path.rglob("*"))
    tables = [p for p in paths if p == path or (p.suffix.lower() in (".csv", ".tsv", ".jsonl") and p.is_file())]
    if not tables:
        what = "it holds no .csv file" if path.is_dir() else "it is not a regular file"
        raise TrialsError(f"{path}: {what}. Expected a CSV table of trials, or a folder with such tables.")
    return tables


def read_tables(path: Path, hints: TableHints = NO_HINTS) -> Read:
    """Read a file, or all valid files below a folder, as one TrialFile per file, experiment and observer. Raises
    TrialsError if no file is valid, or two files of one source disagree."""
    paths = trial_paths(path)
    sources = dict.fromkeys(paths, hints.source) if hints.source else published_sources.sources_of(paths, path)
    files: list[TrialFile] = []
    unfit: dict[Path, TrialsError] = {}
    others: dict[Path, str] = {}
    for table in paths:
        source = sources[table] or ""
        if path != table and (what := published_sources.other_content(source, table)):
            others[table] = f"{what}, no trials"
            continue
        try:
            observer, prompt = published_sources.observer_of_path(source, table)
            rows, hint = _parse(table, replace(hints, observer=hints.observer or observer)), hints
            if added := hints.added(table):  # its people are of this experiment, whatever the folder is called
                hint, source = replace(hints, experiment=added.name), hints.source or added.name
            for name, part in rows.groupby("experiment", sort=False) if "experiment" in rows else [("one", rows)]:
                if name:
                    files += _read_table(table, part, hint, source, prompt)
                else:  # of `bench export --trials`
                    others[table] = f"{len(part)} trials of images that tables of trials cannot name are left out"
        except TrialsError as error:
            unfit[table] = error
    if not files and unfit:
        raise next(iter(unfit.values()))
    # An observer of a source gives one answer to an image, over all sessions and files.
    answered: dict[tuple[object, ...], tuple[str, Path]] = {}
    for file in files:
        asked = (file.who, file.prompt, file.experiment)
        columns = (file.columns[name].tolist() for name in ("stimulus", "condition", "response"))
        for image, condition, answer in zip(*columns, strict=True):
            first, place = answered.setdefault((*asked, image, condition), (answer, file.path))
            if first != answer:
                raise TrialsError(
                    f"{file.path}: {file.who} answered '{answer}' to '{image}' of {file.experiment}, but "
                    f"'{first}' in {place}; expected one answer. Import one of them, or give each a `--source`."
                )
    return Read(files=tuple(files), unfit=unfit, others=others)


def _read_table(path: Path, rows: "DataFrame", hints: TableHints, source: str, prompt: str) -> Iterator[TrialFile]:
    """Group rows by experiment and observer, in the file's order."""
    asked = {*ASKED} <= {*rows}
    experiment, shown, space = (rows[name].iloc[0] if asked else "" for name in SHOWN)
    experiment = name_experiment(experiment or hints.experiment or "", hints.known) or known_source(source).experiment
    experiment = experiment or experiments.experiment_of(path, hints.known)
    added = hints.added(path, experiment, asked)
    space = space or (added.space if added else PUBLISHED_SPACE)
    remarks: dict[str, tuple[str, ...]] = {}
    if asked:
        rows, remarks = timely(path, rows, hints.keep_late)
    first = rows["condition"].drop_duplicates()
    own = {text: experiments.split_eidolon(experiment, text, f"{path}, row {i}") for i, text in first.items()}
    times: str | Series[str] = prompt
    if asked and DURATION in rows and rows[DURATION].nunique() > 1:
        _numbers(path, rows, DURATION, "milliseconds")
        times = rows[DURATION] + published_sources.TIME_UNIT
    for keys, part in rows.assign(way=times).groupby([rows["condition"].map(own), "subj", "way"], sort=False):
        name, who, way = map(str, keys)
        yield TrialFile(
            path=path,
            experiment=name,
            observer=who,
            kind="human" if who.startswith(PEOPLE) else "published",
            columns=_columns(path, part, name, space, added),
            source=source,
            prompt=way,
            added=added,
            space=space,
            shown=shown,
            remarks=remarks.get(who, ()),
        )


def _parse(path: Path, hints: TableHints) -> "DataFrame":
    """Read a table as text, with rows numbered as in the file, and check its form, categories and answers."""
    import pandas as pd

    with foreign("table of trials", path, TrialsError, "Expected a CSV table, or a JSON list of records."):
        rows = read_frame(path)
    if len(rows) < 2:
        raise TrialsError(f"{path}: an empty table, or a header and no trials.")
    header, rows = rows.iloc[0].str.lower().tolist(), rows.iloc[1:]
    added = hints.added(path, asked={*ASKED} <= {*header})
    rows.columns = pd.Index(_read_header(path, header, hints, added))
    if added is None and "experiment" in rows:  # of `bench ask`
        added = hints.added(path, rows["experiment"].iloc[0], asked=True)
    rows = _filled(path, rows.copy(), hints.observer, added)
    words = {**(added.words if added else {}), **hints.answers}
    for name in ("category", "object_response"):
        rows[name] = rows[name].str.lower().map(lambda word: words.get(word, word))
    allowed = added.answers if added else GEIRHOS16
    if added is not None and CHOICES in rows:
        ranked = [[words.get(x, x) for x in re.split(r"\s*[|;,]\s*", text)] for text in rows[CHOICES].str.lower()]
        for i, one in zip(rows.index, ranked, strict=True):
            if odd := sorted({*one} - {*allowed, NO_ANSWER, ""}):
                raise TrialsError(f"{path}, row {i}: {CHOICES} has '{odd[0]}'; {added.where('trials.answers')}.")
        pairs = zip(rows["object_response"], ranked, strict=True)
        rows = rows.assign(object_response=[said or one[0] or NO_ANSWER for said, one in pairs])
        rows[CHOICES] = ["|".join(one) for one in ranked]
    ways = " (`--answers THEIRS=OURS` renames" + (f", or {added.where('trials.answers')})" if added else ")")
    _expect(path, rows, "category", allowed, f"one of {', '.join(allowed)}{ways}")
    said = f"one of the {len(allowed)} categories or '{NO_ANSWER}'{ways}"
    _expect(path, rows, "object_response", (*allowed, NO_ANSWER), said)
    for name in ("subj", "imagename"):
        if (rows[name] == "").any():
            raise TrialsError(f"{path}, row {(rows[name] == '').idxmax()}: '{name}' is empty.")
    if {*SHOWN} <= {*rows} and not {*ASKED} <= {*rows}:  # of `bench export --trials`
        pairs = zip(rows["imagename"], rows["condition"], strict=True)
        names = [name.removeprefix(f"{condition}/") for name, condition in pairs]
        rows = rows.assign(imagename=names, digest="", status=IN_TIME, mask="none")
    return rows


def _labelled(path: Path, rows: "DataFrame", added: Experiment) -> "DataFrame":
    """Complete the rows of an added experiment by its images, where the table lacks category and condition."""
    index: dict[str, tuple[str, dict[str, str]]] = {}
    for name, file, labels in experiment_images(added) if added.stimuli and added.stimuli.folder else ():
        for text in (name, PurePath(name).stem, file.name, file.stem):
            index.setdefault(f"{labels.get('condition', '')}/{text}", (name, labels))
            index.setdefault(text, (name, labels))
    stated = [name for name in ("condition", "category", *added.factors) if name in rows]
    made = []
    for i, row in zip(rows.index, rows.to_dict("records"), strict=True):
        if row.get("status") in (CHECK, PRACTISED):  # of `bench ask`: no image of the experiment
            made.append((row["imagename"], "", row["category"], *("" for _ in CUES)))
            continue
        place = str(row["imagename"]).replace("\\", "/")
        found = added.labels_of(place) or added.labels_of(place.rpartition("/")[2])
        labels = added.completed({**found, **{name: row[name] for name in stated if row[name]}})
        image, condition = found.get("image", place.rpartition("/")[2]), labels.get("condition", "")
        image, known = index.get(f"{condition}/{image}") or index.get(image) or (image, {})
        if index and not known:
            where = f"state how tables name images: {added.where('trials.names')}"
            raise TrialsError(f"{path}, row {i}: '{image}' is not an image of the experiment; {where}.")
        if condition not in added.levels and not added.unlisted and "condition" not in known:
            raise TrialsError(f"{path}, row {i}: {added.where('conditions')} lacks '{condition}'.")
        condition = condition if condition in added.levels else known.get("condition", condition)
        if not (category := labels["category"] or known.get("category", "")):
            raise TrialsError(f"{path}, row {i}: '{image}' names no category; {added.where('trials.columns')}.")
        made.append((image, condition, category, *({**known, **labels}.get(cue, "") for cue in CUES)))
    images, conditions, categories, *cues = zip(*made, strict=True)
    more = dict(zip(CUES, cues, strict=True)) if any(map(any, cues)) else {}
    return rows.assign(imagename=images, condition=conditions, category=categories, **more)


def _expect(path: Path, rows: "DataFrame", name: str, allowed: Collection[str], what: str) -> None:
    """Raise TrialsError if a column has a value that is not allowed."""
    for i, value in rows[name][~rows[name].isin(allowed)].items():
        raise TrialsError(f"{path}, row {i}: {name} is '{value}'; expected {what}.")


def _numbers(path: Path, rows: "DataFrame", name: str, what: str) -> Array:
    """Parse a column of numbers, NaN for missing ones. Raises TrialsError on other text."""
    import pandas as pd

    texts = rows[name].str.lower().replace(["", "na", "none"], "nan")
    values = pd.to_numeric(texts, errors="coerce")
    for i, text in rows[name][values.isna() & (texts != "nan")].items():
        raise TrialsError(f"{path}, row {i}: {name} is '{text}'; expected {what} or NaN.")
    return values.to_numpy(dtype=float)


def timely(path: Path, rows: "DataFrame", keep_late: bool) -> tuple["DataFrame", dict[str, tuple[str, ...]]]:
    """Select the trials of `bench ask` that count, and write the remarks on each person. A late frame excludes a trial,
    whose image is shown again; with `keep_late` the first counts instead. Raises TrialsError."""
    for name in SHOWN:
        first = rows[name].iloc[0]
        _expect(path, rows, name, [first], f"'{first}', as in the first row")
    _expect(path, rows, "status", (IN_TIME, LATE, CHECK, PRACTISED), f"{IN_TIME}, {LATE}, {CHECK} or {PRACTISED}")
    if (rows := rows[rows["status"] != PRACTISED]).empty:
        raise TrialsError(f"{path}: it holds practice alone, no trial that counts.")
    place = rows["session"] + "\n" + rows["trial"].str.removesuffix(AGAIN)
    counts = rows["status"].isin((IN_TIME, LATE) if keep_late else (IN_TIME,))
    kept = rows.assign(place=place)[counts].drop_duplicates(["subj", "place"])
    if kept.empty:
        raise TrialsError(f"{path}: every trial has a late frame; `--keep-late` includes them.")
    remarks = {}
    for who, own in rows.groupby("subj", sort=False):
        checks, late = own[own["status"] == CHECK], (own["status"] == LATE).sum()
        shown, failed = len(own) - len(checks), (checks["object_response"] != checks["category"]).sum()
        images, bare = place[own.index.difference(checks.index)].nunique(), (own["mask"] == REDUCED).sum()
        missing = images - (kept["subj"] == who).sum()
        texts = {
            f"{late} of {shown} trials had a late frame: {'kept' if keep_late else 'left out'}": late,
            f"{missing} of {images} images have no trial in time: no table that needs all of them has this person "
            "(`--keep-late` counts the late trials)": missing,
            f"{failed} of {len(checks)} attention checks failed": failed,
            f"{bare} trials without a mask, as the device asks for less motion": bare,
        }
        remarks[str(who)] = tuple(text for text, number in texts.items() if number)
    return kept, remarks


def _read_header(path: Path, header: Sequence[str], hints: TableHints, added: Experiment | None) -> list[str]:
    """Translate the columns to gestaltbench's names. Raises TrialsError if one is duplicate or a needed one missing."""
    columns = f"found: {', '.join(header) or 'nothing'}."
    own = {theirs.lower(): CALLED.get(ours, ours) for ours, theirs in (added.trials.columns if added else {}).items()}
    if lost := [theirs for theirs in (*hints.columns, *own) if theirs not in header]:
        way = added.where("trials.columns") if added and lost[0] in own else "--columns"
        raise TrialsError(f"{path}, row 1: no column '{lost[0]}', which {way} names; {columns}")
    own |= hints.columns
    names = [own.get(name, name) for name in header]
    layouts = (EXPORTED, {*SHOWN, *tuple(EXPORTED)[:3]} <= {*names}), (LABELLED, not {*LABELLED.values()} & {*names})
    for layout in (layout for layout, fits in layouts if fits):
        names = [layout.get(name, name) for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrialsError(f"{path}, row 1: the column '{twice[0]}' is duplicate.")
    known = {"subj"} if hints.observer is not None else set()  # columns that hints or names provide
    if added is not None or ((hints.columns or "pred_label" in header) and "imagename" in names):
        known |= {"condition", "category", *(["object_response"] if added and CHOICES in names else [])}
    if not (lost := [name for name in REQUIRED if name not in names and name not in known]):
        return names
    if added is not None:
        called = {ours: theirs for theirs, ours in CALLED.items()}.get(lost[0], lost[0])
        raise TrialsError(f"{path}, row 1: which column is the {called}? {added.where('trials.columns')}; {columns}")
    more = " Or say who answered with `--observer NAME`." if lost[0] == "subj" else ""
    if yours := [name for name, each in hints.known.items() if each.file]:
        more += f" A table of your own experiment: `--experiment {' or '.join(yours)}`."
    raise TrialsError(
        f"{path}, row 1: no column '{lost[0]}'. Expected the columns {', '.join(REQUIRED)} (and, if known, "
        f"{', '.join(OPTIONAL)}), or {', '.join(LABELLED)}; {columns} `--columns THEIRS=OURS` translates others.{more}"
    )


def _filled(path: Path, rows: "DataFrame", observer: str | None, added: Experiment | None) -> "DataFrame":
    """Select the rows that count by an experiment's YAML, name its people as people, and add missing columns that file
    names or hints provide. Raises TrialsError."""
    if added is not None:
        for column, values in added.trials.left_out.items():
            if column.lower() not in rows:
                raise TrialsError(f"{path}: no column '{column}'; {added.where('trials.left_out')} names it.")
            rows = rows[~rows[column.lower()].str.lower().isin([value.lower() for value in values])].copy()
        if rows.empty:
            raise TrialsError(f"{path}: no trial is left; {added.where('trials.left_out')}.")
        if "subj" in rows:
            person = rows["subj"].str.fullmatch(added.trials.people)
            rows["subj"] = rows["subj"].where(~person, PEOPLE + rows["subj"].str.removeprefix(PEOPLE))
    if observer is not None:
        rows["subj"] = observer
    defaults = {"session": "1", "trial": [str(i + 1) for i in range(len(rows))], "rt": "", "condition": ""}
    defaults |= {"object_response": ""} if CHOICES in rows else {}
    rows = rows.assign(**{name: value for name, value in defaults.items() if name not in rows})
    if added is not None:
        return _labelled(path, rows, added)
    if "category" in rows:
        return rows
    # The other layout: its image names have no suffix but contain the category.
    names, categories = [], []
    for i, name in rows["imagename"].items():
        cues = cues_of(name)
        category = published_experiments()["contrast"].labels_of(name).get("category") or cues.get("shape", "")
        if not category:
            raise TrialsError(f"{path}, row {i}: '{name}' names no category; use `--columns THEIRS=category`.")
        names.append(name if PurePath(name).suffix or "texture" not in cues else f"{name}.png")
        categories.append(category)
    answers = rows["object_response"].mask(rows["object_response"].str.lower().isin(_NO_LABEL), NO_ANSWER)
    return rows.assign(imagename=names, object_response=answers, category=categories)


def _columns(path: Path, rows: "DataFrame", experiment: str, space: str, added: Experiment | None) -> dict[str, Array]:
    """Build the columns of a TrialFile. Raises TrialsError on an unfit name or a second answer to an image."""
    if added is None:
        spelt = {text: experiments.canonical_condition(experiment, text) for text in rows["condition"].unique()}
        published = published_experiments()["contrast"]  # people's names of images begin with a prefix of their own
        images = rows["imagename"].map(lambda name: published.labels_of(name).get("image", name))
        rows = rows.assign(imagename=images, condition=rows["condition"].map(spelt))
    elif (repeats := added.trials.repeats) != "refuse":
        if repeats == "majority":  # of a tie the first
            same = rows.groupby(["imagename", "condition", "object_response"])["object_response"]
            rows = rows.assign(n=-same.transform("size")).sort_values("n", kind="stable")
        rows = rows.drop_duplicates(
            ["imagename", "condition"], keep="last" if repeats == "last" else "first"
        ).sort_index()
    if (experiment, space) == ("cue-conflict", PUBLISHED_SPACE):
        for i, name, category in rows[["imagename", "category"]].itertuples():
            if (cues := cues_of(name)).get("shape") != category or "texture" not in cues:
                raise TrialsError(f"{path}, row {i}: '{name}' of '{category}'; expected '{category}7-elephant1.png'.")
    key = ["imagename", "condition", "session"] if added is None else ["imagename", "condition"]
    for i, row in rows[rows.duplicated(key)].iterrows():
        first = rows.index[(rows[key] == row[key]).all(axis=1)][0]
        raise TrialsError(
            f"{path}, row {i}: {row['subj']} answered '{row['imagename']}' (condition '{row['condition']}', session "
            f"{row['session']}) already in row {first}; expected one answer"
            + (f", or `repeats: first` (last, majority): {added.where('trials')}." if added else ".")
        )
    texts = {"stimulus": "imagename", "category": "category", "response": "object_response", "condition": "condition"}
    more = (*CUES, *(["digest"] if {*ASKED} <= {*rows} else []), *([CHOICES] if added else []))
    texts |= {name: name for name in ("session", "trial", *more)}
    columns = {ours: np.array(rows[own].tolist()) for ours, own in texts.items() if own in rows}
    columns["rt"] = _numbers(path, rows, "rt", "seconds") / (1000 if added and added.trials.milliseconds else 1)
    for ours, own in {MARGIN: "decision_margin", **({CONFIDENCE: CONFIDENCE} if added else {})}.items():
        if own in rows:
            columns[ours] = _numbers(path, rows, own, "a number")
    return columns
