"""Parts of zero-shot image-text models of every library: templates, class vectors of a text tower, and logits."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from registry.cards import LONGEST, ModelCard, head_file
from registry.determinism_checks import Check
from registry.documents import read_bytes
from registry.families.family import Draft
from registry.files import digest_data, digest_state, expanded, is_file, write_whole
from registry.heads import read_frozen
from registry.labels import built_in_space, label_space
from registry.user_errors import CardError, WeightsError, foreign, library, shown, unprintable

# A class's vector is the mean of its texts' unit vectors, made a unit vector again (Radford et al. 2021, "Learning
# transferable visual models from natural language supervision", section 3.1.4).

#: Templates by name: where open_clip has those of CLIP's authors.
NAMED = {"7": "SIMPLE_IMAGENET_TEMPLATES", "80": "OPENAI_IMAGENET_TEMPLATES"}
#: Texts that are encoded at once: fixed, so that a head does not depend on the machine.
_BATCH = 64
#: Weights that texts do not pass, as open_clip and as transformers name them.
_VISUAL = ("visual.", "vision_model.", "visual_projection.")


def head_digest(notes: Mapping[str, Any], weight: Tensor) -> str:
    """Return the digest of a text head, of logits `scale * cosine + bias`. weight: [classes, d] float32, unit vectors;
    notes: names and templates, the digest of the text tower's weights, scale and bias."""
    parts = [notes["names"], notes["templates"], notes["text"], repr(notes["scale"]), repr(notes["bias"])]
    return digest_data([*parts, digest_state({"weight": weight})])


def templates_of(choice: str) -> tuple[str, ...]:
    """Return the templates by name ("single", "7", "80": those of CLIP's authors), from a text file, one a line, or one
    template itself, with {} in place of the name. Raises CardError."""
    if choice == "single":
        return ("a photo of a {}.",)
    if choice in NAMED:
        authors = library("open_clip", "clip", f"--templates {choice} (those of CLIP's authors)")
        return tuple(template("{}") for template in getattr(authors, NAMED[choice]))
    path = expanded(choice)
    expected = "Expected single, 7, 80, a text file with a template a line, or one template; {} replaces the name."
    with foreign("templates", path, CardError, expected):
        text = read_bytes(path, "templates", CardError).decode("utf-8-sig") if is_file(path) else choice
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        odd = next((line for line in lines if line.count("{}") != 1 or unprintable(line)), None)
        if not lines or odd is not None:
            raise ValueError(f"{shown(odd or 'nothing')[:100]!r} is not a template")
    return lines


def read_text_head(path: Path, digest: str) -> tuple[dict[str, Any], Tensor]:
    """Return a head's notes and vectors. Raises WeightsError: missing file, invalid head, or another digest."""
    notes, tensors = read_frozen(path, "prompts")
    with foreign("text head", path, WeightsError, "Register the model again."):
        notes |= {name: float(notes[name]) for name in ("scale", "bias")}
        got = head_digest(notes, tensors["weight"])
    if got != digest:
        raise WeightsError(f"text head {shown(path)}: expected digest {digest}, got {got}. Register again.")
    return notes, tensors["weight"]


#: Files of a tokenizer.
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model",
    "vocab.json", "vocab.txt", "merges.txt",
)  # fmt: skip


def with_text_head(
    draft: Draft, choice: str | None, model: nn.Module, encode: Callable[[list[str]], Tensor], folder: Path
) -> Draft:
    """Return the draft of a zero-shot model with its text head, which is frozen to a file in `folder`. `choice` names
    templates. `model` has both towers and `logit_scale`; `encode` maps texts to [n, d]. Raises CardError."""
    choice, space = choice or "80", label_space(str(draft.labels))
    # ImageNet's classes are called by the names of CLIP's authors, others by their own.
    chosen, imagenet, called = templates_of(choice), built_in_space("imagenet1k").classes, dict[str, str]()
    if not set(imagenet).isdisjoint(space.classes):
        authors = library("open_clip", "clip", "the list of ImageNet's names of CLIP's authors")
        called = dict(zip(imagenet, authors.IMAGENET_CLASSNAMES, strict=True))
    words = (word.split(",")[0].replace("_", " ") for word in space.words or space.classes)
    names = tuple(called.get(name, word) for name, word in zip(space.classes, words, strict=True))
    texts = [template.replace("{}", name) for name in names for template in chosen]
    with torch.inference_mode():
        parts = [encode(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        units = functional.normalize(torch.cat(parts).float(), dim=1)
        vectors = functional.normalize(units.view(len(names), len(chosen), -1).mean(dim=1), dim=1).clone()
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(_VISUAL)}
    scale, bias = (getattr(model, name, None) for name in ("logit_scale", "logit_bias"))
    assert isinstance(scale, Tensor)
    notes = {"names": names, "templates": chosen, "text": digest_state(state), "scale": float(scale.detach().exp())}
    notes["bias"] = float(bias.detach()) if isinstance(bias, Tensor) else 0.0
    digest = head_digest(notes, vectors)
    file = head_file(draft.name, digest, folder)
    write_whole(file, save({"weight": vectors.contiguous()}, {"prompts": json.dumps(notes)}))
    kept = choice if choice in ("single", *NAMED) else "\n".join(chosen)
    kept = kept if len(kept) <= LONGEST else "FILE"
    return replace(
        draft,
        options={**draft.options, "text_head": str(file), "prompts": digest, "templates": kept},
        rows=(
            Check(name="names", ok=True, detail=f"{len(names)} names of '{draft.labels}', such as '{names[0]}'"),
            Check(name="templates", ok=True, detail=f"{len(chosen)}, such as '{chosen[0]}'; digest {digest[:12]}"),
            Check(name="scale", ok=True, detail=f"{notes['scale']:.4g}, bias {notes['bias']:.4g}"),
        ),
        files=(file,),
        training=(f"zero-shot({len(names)} names x {len(chosen)} templates)", *draft.training),
    )


class Tower(nn.Module):
    """An image tower that returns only its vector."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to vectors [n, d]."""
        output = self.visual(x)
        vector: Tensor = output[0] if isinstance(output, tuple) else output
        return vector


class ZeroShot(Tower):
    """Scaled cosines of an image's vector with the vectors of classes."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, visual: nn.Module, weight: Tensor, scale: float, bias: float) -> None:
        super().__init__(visual)
        self.register_buffer("weight", weight.clone())
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, 3, h, w] to logits [n, classes]."""
        vectors = functional.normalize(super().forward(x), dim=-1)
        return self.scale * vectors @ self.weight.T + self.bias


def zero_shot(visual: nn.Module, card: ModelCard | Draft) -> ZeroShot:
    """Return an image tower with the frozen class vectors of a card. Raises WeightsError."""
    file, digest = (str(card.options.get(name, "")) for name in ("text_head", "prompts"))
    notes, weight = read_text_head(Path(file), digest)
    return ZeroShot(visual, weight, notes["scale"], notes["bias"])
