"""Cost and effects of the saliency suite.

    python benchmarks/saliency.py [cost]   [--model NAME ...]   in units of one forward and backward pass
    python benchmarks/saliency.py world                         recipes of the built-in world, over seeds
    python benchmarks/saliency.py spill                         all natural images of that world, by the texture on
                                                                their ground
    python benchmarks/saliency.py conflict [--model NAME ...]   published conflict images (BENCH_DATA)

One torch thread; processor time, the best of a few passes where a ratio is formed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from ratios import ratio

from benchmark.contracts import CHUNK, Block, Plan, Trials
from benchmark.engine.devices import TunedModel, Tuning, feed, keep_pages
from benchmark.engine.model_view import NetworkView
from benchmark.stats import mean_interval
from benchmark.stimuli.catalogue import locate
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.roles import Resolver
from benchmark.stimuli.world.sets import _NATURAL_SEED, _spill
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.loading import load_model
from registry.model import LoadedModel
from suites.saliency import SUITE
from suites.saliency.config import Config, has_board, has_references
from suites.saliency.maps.gradients import input_gradients, membership, target_rows
from suites.saliency.maps.masks import kept
from suites.saliency.measured import untrained
from suites.saliency.metrics import excess

RECIPES = ("standard", "adversarial", "stylised")
SEEDS = (0, 1, 2)
LITES = ("efficientnet-lite0",)
BATCH = 16
REPEATS = 3
SMALL = 64  # pixels; a larger network's default run takes minutes


def loaded(name: str) -> LoadedModel:
    """A card's network; a name that ends in ":random" is its architecture with random weights."""
    settings = read_settings()
    base, _, random = name.partition(":")
    model = load_model(read_cards(settings.cards)[base], settings.place)
    return untrained(model) if random else model


def fed(model: LoadedModel) -> TunedModel:
    """Channels last and unfolded: the setting that the backward pass likes best on a CPU."""
    return feed(model, Tuning(BATCH), device="cpu")


def views(model: LoadedModel, block: Block) -> Iterator[NetworkView]:
    """The block in chunks, decoded as they are wanted."""
    inlet = fed(model)
    for start in range(0, len(block.stimuli), CHUNK):
        index = np.arange(start, min(start + CHUNK, len(block.stimuli)))
        yield view_of(model, inlet, block, index)


def view_of(model: LoadedModel, inlet: TunedModel, block: Block, index: np.ndarray) -> NetworkView:
    """Some images of a block."""
    images = model.prepare([block.stimuli.decode(int(i)) for i in index], block.presentation)
    grouping = model.labels.groupings[block.stimuli.space]
    return NetworkView(inlet, block, index, images, grouping, seed=0, batch=BATCH)


def trials(model: LoadedModel, plan: Plan, config: Config | None = None) -> Trials:
    """What the suite keeps of a network on a plan."""
    parts = []
    for block in plan.blocks:
        for view in views(model, block):
            columns = SUITE.observe(config or SUITE.config, view)
            ids = np.asarray([block.stimuli.ids[i] for i in view.index])
            n = len(ids)
            fixed = {"role": np.full(n, block.role), "condition": np.full(n, ""), "stimulus": ids}
            parts.append({**fixed, **view.labels, **columns})
    blank = [np.full(len(part["role"]), np.nan) for part in parts]
    return Trials(
        {
            name: np.concatenate(
                [part.get(name, gap) for part, gap in zip(parts, blank, strict=True)]
            )
            for name in parts[0]
        }
    )


def plan_for(space: str, limit: int | None = None) -> Plan:
    """The suite's plan with the sets on this disk."""
    return SUITE.plan(SUITE.config, Resolver(space, read_settings(), limit))


def scored(name: str, found: Trials) -> None:
    """Every score of one observer, a line each."""
    for score in SUITE.score(SUITE.config, found):
        if score.value is None:
            text = score.reason
        else:
            bounds = "" if score.low is None else f" [{score.low:+.4f}, {score.high:+.4f}]"
            text = f"{score.value:+.4f}{bounds} n {score.n} excluded {score.excluded}"
        print(f"{name} | {score.role} | {score.metric} | {score.condition} | {text}")


def cohen(a: np.ndarray, b: np.ndarray) -> float:
    """(mean a - mean b) / pooled standard deviation over images."""
    pooled = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    return float((a.mean() - b.mean()) / pooled)


def effect(name: str, a: np.ndarray, b: np.ndarray) -> float:
    """Cohen's d with a bootstrap interval over images, the same images drawn for both."""
    keep = np.isfinite(a) & np.isfinite(b)
    a, b = a[keep], b[keep]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(a), (2000, len(a)))
    spread = [cohen(a[at], b[at]) for at in drawn]
    low, high = np.quantile(spread, [0.025, 0.975])
    d, gap = cohen(a, b), float((a - b).mean())
    print(f"{name}: difference {gap:+.4f}, d {d:+.2f} [{low:+.2f}, {high:+.2f}], n {len(a)}")
    return d


def world(_models: list[str]) -> None:
    """Adversarial and stylised against standard: every seed, then the mean over seeds with a t interval."""
    plan, found = plan_for("world16"), {}
    for recipe in RECIPES:
        for seed in SEEDS:
            name = f"world-{recipe}-{seed}"
            found[recipe, seed] = trials(loaded(name), plan)
            scored(name, found[recipe, seed])
    random = trials(loaded("world-standard-0:random"), plan)
    scored("random weights", random)
    for role in (block.role for block in plan.blocks):
        for recipe in RECIPES[1:]:
            for what in ("grad", "smooth", "centroid") if role == "natural" else ("grad",):
                _over_seeds(found, recipe, role, what)


