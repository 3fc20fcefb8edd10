"""What to do about weights that do not fit an architecture: the module that differs, and what would fit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
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
from registry.preprocessing import stated_input

#: ITU-R BT.601, as Pillow makes grey of RGB.
_LUMINANCE = [0.299, 0.587, 0.114]


def advice(card: ModelCard, module: nn.Module, choice: WeightChoice, path: Path, misfit: Misfit) -> str:
    """What to do about a misfit; "" where nothing particular is known.

    module: the card's network; choice: the weights of the file `path`, which do not fit it."""
    head, text, given = _head(module), "", dict(card.options.get("kwargs", {}))
    if options := dict(_options(module, choice.state, misfit)):
        outputs = next((len(module.state_dict()[name]) for name in head), 1000)
        with suppress(BenchError), torch.device("meta"):
            other = build(card.arch, outputs, given | options)
            rest = Misfit.between(choice.state, other.state_dict())
            if {*rest.missing, *rest.shapes} <= _head(other):
                modules = ", ".join(dict.fromkeys(name.rpartition(".")[0] or name for name in _differing(misfit)))
                words = " ".join(f"--arch-option {name}={value}" for name, value in options.items())
                text = f"It differs in {modules}: {words} fits. "
                card = card.model_copy(update={"options": {**card.options, "kwargs": given | options}})
                module, misfit, head = other, rest, _head(other)
    return (
        text if not misfit else text + _of_the_rest(card, module.state_dict(keep_vars=True), choice, path, misfit, head)
    )


def _differing(misfit: Misfit) -> list[str]:
    return [*misfit.shapes, *misfit.strange, *misfit.missing]


def _head(module: nn.Module) -> set[str]:
    """Names of the classifier's weights: timm's networks say what theirs is; of others it is the last linear layer."""
    linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
    stated: Any = getattr(module, "get_classifier", None)
    own = stated() if callable(stated) else linear[-1:]
    own = list(own) if isinstance(own, (tuple, list)) else [own]
    parts = {name for name, part in module.named_modules() if any(part is each for each in own)}
    return {name for name in module.state_dict() if name.rpartition(".")[0] in parts}


def _options(module: nn.Module, state: Mapping[str, Tensor], misfit: Misfit) -> Iterator[tuple[str, int | float | str]]:
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
        if name == "patch_embed.proj.weight" and len(theirs) == 4 and theirs[:2] == ours[:2]:
            yield "patch_size", theirs[-1]
    if "fc_norm.weight" in misfit.strange:
        yield "global_pool", "avg"
    elif "fc_norm.weight" in misfit.missing:
        yield "global_pool", "token"
    if "reg_token" in misfit.strange and state["reg_token"].dim() == 3:
        yield "reg_tokens", state["reg_token"].shape[1]
    if any(name.endswith(".ls1.gamma") for name in misfit.strange):
        yield "init_values", 1e-5  # the file's take its place


def _of_the_rest(
    card: ModelCard, want: Mapping[str, Tensor], choice: WeightChoice, path: Path, misfit: Misfit, head: set[str]
) -> str:
    """What to do about a misfit that no argument of the architecture mends."""
    missing, strange, shapes = misfit.missing, misfit.strange, misfit.shapes
    if renamed := _renamed(misfit, choice.state, want):
        names = ", ".join(f"'{ours}' is '{theirs}'" for theirs, ours in renamed.items())
        change = f"r = {json.dumps(renamed)}; s = {{next((b + n[len(a):] for a, b in r.items() "
        change += "if n.startswith(a + '.')), n): t for n, t in s.items()}"
        return f"All but names fits. If the network's {names} in the file: {_rewriting(card, choice, path, change)}."
    if missing and not shapes and set(missing) <= head:
        left = f"The {len(strange)} other keys are left then. " if strange else ""
        return (
            "Only the head is missing: this is a backbone without a classifier. Fit one on its features, on the "
            f"built-in world or a folder with a folder per class (--probe FOLDER). {left}{_probing(card)}"
        )
    if missing and not shapes and not any(isinstance(want[name], nn.Parameter) for name in missing):
        return "It holds parameters alone: save the buffers (statistics of batch norms) with them, from state_dict()."
    if strange and not missing and not shapes:
        return _of_extras(strange, want, choice)
    if shapes and not missing and not strange and set(shapes) <= head:
        count = next(iter(shapes.values()))[0][0]
        spaces = spaces_of_size(count)
        labels = " or ".join(spaces) if spaces else "FILE, a list of its class names or a mapping file"
        return f"Only the head differs: its class count {count} does not fit the label space: --labels {labels}."
    modules = list(dict.fromkeys(name.rpartition(".")[0] or name for name in _differing(misfit)))
    if len(shapes) == 1 and not missing and not strange:
        ((name, (theirs, ours)),) = shapes.items()
        if len(theirs) == len(ours) == 4 and ours[1] == 3 and (theirs[0], *theirs[2:]) == (ours[0], *ours[2:]):
            takes = f"Only the stem differs: {modules[0]} takes {theirs[1]} channels, and images here have 3. "
            change = f"k = {json.dumps(name)}; s[k] = s[k] * torch.tensor({_LUMINANCE}).view(1, 3, 1, 1)"
            grey = (
                "As a network of the images' luminance, with one --mean and one --std for the three channels: "
                f"{_rewriting(card, choice, path, change)}."
            )
            return takes + (grey if theirs[1] == 1 else "A function of Python can make them: --arch python:FILE:NAME.")
    return (
        f"It differs in {shown(some_of([name[:200] for name in modules], 5))}: another variant of the architecture "
        "(--arch, --arch-option), or other weights."
    )


