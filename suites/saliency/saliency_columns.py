"""The stored columns of each gradient. It needs torch, so it is imported only when a network is run."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array, View
from benchmark.failures import PluginError
from registry.architectures import build_untrained
from registry.model import LoadedModel
from registry.user_errors import foreign
from suites.saliency.config import BOARDS, CLICKED, CONFLICT, SaliencyConfig, added_column, columns_of, has_board
from suites.saliency.map_plugins import ADDED, Map
from suites.saliency.maps import gradients
from suites.saliency.maps.localisation import MaskContext, area_share, context_of, mass_columns, rank_accuracy
from suites.saliency.maps.object_exchange import evidence_columns
from suites.saliency.maps.references import alignment, human_map, logit, reference_columns, strongest


def gradient_columns(config: SaliencyConfig, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and, per image, every metric of the gradient. The main sets also have the evidence of
    object and ground and the metrics of reference maps; images with people's clicks have the agreement with them."""
    # A few images at a time: what has to be in memory at once does not grow with the chunk.
    size = min(view.batch, gradients.part_size(view.images.device))
    parts = [slice(start, start + size) for start in range(0, len(view.index), size)]
    table = gradients.membership(view.outputs, view.logits.shape[1]).to(view.images.device)
    if view.block.role == CLICKED:  # correlation with people's maps, by the published processing (see `references`)
        agree, read = np.full(len(view.index), np.nan), view.block.stimuli.importance
        for at in parts:
            if read is None:
                break
            target = gradients.target_rows(table, view.categories, view.labels["category"][at])
            (gradient,) = gradients.input_gradients(view.forward, view.images[at], [target], logit)
            human = [human_map(read(int(i)), gradient.shape[2:]) for i in view.index[at]]
            agree[at] = alignment(strongest(_array(gradient)), np.stack(human))
        return {"response": view.responses, "clickme": agree}
    context = context_of(view, config.pool)
    referred = view.block.role in BOARDS
    columns = [_columns(config, view, context, table, at) for at in parts]
    return {
        "response": view.responses,
        "area": area_share(context.masks, context.valid),
        **{name: np.concatenate([part[name] for part in columns]) for name in columns[0]},
        **(evidence_columns(view, context) if referred and view.block.stimuli.mask else {}),
        **(reference_columns(_array(view.images), context) if referred else {}),
    }


def _columns(config: SaliencyConfig, view: View, whole: MaskContext, table: Tensor, at: slice) -> dict[str, Array]:
    """Return name -> values [n] of everything that the network decides, on some images of the view."""
    context, images, seeds = whole.cut(at), view.images[at], view.seeds[at]
    conflict = view.block.role == CONFLICT and bool(whole.conflict.any())
    names = (context.shape, context.texture) if conflict else (context.shape,)
    targets = [gradients.target_rows(table, view.categories, wanted) for wanted in names]
    gradient, *of_texture = map(_array, gradients.input_gradients(view.forward, images, targets))
    maps = gradients.saliency(gradient)
    centroid, high = gradients.frequencies(gradient)
    columns = {
        **context.areas(maps, "grad"),
        **mass_columns(maps, context.masks, context.valid),
        "rank_accuracy": rank_accuracy(maps, context.masks, context.valid),
        "centroid": centroid,
        "high_frequency": high,
        "total_variation": gradients.total_variation(gradient),
        "gini": gradients.gini(maps),
        "centred_cosine": gradients.centred_cosine(_array(images), gradient),
        "log_norm": gradients.log_norm(gradient),
        **{column: np.full(len(seeds), np.nan) for name in ("texture", "smooth") for column in columns_of(name)},
    }
    for texture in of_texture:  # only where the cues disagree
        areas = context.areas(gradients.saliency(texture), "texture")
        columns |= {name: np.where(context.conflict, values, np.nan) for name, values in areas.items()}
    if config.draws and has_board(view.block):
        noise = gradients.noise_of(seeds, tuple(images.shape[1:]), config.draws, config.sigma)
        smooth = gradients.smooth_gradient(view.forward, images, targets[0], noise)
        columns |= context.areas(gradients.saliency(_array(smooth)), "smooth")
    for name, _ in config.added:
        own, column = ADDED[name], added_column(name)
        with foreign("the saliency map or measure", f"'{name}'", PluginError, failed="failed"):
            if isinstance(own, Map):
                values, measured = own.make(view.forward, images, targets[0], seeds), maps.shape
            else:
                values, measured = own.measure(maps, context.masks), maps.shape[:1]
            values = np.asarray(_array(values) if isinstance(values, Tensor) else values, dtype=np.float64)
            if values.shape != measured:
                raise ValueError(f"expected values of shape {measured}, got {values.shape}")
            columns |= context.areas(values, column) if isinstance(own, Map) else {column: values}
    return columns


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """Copy channel by channel in memory: networks hand out channels last, which numpy reads ten times slower."""
    return np.asarray(tensor.detach().contiguous().cpu().numpy(), dtype=np.float32)


def untrained(model: LoadedModel, seed: int = 0) -> LoadedModel:
    """Return `model` with random weights from `seed`, initialised by its architecture, in evaluation mode; torch's own
    random state is unchanged. Raises BenchError if the architecture cannot be built from its name."""
    module = build_untrained(model.card.arch, len(model.labels.classes), seed, model.card.options.get("kwargs"))
    device = next((weights.device for weights in model.module.parameters()), torch.device("cpu"))
    return replace(model, module=module.eval().requires_grad_(False).to(device))
