"""Do several networks in one run share decoding and corruption? The cost of a sweep beside what it cannot do without.

Baseline: one corruption pass (decode, resize, crop, every corruption once) and a bare forward pass of each network over
all corrupted images, preloaded, in the same tuned form and batch. The run: the real engine with loading, views, storing
and scoring, into a fresh leaderboard. Process CPU time, both sides alternating in one process; prints RATIO lines.

    python benchmarks/corruption_models.py
    BENCH_DATA=FOLDER python benchmarks/corruption_models.py --models efficientnet-lite0,efficientnet-lite1
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from ratios import needs, ratio

from benchmark import api
from benchmark.contracts import Block, Policy
from benchmark.engine import devices
from benchmark.engine.devices import keep_pages, numerics
from benchmark.engine.model_view import unit
from benchmark.engine.plan import Task
from benchmark.engine.run import RunOptions, execute
from benchmark.settings import Settings
from benchmark.stimuli.datasets import seeds_of
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.loading import load_model
from registry.model import LoadedModel


def seconds(work: Callable[[], object]) -> float:
    """Process CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def corrupted(blocks: Sequence[Block], model: LoadedModel) -> list[torch.Tensor]:
    """Every block's images as networks are shown them: decoded and cropped once."""
    stimuli, how = blocks[0].stimuli, blocks[0].presentation
    pixels = model.present([stimuli.decode(i) for i in range(len(stimuli))], how)
    seeds = seeds_of(stimuli, np.arange(len(stimuli)), 0)
    made = []
    for block in blocks:
        change = block.transform
        given = pixels if change is None or change.stored else unit(pixels)
        made.append(given if change is None else change.apply(given, seeds))
    return made


def bare(feed: devices.TunedModel, shown: Sequence[torch.Tensor]) -> None:
    """Forward passes and nothing else."""
    torch.set_num_threads(feed.tuning.threads)
    with torch.inference_mode():
        for images in shown:
            for part in images.split(feed.tuning.batch):
                feed.run(part)


def whole(tasks: Sequence[Task], settings: Settings) -> None:
    """One run through the engine into a fresh leaderboard."""
    with tempfile.TemporaryDirectory() as folder, open_store(f"{folder}/results.db") as store:
        report = execute(tasks, store, settings, RunOptions("cpu", Policy()), api.Silent())
        if report.counts["done"] != len(tasks):
            raise SystemExit(f"the run did not do everything: {report}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="world-standard-0,world-stylised-0,world-adversarial-0")
    parser.add_argument("--suite", default="corruption")
    parser.add_argument("--limit", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    keep_pages()
    settings = read_settings()
    request = api.RunRequest(models=args.models, suites=args.suite, limit=args.limit)
    tasks = api.prepare(request, settings).tasks
    if missing := [task for task in tasks if not task.plan.blocks]:
        needs(f"other stimuli: {missing[0].card.name}: {missing[0].reason}")
    blocks = tasks[0].plan.blocks
    models = [load_model(task.card, settings.place) for task in tasks]
    chosen = [
        devices.tune(model, "cpu", settings.tuning) for model in models
    ]  # remembered for the run
    feeds = [devices.feed(m, one, device="cpu") for m, one in zip(models, chosen, strict=True)]
    images = [unit(part) for part in corrupted(blocks, models[0])]
    print(f"{len(models)} networks, {len(blocks)} conditions x {len(blocks[0].stimuli)} images")
    ratios = []
    with numerics(Policy()):
        for _ in range(args.rounds):
            torch.set_num_threads(chosen[0].threads)
            once = seconds(lambda: corrupted(blocks, models[0]))
            passes = [seconds(lambda feed=feed: bare(feed, images)) for feed in feeds]
            taken = seconds(lambda: whole(tasks, settings))
            ratios.append(taken / (once + sum(passes)))
            forward = ", ".join(f"{one:.1f}" for one in passes)
            print(
                f"corruption {once:.1f} s, forward {forward} s, run {taken:.1f} s: {ratios[-1]:.3f}"
            )
    spread = f"{min(ratios):.3f} ... {max(ratios):.3f}"
    baseline = (
        f"one corruption pass and the bare forward passes of {len(models)} networks; {spread}"
    )
    ratio("corruption_run", statistics.median(ratios), baseline)


if __name__ == "__main__":
    main()
