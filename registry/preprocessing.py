"""A network's preprocessing is put together from what is given, a checkpoint or a configuration states."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from registry.architectures import require_known, split_arch
from registry.cards import IMAGENET_MEAN, IMAGENET_STD, Interpolation, ModelCard, Preprocess, ResizeMode, Triple
from registry.determinism_checks import Check
from registry.documents import own_table, read_json, validated
from registry.files import is_file
from registry.model import Given, Pixels, Transform, network_input, presented
from registry.user_errors import CardError, WeightsError, foreign, shown

# Robustness, RobustBench, MMPretrain, detectron2 and many scripts save mean and deviation of the input beside the
# network, or put a layer before it. A card with another normalisation would score another network.

#: Names of buffers: "new_mean", "pixel_std", "mu", "sds", "inv_std".
FIELD = re.compile(
    r"_?(?:(?:new|input|pixel|image|img|imagenet|channel|rgb|data)_)?"
    r"(?:(?P<mean>means?|mu)|(?P<std>std|sigma|sds?|stds)|(?P<var>var|variance)|(?P<inverse>inv_?std|std_inv))"
)
_DEVIATION = {"std": torch.abs, "var": torch.sqrt, "inverse": torch.reciprocal}
#: Modules before a network: the first of a sequence, and what normalising ones are called.
BEFORE = re.compile(r"0|.*(?:norm|preproc|transform|scal|standardi|mean|stat|input|bn0|bn_data|data_bn).*", re.I)
#: Of a batch norm, unless somebody changed it: it is no tensor of the file.
_EPSILON = 1e-5
#: Published means are rounded to three or four digits.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class StatedInput:
    """An input holds fields of `Preprocess`, and says in words where they are stated."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


def scale_of(mean: Sequence[float], std: Sequence[float]) -> float:
    """Return the largest value of the pixels that have such statistics: 1 or 255."""
    return 255.0 if max(*mean, *std) > 1.5 else 1.0


def as_text(fields: Mapping[str, Any]) -> str:
    """Return mean, standard deviation and scale in words."""
    mean, std = ("(" + ", ".join(f"{value:g}" for value in fields[name]) + ")" for name in ("mean", "std"))
    pixels = "" if fields["scale"] == 1 else f" of pixels times {fields['scale']:g}"
    return f"mean {mean}, std {std}{pixels}"


