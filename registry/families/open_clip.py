"""Zero-shot image-text models of open_clip: an image tower, and class vectors that a text tower made once.

"open_clip:ARCH" with weights TAG, FILE or "random:SEED"; "open_clip:FOLDER" with open_clip_config.json; or
"open_clip:ORG/NAME" of the hub. The label space says which names are asked for: "geirhos16" the 16 categories,
"imagenet1k" the 1,000 classes, which are then grouped. These are two observers."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from registry.architectures import random_seed
from registry.cards import LONGEST, ModelCard, head_file
from registry.checkpoints import fit_state, read_weights
from registry.determinism_checks import Check
from registry.download import fetch
from registry.errors import CardError, WeightsError, unknown_name
from registry.families.family import Draft, library, repository_folder
from registry.files import Place, absence, digest_data, digest_state, expanded, is_file, is_folder, write_whole
from registry.foreign import foreign, read_bytes, shown, unprintable
from registry.labels import built_in_space, label_space
from registry.preprocessing import StatedInput

# A class's vector is the mean of its texts' unit vectors, made a unit vector again (Radford et al. 2021, "Learning
# transferable visual models from natural language supervision", section 3.1.4).

#: Templates by name: where open_clip has those of CLIP's authors.
NAMED = {"7": "SIMPLE_IMAGENET_TEMPLATES", "80": "OPENAI_IMAGENET_TEMPLATES"}
#: Texts that are encoded at once: fixed, so that a head does not depend on the machine.
_BATCH = 64


@dataclass(frozen=True)
class TextHead:
    """weight: [classes, d] float32, unit vectors; scale, bias: of the logits `scale * cosine + bias`; text: digest of
    the text tower's weights."""

    names: tuple[str, ...]
    templates: tuple[str, ...]
    text: str
    weight: Tensor
    scale: float
    bias: float

    @property
    def digest(self) -> str:
        """Over names, templates, text weights, scale, bias and the vectors themselves."""
        vectors = digest_state({"weight": self.weight})
        return digest_data([self.names, self.templates, self.text, repr(self.scale), repr(self.bias), vectors])


def templates_of(choice: str, library: ModuleType) -> tuple[str, ...]:
    """Templates by name ("single", "7", "80": those of CLIP's authors), from a text file, one a line, or one template
    itself, with {} where the name goes. Raises CardError."""
    if choice == "single":
        return ("a photo of a {}.",)
    if choice in NAMED:
        return tuple(template("{}") for template in getattr(library, NAMED[choice]))
    if choice.count("{}") == 1 and not unprintable(choice):
        return (choice.strip(),)
    path = expanded(choice)
    if not is_file(path):
        raise CardError(
            f"templates {shown(choice)[:200]}: expected single, 7, 80, a text file with a template a line, or one "
            "template with {} where the name goes."
        )
    content = read_bytes(path, "templates", CardError)
    with foreign("templates", path, CardError, "Expected text in UTF-8."):
        lines = tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())
    odd = next((line for line in lines if line.count("{}") != 1 or unprintable(line)), None)
    if not lines or odd is not None:
        raise CardError(
            f"templates {shown(path)}: expected lines of plain text with one {{}} each, where the name goes; found "
            f"{shown(odd or 'nothing')[:100]!r}."
        )
    return lines


def for_each_template(name: str, choice: str) -> dict[str, str]:
    """Names of models -> the one template of each, of a choice of templates: "NAME.a-photo-of-a"; templates of the same
    words are numbered. Raises CardError."""
    named: dict[str, str] = {}
    for template in dict.fromkeys(templates_of(choice, _open_clip())):
        words = "-".join(re.findall(r"[a-z0-9]+", template.replace("{}", " ").lower()))[:60]
        label, number = f"{name}.{words or 1}", 1
        while label in named:
            number += 1
            label = f"{name}.{words}-{number}" if words else f"{name}.{number}"
        named[label] = template
    return named


