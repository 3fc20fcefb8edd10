"""What is kept of each gradient. Imported when a network is shown something, for it needs torch.

A view is a whole chunk. Gradients are taken and measured a few images at a time: what has to be in memory at once
does not grow with the chunk, nor with the copies of SmoothGrad.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.contracts import Array, View
from benchmark.errors import foreign_code
from registry.architectures import build_untrained
from registry.errors import BenchError
from registry.model import LoadedModel
from suites.saliency.added import ADDED
from suites.saliency.config import CLICKED, CONFLICT, Config, added_column, columns_of, has_board, has_references
from suites.saliency.maps.exchange import evidence_columns
from suites.saliency.maps.gradients import (
    centred_cosine,
    frequencies,
    gini,
    input_gradients,
    log_norm,
    membership,
    noise_of,
    part_size,
    saliency,
    smooth_gradient,
    target_rows,
    total_variation,
)
from suites.saliency.maps.localisation import Floats, area_share, mass_ratio, rank_accuracy, skill
from suites.saliency.maps.mask_context import Scene, scene_of
from suites.saliency.maps.references import alignment, human_map, logit, reference_columns, strongest


def measured(config: Config, view: View) -> Mapping[str, Array]:
    """The answer [n] and, per image, every metric of the gradient; on the main sets, the evidence of object and ground,
    and the metrics of the reference maps too.

    On images with maps of people's clicks: how far the gradient agrees with them.
    """
    if view.block.role == CLICKED:
        return {"response": view.responses, "clickme": _clicked(view)}
    scene = scene_of(view, config.pool)
    parts = [dict(_columns(config, part)) for part in _parts(view, scene)]
    referred = has_references(view.block)
    return {
        "response": view.responses,
        "area": area_share(scene.masks, scene.valid),
        **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        **(evidence_columns(view, scene) if referred and view.block.stimuli.mask else {}),
        **(reference_columns(_array(view.images), scene) if referred else {}),
    }


@dataclass(frozen=True)
class _Part:
    """A few images of a view. targets: [n, classes] bool of the object's category, then of the texture's where the
    cues of some image disagree."""

    view: View
    scene: Scene
    images: Tensor
    targets: Sequence[Tensor]
    seeds: NDArray[np.uint64]


def _parts(view: View, scene: Scene) -> Iterator[_Part]:
    table = _table(view)
    conflict = view.block.role == CONFLICT and bool(scene.conflict.any())
    for at in _slices(view):
        here = scene.cut(at)
        wanted = (here.shape, here.texture) if conflict else (here.shape,)
        targets = [target_rows(table, view.categories, names) for names in wanted]
        yield _Part(view, here, view.images[at], targets, view.seeds[at])


def _clicked(view: View) -> Floats:
    """[n] correlation with people's maps, by the published processing (see `clickme`)."""
    stimuli, images = view.block.stimuli, view.images
    if stimuli.importance is None:
        return np.full(len(view.index), np.nan)
    table, found = _table(view), []
    for at in _slices(view):
        target = target_rows(table, view.categories, view.labels["category"][at])
        (gradient,) = input_gradients(view.forward, images[at], [target], logit)
        human = [human_map(stimuli.importance(int(i)), gradient.shape[2:]) for i in view.index[at]]
        found.append(alignment(strongest(_array(gradient)), np.stack(human)))
    return np.concatenate(found)


def _table(view: View) -> Tensor:
    return membership(view.outputs, view.logits.shape[1]).to(view.images.device)


def _slices(view: View) -> Iterator[slice]:
    size = min(view.batch, part_size(view.images.device))
    return (slice(start, start + size) for start in range(0, len(view.index), size))


