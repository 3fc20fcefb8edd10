"""Zero-shot image-text models of open_clip: an image tower, and class vectors that a text tower made once.

"open_clip:ARCH" with weights TAG, FILE or "random:SEED"; "open_clip:FOLDER" with open_clip_config.json; or
"open_clip:ORG/NAME" of the hub. The label space says which names are asked for: "geirhos16" the 16 categories,
"imagenet1k" the 1,000 classes, which are then grouped. These are two observers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from registry.architectures import random_seed
from registry.caches import Place
from registry.cards import LONGEST, ModelCard
from registry.checkpoints import fit_state, read_weights
from registry.digests import digest_data, digest_state
from registry.documents import shown
from registry.errors import CardError, WeightsError, unknown_name
from registry.families.extras import library
from registry.families.family import Asked, Described, Sources
from registry.families.hub_files import repository_folder
from registry.families.prompts import (
    NAMED,
    TextHead,
    called_after,
    class_vectors,
    names_of,
    read_text_head,
    templates_of,
    write_text_head,
)
from registry.fetch import fetch
from registry.labels import label_space
from registry.places import expanded, is_file, is_folder
from registry.shelving import head_file
from registry.soundness import Check
from registry.stated_input import Stated

CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin",
)  # fmt: skip
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model",
    "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip
#: Words of open_clip for what the card calls the same.
_RESIZE_MODES = ("shortest", "longest", "squash")


@dataclass(frozen=True)
class _Origin:
    """Where a model's configuration, weights and tokenizer are. name: as open_clip takes it; file: of the weights, None
    for random ones; tag: what open_clip knows of published weights.
    """

    name: str
    file: Path | None
    tag: dict[str, Any]


def describe(asked: Asked) -> Described:
    """What a card says of a zero-shot model; its text head is computed and frozen."""
    clip = _open_clip()
    origin = _origin(asked.arch, asked.weights, asked.hub, clip)
    model = _model(origin, asked.weights, clip)
    labels = asked.labels or "imagenet1k"
    local = is_folder(expanded(asked.arch))
    plain = Described(
        source="file" if local or _is_path(asked.weights) else "hub",
        arch="open_clip:folder" if local else f"open_clip:{asked.arch}",
        weights=_kept(asked.arch if local else asked.weights),
        labels=labels,
        stated=_stated(model, origin),
        options=_repository(asked.arch, origin),
    )
    if asked.bare:
        return plain
    choice = str(asked.options.get("templates") or "80")
    head = _text_head(model, origin, labels, choice, clip)
    file = head_file(asked.name, head.digest, asked.folder)
    write_text_head(head, file)
    texts = choice if choice in NAMED else "\n".join(head.templates)
    said = {"templates": texts if len(texts) <= LONGEST else "FILE"}
    return replace(
        plain,
        options={**plain.options, "text_head": str(file), "prompts": head.digest, **said},
        rows=_rows(head, labels),
        files=(file,),
        tags=(f"zero-shot({len(head.names)} names x {len(head.templates)} templates)",),
    )


def network(
    card: ModelCard, sources: Sources, outputs: int, *, bare: bool
) -> tuple[nn.Module, str]:
    """The image tower with the frozen class vectors of a card, or the tower alone; and the digest of what was built."""
    clip = _open_clip()
    arch = card.arch.removeprefix("open_clip:")
    place, weights = (card.weights or "", None) if arch == "folder" else (arch, card.weights)
    origin = _origin(place, weights, sources.hub, clip)
    model = _model(origin, weights, clip)
    code = digest_data([_config(origin, clip), bool(origin.tag.get("quick_gelu"))])
    if bare:
        return Tower(model.get_submodule("visual")).eval(), code
    head = read_text_head(
        Path(str(card.options.get("text_head", ""))), str(card.options.get("prompts", ""))
    )
    if len(head.names) != outputs:
        raise WeightsError(
            f"the text head of '{card.name}' has {len(head.names)} names, its label space {outputs}."
        )
    return ZeroShot(model.get_submodule("visual"), head).eval(), code


def for_each_template(name: str, choice: str) -> dict[str, str]:
    """Names of models -> the one template of each, of a choice of templates. Raises CardError."""
    return called_after(templates_of(choice, _open_clip()), name)


class Tower(nn.Module):
    """An image tower that answers with its vector alone."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to vectors [n, d]."""
        output = self.visual(x)
        vector: Tensor = output[0] if isinstance(output, tuple) else output
        return vector


