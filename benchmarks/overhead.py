"""What `bench run` costs beside a bare loop of forward passes over the same images.

`overhead`: the loop that nobody can beat, the images preloaded as tensors in memory, against a run that finds the set
decoded, as every run but the first does; with the same tuned module, layout and batch, by turns in one process. The
harness side presents, decides, checks near-ties, shows images again, stores every trial and scores. Process CPU time
and wall time. A run loads, folds and checks its network once, which 640 images show and 50,000 do not: `..._loop` is of
further images alone, the difference between many images and few on both sides. `overhead_startup` is of a process up to
its first batch, against `import torch, timm; create_model; forward`.

With `--photographs FOLDER` (of folders of JPEG files) other numbers: a run over at most 500 of them, of odd sizes,
against a loop that opens, resizes, crops and forwards them (`overhead_photographs`); and a device that takes .2 ms an
image and no processor, fed by one decoder and by one per core: images per second, how much more the second gives
(`decoders_scaling`), and what share that is of decoding and resizing alone (`decoders_of_bound`).

    python benchmarks/overhead.py [--model NAME] [--rounds 2] [--limit 320] [--photographs FOLDER]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import needs, ratio
from torchvision import transforms

from benchmark import api
from benchmark.contracts import Array, Block, Plan, Policy, Stimuli, Suite, View
from benchmark.engine import devices
from benchmark.engine.devices import numerics
from benchmark.engine.plan import Task
from benchmark.engine.run import RunOptions, execute
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import locate
from benchmark.stimuli.datasets import Picked
from benchmark.stimuli.image_files import FileImages, file_digests, set_digest
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard, read_cards
from registry.loading import load_model
from registry.model import LoadedModel

Seconds = tuple[float, float]  # (process CPU, wall)
Run = Callable[[torch.Tensor], torch.Tensor]
FEW = 8  # stimuli per set, where only what is done once is to be seen


def timed(work: Callable[[], object], threads: int) -> Seconds:
    torch.set_num_threads(threads)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def images_of(prepared: api.Prepared) -> list[tuple[Callable[[int], np.ndarray], int]]:
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


def reading_loop(run: Run, files: Sequence[Path], batch: int, model: LoadedModel) -> None:
    """Forward passes over images that are read from their files and resized for a model, in the plainest way."""
    how = model.preprocess
    resize = transforms.Resize(how.resize, transforms.InterpolationMode(how.interpolation))
    fit = transforms.Compose([resize, transforms.CenterCrop(how.size)])
    with torch.inference_mode():
        for start in range(0, len(files), batch):
            opened = [fit(Image.open(file).convert("RGB")) for file in files[start : start + batch]]
            pixels = np.stack([np.asarray(image) for image in opened])
            run(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255))


def harness(prepared: api.Prepared, settings: Settings) -> None:
    """One whole run into a fresh leaderboard."""
    with tempfile.TemporaryDirectory() as folder, open_store(str(Path(folder) / "results.db")) as store:
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
        print(f"startup: {card.name} is no network of timm, so there is no bare script beside it")
        return
    bare = BARE.format(arch=card.arch.removeprefix("timm:"), size=card.preprocess.size)
    codes = (OURS.format(model=card.name), bare)
    with tempfile.TemporaryDirectory() as folder:
        rounds = [[process(code, folder) for code in codes] for _ in range(4)][1:]
    ours, other = (min(turns) for turns in zip(*rounds, strict=True))
    for name, i in (("cpu", 0), ("wall", 1)):
        baseline = "import torch, timm; create_model; forward; both from the start of the process"
        ratio(f"overhead_startup_{name}", ours[i] / other[i], baseline)


def process(code: str, compiled: str) -> Seconds:
    """CPU and wall seconds of a process; what it imports is kept compiled in a folder."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def compared(name: str, baseline: str, rounds: Sequence[Sequence[Seconds]]) -> None:
    """Both sides with all images and with few, the fastest round of each: what else runs only adds to them."""
    for clock, i in (("cpu", 0), ("wall", 1)):
        bare, ours, less, fewer = (min(turn[i] for turn in side) for side in zip(*rounds, strict=True))
        ratio(f"{name}_{clock}", ours / bare, baseline)
        further = f"{baseline}; further images: without loading, checking and scoring once"
        ratio(f"{name}_loop_{clock}", (ours - fewer) / (bare - less), further)


