"""Experiments as data, with the fields of `Experiment`: what was shown under which conditions, who answered, and how
files and tables say so. The published ones are in `experiments.yaml`, a user's each in a YAML beside its stimuli."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from benchmark.contracts import Array, Suite, Trials, View
from benchmark.contracts.declarations import package_data
from benchmark.failures import StimuliError, TrialsError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import added_file, read_catalogue
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.transforms.listing import spelled
from registry.documents import read_document, validated
from registry.labels import LABEL_SPACES, label_space
from registry.user_errors import some_of

_SUFFIX = re.compile(r"(-experiment)?(-trained-cnns)?$")
#: Prefix of the experiment in file names of error-consistency (Geirhos et al. 2020).
_GROUP = re.compile(r"^(?:texture-shape|noise-generalisation)_")
_PLACES = {"*": ".*?", "#": r"\d+"}


@dataclass(frozen=True, kw_only=True)
class ShownImages:
    """Where an experiment's images are, and what says their labels: their paths, or a table."""

    folder: str = "."  # beside the YAML
    #: Pattern of a path below the folder: "{condition}/{category}_{image}.png" ("*": any text, "#": digits), or a
    #: regular expression with named groups.
    names: str = ""
    example: str = ""  # of such a name, for messages
    table: str = ""  # a table in the folder, with a row an image
    columns: Mapping[str, str] = field(default_factory=dict)  # label -> the table's column

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class PeopleTables:
    """How tables of people's answers read."""

    columns: Mapping[str, str] = field(default_factory=dict)  # person, image, answer, ... -> the table's column
    answers: Mapping[str, str] = field(default_factory=dict)  # the table's word -> a category, or "na"
    names: str = ""  # pattern of the images' names, if it is another than that of their files
    people: str = ".*"  # pattern of people's names; others are networks
    #: Column -> values of trials that do not count: practice, catch trials.
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repeats: Literal["refuse", "first", "last", "majority"] = "refuse"  # several answers of one person to one image
    milliseconds: bool = False  # whether reaction times are in ms

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}


