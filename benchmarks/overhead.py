"""What `bench run` costs beside a bare loop of forward passes over the same images.

`overhead`: the loop that nobody can beat, the images preloaded as tensors in memory, against a run that finds the set
decoded, as every run but the first does; with the same tuned module, layout and batch, by turns in one process. The
harness side presents, decides, checks near-ties, shows images again, stores every trial and scores. Process CPU time
and wall time. A run loads, folds and checks its network once, which 640 images show and 50,000 do not: `..._loop` is of
further images alone, the difference between many images and few on both sides.

With `--photographs FOLDER` (of folders of JPEG files) other numbers: a run over at most 500 of them, enlarged, against
a loop that opens, resizes, crops and forwards them (`overhead_photographs`); and a device that takes .2 ms an image and
no processor, fed by one decoder and by one per core: images per second, how much more the second gives
(`decoders_scaling`), and what share that is of decoding and resizing alone (`decoders_of_bound`).

    python benchmarks/overhead.py [--model NAME] [--rounds 2] [--limit 320] [--photographs FOLDER]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from ratios import needs, ratio
from torchvision import transforms

from benchmark import api
from benchmark.contracts import Array, Block, Plan, Policy, Stimuli, Suite, View
from benchmark.engine import device_choice, devices
from benchmark.engine.devices import numerics
from benchmark.engine.run import RunOptions, execute_tasks
from benchmark.engine.tasks import Task
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import stimuli_folder
from benchmark.stimuli.datasets import Picked
from benchmark.stimuli.image_files import FileImages, file_digests, set_digest
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard, read_cards
from registry.loading import load_network
from registry.model import LoadedModel

Seconds = tuple[float, float]  # (process CPU, wall)
Run = Callable[[torch.Tensor], torch.Tensor]
FEW = 8  # stimuli per set, where only what is done once is to be seen


def timed(work: Callable[[], object], threads: int) -> Seconds:
    torch.set_num_threads(threads)
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


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


def harness(prepared: api.RunPlan, settings: Settings) -> None:
    """One whole run into a fresh leaderboard."""
    with tempfile.TemporaryDirectory() as folder, open_store(str(Path(folder) / "results.db")) as store:
        report = execute_tasks(prepared.tasks, store, settings, RunOptions(device="cpu", policy=Policy()), api.Silent())
        if report.counts["done"] != len(prepared.tasks):
            raise SystemExit(f"the run did not do everything: {report}")


def compared(name: str, baseline: str, rounds: Sequence[Sequence[Seconds]]) -> None:
    """Both sides with all images and with few, the fastest round of each: what else runs only adds to them."""
    for clock, i in (("cpu", 0), ("wall", 1)):
        bare, ours, less, fewer = (min(turn[i] for turn in side) for side in zip(*rounds, strict=True))
        ratio(f"{name}_{clock}", ours / bare, baseline)
        further = f"{baseline}; further images: without loading, checking and scoring once"
        ratio(f"{name}_loop_{clock}", (ours - fewer) / (bare - less), further)


class Idle(torch.nn.Module):
    """A network on a device beside the processor, .2 ms an image. The device is torch's "meta", whose tensors have
    shapes and no numbers: what it would do to them costs the processor nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(2e-4 * len(images))
        return torch.linspace(0, 9, 1000).expand(len(images), -1)


def planned(files: Sequence[Path], settings: Settings) -> Plan:
    items = file_digests(files, files[0].parents[1], settings)
    ids = tuple(f"{number}-{file.name}" for number, file in enumerate(files))
    labels = {"category": np.array([file.parent.name for file in files])}
    digest, decode = set_digest(ids, items, labels), FileImages(files=files, remedy="", digests=items)
    stimuli = Stimuli(
        name="photographs", digest=digest, space="imagenet1k", ids=ids, items=items, labels=labels, decode=decode
    )
    return Plan((Block(stimuli=stimuli, presentation="card", role="photographs"),))


