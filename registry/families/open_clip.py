"""Zero-shot image-text models of open_clip. The forms are "open_clip:ARCH" with weights TAG, FILE or "random:SEED",
"open_clip:FOLDER" with open_clip_config.json, and "open_clip:ORG/NAME" of the hub."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from registry.architectures import random_seed
from registry.cards import ModelCard
from registry.checkpoints import fit_state, read_weights
from registry.download import fetch_weights
from registry.families.family import Draft, quiet, repository_folder
from registry.families.zero_shot import TOKENIZER, Tower, with_text_head, zero_shot
from registry.files import WeightSources, digest_data, expanded, is_file, is_folder
from registry.preprocessing import StatedInput
from registry.user_errors import CardError, WeightsError, foreign, library, shown, unknown_name

CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Origin:
    name: str  # as open_clip takes it
    file: Path | None  # of the weights, None for random ones
    tag: dict[str, Any]  # what open_clip knows of published weights


def describe(draft: Draft, folder: Path, place: WeightSources) -> Draft:
    """Return the draft of a zero-shot model; its text head is computed and frozen to a file in `folder`."""
    arch, weights = draft.arch.partition(":")[2], draft.weights
    clip, origin, model = _opened(arch, weights, place)
    local, of_file = is_folder(expanded(arch)), _is_path(weights)
    kept = str(expanded(arch if local else str(weights)).resolve()) if local or of_file else weights
    repository = str(origin.tag.get("hf_hub", "")).rstrip("/") or (arch if "/" in arch else "")
    config = {**model.visual.preprocess_cfg, **{name: value for name, value in origin.tag.items() if value is not None}}
    with foreign(CONFIG, origin.name, CardError, "Expected the preprocessing of an image tower."):
        mode, size = config["resize_mode"], config["size"]
        side = size if isinstance(size, int) else size[0]
        fields = {"interpolation": config["interpolation"], "mean": tuple(config["mean"]), "std": tuple(config["std"])}
        fields |= {"size": side, "resize": side, **({} if mode == "shortest" else {"resize_mode": mode})}
        fields |= {"fill": (int(config["fill_color"]),) * 3} if mode == "longest" else {}
    plain = replace(
        draft,
        source="file" if local or of_file else "hub",
        arch="open_clip:folder" if local else f"open_clip:{arch}",
        weights=kept,
        labels=draft.labels or "imagenet1k",
        stated=StatedInput(fields, CONFIG if origin.name.startswith("local-dir:") else f"open_clip's {origin.name}"),
        options={"repository": repository} if repository and not local else {},
    )
    if draft.bare:
        return plain
    expected = f"Offline? Put its files beside {CONFIG} in a folder: --arch open_clip:FOLDER."
    with quiet(), foreign("tokenizer of", origin.name, WeightsError, expected):
        tokenize = clip.get_tokenizer(origin.name)
    choice = draft.options.get("templates")
    return with_text_head(plain, choice, model, lambda texts: model.encode_text(tokenize(texts)), folder)


def network(card: ModelCard, place: WeightSources, _outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """Return the image tower, with a card's frozen class vectors or alone, and the digest of its configuration."""
    arch = card.arch.removeprefix("open_clip:")
    clip, origin, model = _opened(*(card.weights or "", None) if arch == "folder" else (arch, card.weights), place)
    with foreign(CONFIG, origin.name, CardError):
        code = digest_data([clip.get_model_config(origin.name), bool(origin.tag.get("quick_gelu"))])
    return (Tower(model.visual) if bare else zero_shot(model.visual, card)).eval(), code


def _is_path(weights: str | None) -> bool:
    return weights is not None and (is_file(expanded(weights)) or is_folder(expanded(weights)))


def _origin(arch: str, weights: str | None, place: WeightSources, clip: ModuleType) -> _Origin:
    if is_folder(expanded(arch)) or "/" in arch:
        if weights is not None:
            raise CardError(f"open_clip:{shown(arch)} has its weights with it: --weights is not for it.")
        return _in_folder(arch, place, {})
    if arch not in clip.list_models():
        raise unknown_name("architecture of open_clip", arch, clip.list_models())
    if random_seed(weights) is not None:
        return _Origin(name=arch, file=None, tag={})
    if _is_path(weights):
        return _Origin(name=arch, file=expanded(str(weights)), tag={})
    tags = clip.list_pretrained_tags_by_model(arch)
    if weights is None or weights not in tags:
        raise unknown_name(f"pretrained tag of open_clip:{arch}", weights or "", tags, "A file works too.")
    # Published weights: from their repository, else from their address.
    tag = clip.get_pretrained_cfg(arch, weights)
    if repository := str(tag.get("hf_hub") or "").rstrip("/"):
        origin = _in_folder(repository, place, tag)
        # The architecture is the library's own; the folder has the weights, and the tokenizer where it is not built in.
        folder = Path(origin.name.removeprefix("local-dir:"))
        tokenizer = any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model"))
        return origin if tokenizer else replace(origin, name=arch)
    return _Origin(name=arch, file=fetch_weights(str(tag["url"]), place.weights_folder, None, place.mirror), tag=tag)


def _in_folder(named: str, place: WeightSources, tag: dict[str, Any]) -> _Origin:
    folder = expanded(named).resolve()
    if not is_folder(folder):
        folder = repository_folder(named, place, (CONFIG,), (*_WEIGHTS, *TOKENIZER))
    file = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if file is None or not is_file(folder / CONFIG):
        raise WeightsError(f"{shown(folder)} is not open_clip's model: expected {CONFIG} and {' or '.join(_WEIGHTS)}.")
    return _Origin(name=f"local-dir:{folder}", file=file, tag=tag)


def _opened(arch: str, weights: str | None, place: WeightSources) -> tuple[ModuleType, _Origin, Any]:
    """Return the library, the origin of weights, and both towers."""
    clip = library("open_clip", "clip", "arch 'open_clip:...'")
    origin = _origin(arch, weights, place, clip)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(random_seed(weights) or 0)
        with foreign("open_clip model", origin.name, WeightsError, "The library could not build it."):
            model = clip.create_model(
                origin.name, load_weights=False, pretrained_image=False, pretrained_text=False,
                pretrained_hf=False, force_quick_gelu=bool(origin.tag.get("quick_gelu")),
            )  # fmt: skip
    expected = model.state_dict()

    def renewed(state: dict[str, Tensor]) -> dict[str, Tensor]:
        if "positional_embedding" in state and "positional_embedding" not in expected:
            state = clip.model.convert_to_custom_text_state_dict(state)
        state = {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
        for name in {"logit_scale", "logit_bias"} & state.keys() & expected.keys():
            state[name] = state[name].reshape(expected[name].shape)
        if "logit_scale" in state and "logit_bias" in expected:
            state.setdefault("logit_bias", torch.zeros_like(state["logit_scale"]))
        return state

    if origin.file is not None:
        fit_state(model, read_weights(origin.file, expected, None, renewed).state, str(origin.file))
    return clip, origin, model.eval().requires_grad_(False)
