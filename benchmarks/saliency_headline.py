"""Which number of the saliency suite deserves to rank: candidates against controls, on the built-in world.

    python benchmarks/saliency_headline.py [--images N] [--groups N]

Prints two tables (Markdown). Candidates: the AUC excess of the gradient; (a) the same with the rank correlation that is
left once edge energy at six scales and the distance from the middle are known; (b) the AUC among pixels of one decile
of edge energy; (c) object against ground by the renderer, which draws the one scene with the other's figure or ground,
and by masks; (d) `object_reliance`, the object against another image's outline at its place. Accuracy stands beside
them. Then how often the headline's interval covers. One torch thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from ratios import ratio
from saliency import SEEDS, fed, loaded, view_of
from scipy.ndimage import gaussian_filter, sobel
from scipy.stats import rankdata, spearmanr
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from benchmark.contracts import Block, Stimuli, Trials
from benchmark.stats import ratio_score
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.world import sets as world
from benchmark.stimuli.world.render import _COLOUR, _TEXTURE, _bytes, _surfaces, raster
from benchmark.stimuli.world.render import Scene as Drawing
from benchmark.stimuli.world.shapes import coverage
from benchmark.stimuli.world.streams import Stream
from benchmark.stimuli.world.textures import texture
from registry.model import LoadedModel
from suites.saliency import SUITE
from suites.saliency.maps.exchange import evidence_columns, margin, partners
from suites.saliency.maps.gradients import input_gradients, membership, saliency, target_rows
from suites.saliency.maps.localisation import area_share
from suites.saliency.maps.mask_context import Scene, scene_of
from suites.saliency.maps.masks import kept
from suites.saliency.measured import untrained
from suites.saliency.metrics import reliance, split

OTHERS = ("standard-stylised-0", "salt-and-pepper-0", "uniform-noise-0")
SCALES = (0, 1, 2, 3, 4, 8)
DECILES = 10
LUMA = np.array([0.299, 0.587, 0.114])
Maps = np.ndarray


@dataclass(frozen=True)
class Bench:
    """The images that everything is measured on: pixels [n, h, w, 3] in [0,1], the block, its scene, edge energies."""

    block: Block
    pixels: Maps
    scene: Scene
    lent: np.ndarray
    nuisance: Maps
    deciles: Maps


class Before(nn.Module):
    """A change of the picture in front of a network; `change` takes and gives what the network takes."""

    def __init__(self, module: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.module, self.change = module, change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(self.change(x))


def contrast_curve(x: torch.Tensor) -> torch.Tensor:
    """Local contrast, squared with its sign: the slope is high where the picture is busy."""
    local = x - gaussian_blur(x, [31, 31], [8.0, 8.0])
    return local * local.abs()


def blur(x: torch.Tensor) -> torch.Tensor:
    return gaussian_blur(x, [7, 7], [1.0, 1.0])


def window(seen: np.ndarray) -> Callable[[torch.Tensor], torch.Tensor]:
    """Black wherever nothing is seen."""
    shown = torch.from_numpy(seen)
    return lambda x: torch.where(shown, x, torch.zeros(()))


def windows(side: int) -> Iterator[tuple[str, np.ndarray]]:
    """[side, side] disks in the middle and random masks, the same for all images."""
    away = np.hypot(*(np.mgrid[:side, :side] + 0.5 - side / 2)) / side
    for radius in (0.2, 0.3, 0.4, 0.5):
        yield f"disk of radius {radius:g}", away < radius
    for seed in SEEDS:
        field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 6)
        yield f"random mask {seed}", field > np.quantile(field, 0.6)


def networks() -> Iterator[tuple[str, LoadedModel]]:
    """Recipes and seeds, then the controls that are networks."""
    for recipe in ("standard", "adversarial", "stylised"):
        for seed in SEEDS:
            yield f"{recipe}-{seed}", loaded(f"world-{recipe}-{seed}")
    for name in OTHERS:
        yield name, loaded(f"world-{name}")
    standard = loaded("world-standard-0")
    for seed in SEEDS:
        random = untrained(standard, seed)
        yield f"random weights, seed {seed}", random
        yield (
            f"random, contrast curve, {seed}",
            replace(random, module=Before(random.module, contrast_curve)),
        )
    yield "standard-0, blur in front", replace(standard, module=Before(standard.module, blur))
    for seed in SEEDS:
        model = loaded(f"world-standard-{seed}")
        for name, seen in windows(model.preprocess.size):
            behind = replace(model, module=Before(model.module, window(seen)))
            yield f"standard-{seed}, {name} in front", behind


def bench(images: int) -> Bench:
    stimuli = kept(subset(generated_set("world-natural"), images))
    block = Block(stimuli, role="natural")
    model = loaded("world-standard-0")
    view = view_of(model, fed(model), block, np.arange(images))
    pixels = np.stack([stimuli.decode(i) for i in range(images)]) / 255.0
    grey = pixels @ LUMA
    edges = np.hypot(sobel(grey, 1), sobel(grey, 2))
    smooth = [gaussian_filter(edges, (0, s, s)) if s else edges for s in SCALES]
    side = np.arange(grey.shape[1]) - (grey.shape[1] - 1) / 2
    middle = np.broadcast_to(np.hypot(side[:, None], side), grey.shape)
    known = np.stack(
        [np.ones(grey.shape), *map(ranked, (*smooth, middle)), ranked(middle) ** 2], -1
    )
    basis = np.linalg.qr(known.reshape(images, -1, known.shape[-1]))[0]
    deciles = (rankdata(smooth[2].reshape(images, -1), axis=1, method="ordinal") - 1) * DECILES
    return Bench(block, pixels, scene_of(view, 160), partners(view), basis, deciles // grey[0].size)


def ranked(maps: Maps) -> Maps:
    """Ranks within each map, mean 0 and variance 1."""
    found = rankdata(maps.reshape(len(maps), -1), axis=1)
    found -= found.mean(axis=1, keepdims=True)
    return (found / found.std(axis=1, keepdims=True)).reshape(maps.shape)


def excess_of(own: np.ndarray, all_pairs: np.ndarray, scene: Scene) -> float:
    """Mean over images of the own value [n] minus the mean over masks [n, k] of other categories."""
    other = scene.shape[:, None] != scene.pool.categories
    return float((own - np.where(other, all_pairs, 0).sum(1) / other.sum(1)).mean())


def partial(maps: Maps, on: Bench) -> float:
    """(a) rank correlation with the mask beyond what edges and place explain, less that with others' masks."""
    flat = ranked(maps).reshape(len(maps), -1)
    rest = flat - np.einsum("npk,nk->np", on.nuisance, np.einsum("npk,np->nk", on.nuisance, flat))
    rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-9)

    def against(masks: Maps, told: Maps) -> Maps:
        return np.sqrt(np.maximum(masks.sum(-1) - (told**2).sum(-1), 1e-9))

    pool = others(on.scene).astype(float)
    own = on.scene.masks.reshape(len(maps), -1).astype(float)
    told = np.einsum("npk,jp->njk", on.nuisance, pool, optimize=True)
    mine = np.einsum("npk,np->nk", on.nuisance, own)
    return excess_of(
        (rest * own).sum(1) / against(own, mine), (rest @ pool.T) / against(pool, told), on.scene
    )