def read_text_head(path: Path, digest: str) -> TextHead:
    """The head of a file. Raises WeightsError: no such file, no head, or another one than `digest` says."""
    from safetensors import safe_open

    if not is_file(path):
        raise WeightsError(f"text head {shown(path)} {absence(path)}. Register the model again.")
    with foreign("text head", path, WeightsError, "Register the model again."):
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {})["prompts"])
            weight = file.get_tensor("weight")
        names, templates = (tuple(map(str, notes[name])) for name in ("names", "templates"))
        head = TextHead(names, templates, str(notes["text"]), weight, float(notes["scale"]), float(notes["bias"]))
    if head.digest != digest:
        raise WeightsError(
            f"text head {shown(path)}: expected digest {digest}, got {head.digest}. Restore it or register again."
        )
    return head


CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin",
)  # fmt: skip
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model",
    "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip


@dataclass(frozen=True)
class _Origin:
    """Where a model's configuration, weights and tokenizer are. name: as open_clip takes it; file: of the weights, None
    for random ones; tag: what open_clip knows of published weights."""

    name: str
    file: Path | None
    tag: dict[str, Any]


def describe(draft: Draft, folder: Path, place: Place) -> Draft:
    """What a card says of a zero-shot model; its text head is computed and frozen to a file in `folder`."""
    clip, arch, weights = _open_clip(), draft.arch.partition(":")[2], draft.weights
    origin = _origin(arch, weights, place, clip)
    model = _model(origin, weights, clip)
    local, of_file = is_folder(expanded(arch)), _is_path(weights)
    kept = str(expanded(arch if local else str(weights)).resolve()) if local or of_file else weights
    repository = str(origin.tag.get("hf_hub", "")).rstrip("/") or (arch if "/" in arch else "")
    plain = replace(
        draft,
        source="file" if local or of_file else "hub",
        arch="open_clip:folder" if local else f"open_clip:{arch}",
        weights=kept,
        labels=draft.labels or "imagenet1k",
        stated=_stated(model, origin),
        options={"repository": repository} if repository and not local else {},
    )
    if draft.bare:
        return plain
    choice = str(draft.options.get("templates") or "80")
    head = _text_head(model, origin, str(plain.labels), choice, clip)
    file = head_file(draft.name, head.digest, folder)
    notes = json.dumps({name: value for name, value in vars(head).items() if name != "weight"}, ensure_ascii=True)
    write_whole(file, save({"weight": head.weight.contiguous()}, {"prompts": notes}))
    texts = choice if choice in ("single", *NAMED) else "\n".join(head.templates)
    texts = texts if len(texts) <= LONGEST else "FILE"
    names, templates = len(head.names), len(head.templates)
    return replace(
        plain,
        options={**plain.options, "text_head": str(file), "prompts": head.digest, "templates": texts},
        rows=(
            Check("names", True, f"{names} names of '{plain.labels}', such as '{head.names[0]}'"),
            Check("templates", True, f"{templates}, such as '{head.templates[0]}'; digest {head.digest[:12]}"),
            Check("scale", True, f"{head.scale:.4g}, bias {head.bias:.4g}"),
        ),
        files=(file,),
        training=(f"zero-shot({names} names x {templates} templates)", *draft.training),
    )


def network(card: ModelCard, place: Place, outputs: int, *, bare: bool) -> tuple[nn.Module, str]:
    """The image tower with the frozen class vectors of a card, or the tower alone; and the digest of what was built."""
    clip, arch = _open_clip(), card.arch.removeprefix("open_clip:")
    named, weights = (card.weights or "", None) if arch == "folder" else (arch, card.weights)
    origin = _origin(named, weights, place, clip)
    model = _model(origin, weights, clip)
    with foreign(CONFIG, origin.name, CardError):
        code = digest_data([clip.get_model_config(origin.name), bool(origin.tag.get("quick_gelu"))])
    if bare:
        return Tower(model.get_submodule("visual")).eval(), code
    head = read_text_head(Path(str(card.options.get("text_head", ""))), str(card.options.get("prompts", "")))
    if len(head.names) != outputs:
        raise WeightsError(f"the text head of '{card.name}' has {len(head.names)} names, its label space {outputs}.")
    return ZeroShot(model.get_submodule("visual"), head).eval(), code


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


