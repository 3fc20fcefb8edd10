"""Folders that timm saves (`config.json` and the weights beside it), read as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from registry.cards import Interpolation, Triple
from registry.documents import MOST_BYTES, shown
from registry.errors import CardError, WeightsError
from registry.files import is_file

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
_RESIZE = {"center": "shortest", "squash": "squash", "border": "longest"}
_LOOSE = ConfigDict(extra="ignore", frozen=True)


class PretrainedConfig(BaseModel):
    """What timm states of an input; what a file leaves out is timm's own default."""

    model_config = _LOOSE

    input_size: tuple[int, int, int] = (3, 224, 224)
    fixed_input_size: bool = False
    interpolation: Interpolation = "bicubic"
    crop_pct: float = 0.875
    crop_mode: Literal["center", "squash", "border"] = "center"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    def fields(self) -> dict[str, Any]:
        """Fields of `Preprocess`."""
        size = self.input_size[-1]
        made: dict[str, Any] = {
            "size": size,
            "resize": int(size / self.crop_pct),
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
            "fixed_size": self.fixed_input_size,
        }
        if self.crop_mode != "center":
            made["resize_mode"] = _RESIZE[self.crop_mode]
        if self.crop_mode == "border":
            made["fill"] = tuple(round(255 * value) for value in self.mean)
        return made


class FolderConfig(BaseModel):
    """timm's `config.json`."""

    model_config = _LOOSE

    architecture: str
    num_classes: int | None = None
    pretrained_cfg: PretrainedConfig
    model_args: dict[str, Any] = {}


@dataclass(frozen=True)
class ModelFolder:
    """A folder as a card sees it: architecture, its arguments, the weights file, the input."""

    arch: str
    kwargs: dict[str, Any]
    weights: Path
    fields: dict[str, Any]


def parsed_config(text: str, where: str) -> FolderConfig:
    """A `config.json` of timm. Raises CardError naming what it lacks."""
    try:
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise ValueError("it is no mapping")
        # Older files have the input's fields at the top.
        plain.setdefault("pretrained_cfg", plain)
        return FolderConfig.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        reason = f"field '{field}': {first['msg']}, found {str(first['input'])!r:.60}"
    except (ValueError, RecursionError) as error:
        reason = f"{error}"
    kind = "transformers' (--arch hf:FOLDER)" if '"model_type"' in text else "of another library"
    raise CardError(
        f"{where}: no configuration of timm ({shown(reason)[:300]}); it may be {kind}. Give --arch and the weights "
        "file instead of the folder."
    )


def says_transformers(folder: Path) -> bool:
    """Whether a folder's `config.json` is one of transformers: it names a `model_type`, and no architecture of timm."""
    config = folder / "config.json"
    if not is_file(config) or config.stat().st_size > MOST_BYTES:
        return False
    try:
        plain = json.loads(config.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(plain, dict) and "model_type" in plain and "architecture" not in plain


def read_folder(folder: Path) -> ModelFolder:
    """What a folder of timm holds. Raises CardError or WeightsError where it is none."""
    config = folder / "config.json"
    if not is_file(config):
        raise CardError(
            f"{shown(folder)} is a folder without config.json. Give the weights file and --arch."
        )
    if config.stat().st_size > MOST_BYTES:
        raise CardError(f"{shown(config)} is larger than {MOST_BYTES // 2**20} MiB: not read.")
    known = parsed_config(config.read_text(encoding="utf-8", errors="replace"), str(config))
    weights = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if weights is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(_WEIGHTS)}.")
    fields = known.pretrained_cfg.fields()
    return ModelFolder(f"timm:{known.architecture}", known.model_args, weights, fields)
