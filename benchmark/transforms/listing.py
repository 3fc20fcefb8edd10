"""Lists of corruptions as data, read without torch: YAML files of `defaults`, fields that every entry starts with, and
`corruptions`, name -> fields (class `CorruptionEntry`). A plug-in is a package with `corruptions.yaml` and the
entry-point group `bench.corruptions`; its function is `f(images NCHW float32 in [0,1], level, seeds [n]) -> images`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.contracts import Transform
from benchmark.contracts.declarations import package_data
from benchmark.failures import PluginError, load_each
from registry.documents import read_document, validated

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

Level = bool | int | float | str
GROUP = "bench.corruptions"
FILE = "corruptions.yaml"
FROST_USED = 5  # the published code draws from five of its six pictures


def spelled(text: object) -> str:
    """Spell a condition one way, so that tables of people and of networks match: the shortest decimal of a number
    ("0.20" -> "0.2", "3.0" -> "3"; "inf" is kept), other text in small letters ("True" -> "true")."""
    plain = str(text).strip().lower()
    with suppress(ValueError):
        return f"{float(plain):.10g}"
    return plain


@dataclass(frozen=True, kw_only=True)
class CorruptionEntry:
    """One corruption of a list. It has either a `function` or a `transform`."""

    name: str  # with a level it makes a condition: "fog/3"
    family: str  # corruptions that are averaged together
    levels: tuple[Level, ...]  # from the mildest: numbers or texts
    unit: str  # unit of the level
    citation: str  # its publication
    function: str = ""  # "package.module:name" of f(images, level, seeds) -> images
    transform: str = ""  # "package.module:name" of f(name, level, **options) -> Transform
    options: tuple[str, ...] = ()  # options that `transform` takes
    plain: tuple[Level, ...] = ()  # levels without change, which belong to the experiment but to no average
    ordered: bool = True  # whether neighbouring levels are more similar than others
    version: int = 1  # raised whenever any pixel changes

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        different = len(set(map(str, self.levels))) == len(self.levels) > 0 and {*self.plain} <= {*self.levels}
        if "/" in self.name or not self.name or bool(self.function) == bool(self.transform) or not different:
            raise ValueError(
                "expected a name without '/', either `function` or `transform` as 'package.module:name', different "
                "`levels`, and `plain` among them"
            )

    def condition(self, level: Any) -> str:
        """Return the condition's name in trials: "fog/3", "uniform-noise/0.1"."""
        return f"{self.name}/{level}"

    @property
    def impaired(self) -> tuple[Any, ...]:
        """The levels that change the image."""
        return tuple(level for level in self.levels if level not in self.plain)


Entries = Mapping[str, CorruptionEntry]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A plug-in's function at one level, as a `Transform.apply`; its result is checked."""

    # The name of this class is in the keys of stored answers.
    func: Callable[[torch.Tensor, Any, NDArray[np.uint64]], torch.Tensor]  # the digest of code reads this field
    level: Any
    condition: str

    def __call__(self, images: torch.Tensor, seeds: NDArray[np.uint64]) -> torch.Tensor:
        """Change NCHW float32 in [0,1]."""
        out = self.func(images, self.level, seeds)
        fits = out.shape == images.shape and out.is_floating_point()
        if not fits or (len(out) and not (float(out.amin()) >= 0 and float(out.amax()) <= 1)):
            raise PluginError(
                f"corruption '{self.condition}' gave {list(out.shape)} of {out.dtype} for images "
                f"{list(images.shape)}: expected the same shape, floating point in [0, 1]."
            )
        return out.float()


def transform(entry: CorruptionEntry, level: Any, **options: Any) -> Transform:
    """Build an entry's transform at a level; options that it does not take are left out. Raises PluginError."""
    module, _, name = (path := entry.transform or entry.function).partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"corruption '{entry.name}': {path} does not load: {error}") from error
    if entry.transform:
        taken = {name: value for name, value in options.items() if name in entry.options}
        made: Transform = function(entry.name, level, **taken)
        return made
    condition = entry.condition(level)
    params = {"level": level, "unit": entry.unit, "function": entry.function, "version": entry.version}
    apply = Applied(func=function, level=level, condition=condition)
    return Transform(name=condition, params=params, apply=apply)


def constants_of() -> Mapping[str, Mapping[str, Any]]:
    """Read the fields of ImageNet-C's corruptions (`corruptions.Corruption`) by name: units, constants per severity."""
    constants: Mapping[str, Mapping[str, Any]] = package_data("benchmark.transforms", "imagenet_c_constants")
    return constants


@cache
def own_list(name: str) -> Entries:
    """Read a built-in list by its name: "imagenet-c", "human", "suppression" or "bands"."""
    file = f"{name.replace('-', '_')}.yaml"
    return parse(files("benchmark.transforms").joinpath(file).read_text(encoding="utf-8"), file)


def plugins() -> tuple[Entries, Mapping[str, str]]:
    """Read the corruptions of all plug-ins by name; also package or corruption -> why it is not usable."""
    entries: dict[str, CorruptionEntry] = {}

    def shipped_list(point: EntryPoint) -> Entries:
        place = files(point.module).joinpath(FILE)
        return parse(place.read_text(encoding="utf-8"), f"{point.module}/{FILE}")

    lists, broken = load_each(entry_points(group=GROUP), shipped_list)
    for package, shipped in lists.items():
        for name, entry in shipped.items():
            if name in entries:
                broken[f"{package} {name}"] = f"another package ships a corruption '{name}'"
            else:
                entries[name] = entry
    return entries, broken


def plugin_names() -> tuple[str, ...]:
    """Names of the packages with corruptions; none of them is imported."""
    return tuple(sorted(entry.name for entry in entry_points(group=GROUP)))


def parse(text: str, where: str) -> Entries:
    """Read a list's entries by name, in its order. Raises PluginError with file, entry and expectation."""
    data = read_document(Path(where), "list of corruptions", PluginError, text.encode())
    table = data if isinstance(data, dict) else {}
    named, defaults = table.get("corruptions"), table.get("defaults") or {}
    if not (named and isinstance(named, dict) and all(isinstance(x, dict | None) for x in (defaults, *named.values()))):
        raise PluginError(f"{where}: expected `corruptions:`, a mapping of name to fields, and `defaults:`, fields.")

    def entry(name: str, own: Mapping[str, Any] | None) -> CorruptionEntry:
        row = {**defaults, **(own or {}), "name": name}
        return validated(CorruptionEntry, row, lambda what: PluginError(f"{where}, corruption '{name}': {what}."))

    return {str(name): entry(str(name), own) for name, own in named.items()}
