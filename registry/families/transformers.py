"""Image classifiers of transformers: "hf:ORG/NAME" of the hub, or "hf:FOLDER" with config.json and safetensors.

Nothing of a repository is executed: its own code is not loaded, and weights are safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from registry.cards import ModelCard
from registry.errors import CardError, WeightsError
from registry.families.family import Asked, Described, Sources, labels_of_names, library, repository_folder
from registry.files import Place, digest_data, expanded, is_file, is_folder
from registry.foreign import foreign, read_bytes, read_json, shown
from registry.preprocessing import Stated

# What transformers' image processors do, as fields of `Preprocess`.


FILE = "preprocessor_config.json"
#: PIL's numbers of the filters that a card can name.
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
#: From this side on ConvNeXt's processor brings both sides to the size and crops nothing.
_WARPED_FROM = 384


def stated_by_processor(folder: Path, config: Mapping[str, Any]) -> Stated:
    """What a folder's preprocessor_config.json states, with what its class adds; no more than the size where there is
    none. Raises CardError for what no card can say."""
    file = folder / FILE
    if not is_file(file):
        side = config.get("image_size")
        size = {"size": side, "resize": side} if isinstance(side, int) else {}
        return Stated(size, "config.json (no preprocessor_config.json)")
    read_bytes(file, "image processor", CardError)  # of a bounded size
    transformers = library("transformers", "hf", "arch 'hf:...'")
    with foreign("image processor", file, CardError, "Expected that of a classifier."):
        found = transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        settings = json.loads(found.to_json_string())  # with the defaults of its class
        return Stated(fields_of(settings), f"{FILE} of {shown(folder.name)}")


def fields_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Preprocess` from a processor's settings. Raises ValueError, KeyError or TypeError for what is none."""
    given = {name: value for name, value in settings.items() if value is not None}
    fields = {**_resizing(given), **_levels(given)}
    if "resample" in given:
        number = int(given["resample"])
        if number not in _FILTERS:
            raise ValueError(f"resample {number} is no filter of a card: {_FILTERS}")
        fields["interpolation"] = _FILTERS[number]
    if given.get("do_flip_channel_order"):
        fields["channels"] = "bgr"
    return fields


def _resizing(given: Mapping[str, Any]) -> dict[str, Any]:
    """Size, resize and what it means, in pixels."""
    if not given.get("do_resize"):
        raise ValueError("do_resize is off: images of any size reach the network as they are")
    crops = bool(given.get("do_center_crop"))
    size = given["size"]
    if "crop_pct" in given and "shortest_edge" in size:
        side = int(size["shortest_edge"])
        if side < _WARPED_FROM:
            return {"size": side, "resize": int(side / given["crop_pct"])}
        return {"size": side, "resize": side, "resize_mode": "squash"}
    if "shortest_edge" in size:
        edge = int(size["shortest_edge"])
        return {"size": _square(given["crop_size"]) if crops else edge, "resize": edge}
    side = _square(size)
    inner = _square(given["crop_size"]) if crops else side
    return {"size": inner, "resize": side, "resize_mode": "squash"}


def _square(size: Mapping[str, Any] | int) -> int:
    if isinstance(size, int):
        return size
    if size["height"] != size["width"]:
        raise ValueError(f"the input is no square: {size['height']} x {size['width']}")
    return int(size["height"])


def _levels(given: Mapping[str, Any]) -> dict[str, Any]:
    """Mean, standard deviation and scale of pixels in [0,1]."""
    scale, offset = 255.0, 0.0
    if given.get("do_rescale"):
        scale = 255 * float(given.get("rescale_factor", 1 / 255))
        offset = 1.0 if given.get("rescale_offset") else 0.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if given.get("do_normalize"):
        mean, std = tuple(given["image_mean"]), tuple(given["image_std"])
    if given.get("include_top"):  # EfficientNet's processor divides by the deviation once more
        again = std if given.get("do_normalize") else tuple(given["image_std"])
        std = tuple(one * two for one, two in zip(std, again, strict=True))
    fields: dict[str, Any] = {"mean": tuple(value + offset for value in mean), "std": std}
    if abs(scale - 1) > 1e-6:
        fields["scale"] = scale
    return fields


CONFIG = "config.json"
_FILES = (CONFIG,)
_OPTIONAL = (
    "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json",
    "model-*.safetensors",
)  # fmt: skip
#: Entries of config.json that decide no answer.
_SILENT = frozenset(
    {"id2label", "label2id", "transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype"}
)


#: No classifier has more outputs.
MOST_OUTPUTS = 1_000_000


