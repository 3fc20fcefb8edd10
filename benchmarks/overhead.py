"""What `bench run` costs beside a bare loop of forward passes over the same images.

`overhead`: a loop over images that lie in memory as tensors, against a run that finds the set decoded, as every run but
the first does; with the same tuned module, layout and batch, by turns in one process. Process CPU time. The harness
side also decides, checks near-ties, shows images again, stores every trial and scores. It loads, folds and checks its
network once: `..._loop` is of further images alone, the difference between many images and few on both sides.

    python benchmarks/overhead.py [--model NAME] [--limit 320]
"""

import argparse
import gc
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.variables import THREADS, set_defaults

set_defaults(*THREADS)  # as `bench` does before torch is loaded: threads that wait sleep
import torch
from ratios import by_turns, cpu, needs, ratio

from benchmark import api
from benchmark.contracts import Policy
from benchmark.engine import devices
from benchmark.engine.devices import numerics
from benchmark.engine.run import RunOptions, execute_tasks
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import stimuli_folder
from benchmark.stimuli.datasets import Picked
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.loading import load_network

Run = Callable[[torch.Tensor], torch.Tensor]
FEW = 8  # stimuli per set, where only what is done once is to be seen


def images_of(prepared: api.RunPlan) -> list[tuple[Callable[[int], np.ndarray], int]]:
    """Every image of the plan: what decodes it, and its number there."""
    found = []
    for block in (block for task in prepared.tasks for block in task.plan.blocks):
        for i in range(len(block.stimuli)):
            decode, at = block.stimuli.decode, i
            while isinstance(decode, Picked):
                decode, at = decode.source, decode.index[at]
            found.append((decode, at))
    return found


def bare_loop(run: Run, batches: list[torch.Tensor]) -> None:
    """Forward passes and nothing else."""
    with torch.inference_mode():
        for images in batches:
            run(images)


def harness(prepared: api.RunPlan, settings: Settings) -> None:
    """One whole run into a fresh leaderboard."""
    with tempfile.TemporaryDirectory() as folder, open_store(str(Path(folder) / "results.db")) as store:
        report = execute_tasks(prepared.tasks, store, settings, RunOptions(device="cpu", policy=Policy()), api.Silent())
        if report.counts["done"] != len(prepared.tasks):
            raise SystemExit(f"the run did not do everything: {report}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = stimuli_folder("cue-conflict", read_settings()) is not None
    default = "efficientnet-lite0" if there else "world-standard-0"
    parser.add_argument("--model", default=default, help=f"default here: {default}")
    parser.add_argument("--limit", type=int, default=320, help="stimuli per set")
    args = parser.parse_args()
    settings = read_settings()
    asked = {"models": args.model, "suites": "cue-conflict"}
    plans = [api.prepare(api.RunRequest(**asked, limit=limit), settings) for limit in (args.limit, FEW)]
    if not plans[0].tasks[0].plan.blocks:
        needs(f"other stimuli: {plans[0].tasks[0].reason}")
    model = load_network(plans[0].tasks[0].card, settings.place)
    chosen = devices.tune(model, "cpu", settings.tuning)
    run = devices.feed(model, chosen, device="cpu").run
    calls: list[Callable[[], None]] = []
    for plan in plans:
        images = images_of(plan)
        print(f"{args.model}: {len(images)} images, {chosen}")
        pixels = torch.stack([torch.from_numpy(decode(at)) for decode, at in images])
        stacked = pixels.permute(0, 3, 1, 2).float().div_(255)
        batches = list(stacked.contiguous(memory_format=torch.channels_last).split(chosen.batch))
        calls += [partial(bare_loop, run, batches), partial(harness, plan, settings)]
        harness(plan, settings)  # its images are decoded or drawn
    torch.set_num_threads(chosen.threads)
    gc.set_threshold(200_000, 10, 10)  # as `bench` does, whose process has no garbage of others
    with numerics(Policy()):
        bare, ours, less, fewer = by_turns([partial(cpu, call, gc.collect) for call in calls], 120).T
    baseline = "bare loop, preloaded, same layout and batch"
    ratio("overhead_cpu", float(np.median(ours / bare)), baseline)
    further = float(np.median(ours - fewer) / np.median(bare - less))
    ratio("overhead_loop_cpu", further, f"{baseline}; further images: without loading, checking and scoring once")
    print(f"seconds beside the loop: {np.median(ours - bare):.2f}; {len(bare)} rounds")


if __name__ == "__main__":
    main()