def _over_seeds(found: dict[tuple[str, int], Trials], recipe: str, role: str, what: str) -> None:
    def values(key: str, seed: int) -> np.ndarray:
        part = found[key, seed].of(role)
        return part[what] if what == "centroid" else excess(part, what)

    title = f"{role}, {recipe} - standard, {what}"
    ds = [effect(f"{title}, {s}", values(recipe, s), values("standard", s)) for s in SEEDS]
    gaps = [float(np.nanmean(values(recipe, s)) - np.nanmean(values("standard", s))) for s in SEEDS]
    for name, numbers in (("d", ds), ("difference", gaps)):
        low, high = mean_interval(numbers)
        print(f"{title}, over seeds: {name} {np.mean(numbers):+.3f} [{low:+.3f}, {high:+.3f}] (t)")


def spill(_models: list[str]) -> None:
    """How far adversarial and stylised training move the gradient, by how much texture the ground carries."""
    stimuli = kept(generated_set("world-natural"))
    plan = Plan((Block(stimuli, role="natural"),))
    share = np.array([_spill((_NATURAL_SEED, i)) for i in range(len(stimuli))])
    found = {
        (recipe, seed): excess(
            trials(loaded(f"world-{recipe}-{seed}"), plan, Config(draws=0)), "grad"
        )
        for recipe in RECIPES
        for seed in SEEDS
    }
    edges = (0, 0.2, 0.4, 0.6, 0.8, 1, np.inf)
    for low, high in pairwise(edges):
        at = (share >= low) & (share < high)
        base = np.mean([found["standard", s][at].mean() for s in SEEDS])
        print(f"alpha from {low}, below {high}: {at.sum()} images, standard {base:+.3f}")
        for recipe in RECIPES[1:]:
            pairs = [(found[recipe, s][at], found["standard", s][at]) for s in SEEDS]
            gap = np.mean([(a - b).mean() for a, b in pairs])
            ds = [cohen(a, b) for a, b in pairs]
            print(
                f"  {recipe}: difference {gap:+.3f}, d {np.mean(ds):+.2f} {mean_interval(ds)} (t)"
            )
    for seed in SEEDS:
        gap = found["adversarial", seed] - found["standard", seed]
        print(
            f"seed {seed}: correlation of difference and alpha {np.corrcoef(gap, share)[0, 1]:+.2f}"
        )


def conflict(models: list[str]) -> None:
    """The published conflict images with their silhouettes."""
    plan = plan_for("geirhos16")
    for name in models or [*LITES, f"{LITES[0]}:random"]:
        scored(name, trials(loaded(name), plan))


def cost(models: list[str], images: int) -> None:
    """Processor time of the suite over that of the passes it needs; of a small network's whole default run, too."""
    there = locate("cue-conflict", read_settings()) is not None
    for name in models or ["world-standard-0", *(LITES if there else ())]:
        model = loaded(name)
        space = next(space for space in SUITE.spaces if space in model.labels.groupings)
        plan = plan_for(space)
        for block in plan.blocks:
            _ratio(name, model, block, images)
        if model.preprocess.size <= SMALL:
            start = time.process_time()
            trials(model, plan)  # masks and images of the built-in world were drawn above
            spent = time.process_time() - start
            count = sum(len(block.stimuli) for block in plan.blocks)
            print(f"{name}: default run {spent:.2f} s processor time, {count} images")


def _ratio(name: str, model: LoadedModel, block: Block, images: int) -> None:
    """The suite on a few batches over the passes that it needs: an answer, a gradient per target, SmoothGrad."""
    index = np.arange(min(images, len(block.stimuli)))
    inlet = fed(model)
    first = view_of(model, inlet, block, index)
    table = membership(first.outputs, first.logits.shape[1])
    rows = target_rows(table, first.categories, first.labels["category"])
    targets = 1 + (block.role == "cue-conflict")
    draws = SUITE.config.draws if has_board(block) else 0
    pasted = 3 if has_references(block) else 0  # pictures whose object or ground was exchanged
    parts = [slice(start, start + BATCH) for start in range(0, len(index), BATCH)]

    def one() -> None:
        for at in parts:
            input_gradients(inlet.run, first.images[at], [rows[at]])

    def passes() -> None:
        for at in parts:
            for _ in range(1 + pasted):
                inlet.run(first.images[at])
            input_gradients(inlet.run, first.images[at], [rows[at]] * targets)
            for _ in range(draws):
                input_gradients(inlet.run, first.images[at], [rows[at]])

    fresh = iter([view_of(model, inlet, block, index) for _ in range(REPEATS)])
    single, needed, suite = fastest(one, passes, lambda: SUITE.observe(SUITE.config, next(fresh)))
    print(
        f"{name}, {block.role}: one pass {1e3 * single / len(index):.2f} ms an image; suite {suite / single:.2f} "
        f"passes, needs {needed / single:.2f}"
    )
    ratio(f"saliency_{name}/{block.role}", suite / needed, "the bare passes that it needs")


def fastest(*calls: Callable[[], object]) -> list[float]:
    """Processor seconds of each call, the fastest of a few rounds in which they take turns."""
    rounds = [[_seconds(call) for call in calls] for _ in range(REPEATS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    choices = ("cost", "world", "spill", "conflict")
    parser.add_argument("what", nargs="?", choices=choices, default="cost")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--images", type=int, default=32, help="images whose cost is measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_pages()  # as every run does
    if given.what == "cost":
        cost(given.model, given.images)
    else:
        {"world": world, "spill": spill, "conflict": conflict}[given.what](given.model)


if __name__ == "__main__":
    main()
