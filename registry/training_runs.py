"""The checkpoints of a training run: which files there are, and the step or epoch of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from registry.errors import WeightsError

Unit = Literal["step", "epoch"]
UNITS: tuple[Unit, ...] = ("step", "epoch")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
#: What training scripts call them, in names of files and beside the weights.
_CALLED: Mapping[Unit, str] = {
    "step": r"global_?steps?|steps?|iterations?|iters?|its?",
    "epoch": r"epochs?|ep",
}
_KEYS: Mapping[Unit, tuple[str, ...]] = {
    "step": ("global_step", "step", "iteration", "iter", "n_iter", "num_updates"),
    "epoch": ("epoch", "epochs"),
}
#: A number by itself, or after "checkpoint" and the like, at the end of a name.
_BARE = re.compile(r"(?:^|[-_=]|(?<!\d)\.|checkpoint|ckpt|chkpt|model|weights|snapshot)(\d{1,15})$")


@dataclass(frozen=True)
class Placed:
    """Checkpoints in the order of the training. left_out: file -> why it has no place."""

    unit: Unit = "step"
    steps: Mapping[Path, int] = field(default_factory=dict)
    left_out: Mapping[Path, str] = field(default_factory=dict)


def checkpoint_files(folder: Path, pattern: str = "") -> list[Path]:
    """Files of a folder by a glob, or all like checkpoints, by name; hidden ones never. Raises WeightsError."""
    try:
        found = list(folder.glob(pattern) if pattern else folder.iterdir())
    except (
        ValueError,
        IndexError,
        NotImplementedError,
    ) as error:  # as pathlib answers "**x" and "."
        raise WeightsError(f"'{pattern}' is no glob of files, such as '*.pt' ({error}).") from error
    files = (path for path in found if not path.name.startswith(".") and path.is_file())
    return sorted(path for path in files if pattern or path.suffix in SUFFIXES)


def placed(paths: Sequence[Path], unit: Unit | None = None) -> Placed:
    """The step of each, or else the epoch: as the name says it, else as the file does.

    unit None: steps where all that say anything say a step, else epochs.
    """
    said: dict[Path, Mapping[Unit, int]] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        try:
            said[path] = steps_in_name(path) or steps_in_file(path)
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
    """ "epoch=3-step=1200.ckpt", "step_1000.pt", "checkpoint-1000.pt", "0010.pt"; {} where the name says nothing."""
    stem = path.name.partition(".tar")[0]
    stem = stem.removesuffix(path.suffix).lower()
    found: dict[Unit, int] = {}
    for unit, words in _CALLED.items():
        numbers = re.findall(rf"(?<![a-z])(?:{words})[-_=.]?(\d{{1,15}})(?![\d.]*\d)", stem)
        if numbers:
            found[unit] = int(numbers[-1])
    if not found and (bare := _BARE.search(stem)):
        found["step"] = int(bare[1])
    return found


def steps_in_file(path: Path) -> dict[Unit, int]:
    """What a checkpoint says beside its weights ("step", "epoch", ...). Raises WeightsError where it cannot be read."""
    from registry.pickles import read_content

    if path.suffix == ".safetensors":
        return _stated(_metadata(path))
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
    return int(value) if 0 <= value < 10**15 and value == int(value) else None


def _metadata(path: Path) -> Mapping[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(
            f"checkpoint {path}: not a readable safetensors file ({error})."
        ) from error