class Idle(torch.nn.Module):
    """A network on a device beside the processor, .2 ms an image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(2e-4 * len(images))
        return 9 * torch.eye(1000)[:1].expand(len(images), -1)


def planned(files: Sequence[Path], settings: Settings) -> Plan:
    items = file_digests(files, files[0].parents[1], settings)
    ids = tuple(f"{number}-{file.name}" for number, file in enumerate(files))
    labels = {"category": np.array([file.parent.name for file in files])}
    digest, decode = set_digest(ids, items, labels), FileImages(files, "", items)
    stimuli = Stimuli("photographs", digest, "imagenet1k", ids, items, labels, decode)
    return Plan((Block(stimuli, presentation="card", role="photographs"),))


def photographs(folder: Path, model: LoadedModel, rounds: int, settings: Settings) -> None:
    files = sorted(folder.glob("*/*.JP*G"))[:500] or needs(f"JPEG files in folders of {folder}")
    once, often = planned(files, settings), planned(files * 4, settings)
    decode, many = often.blocks[0].stimuli.decode, len(files) * 4

    def observe(_config: object, view: View) -> dict[str, Array]:
        return {"response": view.responses}

    suite = Suite("shown", 1, "", "decisions", (), lambda *_: once, observe, lambda *_: [])
    idle = {"source": "python", "arch": "python:overhead:Idle", "weights": None, "sha256": None, "options": {}}

    def shown(card: ModelCard, plan: Plan, decoders: int) -> None:
        with tempfile.TemporaryDirectory() as place, open_store(str(Path(place) / "results.db")) as store:
            how = RunOptions("cpu", Policy(), decoders=decoders)
            if failed := execute([Task(card, suite, "imagenet1k", plan)], store, settings, how, api.Silent()).failed:
                raise SystemExit(failed)

    def alone(decoders: int) -> None:
        with ThreadPoolExecutor(decoders) as pool:
            for at in range(0, many, 256):
                images = list(pool.map(decode, range(at, min(at + 256, many))))
                model.present(images, "card", pool.map)

    device, most = model.card.model_copy(update=idle), devices.processors()
    chosen = devices.tune(model, "cpu", settings.tuning)
    run = devices.feed(model, chosen, device="cpu").run
    loop = partial(reading_loop, run, files, chosen.batch, model)
    fed = (partial(shown, device, often, decoders) for decoders in (1, most))
    calls = [loop, partial(shown, model.card, once, most), *fed, partial(alone, most)]
    with numerics(Policy()):
        times = [[timed(call, chosen.threads) for call in calls] for _ in range(rounds)]
    clocks = ([min(turn[clock] for turn in side) for side in zip(*times, strict=True)] for clock in (0, 1))
    (bare, ours, *_), (_, _, one, several, bound) = clocks
    ratio("overhead_photographs_cpu", ours / bare, "a loop that opens, resizes, crops and forwards them")
    ratio("decoders_scaling", one / several, f"one decoder against {most}; {many / several:.0f} images/s")
    ratio("decoders_of_bound", bound / several, f"of decoding and resizing alone, {many / bound:.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = locate("cue-conflict", read_settings()) is not None
    default = "efficientnet-lite0" if there else "world-standard-0"
    parser.add_argument("--model", default=default, help=f"default here: {default}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=320, help="stimuli per set")
    parser.add_argument("--photographs", type=Path, help="a folder of folders of JPEG files")
    args = parser.parse_args()
    settings = read_settings()
    if args.photographs:
        card = read_cards(settings.cards)[args.model]
        photographs(args.photographs, load_model(card, settings.place), args.rounds, settings)
        return
    asked = {"models": args.model, "suites": "cue-conflict"}
    plans = [api.prepare(api.RunRequest(**asked, limit=limit), settings) for limit in (args.limit, FEW)]
    if not plans[0].tasks[0].plan.blocks:
        needs(f"other stimuli: {plans[0].tasks[0].reason}")
    model = load_model(plans[0].tasks[0].card, settings.place)
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
    with numerics(Policy()):
        rounds = [[timed(call, chosen.threads) for call in calls] for _ in range(args.rounds)]
    compared("overhead", "bare loop, preloaded, same layout and batch", rounds)
    startup(model.card)


if __name__ == "__main__":
    main()