def describe(asked: Asked) -> Described:
    """What a card says of a classifier of transformers."""
    place = asked.arch or asked.weights or ""
    if asked.arch and asked.weights:
        raise CardError(
            f"hf:{shown(asked.arch)} has its weights with it: --weights is not for it. A folder of one's own: "
            "--arch hf:FOLDER."
        )
    folder = _folder(place, asked.hub)
    config = _config(folder)
    local = is_folder(expanded(place))
    names = _names(config)
    given = "imagenet1k" if asked.bare else asked.labels  # a head that follows has labels of its own
    labels, rows, files = labels_of_names(names, given, asked.name, asked.folder)
    revision = folder.name if folder.parent.name == "snapshots" else ""
    arch = str(config.get("model_type", "")) if local else place.partition("@")[0]
    return Described(
        source="file" if local else "hub",
        arch=f"hf:{arch}" + (f"@{revision}" if revision and not local else ""),
        weights=str(folder.resolve()) if local else None,
        labels=labels,
        options={} if local else {"repository": place.partition("@")[0]},
        stated=stated_by_processor(folder, config),
        rows=tuple(rows),
        files=tuple(files),
    )


def network(card: ModelCard, sources: Sources, outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """The classifier of a card, or bare: the features under it; and the digest of its configuration."""
    folder = _folder(card.weights or card.arch.removeprefix("hf:"), sources.hub)
    config = _config(folder)
    silent = {name: value for name, value in config.items() if name not in _SILENT}
    module = _features(folder) if bare else _classifier(folder)
    if not bare and len(_names(config)) != outputs:
        raise WeightsError(
            f"{shown(folder)} has {len(_names(config))} outputs, the label space '{card.labels}' {outputs}."
        )
    return module.eval(), digest_data(silent)


def _folder(place: str, hub: Place) -> Path:
    folder = expanded(place)
    if not is_folder(folder):
        return repository_folder(place, hub, _FILES, _OPTIONAL)
    if not is_file(folder / CONFIG):
        raise CardError(f"{shown(folder)} is a folder without {CONFIG}: no model of transformers.")
    return folder


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    config = read_json(file, "configuration", CardError)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CardError(
            f"{shown(file)} names no model_type, so it is no model of transformers. A folder of timm: "
            "`--weights FOLDER` without --arch."
        )
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(
            f"{shown(folder)} holds no .safetensors; other weights are not read. Convert them once, where you trust "
            "them: `AutoModelForImageClassification.from_pretrained(FOLDER).save_pretrained(NEW)`."
        )
    return config


def _names(config: dict[str, Any]) -> list[str]:
    """Names of the outputs, in their order."""
    named = config.get("id2label")
    if named is None:
        count = config.get("num_labels", 2)
        if not isinstance(count, int) or not 0 < count <= MOST_OUTPUTS:
            raise CardError(f"{CONFIG}: num_labels: expected a count of outputs, found {count!r:.60}.")
        return [f"LABEL_{i}" for i in range(count)]
    with foreign(CONFIG, "", CardError, "Expected id2label: index -> name."):
        pairs = sorted((int(index), str(name)) for index, name in named.items())
        if [index for index, _ in pairs] != list(range(len(pairs))):
            raise ValueError("the indices are not 0, 1, 2, ...")
    return [name for _, name in pairs]


class Answers(nn.Module):
    """A classifier of transformers that answers with its logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        logits: Tensor = self.network(pixel_values=x).logits
        return logits


class Features(nn.Module):
    """A backbone of transformers. pooled: whether what it pools was trained; else the first token stands for the image
    (the class token), or the mean over places of a feature map."""

    def __init__(self, network: nn.Module, *, pooled: bool) -> None:
        super().__init__()
        self.network = network
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to features [n, d]."""
        output = self.network(pixel_values=x)
        pooled = getattr(output, "pooler_output", None)
        features: Tensor = pooled if self.pooled and pooled is not None else output.last_hidden_state
        if features.dim() == 3:
            return features[:, 0]
        return features.flatten(2).mean(dim=2) if features.dim() == 4 else features


def _classifier(folder: Path) -> nn.Module:
    module, lacking = _loaded("AutoModelForImageClassification", folder)
    if lacking:
        raise WeightsError(
            f"{shown(folder)} lacks {len(lacking)} weights of its classifier: {', '.join(sorted(lacking)[:5])}. If it "
            "is a backbone, `bench register NAME --probe FOLDER` fits a classifier on its features."
        )
    return Answers(module)


def _features(folder: Path) -> nn.Module:
    module, lacking = _loaded("AutoModel", folder)
    pooler = {name for name in lacking if name.startswith("pooler.")}
    if lacking - pooler:
        others = sorted(lacking - pooler)
        raise WeightsError(f"{shown(folder)} lacks {len(others)} weights of its backbone: {', '.join(others[:5])}.")
    return Features(module, pooled=not pooler)


def _loaded(kind: str, folder: Path) -> tuple[nn.Module, set[str]]:
    """A network of one of transformers' kinds, and the names of weights that its files lack."""
    transformers = library("transformers", "hf", "arch 'hf:...'")
    expected = "Expected an image classifier of the library itself: code of a repository is not run."
    with _quiet(transformers), foreign("network of transformers in", folder, WeightsError, expected):
        module, found = getattr(transformers, kind).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            output_loading_info=True, dtype="float32",
        )  # fmt: skip
    misfits = [str(one[0] if isinstance(one, tuple) else one) for one in found["mismatched_keys"]]
    return module, {*found["missing_keys"], *misfits}


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's reports and progress bars: what matters of them is in an error."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
