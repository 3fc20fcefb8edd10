"""What a network is fed, and where each part of that is stated: given, in the file, in a configuration, or nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.architectures import require_known, split_arch
from registry.cards import Interpolation, Preprocess, ResizeMode, Triple
from registry.checkpoints import Normalisation, agrees, as_text
from registry.determinism_checks import Check
from registry.errors import CardError, WeightsError
from registry.files import is_file
from registry.foreign import foreign, problems, read_json, reason, shown

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
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
        fields: dict[str, Any] = {name: getattr(self, name) for name in ("interpolation", "mean", "std")}
        fields |= {"size": size, "resize": int(size / self.crop_pct), "fixed_size": self.fixed_input_size}
        if self.crop_mode == "squash":
            fields["resize_mode"] = "squash"
        elif self.crop_mode == "border":
            fields |= {"resize_mode": "longest", "fill": tuple(round(255 * value) for value in self.mean)}
        return fields


class FolderConfig(BaseModel):
    """timm's `config.json`."""

    model_config = _LOOSE

    architecture: str
    pretrained_cfg: PretrainedConfig
    model_args: dict[str, Any] = {}


@dataclass(frozen=True)
class StatedInput:
    """Fields of `Preprocess` and where they are stated, in words."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


def _timm_config(file: Path, where: str) -> FolderConfig:
    plain = read_json(file, "configuration", CardError)
    of_transformers = isinstance(plain, dict) and "model_type" in plain
    other = "transformers' (--arch hf:FOLDER)" if of_transformers else "of another library"
    instead = "Give --arch and the weights file instead of the folder."
    with foreign("configuration", where, CardError, f"It is no configuration of timm; it may be {other}. {instead}"):
        try:  # older files have the input's fields at the top
            return FolderConfig.model_validate({"pretrained_cfg": plain, **plain})
        except ValidationError as error:
            raise ValueError(problems(error, FolderConfig.model_fields)[0]) from error


def read_folder(folder: Path, arch: str) -> tuple[str, str, dict[str, Any], StatedInput]:
    """Architecture, weights file and arguments that a folder of timm holds, and what it states of the input. arch: as
    it was given. Raises CardError or WeightsError where it is none."""
    config = folder / "config.json"
    if not is_file(config):
        raise CardError(f"{shown(folder)} is a folder without config.json. Give the weights file and --arch.")
    known = _timm_config(config, str(config))
    weights = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if weights is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(_WEIGHTS)}.")
    own = f"timm:{known.architecture}"
    if arch not in ("", own):
        raise CardError(f"{shown(folder)} holds a {own}, not a {arch}. Leave --arch out.")
    require_known(own)
    # The count of classes is the label space's, and a network of another is refused by its head.
    arguments = {name: value for name, value in known.model_args.items() if name != "num_classes"}
    return own, str(weights), arguments, StatedInput(known.pretrained_cfg.fields(), str(config))


_INPUT = ("mean", "std", "scale")


class Overrides(TypedDict, total=False):
    """Preprocessing that replaces what the architecture's own configuration says (fields of `Preprocess`)."""

    size: int | None
    resize: int | None
    interpolation: Interpolation | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    channels: Literal["rgb", "bgr"] | None
    scale: float | None
    fixed_size: bool | None
    resize_mode: ResizeMode | None
    fill: tuple[int, int, int] | None


def stated_input(arch: str) -> StatedInput:
    """What the library of an architecture states of its input; no fields where it states none."""
    if arch == "export":
        return StatedInput({"fixed_size": True}, "an exported program")
    kind, name = split_arch(arch)
    require_known(arch)
    if kind == "torchvision":
        from torchvision import models

        try:
            weights = models.get_model_weights(name)["DEFAULT"]
        except (ValueError, KeyError):
            return StatedInput()
        transform = weights.transforms()
        fields = {
            "size": transform.crop_size[0],
            "resize": transform.resize_size[0],
            "interpolation": transform.interpolation.value,
            "mean": tuple(transform.mean),
            "std": tuple(transform.std),
            "fixed_size": name.startswith(("vit_", "maxvit")),
        }
        return StatedInput(fields, f"torchvision's {weights}, its default: the architecture's own configuration")
    config = import_module("timm.models").get_pretrained_cfg(name) if kind == "timm" else None
    if config is None:
        return StatedInput()
    try:
        stated = PretrainedConfig.model_validate({key: getattr(config, key) for key in PretrainedConfig.model_fields})
    except ValidationError as error:
        problem = error.errors()[0]
        raise CardError(
            f"arch '{arch}' states {problem['loc'][0]} {problem['input']!r}, which is not known here: {problem['msg']}."
        ) from error
    chosen = "" if "." in name else ", its default: the architecture's own configuration"
    tagged = f"timm's pretrained tag {config.tag} of {name.partition('.')[0]}{chosen}"
    return StatedInput(stated.fields(), tagged if config.tag else f"timm's {name}")


