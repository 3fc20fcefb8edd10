"""Image classifiers and zero-shot models of transformers ("hf:ORG/NAME", "hf:FOLDER"), without a repository's code."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry.cards import ModelCard, Preprocess
from registry.convert import rewritten, shards
from registry.determinism_checks import Check
from registry.documents import read_bytes, read_json
from registry.families.family import Draft, quiet, repository_folder
from registry.families.zero_shot import TOKENIZER, with_text_head, zero_shot
from registry.files import WeightSources, digest_data, expanded, is_file, is_folder
from registry.labels import labels_of_names, names_in_order
from registry.preprocessing import StatedInput, pixel_gaps, preprocess_of, sample_images
from registry.user_errors import CardError, Remedy, WeightsError, foreign, library, shown

#: Where the settings of an image processor are: by themselves, or among those of the tokenizer that goes with it.
FILE, NESTED = "preprocessor_config.json", "processor_config.json"
#: PIL's numbers of the filters that a card can name.
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def stated_by_processor(folder: Path, config: Mapping[str, Any]) -> StatedInput:
    """Read a folder's preprocessor_config.json with its class's defaults, or only the size. Raises CardError."""
    file = next((folder / name for name in (FILE, NESTED) if is_file(folder / name)), None)
    if file is None:
        side = config.get("image_size")
        size = {"size": side, "resize": side} if isinstance(side, int) else {}
        return StatedInput(size, "config.json (no preprocessor_config.json)")
    read_bytes(file, "image processor", CardError)  # of a bounded size
    transformers = library("transformers", "hf", "arch 'hf:...'")
    instead = "Register a copy of the folder without it: --size, --resize, --mean and --std say what it is fed."
    with foreign("image processor", file, CardError, instead):
        made = transformers.AutoImageProcessor.from_pretrained
        processor = made(folder, trust_remote_code=False, local_files_only=True)
        settings = json.loads(processor.to_json_string())  # with the defaults of its class
        fields = fields_of(settings)
        require_same_pixels(processor, preprocess_of(f"hf:{folder.name}", fields))
        return StatedInput(fields, f"{file.name} of {shown(folder.name)}")


def require_same_pixels(processor: Callable[..., Mapping[str, Any]], how: Preprocess) -> None:
    """Raise ValueError if a processor feeds other pixels than a card would: its class may have a rule of its own.
    Its resizing in torch differs from Pillow's by a level here and there, which is let pass."""
    each = (processor(images=image, return_tensors="pt")["pixel_values"][0] for image in sample_images())
    if any(gap.mean() > 1 / 255 for gap in pixel_gaps([*map(torch.as_tensor, each)], how)):
        raise ValueError(f"a card cannot express what {type(processor).__name__} does to an image")