def agrees(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether both normalisations bring pixels to the same input, as far as published digits go."""
    ours, theirs = ([v / each.get("scale", 1.0) for v in (*each["mean"], *each["std"])] for each in (one, other))
    return all(abs(a - b) <= _TOLERANCE for a, b in zip(ours, theirs, strict=True))


def normalising_parts(tensors: Mapping[str, Tensor]) -> Iterator[tuple[tuple[str, ...], Tensor, Tensor]]:
    """Yield the names, mean [3] and deviation [3] of everything that normalises an input of three channels."""
    groups = defaultdict[str, dict[str, str]](dict)
    for name in tensors:
        place, _, field = name.rpartition(".")
        groups[place][field] = name
    for place, fields in groups.items():
        kinds = {match.lastgroup: name for field, name in fields.items() if (match := FIELD.fullmatch(field))}
        kinds = {kind: name for kind, name in kinds.items() if tensors[name].numel() in (1, 3)}
        if "mean" in kinds and len(kinds) == 2:
            (other,) = kinds.keys() - {"mean"}
            mean, spread = (tensors[kinds[kind]].detach().float().reshape(-1) for kind in ("mean", str(other)))
            yield tuple(kinds.values()), mean.expand(3), _DEVIATION[str(other)](spread).expand(3)
        elif BEFORE.fullmatch(place.rpartition(".")[2]):
            layer = {field: tensors[name].detach().double() for field, name in fields.items()}
            if (statistics := _of_layer(layer)) is not None:
                yield tuple(fields.values()), statistics[0].float(), statistics[1].float()


def _of_layer(layer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return mean and deviation of a batch norm of three channels, or of a 1x1 convolution that mixes none."""
    weight, bias = layer.get("weight"), layer.get("bias", torch.zeros(3))
    if bias.shape != (3,) or layer.keys() - {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}:
        return None
    if {"running_mean", "running_var"} <= layer.keys() and layer["running_mean"].shape == (3,):
        mean, spread = layer["running_mean"], (layer["running_var"] + _EPSILON).sqrt()
        if min(mean) < 0 or max(spread) > 0.6 * scale_of(mean.tolist(), [0.0]):
            return None  # its input was no pixels: numbers within 0..1 have a deviation of .5 at most
        std = spread / (torch.ones(3) if weight is None else weight)
        return mean - bias * std, std
    if weight is None or weight.shape not in ((3, 1, 1, 1), (3, 3, 1, 1), (3, 3)):
        return None
    factors = weight.reshape(3, -1)
    if factors.shape[1] == 3:
        if not torch.equal(factors, factors.diag().diag()):
            return None
        factors = factors.diag()
    std = 1 / factors.reshape(3)
    return -bias * std, std


def may_normalise(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor may be of what changes an input: statistics, a batch norm or layer of 3 channels."""
    field = name.rpartition(".")[2]
    statistics = FIELD.fullmatch(field) and tensor.numel() in (1, 3)
    norm = field in ("running_mean", "running_var") and tensor.shape == (3,)
    return bool(statistics or norm or (tensor.shape[0:2] in ((3, 3), (3, 1)) and tensor.dim() in (2, 4)))


def stated_in(tensors: Mapping[str, Tensor], origin: str) -> StatedInput:
    """Return the normalisation that tensors beside a network state (name without wrappers -> tensor); no fields if
    they state none. Raises WeightsError if copies contradict one another or no card can express it."""
    found: dict[tuple[Triple, Triple], str] = {}
    for names, *statistics in normalising_parts(tensors):
        # the shortest form that gives the same float32
        plain = [float(str(np.float32(value))) for values in statistics for value in values.tolist()]
        found.setdefault(((plain[0], plain[1], plain[2]), (plain[3], plain[4], plain[5])), ", ".join(names))
    if not found:
        return StatedInput()
    if len(found) > 1:
        every = " and ".join(f"{where} {mean}, {std}" for (mean, std), where in found.items())
        raise WeightsError(f"{origin} holds {len(found)} different normalisations: {every}. Save the right one.")
    (((mean, std), where),) = found.items()
    scale = scale_of(mean, std)
    if not (min(std) > 0 <= min(mean) and max(mean) <= scale and np.isfinite([*mean, *std]).all()):
        how = f"{where}, which no option expresses (mean {mean}, std {std})"
        raise WeightsError(f"checkpoint {origin} holds {how}: register a function (--arch python:FILE.py:FUNCTION).")
    return StatedInput({"mean": mean, "std": std, "scale": scale}, where)


FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth")
_LOOSE = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
Side = Annotated[int, Field(gt=0, le=4096)]


class PretrainedConfig(BaseModel):
    """Convert timm's description of an input; missing fields get timm's defaults."""

    model_config = _LOOSE

    input_size: tuple[int, Side, Side] = (3, 224, 224)
    fixed_input_size: bool = False
    interpolation: Interpolation = "bicubic"
    crop_pct: float = Field(default=0.875, ge=0.05, le=20)
    crop_mode: Literal["center", "squash", "border"] = "center"
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def fields(self) -> dict[str, Any]:
        """Return the fields of `Preprocess`."""
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
    model_args: dict[str, Any] | None = None


def timm_config(file: Path, where: str) -> FolderConfig:
    """Return what a `config.json` says; where: it is, for messages. Raises CardError for another library's."""
    plain = read_json(file, "configuration", CardError)
    own = plain if isinstance(plain, dict) else {}
    other = "transformers' (--arch hf:FOLDER)" if "model_type" in own else "of another library"
    instead = f"it may be {other}. Give --arch and the weights file instead of the folder."

    def wrong(problem: str) -> CardError:
        return CardError(f"configuration {where}: {problem}. It is no configuration of timm; {instead}")

    return validated(FolderConfig, {"pretrained_cfg": own, **own}, wrong)  # older files have the input at the top


def read_folder(folder: Path, arch: str) -> tuple[str, str, dict[str, Any], StatedInput]:
    """Return architecture, weights file, arguments and input of a folder of timm. Raises BenchError for another."""
    config = folder / "config.json"
    known = timm_config(config, str(config))
    weights = next((folder / name for name in FOLDER_WEIGHTS if is_file(folder / name)), None)
    if weights is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(FOLDER_WEIGHTS)}.")
    own = f"timm:{known.architecture}"
    if arch not in ("", own):
        raise CardError(f"{shown(folder)} holds a {own}, not a {arch}. Leave --arch out.")
    # The count of classes is the label space's, and a network of another is refused by its head.
    arguments = {name: value for name, value in (known.model_args or {}).items() if name != "num_classes"}
    return own, str(weights), arguments, StatedInput(known.pretrained_cfg.fields(), str(config))


class Overrides(TypedDict, total=False):
    """Overrides replace fields of the architecture's own preprocessing."""

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


#: What is fed where nothing states it: the evaluation of PyTorch's ImageNet example, at the size that the architecture
#: is built for (the shorter side 256/224 of it, as of any size).
USUAL = {"interpolation": "bilinear", "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
UNSTATED = "nothing states it: the field's usual evaluation"
_INPUT = ("mean", "std", "scale")


def stated_input(arch: str, side: int | None = None, *, own_weights: bool = False) -> StatedInput:
    """Return the input that an architecture's library states; no fields if it states none. A network may be built for
    another `side` in pixels. The library's default is not of the user's `own_weights` unless the name has a tag."""
    kind, name = split_arch(arch)
    require_known(arch)
    if kind == "torchvision":
        kinds: Any = import_module("torchvision.models")
        try:
            inputs = {str(entry): _fields(entry.transforms()) for entry in kinds.get_model_weights(name)}
            default = str(kinds.get_model_weights(name)["DEFAULT"])
        except (ValueError, AttributeError):  # no weights, or a detector's
            return StatedInput()
        fields, fixed = inputs[default], name.startswith(("vit_", "maxvit"))
        smallest = min(each["size"] for each in inputs.values())  # some have later recipes for larger images
        if side is not None:
            fields |= {"size": side, "resize": round(fields["resize"] * side / fields["size"])}
        where = f"torchvision's {default}, its default: the architecture's own configuration"
    else:
        config = import_module("timm.models").get_pretrained_cfg(name) if kind == "timm" else None
        if config is None:
            return StatedInput()
        fixed, smallest = config.fixed_input_size, config.input_size[-1]
        sized = {"input_size": (3, side, side)} if side else {}
        fields = pretrained_config({**config.to_dict(), **sized}, f"arch '{arch}'").fields()
        why = "" if "." in name else ", its default: the architecture's own configuration"
        tag = f"timm's pretrained tag {config.tag} of {name.partition('.')[0]}{why}"
        where = tag if config.tag else f"timm's {name}"
    if own_weights and (kind == "torchvision" or "." not in name):
        size = side or smallest
        fields = {**USUAL, "size": size, "resize": round(size * 256 / 224)}
        where = UNSTATED
    return StatedInput({**fields, "fixed_size": fixed}, where)


def pretrained_config(config: Mapping[str, Any], what: str) -> PretrainedConfig:
    """Return timm's description of an input, which `what` states. Raises CardError for a value that is unknown."""
    return validated(PretrainedConfig, config, lambda problem: CardError(f"{what}: {problem}."))


def stated_by_training(settings: Mapping[str, Any], place: str, origin: object) -> StatedInput:
    """Return the input of a script's settings at `place` of checkpoint `origin`. Raises WeightsError."""
    free = "Save the weights without them, and say with --size, --resize, --mean, --std, ... what the network was fed."
    with foreign(f"{place} of checkpoint", origin, WeightsError, free):
        words, fields = own_table("training_words"), dict[str, Any]()
        if settings.keys() >= {*words["timm"]}:
            config: Any = import_module("timm.models").get_pretrained_cfg(str(settings["model"]))
            known: dict[str, Any] = {} if config is None else config.to_dict()
            known |= import_module("timm.data").resolve_data_config(dict(settings), pretrained_cfg=known)
            fields = pretrained_config(known, f"{place} of checkpoint {shown(origin)}").fields()
            return StatedInput(fields, f"stated by the checkpoint ({place} of timm's training script)")
        given: dict[str, Any] = {  # by their usual names
            part: next((settings[name] for name in names if settings.get(name) is not None), None)
            for part, names in words["input"].items()
        }
        sides = given["size"] if isinstance(given["size"], list | tuple) else [given["size"]]
        if sides and all(isinstance(side, int) for side in sides):
            if len(set(sides[-2:])) > 1 or not 0 < sides[-1] <= 4096:
                raise ValueError("its input is no square of 1 to 4096 pixels")
            fields["size"] = sides[-1]
            if isinstance(given["crop_pct"], int | float):
                fields["resize"] = int(sides[-1] / given["crop_pct"])
        if isinstance(given["resize"], int):
            fields["resize"] = given["resize"]
        if isinstance(given["interpolation"], str):
            fields["interpolation"] = given["interpolation"].lower().removeprefix("interpolationmode.")
        if all(isinstance(given[name], list | tuple) and len(given[name]) in (1, 3) for name in ("mean", "std")):
            fields |= {name: tuple(map(float, [*given[name]] * 3))[:3] for name in ("mean", "std")}
            fields["scale"] = scale_of(fields["mean"], fields["std"])
        elif "val_crop_size" in settings:  # torchvision's script has them as constants
            fields |= {name: USUAL[name] for name in ("mean", "std")}
        return StatedInput(fields, f"stated by the checkpoint ({place})")


def given_fields(overrides: Overrides) -> dict[str, Any]:
    """Return the overrides that are set, among other options, with the resize that matches a given size."""
    known = Preprocess.model_fields
    given: dict[str, Any] = {key: value for key, value in overrides.items() if value is not None and key in known}
    if "size" in given and "resize" not in given:
        whole = given.get("resize_mode") in ("squash", "longest")
        given["resize"] = given["size"] if whole else round(int(str(given["size"])) * 256 / 224)
    return given


def preprocess_of(arch: str, fields: Mapping[str, Any]) -> Preprocess:
    """Return a `Preprocess` of these fields. Raises CardError naming missing or unsuitable fields."""
    if lacking := [name for name in ("size", "mean", "std") if name not in fields]:
        raise CardError(f"arch '{arch}' does not state its input. Give {', '.join(lacking)} as it was trained with.")
    return validated(Preprocess, fields, lambda problem: CardError(f"preprocessing: {problem}."))


def _require_agreeing(
    arch: str, known: StatedInput, trained: StatedInput, given: Mapping[str, Any], fields: Mapping[str, Any]
) -> None:
    wrong = [name for name in given.keys() & trained.fields.keys() - {*_INPUT} if given[name] != trained.fields[name]]
    own = {name: trained.fields[name] for name in _INPUT if name in trained.fields}
    if own and given.keys() & {*_INPUT}:
        wrong += [name for name in _INPUT if name in given and not agrees(own, dict(preprocess_of(arch, fields)))]
    for name in wrong:
        said = f"{name} {trained.fields.get(name)} is {trained.where}, and --{name} {given[name]} was given"
        raise CardError(f"{said}. Leave --{name} out, or save the weights alone.")
    side, only = trained.fields.get("size"), known.fields.get("size")
    if known.fields.get("fixed_size") and only is not None and side not in (None, only):
        said = f"size {side} is {trained.where}, and arch '{arch}' takes {only} px and no other"
        raise CardError(f"{said}. Build it for that size: --arch-option img_size={side}.")


def settled_input(
    arch: str,
    overrides: Overrides,
    known: StatedInput,
    stated: StatedInput = StatedInput(),
    trained: StatedInput = StatedInput(),
) -> tuple[Preprocess, list[Check]]:
    """Return how the input is made, with a line on the source of each part: the given value, otherwise the checkpoint's
    (`stated`) or its training script's (`trained`), otherwise a configuration's."""
    given = given_fields(overrides)
    explicit = {name: value for name, value in given.items() if overrides.get(name) is not None}
    derived = {} if {"resize", "resize_mode"} & trained.fields.keys() else given
    resized = given_fields({"size": trained.fields["size"]}) if "size" in trained.fields else {}
    built = {"size": known.fields["size"]} if known.where == UNSTATED else {}
    layers: list[tuple[Mapping[str, Any], str]] = [  # the last that has a field decides
        (known.fields, known.where),
        (built, "for which the architecture is built"),
        ({**resized, **trained.fields}, trained.where),
        (derived, f"from the size {explicit.get('size')} that was given"),
        (explicit, "as given"),
    ]
    if stated.fields and not {*_INPUT} & {*explicit, *trained.fields}:
        is_published = "mean" in known.fields and known.where != UNSTATED
        if not (is_published and agrees(stated.fields, dict(preprocess_of(arch, known.fields)))):
            layers.append((stated.fields, "as the checkpoint holds it"))
    fields = {name: value for own, _ in layers for name, value in own.items()}
    sources = {name: where for own, where in layers for name in own}
    _require_agreeing(arch, known, trained, explicit, fields)
    how = preprocess_of(arch, fields)
    agreeing = f"; the checkpoint's {stated.where} agree" if stated.fields and agrees(stated.fields, dict(how)) else ""
    return how, _lines(arch, how, sources, agreeing)


def _lines(arch: str, how: Preprocess, sources: Mapping[str, str], agreeing: str) -> list[Check]:
    if how.resize_mode == "own":
        text = f"{sources['resize_mode']}; no card expresses it, so no gradient reaches the pixels"
        return [Check(name="input", ok=True, detail=text)]
    ways = {
        "squash": f"both sides to {how.resize} px (squash)",
        "longest": f"longer side to {how.resize} px, filled with {how.fill}",
        "shortest": f"shorter side to {how.resize} px",
    }
    # Name, text, the fields that it is made of (the first always, others where stated).
    parts = [
        ("size", f"{how.size} px{' and no other' if how.fixed_size else ''}", ["size"], ""),
        ("resize", f"{ways[how.resize_mode]}, then the centre {how.size} px", ["resize", "resize_mode"], ""),
        ("interpolation", how.interpolation, ["interpolation"], ""),
        ("normalisation", as_text(dict(how)), ["mean", "std", "scale"], agreeing),
        ("pixels", f"{how.channels} in 0..{how.scale:g}", ["channels"], ""),
    ]
    rows = []
    if UNSTATED in (sources.get(name) for name in ("resize", "interpolation", "mean")):
        tag = f", or name the tag of timm whose input it has ({arch}.TAG)" if arch.startswith("timm:") else ""
        hint = f"--size, --resize, --interpolation, --mean, --std say otherwise{tag}"
        text = f"the checkpoint does not state all of what it was trained on: {hint}"
        rows.append(Check(name="input", ok=True, mark="guess", detail=text))
    if sources.get("mean", UNSTATED) != UNSTATED:  # whoever states a mean for each channel states their order
        sources = {"channels": "in the order of the mean", **sources}
    for name, text, names, more in parts:
        named = [part for part in names if part not in ("resize_mode", "scale") or part in sources]
        origins = dict.fromkeys(sources.get(part, "default: nothing states it") for part in named)
        mark = "guess" if any(re.search("nothing states it|from the size", origin) for origin in origins) else ""
        rows.append(Check(name=name, ok=True, mark=mark, detail=f"{text}, {'; '.join(origins)}{more}"))
    return rows


# A network's own transform as the fields of a card, if a card can express it exactly: read from its parts, and tried on
# images.


@cache
def sample_images() -> tuple[Pixels, ...]:
    """Return images of waves with odd and even sides, wider and higher, smaller and larger than usual inputs."""
    images = []
    for height, width in ((97, 150), (175, 97), (101, 102), (640, 501)):
        rows, columns = np.mgrid[:height, :width]
        waves = np.stack([np.sin(rows / 9 + columns / 13), np.cos(rows / 7 - columns / 17), columns / width], axis=2)
        images.append((127 + 120 * waves).astype(np.uint8))
    return tuple(images)


def pixel_gaps(fed: Sequence[Given], how: Preprocess) -> Iterator[NDArray[np.float64]]:
    """Yield how far the pixels that are `fed` of each of the `sample_images` are from a card's, in [0,1]; infinity for
    another shape."""
    for image, given in zip(sample_images(), fed, strict=True):
        theirs = np.moveaxis(np.asarray(given, dtype=np.float64), 0, -1) if isinstance(given, Tensor) else np.empty(0)
        shown = presented(image, how, "card")[..., :: -1 if how.channels == "bgr" else 1]
        ours = (shown / 255 * how.scale - how.mean) / how.std
        yield np.abs(ours - theirs) * how.std / how.scale if ours.shape == theirs.shape else np.full(1, np.inf)


def read_transform(transform: Transform, where: str) -> StatedInput:
    """Return the fields of a card that feeds exactly what the transform does; otherwise of one whose network makes its
    input itself (`resize_mode` "own"). `where` is who states it."""
    fed, plain = _fed(transform), {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    for scale, channels in product((1.0, 255.0), ("rgb", "bgr")):
        fields = {**plain, **_fields(transform), "scale": scale, "channels": channels}
        # no size, a filter that cards do not have, a mean of another scale
        with suppress(ValidationError):
            if _is_expressed(fed, Preprocess.model_validate(fields)):
                return StatedInput(fields, where)
    shape = tuple(fed[-1].shape) if isinstance(fed[-1], Tensor) else ()
    side = min(max(shape[-2:]), 4096) if len(shape) == 3 else 224
    return StatedInput({**plain, "fixed_size": False, "size": side, "resize": side, "resize_mode": "own"}, where)


def _fed(transform: Transform) -> list[Given]:
    return [network_input(transform, torch.from_numpy(image).permute(2, 0, 1)) for image in sample_images()]


def _is_expressed(fed: Sequence[Given], how: Preprocess) -> bool:
    return all(gap.max() <= 1e-5 for gap in pixel_gaps(fed, how))  # the rounding of float32 explains that much


def _fields(part: Any) -> dict[str, Any]:
    """Return the fields of a card that a transform or its parts name; what is misread shows in the pixels."""
    inner = getattr(part, "transforms", None)
    if isinstance(inner, list | tuple | torch.nn.ModuleList):
        return {name: value for each in inner for name, value in _fields(each).items()}
    kind, given, fields = type(part).__name__, {**getattr(part, "__dict__", {})}, dict[str, Any]()

    def sides(name: str) -> list[int]:
        return [int(side) for side in np.ravel(np.asarray(given[name]))]

    if "interpolation" in given:
        chosen = given["interpolation"]
        name = Image.Resampling(chosen).name if isinstance(chosen, int) else str(getattr(chosen, "value", chosen))
        fields["interpolation"] = name.lower()
    if "Resize" in kind and "size" in given:
        squash = {"resize_mode": "squash", "size": sides("size")[0]} if len(sides("size")) == 2 else {}
        fields |= {"resize": sides("size")[0], **squash}
    elif "Crop" in kind and "size" in given:
        fields["size"] = sides("size")[0]
    elif "resize_size" in given:  # of torchvision's weights
        fields |= {"resize": sides("resize_size")[0], "size": sides("crop_size")[0]}
    if "mean" in given and "std" in given:
        fields |= {name: tuple(np.ravel(np.asarray(given[name], dtype=float)).tolist()) for name in ("mean", "std")}
    return fields


def kept_transform(own: Transform | None, card: ModelCard) -> Transform | None:
    """Return the transform that makes the input of a card's network; None where the card expresses it. own: what the
    network's factory returns. Raises CardError if it feeds other pixels than the card says."""
    if card.own_transform and own is not None:
        return own
    if own is not None and card.preprocess is not None and _is_expressed(_fed(own), card.preprocess):
        return None
    why = f"the transform that {card.arch} returns is not the one of its card"
    raise CardError(f"model '{card.name}': {why}. Restore it, or register the network again (`--replace`).")