def others(scene: Scene) -> Maps:
    """[k, p] the pool's masks, pixel by pixel: what began and has not ended."""
    return np.cumsum(-scene.pool.masks.edges.toarray()[:, :-1], axis=1) > 0.5


def within_deciles(maps: Maps, on: Bench) -> float:
    """(b) AUC among pixels of about the same edge energy, pairs of all deciles pooled, less that with others' masks."""
    own, pool = on.scene.masks.reshape(len(maps), -1), others(on.scene)
    areas = np.empty((len(maps), len(pool) + 1))
    for i, values in enumerate(maps.reshape(len(maps), -1)):
        masks, above, pairs = np.vstack([own[i : i + 1], pool]).astype(float), 0.0, 0.0
        for decile in range(DECILES):
            at = np.flatnonzero(on.deciles[i] == decile)
            inside = masks[:, at]
            m = inside.sum(1)
            above = above + inside @ rankdata(values[at]) - m * (m + 1) / 2
            pairs = pairs + m * (len(at) - m)
        areas[i] = above / pairs
    return excess_of(areas[:, 0], areas[:, 1:], on.scene)


def of_map(maps: Maps, on: Bench) -> list[float]:
    """The candidates that are numbers of a map: AUC excess, (a), (b)."""
    found = on.scene.areas(maps, "grad")
    return [
        float((found["grad_auc"] - found["grad_auc_other"]).mean()),
        partial(maps, on),
        within_deciles(maps, on),
    ]


