"""What `bench run` costs beside a bare loop of forward passes over the same images.

Two baselines, both with the same tuned module, layout and batch, each by turns with the harness in one process:

- `overhead`: the loop that nobody can beat, the images preloaded as tensors in memory, against a run that finds the
  set decoded, as every run but the first does;
- `overhead_reading`: the loop as one writes it, each image opened, decoded and stacked when its batch is due, against a
  run that finds nothing decoded. It checks the bytes of every file, too, and keeps the pixels for the next run.

A third figure, `overhead_within`, is of runs alone: what they cost beside their forward passes, over these.

The harness side presents, decides, checks near-ties, shows images again, stores every trial and scores. Process CPU
time and wall time; ratios, no absolute times. A run loads, folds and checks its network once, which 640 images show
and 50,000 do not: `..._loop` is of further images alone, the difference between many images and few on both sides.

    python benchmarks/overhead.py [--model NAME] [--rounds 2] [--limit 320]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from ratios import needs, ratio

from benchmark import api
from benchmark.contracts import Policy
from benchmark.engine import devices
from benchmark.engine.devices import keep_pages, numerics
from benchmark.engine.run import RunOptions, execute
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import locate
from benchmark.stimuli.image_files import FileImages, Picked
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard
from registry.loading import load_model
from registry.model import LoadedModel

Seconds = tuple[float, float]  # (process CPU, wall)
Run = Callable[[torch.Tensor], torch.Tensor]
FEW = 8  # stimuli per set, where only what is done once is to be seen


def timed(work: Callable[[], object]) -> Seconds:
    """CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def preload(prepared: api.Prepared, batch: int) -> list[torch.Tensor]:
    """Every image of the plan as normalisable batches in memory, in the tuned layout."""
    images = [
        torch.from_numpy(block.stimuli.decode(i)).permute(2, 0, 1).float() / 255
        for task in prepared.tasks
        for block in task.plan.blocks
        for i in range(len(block.stimuli))
    ]
    return list(torch.stack(images).contiguous(memory_format=torch.channels_last).split(batch))


def files_of(prepared: api.Prepared) -> list[Path]:
    """The file of every image of the plan; none where a set is drawn and not read."""
    found = []
    for task in prepared.tasks:
        for block in task.plan.blocks:
            for i in range(len(block.stimuli)):
                decode, at = block.stimuli.decode, i
                while isinstance(decode, Picked):
                    decode, at = decode.source, decode.index[at]
                if not isinstance(decode, FileImages):
                    return []
                found.append(decode.paths[at])
    return found


def bare_loop(run: Run, batches: list[torch.Tensor]) -> None:
    """Forward passes and nothing else."""
    with torch.inference_mode():
        for images in batches:
            run(images)


def reading_loop(run: Run, files: Sequence[Path], batch: int) -> None:
    """Forward passes over images that are read from their files, in the plainest way."""
    with torch.inference_mode():
        for start in range(0, len(files), batch):
            pixels = np.stack([read(file) for file in files[start : start + batch]])
            run(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255))


def read(file: Path) -> NDArray[np.uint8]:
    """HWC uint8 RGB."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def harness(prepared: api.Prepared, settings: Settings, *, first: bool = False) -> None:
    """One whole run into a fresh leaderboard. first: it finds no images decoded."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if first:
            stack.enter_context(mock.patch.object(Settings, "decoded", Path(folder) / "decoded"))
        store = stack.enter_context(open_store(str(Path(folder) / "results.db")))
        report = execute(prepared.tasks, store, settings, RunOptions("cpu", Policy()), api.Silent())
        if report.counts["done"] != len(prepared.tasks):
            raise SystemExit(f"the run did not do everything: {report}")


