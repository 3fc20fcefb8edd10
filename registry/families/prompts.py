"""Texts that stand for classes: names in templates, encoded once, frozen to a file.

A class's vector is the mean of its texts' unit vectors, made a unit vector again (Radford et al. 2021, "Learning
transferable visual models from natural language supervision", section 3.1.4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from registry.digests import digest_data, digest_state
from registry.documents import MOST_BYTES, shown, unprintable
from registry.errors import CardError, WeightsError
from registry.labels import LabelSpace
from registry.places import absence, expanded, is_file
from registry.spaces import built_in_space
from registry.whole_files import write_whole

SINGLE = ("a photo of a {}.",)
#: Templates by name: where open_clip has those of CLIP's authors.
NAMED = {"single": "", "7": "SIMPLE_IMAGENET_TEMPLATES", "80": "OPENAI_IMAGENET_TEMPLATES"}
#: Texts that are encoded at once: fixed, so that a head does not depend on the machine.
_BATCH = 64
Encode = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class TextHead:
    """weight: [classes, d] float32, unit vectors; scale, bias: of the logits `scale * cosine + bias`; text: digest of
    the text tower's weights.
    """

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
        return digest_data(
            [self.names, self.templates, self.text, repr(self.scale), repr(self.bias), vectors]
        )


def templates_of(choice: str, library: ModuleType) -> tuple[str, ...]:
    """Templates by name ("single", "7", "80": those of CLIP's authors), from a text file, one a line, or one template
    itself, with {} where the name goes. Raises CardError.
    """
    if choice == "single":
        return SINGLE
    if choice in NAMED:
        return tuple(one("{}") for one in getattr(library, NAMED[choice]))
    path = expanded(choice)
    if choice.count("{}") == 1 and not unprintable(choice):
        return (choice.strip(),)
    if not is_file(path):
        raise CardError(
            f"templates {shown(choice)[:200]}: expected single, 7, 80, a text file with a template a line, or one "
            "template with {} where the name goes."
        )
    if path.stat().st_size > MOST_BYTES:
        raise CardError(f"templates {shown(path)}: larger than {MOST_BYTES // 2**20} MiB.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise CardError(f"templates {shown(path)}: no text in UTF-8 ({error}).") from error
    found = tuple(line.strip() for line in lines if line.strip())
    odd = next((line for line in found if line.count("{}") != 1 or unprintable(line)), None)
    if not found or odd is not None:
        raise CardError(
            f"templates {shown(path)}: expected lines of plain text with one {{}} each, where the name goes; found "
            f"{shown(odd or 'nothing')[:100]!r}."
        )
    return found


def called_after(templates: Sequence[str], name: str) -> dict[str, str]:
    """Names of models -> a template each: "NAME.a-photo-of-a". Templates of the same words are numbered."""
    found: dict[str, str] = {}
    for template in dict.fromkeys(templates):
        words = "-".join(re.findall(r"[a-z0-9]+", template.replace("{}", " ").lower()))[:60]
        free = (f"{words}{f'-{i}' if i > 1 else ''}" if words else str(i) for i in count(1))
        found[next(f"{name}.{end}" for end in free if f"{name}.{end}" not in found)] = template
    return found


def names_of(space: LabelSpace, library: ModuleType) -> tuple[str, ...]:
    """What the classes of a label space are called in texts: ImageNet's by the names of CLIP's authors, others by their
    own.
    """
    wnids = built_in_space("imagenet1k").classes
    called = dict(zip(wnids, library.IMAGENET_CLASSNAMES, strict=True))
    words = space.words or space.classes
    plain = (word.split(",")[0].replace("_", " ") for word in words)
    return tuple(called.get(name, word) for name, word in zip(space.classes, plain, strict=True))


def class_vectors(names: Sequence[str], templates: Sequence[str], encode: Encode) -> Tensor:
    """[classes, d] float32 unit vectors; encode: texts -> vectors [n, d]."""
    texts = [template.replace("{}", name) for name in names for template in templates]
    with torch.inference_mode():
        parts = [encode(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        units = functional.normalize(torch.cat(parts).float(), dim=1)
        means = units.view(len(names), len(templates), -1).mean(dim=1)
        return functional.normalize(means, dim=1).clone()


def write_text_head(head: TextHead, path: Path) -> None:
    """Freeze a head to a safetensors file, in one move."""
    from safetensors.torch import save

    notes = {
        "names": head.names,
        "templates": head.templates,
        "text": head.text,
        "scale": head.scale,
        "bias": head.bias,
    }
    content = {"weight": head.weight.contiguous()}
    write_whole(path, save(content, {"prompts": json.dumps(notes, ensure_ascii=True)}))


def read_text_head(path: Path, digest: str) -> TextHead:
    """The head of a file. Raises WeightsError: no such file, no head, or another one than `digest` says."""
    from safetensors import safe_open

    if not is_file(path):
        raise WeightsError(f"text head {shown(path)} {absence(path)}. Register the model again.")
    try:
        with safe_open(path, "pt") as file:
            notes = json.loads((file.metadata() or {})["prompts"])
            weight = file.get_tensor("weight")
        head = TextHead(
            tuple(notes["names"]), tuple(notes["templates"]), notes["text"], weight,
            float(notes["scale"]), float(notes["bias"]),
        )  # fmt: skip
    except Exception as error:
        raise WeightsError(
            f"{shown(path)} is no text head ({type(error).__name__}). Register the model again."
        ) from error
    if head.digest != digest:
        raise WeightsError(
            f"text head {shown(path)}: expected digest {digest}, got {head.digest}. These are other prompts than the "
            "card describes. Restore the file, or register the model again."
        )
    return head