def _origin(arch: str, weights: str | None, place: Place, clip: ModuleType) -> _Origin:
    if is_folder(expanded(arch)) or "/" in arch:
        if weights is not None:
            raise CardError(f"open_clip:{shown(arch)} has its weights with it: --weights is not for it.")
        return _in_folder(arch, place, {})
    if arch not in clip.list_models():
        raise unknown_name("architecture of open_clip", arch, clip.list_models())
    if random_seed(weights) is not None:
        return _Origin(arch, None, {})
    if _is_path(weights):
        return _Origin(arch, expanded(str(weights)), {})
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
    return _Origin(arch, fetch(str(tag["url"]), place.weights_folder, None, place.mirror), tag)


def _in_folder(named: str, place: Place, tag: dict[str, Any]) -> _Origin:
    folder = expanded(named).resolve()
    if not is_folder(folder):
        folder = repository_folder(named, place, (CONFIG,), (*_WEIGHTS, *_TOKENIZER))
    if not is_file(folder / CONFIG):
        raise CardError(f"{shown(folder)} is a folder without {CONFIG}: no model of open_clip.")
    file = next((folder / name for name in _WEIGHTS if is_file(folder / name)), None)
    if file is None:
        raise WeightsError(f"{shown(folder)} holds none of {', '.join(_WEIGHTS)}.")
    return _Origin(f"local-dir:{folder}", file, tag)


def _model(origin: _Origin, weights: str | None, clip: ModuleType) -> nn.Module:
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(random_seed(weights) or 0)
        with foreign("open_clip model", origin.name, WeightsError, "The library could not build it."):
            model: nn.Module = clip.create_model(
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
    return model.eval().requires_grad_(False)


def _text_head(model: Any, origin: _Origin, labels: str, templates: str, clip: ModuleType) -> TextHead:
    space, chosen = label_space(labels), templates_of(templates, clip)
    # ImageNet's classes are called by the names of CLIP's authors, others by their own.
    called = dict(zip(built_in_space("imagenet1k").classes, clip.IMAGENET_CLASSNAMES, strict=True))
    words = (word.split(",")[0].replace("_", " ") for word in space.words or space.classes)
    names = tuple(called.get(name, word) for name, word in zip(space.classes, words, strict=True))
    expected = f"Offline? Put its files beside {CONFIG} in a folder: --arch open_clip:FOLDER."
    with _quiet(), foreign("tokenizer of", origin.name, WeightsError, expected):
        tokenize = clip.get_tokenizer(origin.name)
    texts = [template.replace("{}", name) for name in names for template in chosen]
    with torch.inference_mode():
        starts = range(0, len(texts), _BATCH)
        parts = [model.encode_text(tokenize(texts[start : start + _BATCH])) for start in starts]
        units = functional.normalize(torch.cat(parts).float(), dim=1)
        means = units.view(len(names), len(chosen), -1).mean(dim=1)
        vectors = functional.normalize(means, dim=1).clone()
    text = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("visual.")}
    bias = getattr(model, "logit_bias", None)
    scale = float(model.logit_scale.exp())
    return TextHead(names, chosen, digest_state(text), vectors, scale, 0.0 if bias is None else float(bias))


def _stated(model: Any, origin: _Origin) -> StatedInput:
    of_tag = {name: value for name, value in origin.tag.items() if value is not None}
    config = {**model.visual.preprocess_cfg, **of_tag}
    with foreign(CONFIG, origin.name, CardError, "Expected the preprocessing of an image tower."):
        mode, size = config["resize_mode"], config["size"]
        if mode not in ("shortest", "longest", "squash"):
            raise CardError(f"{CONFIG}: resize_mode {mode!r}; expected shortest, longest, squash.")
        side = size if isinstance(size, int) else size[0]
        fields = {name: config[name] for name in ("interpolation", "mean", "std")}
        fields |= {"size": side, "resize": side, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
        if mode != "shortest":
            fields["resize_mode"] = mode
        if mode == "longest":
            fields["fill"] = (int(config["fill_color"]),) * 3
    return StatedInput(fields, CONFIG if origin.name.startswith("local-dir:") else f"open_clip's {origin.name}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's log: that no weights were loaded is meant."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
