"""What to do about weights that do not fit an architecture: the module that differs, and what would fit."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry.architectures import build
from registry.cards import ModelCard
from registry.checkpoints import Misfit, WeightChoice
from registry.conversions import rewriting
from registry.errors import BenchError, some_of
from registry.foreign import shown
from registry.labels import spaces_of_size


def advice(card: ModelCard, module: nn.Module, choice: WeightChoice, path: Path, misfit: Misfit) -> str:
    """What to do about a misfit: an argument of the architecture, another label space, a head of one's own, or a line
    that changes the file.

    module: the card's network; choice: the weights of the file `path`, which do not fit it."""
    head, text, given = _head(module), "", dict(card.options.get("kwargs", {}))
    if options := dict(_options(module, misfit)):
        outputs = next((len(module.state_dict()[name]) for name in head), 1000)
        with suppress(BenchError), torch.device("meta"):  # what is proposed was tried
            other = build(card.arch, outputs, given | options)
            rest = Misfit.between(choice.state, other.state_dict())
            if {*rest.missing, *rest.shapes} <= _head(other):
                words = " ".join(f"--arch-option {name}={value}" for name, value in options.items())
                text = f"It differs in {_modules(misfit.names)}: {words} fits. "
                card = card.model_copy(update={"options": {**card.options, "kwargs": given | options}})
                module, misfit, head = other, rest, _head(other)
    if not misfit.names:
        return text.rstrip()
    missing, strange, shapes = misfit.missing, misfit.strange, misfit.shapes
    want = module.state_dict(keep_vars=True)
    if renamed := _renamed(misfit, choice.state, want):
        names = ", ".join(f"'{ours}' is '{theirs}'" for theirs, ours in renamed.items())
        change = f"r = {json.dumps(renamed)}; s = {{next((b + n[len(a):] for a, b in r.items() "
        change += "if n.startswith(a + '.')), n): t for n, t in s.items()}"
        return f"All but names fits. If the network's {names} in the file: {_rewriting(card, choice, path, change)}."
    if missing and not shapes and set(missing) <= head:
        return text + (
            "Only the head is missing: this is a backbone without a classifier. Fit one on its features of the "
            f"built-in world, or of a folder per class (--probe FOLDER); other keys are left then. {_probing(card)}"
        )
    if missing and not shapes and not any(isinstance(want[name], nn.Parameter) for name in missing):
        return "It holds parameters alone: save the buffers (statistics of batch norms) with them, from state_dict()."
    if not missing and not shapes:
        return text + _of_extras(strange, want, choice)
    if not missing and not strange:
        return text + _of_shapes(card, choice, path, shapes, head)
    return text + _another(misfit.names)


def _modules(names: Iterable[str]) -> str:
    return shown(some_of(dict.fromkeys(name.rpartition(".")[0][:200] or name[:200] for name in names), 5))


def _another(names: Iterable[str]) -> str:
    where = f"It differs in {_modules(names)}"
    return f"{where}: another variant of the architecture (--arch, --arch-option), or other weights."


def _head(module: nn.Module) -> set[str]:
    """Names of the classifier's weights: timm's networks say what theirs is; of others it is the last linear layer."""
    stated: Any = getattr(module, "get_classifier", None)
    own = stated() if callable(stated) else [part for part in module.modules() if isinstance(part, nn.Linear)][-1:]
    own = own if isinstance(own, (tuple, list)) else [own]
    parts = {name for name, part in module.named_modules() if any(part is each for each in own)}
    return {name for name in module.state_dict() if name.rpartition(".")[0] in parts}


def _options(module: nn.Module, misfit: Misfit) -> Iterator[tuple[str, int | str]]:
    """Arguments of the architecture that the names and shapes of the file speak of."""
    embedding: Any = getattr(module, "patch_embed", None)
    for name, (theirs, ours) in misfit.shapes.items():
        if name.endswith(("pos_embed", "pos_embedding")) and len(theirs) == len(ours) == 3:
            side = embedding.img_size[0] if hasattr(embedding, "img_size") else getattr(module, "image_size", 224)
            for tokens in range(min(theirs[1], ours[1], 9)):  # the class's token and registers stand before the places
                there, here = isqrt(theirs[1] - tokens), isqrt(ours[1] - tokens)
                if (there**2, here**2) == (theirs[1] - tokens, ours[1] - tokens):
                    yield "image_size" if embedding is None else "img_size", side * there // here
                    break
    if "fc_norm.weight" in (*misfit.strange, *misfit.missing):
        yield "global_pool", "avg" if "fc_norm.weight" in misfit.strange else "token"