def accounted(prepared: api.Prepared, settings: Settings) -> tuple[float, float]:
    """CPU seconds of one run beside the forward passes that its images need, and in these."""
    spent, shown, feed = 0.0, 0, devices.feed

    def fed(*args: Any, **options: Any) -> devices.TunedModel:
        tuned = feed(*args, **options)

        def run(images: torch.Tensor) -> torch.Tensor:
            nonlocal spent, shown
            start = time.process_time()
            logits = tuned.run(images)
            spent, shown = spent + time.process_time() - start, shown + len(images)
            return logits

        return replace(tuned, run=run)

    with mock.patch.object(devices, "feed", fed):
        whole, _ = timed(lambda: harness(prepared, settings))
    count = sum(len(block.stimuli) for task in prepared.tasks for block in task.plan.blocks)
    passes = spent * count / shown  # the check at loading is no part of them
    return whole - passes, passes


#: A process that imports, opens everything, plans, loads and shows the network its first images.
OURS = """
from benchmark import api
from benchmark.variables import read_settings
settings = read_settings()
request = api.RunRequest(models="{model}", suites="cue-conflict", limit=16)
task = api.prepare(request, settings).tasks[0]
from registry.loading import load_model
model = load_model(task.card, settings.place)
import torch
block = task.plan.blocks[0]
images = model.prepare([block.stimuli.decode(i) for i in range(8)], block.presentation)
with torch.inference_mode():
    model.forward(images.float() / 255 if images.dtype == torch.uint8 else images)
"""
#: What anybody would write, without weights, stimuli, or a plan.
BARE = """
import torch, timm
model = timm.create_model("{arch}").eval()
with torch.inference_mode():
    model(torch.zeros(8, 3, {size}, {size}))
"""


def startup(card: ModelCard) -> None:
    """A process up to its first batch, ours and the bare script's by turns."""
    if not card.arch.startswith("timm:") or card.preprocess is None:
        print(
            f"startup: {card.name} is no network of timm, so there is no bare script to hold it against"
        )
        return
    codes = (
        OURS.format(model=card.name),
        BARE.format(arch=card.arch.removeprefix("timm:"), size=card.preprocess.size),
    )
    with tempfile.TemporaryDirectory() as folder:
        runs = [[process(code, folder) for code in codes] for _ in range(4)][1:]
    ours, bare = (min(turns) for turns in zip(*runs, strict=True))
    for name, i in (("cpu", 0), ("wall", 1)):
        baseline = "import torch, timm; create_model; forward; both from the start of the process"
        ratio(f"overhead_startup_{name}", ours[i] / bare[i], baseline)
    print(
        f"startup to the first batch: {ours[0]:.2f} s CPU, {ours[1]:.2f} s wall; bare {bare[0]:.2f}, {bare[1]:.2f}"
    )