class ZeroShot(Tower):
    """Scaled cosines of an image's vector with those of the classes."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, visual: nn.Module, head: TextHead) -> None:
        super().__init__(visual)
        self.register_buffer("weight", head.weight.clone())
        self.register_buffer("scale", torch.tensor(head.scale))
        self.register_buffer("bias", torch.tensor(head.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        vectors = functional.normalize(super().forward(x), dim=-1)
        return self.scale * vectors @ self.weight.T + self.bias


def _open_clip() -> ModuleType:
    return library("open_clip", "clip", "arch 'open_clip:...'")


def _is_path(weights: str | None) -> bool:
    return weights is not None and (is_file(expanded(weights)) or is_folder(expanded(weights)))


def _kept(weights: str | None) -> str | None:
    """Weights as a card names them: files and folders by their whole path."""
    if weights is None or not _is_path(weights):
        return weights
    return str(expanded(weights).resolve())


def _repository(arch: str, origin: _Origin) -> dict[str, str]:
    """For `bench models`: where the hub's cache has it."""
    name = str(origin.tag.get("hf_hub", "")).rstrip("/") or (arch if "/" in arch else "")
    return {"repository": name} if name and not is_folder(expanded(arch)) else {}


def _origin(arch: str, weights: str | None, hub: Place, clip: ModuleType) -> _Origin:
    """Where everything of a model is. Raises CardError, UnknownName, WeightsError."""
    if is_folder(expanded(arch)) or "/" in arch:
        if weights is not None:
            raise CardError(
                f"open_clip:{shown(arch)} has its weights with it: --weights is not for it."
            )
        return _in_folder(_folder(arch, hub), {})
    if arch not in clip.list_models():
        raise unknown_name("architecture of open_clip", arch, clip.list_models())
    if random_seed(weights) is not None:
        return _Origin(arch, None, {})
    if _is_path(weights):
        return _Origin(arch, expanded(str(weights)), {})
    tags = clip.list_pretrained_tags_by_model(arch)
    if weights is None or weights not in tags:
        raise unknown_name(
            f"pretrained tag of open_clip:{arch}", weights or "", tags, "A file works too."
        )
    return _tagged(arch, clip.get_pretrained_cfg(arch, weights), hub)


def _tagged(arch: str, tag: dict[str, Any], hub: Place) -> _Origin:
    """Published weights: from their repository, else from their address."""
    if repository := str(tag.get("hf_hub") or "").rstrip("/"):
        found = _in_folder(_folder(repository, hub), tag)
        # The architecture is the library's own; the folder has the weights, and the tokenizer where it is not built in.
        return _Origin(arch if _tokenizer_is_built_in(found) else found.name, found.file, tag)
    return _Origin(arch, fetch(str(tag["url"]), hub.weights_folder, None, hub.mirror), tag)


def _tokenizer_is_built_in(origin: _Origin) -> bool:
    folder = Path(origin.name.removeprefix("local-dir:"))
    return not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model"))


def _folder(place: str, hub: Place) -> Path:
    folder = expanded(place)
    if is_folder(folder):
        return folder.resolve()
    return repository_folder(place, hub, (CONFIG,), (*_WEIGHTS, *_TOKENIZER))


def _in_folder(folder: Path, tag: dict[str, Any]) -> _Origin:
    if not is_file(folder / CONFIG):
        raise CardError(f"{shown(folder)} is a folder without {CONFIG}: no model of open_clip.")
    file = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if file is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(_WEIGHTS)}.")
    return _Origin(f"local-dir:{folder}", file, tag)


def _config(origin: _Origin, clip: ModuleType) -> Any:
    try:
        return clip.get_model_config(origin.name)
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"{shown(origin.name)}: {CONFIG} cannot be read ({error}).") from error