def _renamed(misfit: Misfit, state: Mapping[str, Tensor], want: Mapping[str, Tensor]) -> dict[str, str]:
    """Modules of the file -> those of the network that alone have these shapes; {} where not all can be told."""

    def by_shapes(names: Iterable[str], tensors: Mapping[str, Tensor]) -> dict[object, list[str]]:
        fields, grouped = defaultdict[str, set[object]](set), defaultdict[object, list[str]](list)
        for name in names:
            fields[name.rpartition(".")[0]].add((name.rpartition(".")[2], tensors[name].shape))
        for module, held in fields.items():
            grouped[frozenset(held)].append(module)
        return grouped

    theirs, ours = by_shapes(misfit.strange, state), by_shapes(misfit.missing, want)
    if misfit.shapes or theirs.keys() != ours.keys() or any(len(m) > 1 for m in (*theirs.values(), *ours.values())):
        return {}
    return {theirs[kind][0]: ours[kind][0] for kind in ours}


def _of_extras(strange: Iterable[str], want: Iterable[str], choice: WeightChoice) -> str:
    """What to do about a file that has all of the network, and more."""
    if choice.name and set(strange) <= set(choice.outside):
        return f"All of the network is there; the rest stands beside it: --key {shlex.quote(choice.name)} leaves it."
    roots = dict.fromkeys(name.partition(".")[0] for name in strange)
    if roots.keys() & {name.partition(".")[0] for name in want}:
        return _another(strange)
    patterns = ",".join(f"{root}.*" if root not in strange else root for root in roots)
    return f"All of the network is there, and more. If it needs none of that: --ignore {shlex.quote(patterns)}."


def _of_shapes(
    card: ModelCard, choice: WeightChoice, path: Path, shapes: Mapping[str, tuple[tuple[int, ...], ...]], head: set[str]
) -> str:
    """What to do where shapes alone differ: classes, or channels."""
    name, (theirs, ours) = next(iter(shapes.items()))
    if set(shapes) <= head:
        labels = " or ".join(spaces_of_size(theirs[0])) or "FILE, a list of its class names or a mapping file"
        return f"Only the head differs: its class count {theirs[0]} does not fit the label space: --labels {labels}."
    if len(shapes) > 1 or len(theirs) != 4 or len(ours) != 4 or (*theirs[:1], 3, *theirs[2:]) != ours:
        return _another(shapes)
    stem = f"Only the stem differs: {_modules(shapes)} has input channels: {theirs[1]}, images here 3. "
    if theirs[1] > 1:
        return f"{stem}A function of Python can make them: --arch python:FILE.py:NAME."
    # Luminance as Pillow makes it (ITU-R BT.601). Exact: a convolution is linear, and the weights sum to 1.
    change = f"k = {json.dumps(name)}; s[k] = s[k] * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)"
    line = _rewriting(card, choice, path, change)
    return f"{stem}As a network of luminance, with one --mean and --std for the three channels: {line}."


def _rewriting(card: ModelCard, choice: WeightChoice, path: Path, change: str) -> str:
    """The command that writes the file with a change, and its place."""
    name, tensor = next((n, t) for n, t in choice.state.items() if n not in choice.outside)
    like = f"{{{json.dumps(name)}: torch.empty({tuple(tensor.shape)})}}, {card.options.get('key')!r}"
    return rewriting(path, like, change)


def _probing(card: ModelCard) -> str:
    """The command that fits a head to what the card describes."""
    words = {"arch": card.arch, "weights": card.weights, **{n: card.options.get(n) for n in ("key", "ignore")}}
    words |= card.preprocess.model_dump(exclude={"fixed_size", "fill"}) if card.preprocess else {}
    parts = ["bench", "register", card.name]
    for name, value in words.items():
        text = ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else value
        parts += [] if text is None else [f"--{name.replace('_', '-')}", str(text)]
    for option in card.options.get("kwargs", {}).items():
        parts += ["--arch-option", "{}={}".format(*option)]
    return shlex.join([*parts, "--probe", "world"])
