"""What `bench run` costs beside a bare loop of forward passes over the same images.

The baseline is the loop that nobody can beat: the same tuned module, the same layout and batch, the images
preloaded as tensors in memory. Both sides alternate in one process; the harness side decodes, presents, decides,
checks near-ties, stores every trial and scores. Process CPU time and wall time; ratios, no absolute times. A run loads,
folds and checks its network once, which 640 images show and 50,000 do not: `overhead_loop` is of further images alone.

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
from pathlib import Path

import torch
from ratios import needs, ratio

from benchmark import api
from benchmark.contracts import Policy
from benchmark.engine import tuning
from benchmark.engine.device import keep_pages, numerics
from benchmark.engine.running import RunOptions, execute
from benchmark.settings import Settings
from benchmark.stimuli.places import locate
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard
from registry.load import load_model
from registry.model import LoadedModel

Seconds = tuple[float, float]  # (process CPU, wall)


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


def bare_loop(run: Callable[[torch.Tensor], torch.Tensor], batches: list[torch.Tensor]) -> None:
    """Forward passes and nothing else."""
    with torch.inference_mode():
        for images in batches:
            run(images)


def harness(prepared: api.Prepared, settings: Settings) -> None:
    """One whole run into a fresh leaderboard."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(str(Path(folder) / "results.db")) as store,
    ):
        report = execute(prepared.tasks, store, settings, RunOptions("cpu", Policy()), api.Silent())
        if report.counts["done"] != len(prepared.tasks):
            raise SystemExit(f"the run did not do everything: {report}")


#: A process that imports, opens everything, plans, loads and shows the network its first images.
OURS = """
from benchmark import api
from benchmark.variables import read_settings
settings = read_settings()
request = api.RunRequest(models="{model}", suites="cue-conflict", limit=16)
task = api.prepare(request, settings).tasks[0]
from registry.load import load_model
model = load_model(task.card, weights_folder=settings.weights, mirror=settings.mirror, caches=settings.caches)
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


def compared(rounds: Sequence[tuple[Seconds, ...]]) -> None:
    """Both sides with all images and with few, the fastest round of each: what else runs only adds to them."""
    for name, i in (("cpu", 0), ("wall", 1)):
        bare, ours, less, fewer = (
            min(turn[i] for turn in side) for side in zip(*rounds, strict=True)
        )
        ratio(f"overhead_{name}", ours / bare, "bare loop, preloaded, same layout and batch")
        baseline = "bare loop, further images: without loading, checking and scoring once"
        ratio(f"overhead_loop_{name}", (ours - fewer) / (bare - less), baseline)


def layouts(model: LoadedModel, chosen: tuning.Tuning) -> None:
    """How well form and batch are chosen: the network as it was loaded, as one would feed it, against the tuned one."""
    run = tuning.feed(model, chosen, device="cpu").run
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


def _per_image(model: LoadedModel, run: tuning.Run, batch: int) -> float:
    images = tuning.example(model, batch)
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
        for limit in (ARGS.limit, max(1, ARGS.limit // 4))
    )
    if not prepared.tasks[0].plan.blocks:
        needs(f"other stimuli: {prepared.tasks[0].reason}")
    model = load_model(prepared.tasks[0].card, weights_folder=settings.weights)
    chosen = tuning.tune(model, "cpu", settings.tuning)
    run = tuning.feed(model, chosen, device="cpu").run
    torch.set_num_threads(chosen.threads)
    batches, short = preload(prepared, chosen.batch), preload(few, chosen.batch)
    print(f"{ARGS.model}: {sum(len(b) for b in batches)} images, {chosen}")
    rounds: list[tuple[Seconds, ...]] = []
    with numerics(Policy()):
        for _ in range(ARGS.rounds):
            torch.set_num_threads(chosen.threads)
            bare = timed(lambda: bare_loop(run, batches))
            ours = timed(lambda: harness(prepared, settings))
            torch.set_num_threads(chosen.threads)
            less = timed(lambda: bare_loop(run, short))
            rounds.append((bare, ours, less, timed(lambda: harness(few, settings))))
    compared(rounds)
    layouts(model, chosen)
    startup(model.card)
    print(
        f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


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
