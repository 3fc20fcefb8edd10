"""Folders that training code writes and that are not read, and the command that converts each."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.checkpoints import conversion
from registry.documents import read_json
from registry.errors import WeightsError, shown
from registry.files import is_file, is_folder

_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
#: Beginnings of the names of files that training code keeps beside weights.
_OTHERS = ("optimizer", "scheduler", "sampler", "scaler")


def refuse_folder(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> None:
    """Raise WeightsError, with the command that converts it, for a folder of training code: a distributed checkpoint
    (DCP, FSDP), DeepSpeed, an adapter (PEFT), shards, or plain files (Accelerate), one to be named.

    arch, kwargs: the network that the weights are for, as given. Other folders pass."""
    for inside in (folder, *sorted(filter(is_folder, folder.iterdir()))):
        _refuse_distributed(inside, folder)
    if is_file(folder / "adapter_config.json"):
        raise WeightsError(_adapter(folder, arch, kwargs))
    is_complete = is_file(folder / "config.json")
    for index in () if is_file(folder / "model.safetensors") else sorted(folder.glob("*.index.json")):
        line = conversion(index, folder / "model.safetensors")
        line = f"{line.rpartition(' ')[0]} {shown(folder)}" if is_complete else line
        raise WeightsError(f"{shown(folder)} contains weights in shards ({index.name}). Join them: {line}.")
    files = [
        path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and not path.name.startswith(_OTHERS)
    ]
    if files and not is_complete:
        raise WeightsError(
            f"{shown(folder)} is a folder without config.json, which would name its architecture. Give the file: "
            f"--weights {' or '.join(shlex.quote(str(path)) for path in files[:5])}"
        )


def _refuse_distributed(inside: Path, folder: Path) -> None:
    if is_file(inside / ".metadata"):
        target, what = inside / "weights.pt", "distributed checkpoint (torch.distributed.checkpoint)"
        line = f"torch.distributed.checkpoint.format_utils dcp_to_torch {shlex.join([str(inside), str(target)])}"
    elif any(inside.glob("*_optim_states.pt")) and any(inside.glob("*_model_states.pt")):
        run = inside.parent if inside == folder else folder
        target, what = run / "fp32" / "model.safetensors", "checkpoint of DeepSpeed"
        words = shlex.join([str(run), str(target.parent), "--tag", inside.name])
        line = f"deepspeed.utils.zero_to_fp32 {words} --safe_serialization"
    else:
        return
    raise WeightsError(
        f"{shown(inside)} is a {what}. Convert it once, if you trust it: python -m {line} and register {shown(target)}."
    )


def _adapter(folder: Path, arch: str, kwargs: Mapping[str, Any]) -> str:
    """What to do about a folder of PEFT: merge its adapter into the network that it changes."""
    config = read_json(folder / "adapter_config.json", "configuration", WeightsError)
    library = config.get("auto_mapping", {}) if isinstance(config, dict) else {}
    if str((library or {}).get("parent_library")).startswith("transformers"):
        command = conversion(folder, folder / "merged").replace(" and register ", " and register --arch hf:")
    elif arch.startswith("timm:"):
        command = conversion(folder, folder / "merged.safetensors", timm=arch.removeprefix("timm:"), kwargs=kwargs)
        command = command.replace(" and register ", " and register --weights ")
    else:
        return f"{shown(folder)} is an adapter (PEFT): name the network that it is for, --arch timm:NAME."
    return (
        f"{shown(folder)} is an adapter (PEFT) without the network that it changes. Merge them once, if you trust "
        f"them: {command}."
    )