def gradient_map(model: LoadedModel, on: Bench) -> Maps:
    x = torch.from_numpy(on.pixels).permute(0, 3, 1, 2).float()
    (gradient,) = input_gradients(fed(model).run, x, [_targets(model, on)])
    return saliency(gradient.numpy())


def _targets(model: LoadedModel, on: Bench) -> torch.Tensor:
    grouping = model.labels.groupings["world16"]
    return target_rows(membership(grouping.indices, 16), grouping.categories, on.scene.shape)


def by_masks(model: LoadedModel, on: Bench) -> list[float]:
    """Object against ground, reliance, accuracy."""
    view = view_of(model, fed(model), on.block, np.arange(len(on.pixels)))
    found = Trials(evidence_columns(view, on.scene))
    right = float(np.mean(view.responses == on.scene.shape))
    return [float(np.nanmean(split(found))), float(np.nanmean(reliance(found))), right]


def by_renderer(model: LoadedModel, on: Bench, scenes: list[tuple[Maps, ...]]) -> float:
    """The same, each picture drawn: figure of the one scene on the ground of the other, at the figure's own place."""
    run = fed(model).run

    def margins(figures: np.ndarray, behind: np.ndarray) -> np.ndarray:
        drawn = np.stack(
            [_composed(scenes[f], scenes[g]) for f, g in zip(figures, behind, strict=True)]
        )
        with torch.no_grad():
            logits = run(torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255)
        return margin(logits, target).numpy()

    (i,) = np.nonzero(on.lent >= 0)
    j = on.lent[i]
    target = _targets(model, on)[torch.from_numpy(i)]
    ii, ij, ji, jj = margins(i, i), margins(i, j), margins(j, i), margins(j, j)
    parts = {"object": (ii - ji + ij - jj) / 2, "ground": (ii - ij + ji - jj) / 2}
    return float(split(Trials({f"{name}_evidence": part for name, part in parts.items()})).mean())


def scenes_of(stimuli: Stimuli) -> list[tuple[Maps, ...]]:
    """Cover, figure and ground of each natural scene of the world."""
    return [_drawn(int(name.rpartition("-")[2])) for name in stimuli.ids]


def _drawn(index: int) -> tuple[Maps, ...]:
    key = (world._NATURAL_SEED, index)
    family = world.TEXTURES[index % len(world.TEXTURES)]
    scene = Drawing(key, world.CATEGORIES[index % len(world.CATEGORIES)], family, world._spill(key))
    field = texture(family, Stream(*key, _TEXTURE))
    return coverage(raster(scene)), *_surfaces(field, scene.spill, Stream(*key, _COLOUR))


def _composed(figure: tuple[Maps, ...], ground: tuple[Maps, ...]) -> Maps:
    cover = figure[0][..., None]
    return _bytes(ground[2] * (1 - cover) + figure[1] * cover)


def maps_of_images(on: Bench) -> Mapping[str, Maps]:
    """Maps that know no network; the blurred Sobel is what a network shows whose backward pass was replaced by it."""
    grey = on.pixels @ LUMA
    edges = np.hypot(sobel(grey, 1), sobel(grey, 2))
    rng = np.random.default_rng(0)
    side = (np.arange(grey.shape[1]) + 0.5) / grey.shape[1] - 0.5
    middle = np.exp(-8 * (side[:, None] ** 2 + side**2))
    tied = 1e-3 * rng.random(grey.shape)
    return {
        "Sobel": edges,
        "blurred Sobel, 2 px": gaussian_filter(edges, (0, 2, 2)),
        "local variance, 5 px": gaussian_filter(grey**2, (0, 5, 5))
        - gaussian_filter(grey, (0, 5, 5)) ** 2,
        "darkness": 1 - grey,
        "blob in the middle": np.broadcast_to(middle, grey.shape),
        "noise": rng.random(grey.shape),
        "the mask itself": on.scene.masks + tied,
    }


