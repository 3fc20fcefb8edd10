"""Folders that timm saves (`config.json` and the weights beside it), read as data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.cards import Interpolation, Triple
from registry.errors import CardError, WeightsError
from registry.files import is_file
from registry.foreign import foreign, problems, read_json, shown

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
_RESIZE = {"center": "shortest", "squash": "squash", "border": "longest"}
_LOOSE = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
Side = Annotated[int, Field(gt=0, le=4096)]


class PretrainedConfig(BaseModel):
    """What timm states of an input; what a file leaves out is timm's own default."""

    model_config = _LOOSE

    input_size: tuple[int, Side, Side] = (3, 224, 224)
    fixed_input_size: bool = False
    interpolation: Interpolation = "bicubic"
    crop_pct: float = Field(default=0.875, ge=0.05, le=20)
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


def parsed_config(plain: Any, where: str) -> FolderConfig:
    """A `config.json` of timm. Raises CardError naming what it lacks."""
    kind = "of another library"
    if isinstance(plain, dict) and "model_type" in plain:
        kind = "transformers' (--arch hf:FOLDER)"
    instead = "Give --arch and the weights file instead of the folder."
    expected = f"It is no configuration of timm; it may be {kind}. {instead}"
    with foreign("configuration", where, CardError, expected):
        # Older files have the input's fields at the top.
        plain = {"pretrained_cfg": plain, **plain}
        try:
            return FolderConfig.model_validate(plain)
        except ValidationError as error:
            raise ValueError(problems(error, FolderConfig.model_fields)[0]) from error


def says_transformers(folder: Path) -> bool:
    """Whether a folder's `config.json` is one of transformers: it names a `model_type`, and no architecture of timm."""
    config = folder / "config.json"
    if not is_file(config):
        return False
    plain = read_json(config, "configuration", CardError)
    return isinstance(plain, dict) and "model_type" in plain and "architecture" not in plain


def read_folder(folder: Path) -> ModelFolder:
    """What a folder of timm holds. Raises CardError or WeightsError where it is none."""
    config = folder / "config.json"
    if not is_file(config):
        raise CardError(
            f"{shown(folder)} is a folder without config.json. Give the weights file and --arch."
        )
    known = parsed_config(read_json(config, "configuration", CardError), str(config))
    weights = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if weights is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(_WEIGHTS)}.")
    fields = known.pretrained_cfg.fields()
    return ModelFolder(f"timm:{known.architecture}", known.model_args, weights, fields)