def fields_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Preprocess` from a processor's settings. ValueError, KeyError, TypeError: a wrong size."""
    given = {name: value for name, value in settings.items() if value is not None}
    # Mean, standard deviation and scale of pixels in [0,1].
    rescales = bool(given.get("do_rescale"))
    scale = 255 * float(given.get("rescale_factor", 1 / 255)) if rescales else 255.0
    offset = 1.0 if rescales and given.get("rescale_offset") else 0.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if given.get("do_normalize"):
        mean, std = tuple(given["image_mean"]), tuple(given["image_std"])
    if given.get("include_top"):  # EfficientNet's processor divides by the deviation once more
        again = std if given.get("do_normalize") else tuple(given["image_std"])
        std = tuple(a * b for a, b in zip(std, again, strict=True))
    fields = {**_resizing(given), "mean": tuple(value + offset for value in mean), "std": std}
    if abs(scale - 1) > 1e-6:
        fields["scale"] = scale
    if "resample" in given:
        fields["interpolation"] = _FILTERS[int(given["resample"])]
    if given.get("do_flip_channel_order"):
        fields["channels"] = "bgr"
    return fields


def _resizing(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given.get("do_resize"):
        raise ValueError("do_resize is off: images of any size reach the network as they are")

    def square(size: Mapping[str, Any] | int) -> int:
        sides = {size} if isinstance(size, int) else {int(size["height"]), int(size["width"])}
        if len(sides) > 1:
            raise ValueError(f"the input is not square: {size}")
        return sides.pop()

    size = given["size"]
    if edge := int(size.get("shortest_edge", 0)):
        if given.get("image_processor_type") == "LevitImageProcessor":
            edge = int(256 / 224 * edge)  # it counts on a crop
        if "crop_pct" not in given:
            crop = square(given["crop_size"]) if given.get("do_center_crop") else edge
            return {"size": crop, "resize": edge, "margin": "down"}
        if edge < 384:  # from there on ConvNeXt's processor brings both sides to the size and crops nothing
            return {"size": edge, "resize": int(edge / given["crop_pct"]), "margin": "down"}
        return {"size": edge, "resize": edge, "resize_mode": "squash"}
    side = square(size)
    crop = square(given["crop_size"]) if given.get("do_center_crop") else side
    differs = {"margin": "down"} if (side - crop) % 4 == 3 else {}  # else both roundings are one
    return {"size": crop, "resize": side, "resize_mode": "squash", **differs}


CONFIG = "config.json"
_OPTIONAL = (*TOKENIZER, FILE, NESTED, "model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
#: Entries of config.json that decide no answer.
SILENT = {"id2label", "label2id", "transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype"}


def describe(draft: Draft, folder: Path, place: WeightSources) -> Draft:
    """Return the draft of a model of transformers; a zero-shot model's text head is frozen to a file in `folder`."""
    arch = draft.arch.partition(":")[2]
    if arch and draft.weights:
        raise CardError(f"hf:{shown(arch)} brings its weights: --weights is not for it. A folder: --arch hf:FOLDER.")
    named = arch or draft.weights or ""
    local, (files, config) = is_folder(expanded(named)), _opened(named, place)
    towers, templates = _has_towers(config), draft.options.get("templates")
    if not towers and templates is not None:
        raise CardError(f"{shown(named)} is a classifier: --templates is for models that are asked in texts.")
    if not (towers or draft.bare):  # a head that follows has labels of its own
        count, listed = config.get("num_labels", 2), config.get("id2label")
        with foreign(CONFIG, "", CardError, "Expected id2label: index -> name, or num_labels: a count of outputs."):
            if listed is None and isinstance(count, int) and 0 < count <= 1_000_000:
                listed = [f"LABEL_{i}" for i in range(count)]
            if (names := names_in_order(listed)) is None:
                raise ValueError(f"found {listed or count!r:.60}")
        labels, text, written = labels_of_names(names, draft.labels, draft.name, folder)
        rows = (Check(name="labels", ok=True, detail=text),)
        draft = replace(draft, labels=labels, rows=rows, files=tuple(written))
    name = str(config.get("model_type", "")) if local else named.partition("@")[0]
    revision = f"@{files.name}" if files.parent.name == "snapshots" and not local else ""
    plain = replace(
        draft,
        source="file" if local else "hub",
        arch=f"hf:{name}{revision}",
        weights=str(files.resolve()) if local else None,
        labels=draft.labels or "imagenet1k",
        options={} if local else {"repository": name},
        stated=stated_by_processor(files, config),
    )
    return _asked(plain, templates, files, folder) if towers and not draft.bare else plain


def _has_towers(config: Mapping[str, Any]) -> bool:
    """Return whether it is of an image and a text tower, and not a classifier on the one for images."""
    made_as = str(config.get("architectures"))
    return config["model_type"] in ("clip", "siglip") and "ForImageClassification" not in made_as


def _asked(draft: Draft, choice: str | None, files: Path, folder: Path) -> Draft:
    """Return the draft with the text head of its two towers."""
    model: Any = _loaded("AutoModel", files, "towers")[0]
    expected = "Expected the tokenizer that was saved with it. SigLIP's needs the package sentencepiece."
    with foreign("tokenizer of", files, WeightsError, expected):
        if not any(is_file(files / name) for name in ("tokenizer.json", "vocab.json", "spiece.model")):
            raise ValueError("no tokenizer.json, vocab.json or spiece.model")  # the library would make up an empty one
        made = library("transformers", "hf", "arch 'hf:...'").AutoTokenizer.from_pretrained
        tokenizer = made(files, trust_remote_code=False, local_files_only=True)
    # SigLIP reads a text from its last place, so it was trained on texts filled up to all places.
    words = {"padding": "max_length" if model.config.model_type == "siglip" else True, "truncation": True}
    words |= {"max_length": model.config.text_config.max_position_embeddings, "return_tensors": "pt"}

    def encode(texts: list[str]) -> Tensor:
        output = model.get_text_features(**tokenizer(texts, **words))
        vectors: Tensor = getattr(output, "pooler_output", output)
        return vectors

    return with_text_head(draft, choice, model, encode, folder)


def network(card: ModelCard, place: WeightSources, _outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the network of a card, or bare: the features under its answers; and the digest of its configuration."""
    folder, config = _opened(card.weights or card.arch.removeprefix("hf:"), place)
    code = digest_data({name: value for name, value in config.items() if name not in SILENT})
    if _has_towers(config):
        tower = ImageTower(_loaded("AutoModel", folder, "towers")[0])
        return (tower if bare else zero_shot(tower, card)).eval(), code
    if bare:
        module, lacking = _loaded("AutoModel", folder, "backbone")

        def features(output: Any) -> Tensor:
            # Of its pooler if that was trained; otherwise the class token, which is the first, or the mean over places.
            pooled = None if lacking else getattr(output, "pooler_output", None)
            values: Tensor = output.last_hidden_state if pooled is None else pooled
            if values.dim() == 3:
                return values[:, 0]
            return values.flatten(2).mean(dim=2) if values.dim() == 4 else values

        return Reading(module, features).eval(), code
    classifier, _ = _loaded("AutoModelForImageClassification", folder, "classifier")
    return Reading(classifier, attrgetter("logits")).eval(), code


def _opened(named: str, place: WeightSources) -> tuple[Path, dict[str, Any]]:
    """Return a model's folder, which holds weights as safetensors, and its configuration."""
    folder = expanded(named)
    folder = folder if is_folder(folder) else repository_folder(named, place, (CONFIG,), _OPTIONAL)
    file = folder / CONFIG
    config = read_json(file, "configuration", CardError)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CardError(f"{shown(file)} names no model_type of transformers. A folder of timm: --weights FOLDER alone.")
    if not any(folder.glob("*.safetensors")):
        index, file = folder / "pytorch_model.bin.index.json", folder / "pytorch_model.bin"
        if is_file(index):
            raise shards(index)
        if not is_file(file):
            raise WeightsError(f"{shown(folder)} holds neither .safetensors nor pytorch_model.bin.")
        text = f"{shown(folder)} holds its weights as a pickle ({file.name})"
        raise WeightsError(f"{text}. --convert writes model.safetensors there.", Remedy(write=partial(rewritten, file)))
    return folder, config


class Reading(nn.Module):
    """A network of transformers, whose output a function reads: logits or features."""

    def __init__(self, network: nn.Module, read: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network, self.read = network, read

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes] or features [n, d]."""
        return self.read(self.network(pixel_values=x))


class ImageTower(nn.Module):
    """The image tower of CLIP or SigLIP with its projection."""

    def __init__(self, towers: nn.Module) -> None:
        super().__init__()
        self.vision_model = towers.get_submodule("vision_model")
        self.visual_projection = getattr(towers, "visual_projection", nn.Identity())  # SigLIP has none

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to vectors [n, d]."""
        vectors: Tensor = self.visual_projection(self.vision_model(pixel_values=x).pooler_output)
        return vectors


def _loaded(kind: str, folder: Path, what: str) -> tuple[nn.Module, set[str]]:
    """Return a network of one of transformers' kinds, and the weights of a backbone's pooler that its files lack."""
    transformers = library("transformers", "hf", "arch 'hf:...'")
    log = transformers.utils.logging
    bars = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    expected = "Expected an image classifier of the library itself: code of a repository is not run."
    try:
        with quiet(), foreign("network of transformers in", folder, WeightsError, expected):
            module, report = getattr(transformers, kind).from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                output_loading_info=True, dtype="float32",
            )  # fmt: skip
    finally:
        if bars:
            log.enable_progress_bar()
    misfits = {str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"]}
    lacking = {*report["missing_keys"], *misfits}
    if untrained := sorted(name for name in lacking if what != "backbone" or not name.startswith("pooler.")):
        hint = " `bench register NAME --probe FOLDER` fits one to a backbone." if what == "classifier" else ""
        names = ", ".join(untrained[:5])
        raise WeightsError(f"{shown(folder)} lacks {len(untrained)} weights of its {what}: {names}.{hint}")
    return module, lacking