def _model(origin: _Origin, weights: str | None, clip: ModuleType) -> nn.Module:
    """The whole model, both towers, with its weights."""
    seed = random_seed(weights)
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed or 0)
        try:
            model: nn.Module = clip.create_model(
                origin.name, load_weights=False, pretrained_image=False, pretrained_text=False,
                pretrained_hf=False, force_quick_gelu=bool(origin.tag.get("quick_gelu")),
            )  # fmt: skip
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(
                f"open_clip could not build '{shown(origin.name)}' ({type(error).__name__}: {shown(reason)})."
            ) from error
    if origin.file is not None:
        _fill(model, origin.file, clip)
    return model.eval().requires_grad_(False)


def _fill(model: nn.Module, file: Path, clip: ModuleType) -> None:
    """Copy a checkpoint into a model: safetensors, or a pickle of tensors."""
    expected = model.state_dict()

    def renewed(state: dict[str, Tensor]) -> dict[str, Tensor]:
        if "positional_embedding" in state and "positional_embedding" not in expected:
            state = clip.model.convert_to_custom_text_state_dict(state)
        shaped = {
            name: tensor.reshape(expected[name].shape)
            if name in ("logit_scale", "logit_bias") and name in expected
            else tensor
            for name, tensor in state.items()
            if not name.endswith("position_ids")
        }
        if "logit_scale" in shaped and "logit_bias" in expected:
            shaped.setdefault("logit_bias", torch.zeros_like(shaped["logit_scale"]))
        return shaped

    fit_state(model, read_weights(file, expected, None, renewed).state, str(file))


def _text_head(
    model: Any, origin: _Origin, labels: str, templates: str, clip: ModuleType
) -> TextHead:
    names = names_of(label_space(labels), clip)
    chosen = templates_of(templates, clip)
    tokenize = _tokenizer(origin, clip)

    def encode(texts: Sequence[str]) -> Tensor:
        vectors: Tensor = model.encode_text(tokenize(list(texts)))
        return vectors

    text = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("visual.")
    }
    bias = getattr(model, "logit_bias", None)
    return TextHead(
        names,
        chosen,
        digest_state(text),
        class_vectors(names, chosen, encode),
        float(model.logit_scale.exp()),
        0.0 if bias is None else float(bias),
    )


def _tokenizer(origin: _Origin, clip: ModuleType) -> Any:
    try:
        with _quiet():
            return clip.get_tokenizer(origin.name)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"the tokenizer of '{shown(origin.name)}' could not be had ({shown(reason)}). Offline? Put its files "
            f"beside {CONFIG} in a folder: --arch open_clip:FOLDER."
        ) from error


def _stated(model: Any, origin: _Origin) -> Stated:
    """What the image tower is fed, as the configuration says."""
    of_tag = {name: value for name, value in origin.tag.items() if value is not None}
    config = {**model.visual.preprocess_cfg, **of_tag}
    size = config["size"] if isinstance(config["size"], int) else config["size"][0]
    mode = config["resize_mode"]
    if mode not in _RESIZE_MODES:
        raise CardError(f"{CONFIG}: resize_mode {mode!r}; expected {', '.join(_RESIZE_MODES)}.")
    fields: dict[str, Any] = {
        "size": size,
        "resize": size,
        "interpolation": config["interpolation"],
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
    }
    if mode != "shortest":
        fields["resize_mode"] = mode
    if mode == "longest":
        fields["fill"] = (int(config["fill_color"]),) * 3
    where = CONFIG if origin.name.startswith("local-dir:") else f"open_clip's {origin.name}"
    return Stated(fields, where)


def _rows(head: TextHead, labels: str) -> tuple[Check, ...]:
    form = f"{len(head.names)} names of '{labels}', such as '{head.names[0]}'"
    texts = f"{len(head.templates)}, such as '{head.templates[0]}'; digest {head.digest[:12]}"
    return (
        Check("names", True, form),
        Check("templates", True, texts),
        Check("scale", True, f"{head.scale:.4g}, bias {head.bias:.4g}"),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's log: that no weights were loaded is meant."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