def enlarged(files: Sequence[Path], folder: Path) -> list[Path]:
    """Photographs at the size that ImageNet's have, 375 px on the shorter side: what is passed on is often smaller."""
    places = [folder / file.parent.name / file.name for file in files]
    for file, place in zip(files, places, strict=True):
        place.parent.mkdir(exist_ok=True)
        transforms.Resize(375)(Image.open(file).convert("RGB")).save(place, quality=95)
    return places


def photographs(files: Sequence[Path], model: LoadedModel, rounds: int, settings: Settings) -> None:
    once, often = planned(files, settings), planned(files * 16, settings)
    decode, many = often.blocks[0].stimuli.decode, len(files) * 16

    def observe(_config: object, view: View) -> dict[str, Array]:
        return {"response": view.responses}

    suite = Suite(
        name="shown",
        version=1,
        summary="",
        needs="decisions",
        metrics=(),
        plan=lambda *_: once,
        observe=observe,
        score=lambda *_: [],
    )
    idle = {"source": "python", "arch": "python:overhead:Idle", "weights": None, "sha256": None, "options": {}}

    def shown(card: ModelCard, plan: Plan, decoders: int, device: str) -> None:
        with tempfile.TemporaryDirectory() as place, open_store(str(Path(place) / "results.db")) as store:
            how = RunOptions(device=device, policy=Policy(), decoders=decoders)
            if failed := execute_tasks(
                [Task(card=card, suite=suite, space="imagenet1k", plan=plan)], store, settings, how, api.Silent()
            ).failed:
                raise SystemExit(failed)

    def alone(decoders: int) -> None:
        with ThreadPoolExecutor(decoders) as pool:
            for at in range(0, many, 256):
                images = list(pool.map(decode, range(at, min(at + 256, many))))
                model.present(images, "card", pool.map)

    elsewhere, most = model.card.model_copy(update=idle), device_choice.cores()
    torch._register_device_module("meta", SimpleNamespace())
    chosen = devices.tune(model, "cpu", settings.tuning)
    run = devices.feed(model, chosen, device="cpu").run
    loop = partial(reading_loop, run, files, chosen.batch, model)
    fed = (partial(shown, elsewhere, often, decoders, "meta") for decoders in (1, most))
    calls = [loop, partial(shown, model.card, once, most, "cpu"), *fed, partial(alone, most)]
    # "meta" has no autocast, not even one that is off
    with numerics(Policy()), patch("torch.autocast", lambda *_, **__: nullcontext()):
        times = [[timed(call, chosen.threads) for call in calls] for _ in range(rounds)]
    clocks = ([min(turn[clock] for turn in side) for side in zip(*times, strict=True)] for clock in (0, 1))
    (bare, ours, *_), (_, _, one, several, bound) = clocks
    ratio("overhead_photographs_cpu", ours / bare, "a loop that opens, resizes, crops and forwards them")
    ratio("decoders_scaling", one / several, f"one decoder against {most}; {many / several:.0f} images/s")
    ratio("decoders_of_bound", bound / several, f"of decoding and resizing alone, {many / bound:.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = stimuli_folder("cue-conflict", read_settings()) is not None
    default = "efficientnet-lite0" if there else "world-standard-0"
    parser.add_argument("--model", default=default, help=f"default here: {default}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=320, help="stimuli per set")
    parser.add_argument("--photographs", type=Path, help="a folder of folders of JPEG files")
    args = parser.parse_args()
    settings = read_settings()
    if args.photographs:
        card = read_cards(settings.cards)[args.model]
        files = sorted(args.photographs.glob("*/*.JP*G"))[:500] or needs(f"JPEG files in folders of {args.photographs}")
        with tempfile.TemporaryDirectory() as folder:
            photographs(enlarged(files, Path(folder)), load_network(card, settings.place), args.rounds, settings)
        return
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
    with numerics(Policy()):
        rounds = [[timed(call, chosen.threads) for call in calls] for _ in range(args.rounds)]
    compared("overhead", "bare loop, preloaded, same layout and batch", rounds)


if __name__ == "__main__":
    main()