def _columns(config: Config, part: _Part) -> Iterator[tuple[str, Array]]:
    """Name and values [n] of everything that the network decides."""
    found = input_gradients(part.view.forward, part.images, part.targets)
    gradient, *texture = map(_array, found)
    maps, scene = saliency(gradient), part.scene
    yield from scene.areas(maps, "grad").items()
    yield "mass_ratio", mass_ratio(maps, scene.masks, scene.valid)
    yield "skill", skill(maps, scene.masks, scene.valid)
    yield "rank_accuracy", rank_accuracy(maps, scene.masks, scene.valid)
    yield from zip(("centroid", "high_frequency"), frequencies(gradient), strict=True)
    yield "total_variation", total_variation(gradient)
    yield "gini", gini(maps)
    yield "centred_cosine", centred_cosine(_array(part.images), gradient)
    yield "log_norm", log_norm(gradient)
    yield from _textured(texture, part.scene).items()
    yield from _smooth(config, part).items()
    yield from _added(config, part, maps)


def _textured(gradients: Sequence[Array], scene: Scene) -> dict[str, Floats]:
    """The same areas with the texture's category as target, on images whose cues disagree."""
    if not gradients:
        return _nothing(len(scene.shape), "texture")
    areas = scene.areas(saliency(gradients[0]), "texture")
    return {name: np.where(scene.conflict, values, np.nan) for name, values in areas.items()}


def _smooth(config: Config, part: _Part) -> dict[str, Floats]:
    if not config.draws or not has_board(part.view.block):
        return _nothing(len(part.seeds), "smooth")
    shape = tuple(part.images.shape[1:])
    noise = noise_of(part.seeds, shape, config.draws, config.sigma)
    added = (torch.from_numpy(one).to(part.images.device) for one in noise)
    gradient = smooth_gradient(part.view.forward, part.images, part.targets[0], list(added))
    return part.scene.areas(saliency(_array(gradient)), "smooth")


def _nothing(count: int, name: str) -> dict[str, Floats]:
    return {column: np.full(count, np.nan) for column in columns_of(name)}


def _added(config: Config, part: _Part, maps: Array) -> Iterator[tuple[str, Array]]:
    """Columns of other packages' maps and measures."""
    for name, _ in config.added:
        with foreign_code(f"the saliency map or measure '{name}'"):
            columns = _foreign(name, part, maps)
        yield from columns.items()


def _foreign(name: str, part: _Part, maps: Array) -> dict[str, Floats]:
    if name in ADDED.measures:
        values = ADDED.measures[name].measure(maps, part.scene.masks)
        return {added_column(name): _fitting(values, (len(maps),))}
    made = ADDED.maps[name].make(part.view.forward, part.images, part.targets[0], part.seeds)
    values = _array(made) if isinstance(made, Tensor) else made
    return part.scene.areas(_fitting(values, maps.shape), added_column(name))


def _fitting(values: Array, shape: tuple[int, ...]) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != shape:
        raise ValueError(f"expected values of shape {shape}, got {found.shape}")
    return found


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """Channel by channel in memory: networks hand out channels last, which numpy reads ten times slower."""
    return np.asarray(tensor.detach().contiguous().cpu().numpy(), dtype=np.float32)


# The same architecture with random weights: the network that a metric must not reward.


def untrained(model: LoadedModel, seed: int = 0) -> LoadedModel:
    """`model` with random weights from `seed`, drawn as its architecture draws them before training.

    Where the architecture cannot be built from its name (an exported program), each layer is initialised anew as
    its class does it. Evaluation mode, no parameter requires a gradient; torch's own random state stays as it was.
    """
    module = _built(model, seed) or reinitialised(model.module, seed)
    device = next((weights.device for weights in model.module.parameters()), torch.device("cpu"))
    return replace(model, module=module.eval().requires_grad_(False).to(device))


def reinitialised(module: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose layers are initialised anew; layers that cannot do so keep a permutation of their weights."""
    fresh = copy.deepcopy(module)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in fresh.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            else:
                for weights in layer.parameters(recurse=False):
                    flat = weights.flatten()
                    weights.copy_(flat[torch.randperm(len(flat))].view_as(weights))
    return fresh


def _built(model: LoadedModel, seed: int) -> nn.Module | None:
    card, classes = model.card, len(model.labels.classes)
    try:
        return build_untrained(card.arch, classes, seed, card.options.get("kwargs"))
    except BenchError:
        return None
