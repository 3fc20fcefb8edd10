"""The checkpoints of a training run: which files there are, and the step or epoch of each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from registry.documents import own_table
from registry.files import CONVERTED, is_file
from registry.user_errors import WeightsError, foreign, shown, some_of

Unit = Literal["step", "epoch"]
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
#: What training scripts call them, in names of files and beside the weights.
_CALLED: Mapping[Unit, str] = {"step": r"global_?steps?|steps?|iterations?|iters?|its?", "epoch": r"epochs?|ep"}
#: A whole number, and no part of a longer one or of a word (10k, 1e5).
_NUMBER = r"(\d{1,15})(?![\d.]*\d|[a-z]\d|[km](?![a-z0-9]))"
#: A number by itself, or after "checkpoint" and the like, at the end of a name.
_BARE = re.compile(rf"(?:^|[-_= ]|(?<!\d)\.|checkpoint|ckpt|chkpt|model|weights|snapshot){_NUMBER}$")
#: As above, of a folder: "run-2" counts runs.
_FOLDER = re.compile(rf"^(?:(?:.*[-_. ])?(?:checkpoint|ckpt|chkpt|snapshot)[-_=. ]?)?{_NUMBER}$")

#: Where frameworks keep checkpoints below a run's folder: transformers' Trainer, then Lightning and its loggers.
_PLACES = (
    *("checkpoint-*/model.safetensors", "checkpoint-*/pytorch_model.bin"),
    *("checkpoints/*", "*/checkpoints/*", "*/*/checkpoints/*"),
)
#: What Trainer and others keep beside weights.
_STATE = re.compile(r"(?:optimizer|scheduler|scaler|training_args|rng_state(?:_\d+)?)\.(?:pt|pth|bin)")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Checkpoints in the order of the training."""

    unit: Unit = "step"
    steps: Mapping[Path, int] = field(default_factory=dict)
    left_out: Mapping[Path, str] = field(default_factory=dict)  # file -> why it has no place


def checkpoint_files(folder: Path, pattern: str = "") -> list[Path]:
    """Return the files of a folder by a glob, or all like checkpoints, by name, except hidden ones and links to others.
    Without a glob, files where frameworks keep them below count. Raises WeightsError, also for several runs."""
    try:
        paths = list(folder.glob(pattern) if pattern else folder.iterdir())
    except (ValueError, IndexError, NotImplementedError) as error:  # as pathlib answers "**x" and "."
        raise WeightsError(f"'{pattern}' is not a glob of files, such as '*.pt' ({error}).") from error
    if not pattern:
        below = _like_weights(path for place in _PLACES for path in folder.glob(place))
        runs = sorted({path.parent for path in below if path.parent.name == "checkpoints"})
        if len(runs) > 1:
            names = some_of([shown(run.relative_to(folder)) for run in runs], 5)
            raise WeightsError(f"{shown(folder)} holds {len(runs)} training runs: {names}. Give the folder of one.")
        # Beside those, a file without a step is the final network once more.
        paths = [path for path in _like_weights(paths) if not below or steps_in_name(path)] + below
    files = sorted(p for p in paths if not p.name.startswith(".") and CONVERTED not in p.name and p.is_file())
    own = {path.resolve() for path in files if not path.is_symlink()}
    return [path for path in files if not (path.is_symlink() and path.resolve() in own)]


def _like_weights(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.suffix in SUFFIXES and not _STATE.fullmatch(path.name)]


def placed(paths: Sequence[Path], unit: Unit | None = None, folder: Path | None = None) -> Placed:
    """Return the step of each checkpoint, or its epoch. It comes from the checkpoint's name, otherwise from the folders
    within `folder`, otherwise from the file. unit None: steps if most known positions are steps."""
    said: dict[Path, Mapping[Unit, int]] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        # Folders between, the nearest first: "checkpoint-500/model.safetensors".
        inside = path.parent.relative_to(folder).parts if folder is not None else ()
        in_folders = (steps for name in reversed(inside) if (steps := _steps_in(name, _FOLDER)))
        try:
            steps = steps_in_name(path) or next(in_folders, {}) or steps_in_file(path)
        except WeightsError as error:
            left_out[path] = str(error)
            continue
        if not steps:
            left_out[path] = "neither its name nor the file says a step or an epoch"
        said |= {path: steps} if steps else {}
    votes = {name: sum(name in steps for steps in said.values()) for name in _CALLED}
    chosen: Unit = unit or ("epoch" if votes["epoch"] > votes["step"] else "step")
    for path, counts in said.items():
        if chosen not in counts:
            left_out[path] = f"it says its {next(iter(counts))}, the others say their {chosen}"
    # A file whose name has no step may be another once more, such as Lightning's last.ckpt.
    named = {counts.get(chosen) for path, counts in said.items() if steps_in_name(path)}
    known = ((counts[chosen], path) for path, counts in said.items() if chosen in counts)
    order = sorted((step, path) for step, path in known if step not in named or steps_in_name(path))
    return Placed(unit=chosen, steps={path: step for step, path in order}, left_out=left_out)


def steps_in_name(path: Path) -> dict[Unit, int]:
    """ "epoch=3-step=1200.ckpt", "step_10k.pt", "checkpoint-1000.pt", "0010.pt"; {} if the name has none."""
    stem = path.name.partition(".tar")[0]
    return _steps_in(stem.removesuffix(path.suffix), _BARE)


def _steps_in(name: str, bare: re.Pattern[str]) -> dict[Unit, int]:
    name = name.lower()
    steps: dict[Unit, int] = {}
    for unit, words in _CALLED.items():
        if matches := re.findall(rf"(?<![a-z])(?:{words})[-_=. ]?{_NUMBER}", name):
            steps[unit] = int(matches[-1])
    if not steps and (alone := bare.search(name)):
        steps["step"] = int(alone[1])
    return steps


def steps_in_file(path: Path) -> dict[Unit, int]:
    """Read the position in training from a checkpoint's entries ("step", "epoch", ...). Raises WeightsError."""
    from registry.checkpoints import read_content

    if path.suffix == ".safetensors" and is_file(path):
        from safetensors import safe_open

        with foreign("checkpoint", path, WeightsError, "Expected a safetensors file."), safe_open(path, "np") as file:
            content: Any = file.metadata() or {}
    else:
        content = read_content(path)
    steps: dict[Unit, int] = {}
    for unit, keys in own_table("training_words")["position"].items() if isinstance(content, Mapping) else ():
        for value in (content[key] for key in keys if key in content):
            value = value.item() if hasattr(value, "numel") and value.numel() == 1 else value
            # Metadata of safetensors are text. A longer number is a date, a digest or a mistake.
            number = re.fullmatch(r"([0-9]{1,15})(\.0)?", str(value)) if isinstance(value, str | int | float) else None
            if number:
                steps[unit] = int(number[1])
                break
    return steps
