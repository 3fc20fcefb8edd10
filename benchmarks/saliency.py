"""Cost of the saliency suite over that of the forward and backward passes that it needs.

    python benchmarks/saliency.py [--model NAME ...] [--images 32]

One torch thread; processor time.
"""

import argparse
from functools import partial

import numpy as np
import torch
from ratios import by_turns, cpu, ratio

from benchmark.contracts import Block
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import TunedModel, feed
from benchmark.engine.model_view import NetworkView
from benchmark.stimuli.catalogue import stimuli_folder
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.loading import load_network
from registry.model import LoadedModel
from suites.saliency import SUITE
from suites.saliency.config import BOARDS, has_board
from suites.saliency.maps.gradients import input_gradients, membership, target_rows

BATCH = 16


def loaded(name: str) -> LoadedModel:
    """A card's network."""
    settings = read_settings()
    return load_network(read_cards(settings.cards)[name], settings.place)


def view_of(model: LoadedModel, inlet: TunedModel, block: Block, index: np.ndarray) -> NetworkView:
    """Some images of a block."""
    images = model.prepare([block.stimuli.decode(int(i)) for i in index], block.presentation)
    grouping = model.labels.groupings[block.stimuli.space]
    return NetworkView(feed=inlet, block=block, index=index, pixels=images, grouping=grouping, seed=0, batch=BATCH)


def cost(models: list[str], images: int) -> None:
    """Processor time of the suite over that of the passes it needs."""
    there = stimuli_folder("cue-conflict", read_settings()) is not None
    for name in models or ["world-standard-0", *(["efficientnet-lite0"] if there else [])]:
        model = loaded(name)
        space = next(space for space in SUITE.spaces if space in model.labels.groupings)
        for block in SUITE.plan(SUITE.config, Resolver(space, read_settings(), None)).blocks:
            block_cost(name, model, block, images)


def block_cost(name: str, model: LoadedModel, block: Block, images: int) -> None:
    """The suite on a few batches over the passes that it needs: an answer, a gradient per target, SmoothGrad."""
    index = np.arange(min(images, len(block.stimuli)))
    inlet = feed(model, Tuning(BATCH), device="cpu")
    first = view_of(model, inlet, block, index)
    table = membership(first.outputs, first.logits.shape[1])
    rows = target_rows(table, first.categories, first.labels["category"])
    targets = 1 + (block.role == "cue-conflict")
    draws = SUITE.config.draws if has_board(block) else 0
    pasted = 2 if block.role in BOARDS else 0  # pictures whose object or ground was exchanged

    def passes() -> None:
        for at in (slice(start, start + BATCH) for start in range(0, len(index), BATCH)):
            for _ in range(1 + pasted):
                inlet.run(first.images[at])
            input_gradients(inlet.run, first.images[at], [rows[at]] * targets)
            for _ in range(draws):
                input_gradients(inlet.run, first.images[at], [rows[at]])

    def suite() -> float:
        view = view_of(model, inlet, block, index)
        return cpu(lambda: SUITE.observe(SUITE.config, view))

    rounds = by_turns([partial(cpu, passes), suite])
    ratio(f"saliency_{name}/{block.role}", float(np.median(rounds[:, 1] / rounds[:, 0])), "the passes that it needs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--images", type=int, default=32, help="images whose cost is measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cost(given.model, given.images)


if __name__ == "__main__":
    main()
