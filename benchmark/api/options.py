"""What is said of a verb's parameters once, in its signature: their help, and how they are called on a command line.

The command line derives its options from the signature (`benchmark.cli.derive`), the Python face its documentation."""

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
    """A parameter of a verb. flags: of the command line (default: an argument if the parameter can be given by
    position, else --its-name); least, most: bounds; above: an excluded bound, as `most` is then; kind: "place" is any
    text but "", "file" and "folder" are paths ("new ..." need not exist); without: parameters of the same command
    beside which it is refused, as one of the two would be ignored. Without an option that `help` names, "(with
    --live)", it is refused, too."""

    help: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None
    kind: Literal["", "place", "path", "file", "folder", "new file", "new folder"] = ""
    without: tuple[str, ...] = ()

    def __init__(self, help: str, *flags: str, **more: Any) -> None:
        for name, value in {"help": help, "flags": flags, **more}.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Option({self.help!r})"


@dataclass(frozen=True, kw_only=True)
class VerbParameter:
    """A parameter as its verb's signature has it. hint: its type without `Annotated`; type: without `None`, too."""

    name: str
    hint: Any
    type: Any
    default: Any
    option: Option
    positional: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is called on a command line if it is no argument."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)


def fields(verb: Callable[..., Any]) -> list[VerbParameter]:
    """The parameters of a verb that have an `Option`, in their order; of `leaderboard` its place and its filters."""
    # names that only type checkers import are anything
    known = defaultdict(lambda: Any, {**vars(builtins), **vars(sys.modules[verb.__module__])})
    said = {name: hint for name, hint in verb.__annotations__.items() if name != "return"}
    hints = get_type_hints(SimpleNamespace(__annotations__=said), None, known, include_extras=True)
    parameters = dict(signature(verb).parameters)
    for name, hint in list(hints.items()):
        if get_origin(hint) is Unpack or name == "leaderboard":
            parts = get_args(hint)[:1] if name != "leaderboard" else getattr(hint, "__metadata__", ())
            more = {name: hint for part in parts for name, hint in get_type_hints(part, include_extras=True).items()}
            more |= {"db": Db} if name == "leaderboard" else {}
            hints |= more
            kind = Parameter.KEYWORD_ONLY
            parameters |= {name: Parameter(name, kind, default=None) for name in more}
    return [
        VerbParameter(
            name=name,
            hint=get_args(hints[name])[0],
            type=_plain(hints[name]),
            default=parameter.default,
            option=option,
            positional=positional,
        )
        for name, parameter in parameters.items()
        for option in getattr(hints.get(name), "__metadata__", ())
        if isinstance(option, Option)
        for positional in [parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
    ]


def _plain(hint: Any) -> Any:
    """The type that a text of the command line becomes: without `None`, `Path` of `str | Path`."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return Names if Sequence[str] in kinds else kinds[-1]


def explained(verb: Callable[..., Any]) -> str:
    """The docstring of a verb with a line for each parameter."""
    lines = [f"    {field.name}: {field.option.help}" for field in fields(verb)]
    return "\n".join([(verb.__doc__ or "").rstrip(), "", *lines, ""])


def command_line(verb: Callable[..., Any], words: str, **given: Any) -> str:
    """The command that gives a verb these values, as it is typed in a shell; what is its default is left out."""
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
    """Names as one comma list."""
    return names if isinstance(names, str) else ",".join(names or ())


def stated(**values: object) -> dict[str, Any]:
    """What was said, without what was not."""
    return {name: value for name, value in values.items() if value not in (None, ())}


#: One name, a pattern ("world-*"), a comma list, or a list of any of these.
Names = str | Sequence[str]
Triple = tuple[float, float, float]

LEADERBOARD = "Leaderboard: an SQLite file or a database URL (default: BENCH_DB, else results.db here)."
Db = Annotated[str | None, Option(LEADERBOARD, "--db", metavar="FILE|URL", kind="place")]
SuiteName = Annotated[str | None, Option("Use these suites, separated by commas.", "--suite", "-s", metavar="NAME")]
SuiteNames = Annotated[Names, Option("Use these suites.", "--suite", "-s", metavar="NAME[:VARIANT]|all")]
Observers = Annotated[Names | None, Option("Use only these observers.", "--model", "-m", "--only", metavar="PATTERN")]
By = Annotated[str | None, Option("Rank by this metric, or by a suite's headline.", "--by", metavar="METRIC|SUITE")]
Unseen = Annotated[bool, Option("Leave out conditions that any of the observers was trained on.", "--unseen-only")]
FlaggedLast = Annotated[bool, Option("Rank distrusted scores below all others.", "--flagged-last")]
AmongShown = Annotated[bool, Option("Rank only among the rows shown, not among all.", "--among-shown")]
Limit = Annotated[int | None, Option("Show only this many stimuli of each set.", "--limit", least=1)]
Precision = Annotated[Literal["fp32", "tf32", "bf16"], Option("Set the networks' arithmetic.", "--precision")]
Seed = Annotated[int, Option("Set the seed of everything random; one stream per stimulus.", "--seed")]
Target = Annotated[float | None, Option("Stop at intervals of +-X.", metavar="X", above=0, most=0.5)]
ARCH = (
    "timm:resnet50, timm:hf_hub:ORG/NAME, torchvision:vgg16, hf:ORG/NAME|FOLDER, open_clip:ARCH|FOLDER, "
    "python:module:function, python:./file.py:function, detector:python:..., export, onnx, api:file.yaml; a folder of "
    "timm and an ONNX file say it themselves."
)
Arch = Annotated[str, Option(ARCH, "--arch", metavar="SOURCE:NAME")]
LABELS = "imagenet1k (default), geirhos16, world16, a YAML mapping, a list of names (.txt, .json), a folder of classes."
KINDS = ("model", "published", "reported", "human", "group", "simulated", "ideal")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Whose rows a table shows: names, globs, comma lists, or a list of any of these."""

    hide: Annotated[Names | None, Option("Hide these observers.", metavar="PATTERN")] = None
    kind: Annotated[Names | None, Option(f"Show only these kinds: {', '.join(KINDS)}.", metavar="PATTERN")] = None
    source: Annotated[Names | None, Option("Show only this published collection.", metavar="PATTERN")] = None
    recipe: Annotated[Names | None, Option("Show only this recipe tag: 'adversarial*'.", metavar="PATTERN")] = None
    family: Annotated[Names | None, Option("Show only this family: resnet, vit, clip.", metavar="PATTERN")] = None
    models: Observers = None

    @property
    def lists(self) -> dict[str, str]:
        """Filter -> a comma list; "" for one that is not given."""
        return {name: joined(value) for name, value in vars(self).items()}

    def __bool__(self) -> bool:
        return any(self.lists.values())


class CheckpointOptions(TypedDict, total=False):
    """What may be said of a checkpoint when it is registered: what it answers, and what it is fed where the
    architecture's own is not right."""

    labels: Annotated[str | Path | None, Option(LABELS, metavar="SPACE|FILE|FOLDER", kind="place")]
    key: Annotated[str | None, Option("Choose one of several networks in a file: state_dict, ema, ...", metavar="NAME")]
    ignore: Annotated[Names | None, Option("Leave out these keys of the file, such as 'decoder.*'.", metavar="PATTERN")]
    arch_option: Annotated[
        Sequence[str],
        Option("Set an option of the architecture, such as img_size=384 (repeatable).", metavar="NAME=VALUE"),
    ]
    training: Annotated[
        Sequence[str], Option("Set a recipe tag: stylised, 'noise(uniform)' (repeatable).", metavar="TAG")
    ]
    mean: Annotated[Triple | None, Option("Subtract this from pixels: three numbers, comma separated.")]
    std: Annotated[Triple | None, Option("Divide pixels by this: three numbers, comma separated.")]
    size: Annotated[int | None, Option("Set the input side in pixels.")]
    resize: Annotated[int | None, Option("Resize the shorter side to this before the centre crop.")]
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic"] | None, Option("Set the filter of the resizing.")
    ]
    resize_mode: Annotated[
        Literal["shortest", "longest", "squash"] | None, Option("Choose the side that --resize sets.")
    ]
    channels: Annotated[Literal["rgb", "bgr"] | None, Option("Set the order of the channels.")]
    scale: Annotated[
        float | None, Option("Multiply pixels in [0,1] by this before mean and std (255: Caffe).", above=0)
    ]
