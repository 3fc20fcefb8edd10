"""Parameters of verbs: their help and their flags, declared once in a signature. The command line derives its options
from the signature (`benchmark.cli.derive`), the Python API its documentation."""

from __future__ import annotations

import builtins
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, Unpack, get_args, get_origin, get_type_hints


@dataclass(frozen=True, init=False)
class Option:
    """A parameter of a verb. If `help` names an option, "(with --serve)", it is refused without that option."""

    help: str
    flags: tuple[str, ...] = ()  # default: an argument if it can be given by position, otherwise --its-name
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None  # a bound that is excluded; `most` is then excluded, too
    #: place: any text but "".
    kind: Literal["", "place", "path", "file", "folder", "new file", "new folder", "new path"] = ""
    without: tuple[str, ...] = ()  # parameters of the same command that exclude it

    def __init__(self, help: str, *flags: str, **more: Any) -> None:
        for name, value in {"help": help, "flags": flags, **more}.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class VerbParameter:
    """A parameter in its verb's signature."""

    name: str
    hint: Any  # its type without `Annotated`
    default: Any
    option: Option
    positional: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """Return its flags on a command line, unless it is an argument."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def type(self) -> Any:
        """Return the type that a text of the command line becomes: without `None`, `Path` for `str | Path`."""
        if get_origin(self.hint) not in (Union, UnionType):
            return self.hint
        kinds = [kind for kind in get_args(self.hint) if kind is not type(None)]
        return Names if Sequence[str] in kinds else kinds[-1]


def fields(verb: Callable[..., Any]) -> list[VerbParameter]:
    """Return a verb's parameters that have an `Option`, in order; `leaderboard` becomes `db` and its filters."""
    # Names that only type checkers import become Any.
    known = defaultdict(lambda: Any, {**vars(builtins), **vars(sys.modules[verb.__module__])})
    said = {name: hint for name, hint in verb.__annotations__.items() if name != "return"}
    hints = get_type_hints(SimpleNamespace(__annotations__=said), None, known, include_extras=True)
    parameters = dict(signature(verb).parameters)
    for name, hint in list(hints.items()):
        if get_origin(hint) is Unpack or name == "leaderboard":
            parts = get_args(hint)[:1] if name != "leaderboard" else getattr(hint, "__metadata__", ())
            more = {name: hint for part in parts for name, hint in get_type_hints(part, include_extras=True).items()}
            hints |= more | ({"db": Db} if name == "leaderboard" else {})
    parameters |= {n: Parameter(n, Parameter.KEYWORD_ONLY, default=None) for n in hints if n not in parameters}
    found = []
    for name, parameter in parameters.items():
        hint, positional = hints.get(name), parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
        for option in (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Option)):
            kind, default = get_args(hint)[0], parameter.default
            found.append(VerbParameter(name=name, hint=kind, default=default, option=option, positional=positional))
    return found


def explained(verb: Callable[..., Any]) -> str:
    """Return the docstring of a verb with a line for each parameter."""
    lines = [f"    {field.name}: {field.option.help}" for field in fields(verb)]
    return "\n".join([(verb.__doc__ or "").rstrip(), "", *lines, ""])


def command_line(verb: Callable[..., Any], words: str, **given: Any) -> str:
    """Return the command, as typed in a shell, that gives a verb these values; defaults are left out."""
    typed = words.split()
    for field in fields(verb):
        value = given.get(field.name, field.default)
        if value in (field.default, None, "", ()):
            continue
        if field.positional and not field.option.flags:
            typed += [str(value)]
        elif value is True:
            typed += field.flags[:1]
        else:
            values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
            typed += [word for each in values for word in (field.flags[0], str(each))]
    return shlex.join(typed)


def joined(names: Names | None) -> str:
    """Return names as one comma list."""
    return names if isinstance(names, str) else ",".join(names or ())


def stated(**values: object) -> dict[str, Any]:
    """Return the values that are not None, False or ()."""
    return {name: value for name, value in values.items() if value is not False and value not in (None, ())}


#: One name, a pattern ("world-*"), a comma list, or a list of any of these.
Names = str | Sequence[str]
Triple = tuple[float, float, float]