def hub_input(repository: str, cache: Path | None) -> StatedInput:
    """What a repository of the Hugging Face hub states of its network's input, from the cache or a download.

    Raises WeightsError where it is in neither, CardError where it is no repository of timm."""
    from huggingface_hub import hf_hub_download

    name, _, revision = repository.partition("@")
    try:
        config = Path(hf_hub_download(name, "config.json", revision=revision or None, cache_dir=cache))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"hf_hub:{repository}: its config.json cannot be had ({reason(error)}). Offline? Fetch it once with a "
            "network, or set HF_ENDPOINT to a mirror."
        ) from error
    stated = _timm_config(config, f"hf_hub:{repository}/config.json").pretrained_cfg
    return StatedInput(stated.fields(), f"config.json of hf_hub:{repository}")


def given_fields(overrides: Overrides) -> dict[str, Any]:
    """The overrides that say something, and the resize that belongs to a size."""
    given: dict[str, Any] = {key: value for key, value in overrides.items() if value is not None}
    if "size" in given and "resize" not in given:
        whole = given.get("resize_mode") in ("squash", "longest")
        given["resize"] = given["size"] if whole else round(int(str(given["size"])) * 256 / 224)
    return given


def preprocess_of(arch: str, fields: Mapping[str, Any]) -> Preprocess:
    """A `Preprocess` of these fields. Raises CardError naming what lacks or does not fit."""
    lacking = [name for name in ("size", "mean", "std") if name not in fields]
    if lacking:
        raise CardError(
            f"arch '{arch}' does not say how its input is made. Give {', '.join(f'--{name}' for name in lacking)} as "
            "it was trained with; a guess would change every score silently."
        )
    try:
        return Preprocess.model_validate(fields)
    except ValidationError as error:
        problem = problems(error, Preprocess.model_fields, "preprocess")[0]
        raise CardError(f"preprocessing {problem}.") from error


def settled(
    arch: str, overrides: Overrides, known: StatedInput, stated: Normalisation | None
) -> tuple[Preprocess, list[Check]]:
    """How the input is made, with a line for each part of it that says where it comes from: what was given, else what
    the checkpoint holds, else what a configuration says."""
    given = given_fields(overrides)
    fields = {**known.fields, **given}
    sources = dict.fromkeys(known.fields, known.where) | dict.fromkeys(given, "as given")
    if "size" in given and overrides.get("resize") is None:
        sources["resize"] = f"from the size {given['size']} that was given"
    if stated is not None and not set(_INPUT) & set(given):
        confirmed = "mean" in known.fields and agrees(stated, preprocess_of(arch, fields))
        if not confirmed:
            fields |= {"mean": stated.mean, "std": stated.std, "scale": stated.scale}
            sources |= dict.fromkeys(_INPUT, "as the checkpoint holds it")
    how = preprocess_of(arch, fields)
    ways = {
        "squash": f"both sides to {how.resize} px (squash)",
        "longest": f"longer side to {how.resize} px, filled with {how.fill}",
        "shortest": f"shorter side to {how.resize} px",
    }
    agreeing = f"; the checkpoint's {stated.where} agree" if stated is not None and agrees(stated, how) else ""
    # What is fed, a line a part: name, text, the fields that it is made of (the first always, others where stated).
    parts = [
        ("size", f"{how.size} px{' and no other' if how.fixed_size else ''}", ["size"], ""),
        ("resize", f"{ways[how.resize_mode]}, then the centre {how.size} px", ["resize", "resize_mode"], ""),
        ("interpolation", how.interpolation, ["interpolation"], ""),
        ("normalisation", as_text(how), ["mean", "std", "scale"], agreeing),
        ("pixels", f"{how.channels} in 0..{how.scale:g}", ["channels"], ""),
    ]
    rows = []
    for name, text, names, more in parts:
        named = [part for part in names if part not in ("resize_mode", "scale") or part in sources]
        origins = dict.fromkeys(sources.get(part, "default: nothing states it") for part in named)
        rows.append(Check(name, True, f"{text}, {'; '.join(origins)}{more}"))
    return how, rows