def evidence(images: int) -> None:
    """The table of candidates and controls."""
    on = bench(images)
    scenes = scenes_of(on.block.stimuli)
    print(
        "| | AUC excess | (a) partial | (b) deciles | (c) by the renderer | (c) by masks | (d) reliance | accuracy |"
    )
    print("|---" * 8 + "|")
    table: dict[str, list[float]] = {}
    for name, model in networks():
        table[name] = [
            *of_map(gradient_map(model, on), on),
            by_renderer(model, on, scenes),
            *by_masks(model, on),
        ]
        _row(name, table[name])
    for name, maps in maps_of_images(on).items():
        _row(name, of_map(maps, on))
    trained = [name for name in table if "random" not in name and "front" not in name]
    truth = [table[name][3] for name in trained]
    order = [spearmanr([table[name][k] for name in trained], truth)[0] for k in range(6)]
    _row("order of 12 networks against the renderer's (Spearman)", order)
    ratio("saliency_order/masks", order[5], "order by the renderer (Spearman), 12 networks")
    ratio("saliency_order/gradient_auc", order[0], "order by the renderer (Spearman), 12 networks")


def _row(name: str, values: list[float]) -> None:
    print(
        f"| {name} | "
        + " | ".join(f"{value:.3f}" for value in values)
        + " |" * (1 + 7 - len(values)),
        flush=True,
    )


def covered(groups: int, size: int = 96) -> None:
    """How often the interval of a set of `size` images covers the mean over all sets drawn from the world: as it is,
    and by a bootstrap that takes the images for independent."""
    print(
        f"\n| {groups} sets of {size} images | mean | covers | half-width | images taken for independent |"
    )
    print("|---|---|---|---|---|")
    models = {
        name: loaded(f"world-{name}")
        for name in ("standard-0", "adversarial-0", "stylised-0", "random-0")
    }
    trials: dict[str, list[Trials]] = {name: [] for name in models}
    for seed in range(groups):
        stimuli = kept(_fresh(seed, size))
        for name, model in models.items():
            trials[name].append(_exchanged(model, stimuli))
    held: list[float] = []
    plain = replace(SUITE.headline, clusters=lambda _trials: {})
    for name, sets in trials.items():
        scores, alone = (
            [ratio_score(metric, one) for one in sets] for metric in (SUITE.headline, plain)
        )
        truth = np.mean([score.value for score in scores])
        hits = [np.mean([s.low <= truth <= s.high for s in found]) for found in (scores, alone)]
        half = np.mean([s.high - s.low for s in scores]) / 2
        print(f"| {name} | {truth:.3f} | {hits[0]:.3f} | {half:.3f} | {hits[1]:.3f} |", flush=True)
        held.append(float(hits[0]))
    ratio(
        "saliency_coverage", float(np.mean(held)) / 0.95, f"nominal coverage .95, {4 * groups} sets"
    )


def _fresh(seed: int, size: int) -> Stimuli:
    """A set of the world that nobody was trained on, all of it new."""
    source = world.training_set("natural", size, 5_000 + seed)
    drawn = [world.render(source, i) for i in range(size)]
    labels = {"category": np.array(source.category), "shape": np.array(source.shape)}
    return Stimuli(
        source.name, source.name, "world16", source.ids, source.ids, labels,
        lambda i: drawn[i].image, lambda i: drawn[i].mask,
    )  # fmt: skip


def _exchanged(model: LoadedModel, stimuli: Stimuli) -> Trials:
    size = len(stimuli)
    view = view_of(model, fed(model), Block(stimuli, role="natural"), np.arange(size))
    scene = scene_of(view, 0)
    fixed = {"role": np.full(size, "natural"), "stimulus": np.array(stimuli.ids)}
    return Trials({**fixed, "area": area_share(scene.masks), **evidence_columns(view, scene)})


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--groups", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    evidence(given.images)
    covered(given.groups)


if __name__ == "__main__":
    main()