LEADERBOARD = "Leaderboard: an SQLite file or a database URL (default: BENCH_DB, else results.db here)."
Db = Annotated[str | None, Option(LEADERBOARD, "--db", metavar="FILE|URL", kind="place")]
SuiteName = Annotated[str | None, Option("Use these suites, separated by commas.", "--suite", "-s", metavar="NAME")]
SuiteNames = Annotated[Names, Option("Use these suites.", "--suite", "-s", metavar="NAME[:VARIANT]|all")]
Observers = Annotated[Names | None, Option("Use only these observers.", "--model", "-m", "--only", metavar="PATTERN")]
By = Annotated[str | None, Option("Order rows by this metric or suite's headline.", "--by", metavar="METRIC|SUITE")]
Unseen = Annotated[bool, Option("Leave out conditions that any of the observers was trained on.", "--unseen-only")]
FlaggedLast = Annotated[bool, Option("Place distrusted scores below all others.", "--flagged-last")]
AmongShown = Annotated[bool, Option("Compute ranks among the rows shown, not among all.", "--among-shown")]
Limit = Annotated[int | None, Option("Show only this many stimuli of each set.", "--limit", least=1)]
Precision = Annotated[Literal["fp32", "tf32", "bf16"], Option("Choose the networks' arithmetic.", "--precision")]
Seed = Annotated[int, Option("Use this seed for everything random (one stream per stimulus).", "--seed")]
Target = Annotated[float | None, Option("Stop at intervals of +-X.", metavar="X", above=0, most=0.5)]
ARCH = (
    "timm:resnet50, timm:hf_hub:ORG/NAME, torchvision:vgg16, hf:ORG/NAME|FOLDER, open_clip:ARCH|FOLDER, "
    "python:module:function, python:./file.py:function, detector:python:..., export, onnx, api:file.yaml (a folder of "
    "timm and an ONNX file need none)."
)
Arch = Annotated[str, Option(ARCH, "--arch", metavar="SOURCE:NAME")]
LABELS = "imagenet1k (default), geirhos16, world16, a YAML mapping, a list of names (.txt, .json), a folder of classes."
KINDS = ("model", "published", "reported", "human", "group", "simulated", "ideal")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Filters for the rows of a table: names, globs, comma lists, or a list of these."""

    hide: Annotated[Names | None, Option("Hide these observers.", metavar="PATTERN")] = None
    kind: Annotated[Names | None, Option(f"Show only these kinds: {', '.join(KINDS)}.", metavar="PATTERN")] = None
    source: Annotated[Names | None, Option("Show only this published collection.", metavar="PATTERN")] = None
    recipe: Annotated[Names | None, Option("Show only this recipe tag: 'adversarial*'.", metavar="PATTERN")] = None
    family: Annotated[Names | None, Option("Show only this family: resnet, vit, clip.", metavar="PATTERN")] = None
    models: Observers = None

    @property
    def lists(self) -> dict[str, str]:
        """Return filter -> a comma list, "" if it is not given."""
        return {name: joined(value) for name, value in vars(self).items()}

    def __bool__(self) -> bool:
        return any(self.lists.values())


class CheckpointOptions(TypedDict, total=False):
    """Options of a checkpoint's registration: labels, weights, and input if the architecture's own is wrong."""

    labels: Annotated[str | Path | None, Option(LABELS, metavar="SPACE|FILE|FOLDER", kind="place")]
    key: Annotated[str | None, Option("Choose one of several networks in a file: state_dict, ema, ...", metavar="NAME")]
    ignore: Annotated[Names | None, Option("Leave out these keys of the file, such as 'decoder.*'.", metavar="PATTERN")]
    output: Annotated[str | None, Option("Take this of several outputs of a network.", metavar="NAME|INDEX")]
    arch_option: Annotated[Sequence[str], Option("Set an option: img_size=384 (repeatable).", metavar="NAME=VALUE")]
    training: Annotated[Sequence[str], Option("Add a recipe tag, as 'noise(uniform)' (repeatable).", metavar="TAG")]
    convert: Annotated[bool, Option("Write a readable file beside one of another format.")]
    mean: Annotated[Triple | None, Option("Use this mean: three numbers, comma separated.")]
    std: Annotated[Triple | None, Option("Use this standard deviation: three numbers, comma separated.")]
    size: Annotated[int | None, Option("Use this input side in pixels.")]
    resize: Annotated[int | None, Option("Resize the shorter side to this before the centre crop.")]
    interpolation: Annotated[Literal["nearest", "bilinear", "bicubic"] | None, Option("Choose the filter of --resize.")]
    resize_mode: Annotated[Literal["shortest", "longest", "squash"] | None, Option("Choose the side of --resize.")]
    channels: Annotated[Literal["rgb", "bgr"] | None, Option("Choose the order of the channels.")]
    scale: Annotated[float | None, Option("Multiply pixels in [0,1] before mean and std (255: Caffe).", above=0)]
