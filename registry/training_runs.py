"""The checkpoints of a training run: which files there are, and the step or epoch of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from registry.errors import WeightsError
from registry.files import is_file
from registry.foreign import foreign

Unit = Literal["step", "epoch"]
UNITS: tuple[Unit, ...] = ("step", "epoch")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
#: What training scripts call them, in names of files and beside the weights.
_CALLED: Mapping[Unit, str] = {"step": r"global_?steps?|steps?|iterations?|iters?|its?", "epoch": r"epochs?|ep"}
_KEYS: Mapping[Unit, tuple[str, ...]] = {
    "step": ("global_step", "step", "iteration", "iter", "n_iter", "num_updates"),
    "epoch": ("epoch", "epochs"),
}
#: 1000, 10k, 1m, 1e5; no part of a longer number.
_NUMBER = r"(\d{1,15})(?:(?:([km])|e(\d))(?![a-z0-9]))?(?![\d.]*\d|e\d)"
#: A number by itself, or after "checkpoint" and the like, at the end of a name.
_BARE = re.compile(rf"(?:^|[-_= ]|(?<!\d)\.|checkpoint|ckpt|chkpt|model|weights|snapshot){_NUMBER}$")
#: As above, of a folder: "run-2" counts runs.
_FOLDER = re.compile(rf"^(?:(?:.*[-_. ])?(?:checkpoint|ckpt|chkpt|snapshot)[-_=. ]?)?{_NUMBER}$")
_MOST = 10**15  # a step is less: what is more is a date, a digest or a mistake
_TIMES = {"": 1, "k": 10**3, "m": 10**6}


@dataclass(frozen=True)
class Placed:
    """Checkpoints in the order of the training. left_out: file -> why it has no place."""

    unit: Unit = "step"
    steps: Mapping[Path, int] = field(default_factory=dict)
    left_out: Mapping[Path, str] = field(default_factory=dict)


def checkpoint_files(folder: Path, pattern: str = "") -> list[Path]:
    """Files of a folder by a glob, or all like checkpoints, by name; hidden ones never, nor links to others of them
    ("last.pt"). Raises WeightsError."""
    try:
        found = list(folder.glob(pattern) if pattern else folder.iterdir())
    except (ValueError, IndexError, NotImplementedError) as error:  # as pathlib answers "**x" and "."
        raise WeightsError(f"'{pattern}' is no glob of files, such as '*.pt' ({error}).") from error
    files = [path for path in found if not path.name.startswith(".") and path.is_file()]
    files = sorted(path for path in files if pattern or path.suffix in SUFFIXES)
    links = {path for path in files if path.is_symlink()}
    own = {path.resolve() for path in files if path not in links} if links else set()
    return [path for path in files if not (path in links and path.resolve() in own)]


def placed(paths: Sequence[Path], unit: Unit | None = None, folder: Path | None = None) -> Placed:
    """The step of each, or else the epoch: as the name says it, else as the folders within `folder` do, else the file.

    unit None: steps where all that say anything say a step, else epochs."""
    said: dict[Path, Mapping[Unit, int]] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        try:
            said[path] = steps_in_name(path) or _steps_in_folders(path, folder) or steps_in_file(path)
        except WeightsError as error:
            left_out[path] = str(error)
            continue
        if not said[path]:
            left_out[path] = "neither its name nor the file says a step or an epoch"
    found = [one for one in said.values() if one]
    votes = {one: sum(one in each for each in found) for one in UNITS}
    chosen: Unit = unit or ("epoch" if votes["epoch"] > votes["step"] else "step")
    for path, each in said.items():
        if each and chosen not in each:
            left_out[path] = f"it says its {next(iter(each))}, the others say their {chosen}"
    steps = {path: each[chosen] for path, each in said.items() if chosen in each}
    order = sorted(steps, key=lambda path: (steps[path], path))
    return Placed(chosen, {path: steps[path] for path in order}, left_out)


def steps_in_name(path: Path) -> dict[Unit, int]:
    """ "epoch=3-step=1200.ckpt", "step_10k.pt", "checkpoint-1000.pt", "0010.pt"; {} where the name says nothing."""
    stem = path.name.partition(".tar")[0]
    return _steps_in(stem.removesuffix(path.suffix), _BARE)


def _steps_in_folders(path: Path, folder: Path | None) -> dict[Unit, int]:
    """What the folders between say, the nearest first: "checkpoint-500/model.safetensors"."""
    inside = path.parent.relative_to(folder).parts if folder is not None else ()
    found = (_steps_in(name, _FOLDER) for name in reversed(inside))
    return next((one for one in found if one), {})


def _steps_in(name: str, bare: re.Pattern[str]) -> dict[Unit, int]:
    name = name.lower()
    found: dict[Unit, int] = {}
    for unit, words in _CALLED.items():
        numbers = re.findall(rf"(?<![a-z])(?:{words})[-_=. ]?{_NUMBER}", name)
        if numbers:
            found[unit] = _count(*numbers[-1])
    if not found and (alone := bare.search(name)):
        found["step"] = _count(*alone.groups(default=""))
    return {unit: number for unit, number in found.items() if number < _MOST}


def _count(digits: str, letter: str, power: str) -> int:
    """ "10", "k", "" -> 10,000."""
    return int(f"{digits}{'0' * int(power or 0)}") * _TIMES[letter]


def steps_in_file(path: Path) -> dict[Unit, int]:
    """What a checkpoint says beside its weights ("step", "epoch", ...). Raises WeightsError where it cannot be read."""
    from registry.checkpoints import read_content

    if path.suffix == ".safetensors" and is_file(path):
        from safetensors import safe_open

        with (
            foreign("checkpoint", path, WeightsError, "Expected a safetensors file."),
            safe_open(path, framework="np") as file,
        ):
            return _stated(file.metadata() or {})
    content = read_content(path)
    return _stated(content) if isinstance(content, Mapping) else {}


def _stated(content: Mapping[Any, Any]) -> dict[Unit, int]:
    found: dict[Unit, int] = {}
    for unit, keys in _KEYS.items():
        numbers = (_whole(content[key]) for key in keys if key in content)
        number = next((one for one in numbers if one is not None), None)
        if number is not None:
            found[unit] = number
    return found


def _whole(value: Any) -> int | None:
    """A count; text of digits is one (metadata of safetensors is text)."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        return int(value)
    if hasattr(value, "numel") and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value < _MOST and value == int(value) else None