MOST_TIMES = 8


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """How `bench ask` shows an experiment's images; by default as the published ones were."""

    size: float = 3.0  # degrees of an image's side
    background: str = "#808080"
    duration: tuple[int, ...] = (200,)  # presentation times in ms, which are crossed with the images
    mask: Literal["noise", "none"] = "noise"

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        times = 1 <= len(self.duration) <= MOST_TIMES and all(1 <= time <= 60_000 for time in self.duration)
        if not (times and 0 < self.size < 60 and re.fullmatch("#[0-9a-fA-F]{6}", self.background)):
            expected = f"a size below 60 degrees, a background like #808080, 1 to {MOST_TIMES} durations in ms"
            raise ValueError(f"{expected}; got {self.size:g}, {self.background}, {self.duration}")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment."""

    name: str
    title: str = ""
    citation: str = ""
    license: str = ""
    source: str = ""  # where a person obtains it
    role: str = ""  # of its images in suites
    aliases: tuple[str, ...] = ()  # other names in publications, in small letters
    space: str = ""  # the label space of its categories: a built-in one, or its own
    #: Category -> the classes of networks (WordNet ids or names) that stand for it; {}: the label space says so.
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Condition -> level in `unit` (None: no quantity), in order of distortion; {}: there is one condition.
    conditions: Mapping[str, float | None] = field(default_factory=dict)
    unlisted: bool = False  # whether tables have conditions that are not listed
    control: str | None = None  # the undistorted condition
    kept: tuple[str, ...] = ()  # the conditions that enter the averages (default: all but the control)
    scale: Literal["log", "linear", ""] = ""  # of the levels, for a psychometric curve
    unit: str = ""
    #: Further factors, crossed with the conditions: factor -> its values. A condition is then "50/collinear".
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Factor -> the two values whose accuracies are compared at each level: the first minus the second.
    compared: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    presentation: Presentation = Presentation()
    partial: bool = False  # whether people saw different images: two observers are compared on what both saw
    stimuli: ShownImages | None = None
    trials: PeopleTables = PeopleTables()
    file: str = ""  # the YAML; "" for a published one

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    @property
    def single(self) -> bool:
        """Whether there is one condition only."""
        return not self.conditions and not self.factors and not self.unlisted

    @cached_property
    def levels(self) -> Mapping[str, float | None]:
        """Condition -> level, in order; of one condition {"": None}."""
        parts = [self.conditions or {"": None}, *(dict.fromkeys(values) for values in self.factors.values())]
        return {"/".join(filter(None, names)): self.conditions.get(names[0]) for names in product(*parts)}

    @cached_property
    def averaged(self) -> tuple[str, ...]:
        """The conditions that enter the averages."""
        kept = self.kept or {*self.conditions} - {self.control}
        return tuple(name for name in self.levels if not self.conditions or name.split("/")[0] in kept)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The categories, in order."""
        return tuple(self.categories) or label_space(self.space).classes

    @property
    def cues(self) -> bool:
        """Whether its images have a shape and a texture."""
        said = {*self._pattern.groupindex, *(self.stimuli.columns if self.stimuli else ())}
        return bool({"shape", "shape_exemplar"} & said and {"texture", "texture_exemplar"} & said)

    @cached_property
    def words(self) -> Mapping[str, str]:
        """A word of a table or folder, in small letters -> the category, or "na"."""
        own = {category.lower(): category for category in (*self.answers, NO_ANSWER)}
        return {**own, **{theirs.lower(): ours for theirs, ours in self.trials.answers.items()}}

    @property
    def rule(self) -> "Experiment":
        """What decides numbers: the experiment without its texts."""
        plain = replace(self, title="", citation="", license="", source="", aliases=(), file="", stimuli=None)
        return replace(plain, presentation=Presentation(), trials=PeopleTables())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        names = self.stimuli.names if self.stimuli else ""
        return _pattern_of(names or ("{condition}/" * bool(self.conditions) + "{category}/{image}"))

    def labels_of(self, path: str) -> dict[str, str]:
        """Read the labels in an image's path or name; {} if it has another form."""
        match = self._pattern.fullmatch(path)
        if match is None and self.trials.names:
            match = _pattern_of(self.trials.names).fullmatch(path)
        return {name: text for name, text in match.groupdict().items() if text} if match else {}

    def completed(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return an image's labels with its condition joined from all factors, and its cues: an exemplar "cat7" under
        `shape_exemplar` or `texture_exemplar` names the shape or texture "cat"."""
        labels = {name: text for name, text in found.items() if name not in self.factors and name != "image"}
        for cue in ("shape", "texture"):
            if cue not in labels and f"{cue}_exemplar" in labels:
                labels[cue] = re.sub(r"[\d_-]+$", "", labels[f"{cue}_exemplar"])
        if "category" not in labels and "shape" in labels:
            labels["category"] = labels["shape"]
        parts = [found.get(name, "") for name in ("condition", *self.factors)]
        own = {"condition": "/".join(filter(None, map(spelled, parts)))} if not self.single else {}
        labels.pop("condition", None)
        return {"category": labels.pop("category", ""), **own, **labels}

    def where(self, key: str) -> str:
        """Name the line of the YAML that a message means: "fragments.yaml, line 7 (`conditions:`)"."""
        return yaml_line(self.file, key) if self.file else f"experiment '{self.name}'"


@cache
def _pattern_of(names: str) -> re.Pattern[str]:
    """Compile a pattern of names: "{category}_{image}.png", or a regular expression with named groups."""
    if "(?P<" in names:
        return re.compile(names)
    texts, said = re.split(r"(\{\w+\}|[*#])", names), set[str]()
    for at, text in enumerate(texts):
        named = f"(?P<{text[1:-1]}>[^/]+?)" if text not in said else f"(?P={text[1:-1]})"
        texts[at] = named if text[:1] == "{" else _PLACES.get(text, re.escape(text))
        said.add(text)
    return re.compile("".join(texts))


def yaml_line(file: str | Path, key: str) -> str:
    """Name the line of a YAML file that has a key; "trials.columns": one below another."""
    lines, row = Path(file).read_text(encoding="utf-8").splitlines(), 0
    for part in key.split("."):
        rest = lines[max(row - 1, 0) :]  # "trials: {columns: ...}" is one line
        found = (i for i, line in enumerate(rest, max(row, 1)) if re.search(rf"(^|[ {{]){part}:", line))
        if not (row := next(found, 0)):
            break
    name = key.rpartition(".")[2]
    return f"{file}, line {row} (`{name}:`)" if row else f"{file} (add `{key}:`)"


def _number(text: Any) -> float | None:
    with suppress(ValueError, TypeError):
        return float(text)
    return None


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def experiment_from(name: str, row: Mapping[str, Any], file: str = "") -> Experiment:
    """Build an experiment from plain data. Raises StimuliError naming the file, its line and the field."""

    def wrong(what: str) -> StimuliError:
        key = re.match(r"field '([a-z_]+(?:\.[a-z_]+)?)", what)
        return StimuliError(f"{yaml_line(file, key[1]) if key and file else file or 'experiments.yaml'}: {what}.")

    ready: dict[str, Any] = {"role": name, **row, "name": name, "file": file}
    levels, categories = (ready.get(key) or {} for key in ("conditions", "categories"))
    ready["space"] = ready.get("space") or (name if categories else "geirhos16")
    if isinstance(levels, list | tuple):
        levels = {one: one for one in levels}
    if isinstance(levels, dict):
        ready["conditions"] = {spelled(one): _number(level) for one, level in levels.items()}
    if isinstance(categories, list | tuple):
        categories = dict.fromkeys(categories)
    if isinstance(categories, dict):
        ready["categories"] = {str(one): _listed(classes or ()) for one, classes in categories.items()}
    ready |= {key: _spelled_all(ready[key]) for key in ("kept", "control", "factors", "compared") if key in ready}
    if isinstance(tables := ready.get("trials"), dict):
        left_out = {column: [*map(str, _listed(out))] for column, out in (tables.get("left_out") or {}).items()}
        ready["trials"] = {**tables, "left_out": left_out}
    if isinstance(shown := ready.get("presentation"), dict) and "duration" in shown:
        ready["presentation"] = {**shown, "duration": _listed(shown["duration"])}
    own = validated(Experiment, ready, wrong)
    if not own.categories and own.space not in LABEL_SPACES:
        raise wrong(f"field 'categories': expected: a list, as '{own.space}' is no built-in label space")
    if strange := sorted({*own.kept, *filter(None, [own.control])} - own.conditions.keys()):
        raise wrong(f"field 'conditions': expected: '{strange[0]}' among them, which is the control or kept")
    for factor, pair in own.compared.items():
        if not {*pair} <= {*own.factors.get(factor, ())}:
            text = f"{factor}: {', '.join(pair)}"
            raise wrong(f"field 'compared': expected: a factor and two of its values, not '{text}'")
    try:
        _ = own.cues, re.compile(own.trials.people), _pattern_of(own.trials.names)
    except re.error as error:
        raise wrong(f"field 'names': expected: a pattern, found another text ({error})") from error
    return own


def _spelled_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _spelled_all(inner) for key, inner in value.items()}
    return [spelled(one) for one in value] if isinstance(value, list | tuple) else spelled(value)


def observe(own: object, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and the probability of every category [n, categories] of the experiment, or of the label
    space if there is no experiment. Categories that the network cannot answer have probability 0."""
    probability = view.probabilities
    if isinstance(own, Experiment) and len(view.categories) != len(own.answers):
        place = {category: at for at, category in enumerate(view.categories)}
        columns = [probability[:, place[c]] if c in place else np.zeros(len(view.index)) for c in own.answers]
        probability = np.stack(columns, axis=1).astype(np.float32)
    return {"response": view.responses, "probability": probability}


def suite_on(suite: Suite, own: Experiment, summary: str, **changes: Any) -> Suite:
    """Return a suite on an added experiment, in its label space and categories. changes: other fields of the suite."""
    return replace(
        suite,
        name=f"{suite.name}:{own.name}",
        summary=f"{summary}: {own.title or own.name}",
        spaces=(own.space,),
        categories=own.categories,
        variants={},
        of_experiment=None,
        **changes,
    )


def unanswerable(own: Experiment | None, trials: Trials) -> tuple[str, ...]:
    """Return a flag if a network has no class for some of an experiment's categories: the trials that this costs."""
    if own is None or not own.categories or "probability" not in trials.columns or not len(trials):
        return ()
    able = [bool(column.any()) for column in (trials["probability"] > 0).T]
    if len(able) != len(own.answers):  # answered before the YAML was changed
        return ()
    lost = [category for category, can in zip(own.answers, able, strict=True) if not can]
    share = np.isin(trials["category"], lost).mean()
    return (f"no class for {some_of(lost, 3)}: {share:.0%} of the trials count as wrong",) if lost else ()


@cache
def published_experiments() -> Mapping[str, Experiment]:
    """Return the published experiments by name."""
    table = dict(package_data("benchmark.stimuli", "experiments"))
    shared, _ = table.pop("shared"), table.pop("world")
    return {name: experiment_from(name, {**shared, **row}) for name, row in table.items()}


def read_experiment(file: Path) -> Experiment:
    """Read an experiment's YAML. Raises StimuliError naming the line and the field."""
    row = read_document(file, "experiment", StimuliError)
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise StimuliError(f"{file}: expected the fields of an experiment, `name:` first (docs/experiments.md).")
    return experiment_from(row["name"], row, str(file))


def added_experiments(settings: Settings) -> dict[str, Experiment]:
    """Read the experiments that a user added, by name. Raises StimuliError."""
    if not added_file(settings).exists():  # none, then: the built-in entries are many
        return {}
    entries = read_catalogue(settings).values()
    return {entry.name: read_experiment(Path(entry.experiment)) for entry in entries if entry.experiment}


def name_experiment(text: str, known: Mapping[str, Experiment] | None = None) -> str:
    """Normalise an experiment's name: "edge-experiment" -> "edges". Unknown names are unchanged."""
    all_known = (known or published_experiments()).values()
    names = {alias.lower(): own.name for own in all_known for alias in (own.name, *own.aliases)}
    plain = _GROUP.sub("", text.strip().lower())
    return names.get(plain) or names.get(_SUFFIX.sub("", plain), _SUFFIX.sub("", plain))


def experiment_of(path: Path, known: Mapping[str, Experiment] | None = None) -> str:
    """Name the experiment of a table of trials by its file name up to the first "_", or by the nearest of two folders.
    The published form NAME_OBSERVER_session-1.csv may name a new experiment. Raises TrialsError."""
    known = known or published_experiments()
    stem = _GROUP.sub("", path.stem.lower())
    folders = [folder.name for folder in path.absolute().parents[:2]]
    for text in (stem.partition("_")[0], stem, *folders):
        if (name := name_experiment(text, known)) in known:
            return name
    if match := re.fullmatch(r"([^_]+)_.+_session[-_]\d+", path.stem):
        return name_experiment(match[1], known)
    raise TrialsError(
        f"{path}: the name does not identify the experiment. State it with `--experiment NAME`, or name the file like "
        f"'cue-conflict_OBSERVER_session-1.csv' or its folder like one of: {', '.join(sorted(known))}."
    )


def split_eidolon(experiment: str, condition: str, where: str) -> str:
    """Split texture-vs-shape's table "eidolon" by a condition such as "8-3-10" into its three experiments."""
    having = (name for name, own in published_experiments().items() if condition.strip() in own.conditions)
    if name := next(having, "") if experiment == "eidolon" else experiment:
        return name
    raise TrialsError(f"{where}: '{condition}' is not an eidolon condition like '8-3-10' (coherence 10, 3 or 0).")


def canonical_condition(experiment: str, text: str) -> str:
    """Spell a condition as `spelled`; a published experiment of one condition has ""."""
    own = published_experiments().get(experiment)
    if own is None:
        return text.strip().lower()
    return "" if own.single else spelled(text)