def _renamed(misfit: Misfit, state: Mapping[str, Tensor], want: Mapping[str, Tensor]) -> dict[str, str]:
    """Modules of the file -> those of the network that alone have these shapes; {} where not all can be told."""

    def by_shapes(names: tuple[str, ...], tensors: Mapping[str, Tensor]) -> dict[frozenset[object], list[str]]:
        fields: dict[str, set[object]] = {}
        for name in names:
            fields.setdefault(name.rpartition(".")[0], set()).add((name.rpartition(".")[2], tuple(tensors[name].shape)))
        grouped: dict[frozenset[object], list[str]] = {}
        for module, held in fields.items():
            grouped.setdefault(frozenset(held), []).append(module)
        return grouped

    theirs, ours = by_shapes(misfit.strange, state), by_shapes(misfit.missing, want)
    if misfit.shapes or theirs.keys() != ours.keys() or any(len(m) > 1 for m in (*theirs.values(), *ours.values())):
        return {}
    return {theirs[kind][0]: ours[kind][0] for kind in ours}


def _of_extras(strange: tuple[str, ...], want: Mapping[str, Tensor], choice: WeightChoice) -> str:
    """What to do about a file that has all of the network, and more."""
    if choice.name and set(strange) <= set(choice.outside):
        return f"All of the network is there; the rest stands beside it: --key {shlex.quote(choice.name)} leaves it."
    roots = dict.fromkeys(name.partition(".")[0] for name in strange)
    if shared := roots.keys() & {name.partition(".")[0] for name in want}:
        return (
            f"The file has more of {', '.join(sorted(shared))} than the architecture: its variant is another (--arch)."
        )
    patterns = [f"{root}.*" if root not in strange else root for root in roots]
    return (
        "All of the network is there, and more. If its forward pass needs none of that: "
        f"--ignore {shlex.quote(','.join(patterns))}."
    )


def _rewriting(card: ModelCard, choice: WeightChoice, path: Path, change: str) -> str:
    """The command that writes the file with a change, and its place."""
    name, tensor = next((n, t) for n, t in choice.state.items() if n not in choice.outside)
    like = f"{{{json.dumps(name)}: torch.empty({tuple(tensor.shape)})}}, {json.dumps(card.options.get('key'))}"
    return rewriting(path, like.replace("null", "None"), change)


def _probing(card: ModelCard) -> str:
    """The command that fits a head to what the card describes."""
    words = ["bench", "register", card.name, "--arch", card.arch, "--weights", str(card.weights)]
    options, how = card.options, card.preprocess
    words += [word for name in ("key", "ignore") if name in options for word in (f"--{name}", options[name])]
    words += [w for n, value in options.get("kwargs", {}).items() for w in ("--arch-option", f"{n}={value}")]
    fields = stated_input(card.arch, Path(str(card.weights))).fields
    for name in ("size", "resize", "interpolation", "mean", "std", "channels", "scale", "resize_mode"):
        value = getattr(how, name)
        if how is not None and value != fields.get(name, type(how).model_fields[name].default):
            text = ",".join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return shlex.join([*words, "--probe", "world"])