def process(code: str, compiled: str) -> Seconds:
    """CPU and wall seconds of a process; what it imports is kept compiled in a folder."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return spent, wall


def compared(name: str, baseline: str, rounds: Sequence[tuple[Seconds, ...]]) -> None:
    """Both sides with all images and with few, the fastest round of each: what else runs only adds to them."""
    for clock, i in (("cpu", 0), ("wall", 1)):
        bare, ours, less, fewer = (
            min(turn[i] for turn in side) for side in zip(*rounds, strict=True)
        )
        ratio(f"{name}_{clock}", ours / bare, baseline)
        further = f"{baseline}; further images: without loading, checking and scoring once"
        ratio(f"{name}_loop_{clock}", (ours - fewer) / (bare - less), further)


def within(rounds: Sequence[tuple[tuple[float, float], ...]]) -> None:
    """A run's cost beside its own passes: both fall into the same seconds, so that other work on the machine, which
    moves turns against one another, moves this least.
    """
    (beside, passes), (once, few) = (
        tuple(min(values) for values in zip(*side, strict=True))
        for side in zip(*rounds, strict=True)
    )
    baseline = "its own forward passes, timed within the run"
    ratio("overhead_within_cpu", 1 + beside / passes, baseline)
    further = f"{baseline}; further images: without loading, checking and scoring once"
    ratio("overhead_within_loop_cpu", 1 + (beside - once) / (passes - few), further)


def layouts(model: LoadedModel, chosen: devices.Tuning) -> None:
    """How well form and batch are chosen: the network as it was loaded, as one would feed it, against the tuned one."""
    run = devices.feed(model, chosen, device="cpu").run
    with torch.inference_mode():
        tuned, usual = zip(
            *(
                (_per_image(model, run, chosen.batch), _per_image(model, model.forward, 64))
                for _ in range(3)
            ),
            strict=True,
        )
    baseline = "NCHW, batch 64, unfolded, as many threads; CPU time per image"
    ratio("tuned_forward", min(tuned) / min(usual), baseline)


def _per_image(model: LoadedModel, run: devices.Run, batch: int) -> float:
    images = devices.example(model, batch)
    run(images)
    repeats = max(1, 64 // batch)
    return timed(lambda: [run(images) for _ in range(repeats)])[0] / (repeats * batch)


def default_model() -> str:
    """A network whose forward pass is worth timing, where its stimuli are here."""
    there = locate("cue-conflict", read_settings()) is not None
    return "efficientnet-lite0" if there else "world-standard-0"


def main() -> None:
    """Alternate both sides and print the ratios."""
    keep_pages()
    settings = read_settings()
    prepared, few = (
        api.prepare(api.RunRequest(models=ARGS.model, suites="cue-conflict", limit=limit), settings)
        for limit in (ARGS.limit, FEW)
    )
    if not prepared.tasks[0].plan.blocks:
        needs(f"other stimuli: {prepared.tasks[0].reason}")
    model = load_model(prepared.tasks[0].card, settings.place)
    chosen = devices.tune(model, "cpu", settings.tuning)
    run = devices.feed(model, chosen, device="cpu").run
    by_turns(prepared, few, settings, chosen, run)
    layouts(model, chosen)
    startup(model.card)
    print(
        f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


def by_turns(
    prepared: api.Prepared, few: api.Prepared, settings: Settings, chosen: devices.Tuning, run: Run
) -> None:
    """Each baseline and its run, many images and few, in every round."""
    sides: dict[str, list[Callable[[], None]]] = {"overhead": [], "overhead_reading": []}
    plans = (prepared, few)
    for plan in plans:
        preloaded, files = preload(plan, chosen.batch), files_of(plan)
        print(f"{ARGS.model}: {sum(len(b) for b in preloaded)} images, {chosen}")
        sides["overhead"] += [partial(bare_loop, run, preloaded), partial(harness, plan, settings)]
        if files:
            sides["overhead_reading"] += [
                partial(reading_loop, run, files, chosen.batch),
                partial(harness, plan, settings, first=True),
            ]
    for plan in plans:
        harness(plan, settings)  # its images are decoded or drawn
    rounds: dict[str, list[tuple[Seconds, ...]]] = {name: [] for name in sides}
    with numerics(Policy()):
        for _ in range(ARGS.rounds):
            for name, calls in sides.items():
                rounds[name].append(tuple(map(turn, repeat(chosen.threads), calls)))
    compared("overhead", "bare loop, preloaded, same layout and batch", rounds["overhead"])
    within([tuple(accounted(plan, settings) for plan in plans) for _ in range(ARGS.rounds)])
    if sides["overhead_reading"]:
        reads = "bare loop that opens and decodes its images, same layout and batch"
        compared("overhead_reading", reads, rounds["overhead_reading"])
    else:
        print("overhead_reading: the images of this set are drawn, not read from files")


def turn(threads: int, work: Callable[[], object]) -> Seconds:
    """One call, timed, with so many threads."""
    torch.set_num_threads(threads)
    return timed(work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        help="default: efficientnet-lite0 where the cue-conflict set is on this disk, else world-standard-0, whose "
        "forward passes are so short that the ratio tells of fixed costs",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=320, help="stimuli per set")
    ARGS = parser.parse_args()
    ARGS.model = ARGS.model or default_model()
    main()
