"""What a device does with this program, in about two minutes: its numbers beside the processor's, speed and memory."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmark.api.running import RunRequest, choose_cards, prepare, run_here
from benchmark.contracts import CHUNK, Block, Plan, Suite, Transform
from benchmark.engine import devices
from benchmark.engine.device_choice import choose_devices, cores, make_policy, remembered
from benchmark.engine.inference import InferenceLoop, Job, LoadedObserver
from benchmark.engine.model_view import unit_pixels
from benchmark.engine.reporters import Silent
from benchmark.failures import FAILURES, BenchError, failure_line
from benchmark.identity import environment_record
from benchmark.settings import Settings
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.world.sets import generated_set
from benchmark.store import open_store
from benchmark.transforms.corruptions import CORRUPTIONS
from benchmark.transforms.imagenet_c import corruption
from benchmark.variables import read_settings
from registry.cards import ModelCard
from registry.loading import load_network

#: What is run on the device and on the processor, and how far scores may be apart.
RUN = RunRequest(models="world-standard-0", suites="cue-conflict,corruption:quick,saliency", limit=8)
APART = 1e-4
#: Seconds that a speed is measured over; cells at least and at most; images of a corruption that are timed.
SECONDS, FEW, CELLS, TIMED = 4.0, 3, 40, 16
#: In place of the published textures of frost, which have their own terms.
FROST = [np.full((300, 300, 3), level, np.uint8) for level in (40, 80, 120, 160, 200)]
#: One line of a check: what, its value and unit; "ok", "FAIL", or "-" where nothing is required; and a remark.
Figure = tuple[str, float | None, str, str, str]


def device_check(device: str, model: str, settings: Settings) -> dict[str, Any]:
    """Return facts of the machine and figures of a device. model: the network that is timed ("": a ResNet-50)."""
    (place,) = choose_devices(device)[:1]
    card = choose_cards(model or "resnet50", settings)[0]
    if card.source in ("ideal", "api"):
        raise BenchError(f"'{card.name}' does not run on a device: --model takes a network.")
    card = card if model else card.model_copy(update={"weights": "random:0"})
    with TemporaryDirectory() as folder:
        figures = [*_agreement(place, Path(folder))]
        drawn = np.random.default_rng(0).integers(0, 256, (TIMED, 3, 224, 224)).astype(np.uint8)
        pixels, seeds = torch.from_numpy(drawn).to(place), np.arange(TIMED, dtype=np.uint64)
        with devices.numerics(make_policy(place, "fp32")), torch.no_grad():
            for name in CORRUPTIONS:
                what = corruption(name, 3, FROST)
                apply = partial(what.apply, pixels.cpu() if what.on_processor else pixels, seeds)
                try:
                    apply()  # tables are made once
                    found, note = 1000 * _timed(apply, place) / TIMED, "by the processor" if what.on_processor else ""
                except FAILURES as error:  # the boundary of an optional package
                    found, note = None, failure_line(error)
                figures.append((name, found, "ms an image", "-", note))
            figures += _speed(place, card, settings, Path(folder) / "tuning.json")
    names = ("figure", "value", "unit", "verdict", "note")
    rows = [dict(zip(names, figure, strict=True)) for figure in figures]
    return {"network": card.name, "environment": environment_record(place, torch.get_num_threads()), "figures": rows}


def _agreement(device: str, folder: Path) -> Iterator[Figure]:
    """Run suites on the processor once and on the device twice."""
    found = []
    for i, place in enumerate(("cpu", device, device)):
        settings = read_settings(str(folder / f"{i}.db"))
        report = run_here(prepare(replace(RUN, device=place, db=settings.db), settings), Silent())
        with open_store(settings.db) as store:
            columns = [store.trials((row.key,)).columns.items() for row in store.observations()]
            answers = [repr(values.tolist()) for each in columns for _, values in each]
            rows = store.latest_scores()
        scores = {(row.suite, row.metric, row.role, row.condition): (row.value, row.low, row.high) for row in rows}
        found.append((scores, answers, "; ".join(report.failed.values())))
    (here, _, _), (there, first, failed), (_, second, _) = found
    gap = None
    if here and here.keys() == there.keys() and not failed:
        ours, theirs = (np.array([one[name] for name in here], dtype=float) for one in (here, there))
        gap = float(np.nanmax(np.abs(ours - theirs)))
    close = "ok" if gap is not None and gap <= APART else "FAIL"
    yield "scores beside the processor's", gap, f"apart (<= {APART:g})", close, failed
    differing = sum(a != b for a, b in zip(first, second, strict=True)) if len(first) == len(second) else len(first)
    same = "ok" if first and not differing else "FAIL"
    yield "columns that differ in a second run", differing, f"of {len(first)}", same, ""


def _speed(device: str, card: ModelCard, settings: Settings, notes: Path) -> Iterator[Figure]:
    """Time a network in a bare loop, in the program's loop, and there with every cell corrupted."""
    model = load_network(card, settings.place, device=device)
    # On a CPU the search for the best batch would take longer than all the rest.
    tuning = devices.tune(model, device, notes, passes=0 if device == "cpu" else float("inf"))
    known = remembered(card, device, notes)
    assert known is not None
    feed, price = devices.feed(model, tuning, device=device), known[1]
    stimuli = subset(generated_set("world-natural"), int(min(CHUNK, max(tuning.batch, SECONDS / price / FEW))))
    cells, n = int(min(CELLS, max(FEW, SECONDS / price / len(stimuli)))), len(stimuli)
    images = model.present([stimuli.decode(i) for i in range(n)], "crop224")
    assert isinstance(images, torch.Tensor)
    batches = [*torch.split(model.fit(unit_pixels(images.to(device))), tuning.batch)] * cells
    with devices.working_threads(tuning.threads):
        feed.run(batches[0])
        bare = _timed(lambda: [feed.run(batch) for batch in batches], device)
    plain = [Transform(name=f"as it is {i}", params={"i": i}, apply=lambda x, _: x, stored=True) for i in range(cells)]
    some = [name for name in CORRUPTIONS if name not in ("frost", "spatter")]
    made = [corruption(some[i % len(some)], 1 + i // len(some) % 5) for i in range(cells)]
    blocks = ([Block(stimuli=stimuli, presentation="crop224", transform=one) for one in each] for each in (plain, made))
    ours, corrupted = (_loop(device, feed, each) for each in blocks)
    yield "a bare loop", n * cells / bare, "images a second", "-", f"batch {tuning.batch}"
    yield "a run, clean images", n * cells / ours, "images a second", "-", f"{ours / bare:.2f} of the bare loop's time"
    yield "busy, clean images", bare / ours, "of the time", "-", ""
    yield "busy, corrupted images", bare / corrupted, "of the time", "-", ""
    used, why = None, "is counted on CUDA alone"
    if device.startswith("cuda"):
        try:
            torch.cuda.reset_peak_memory_stats(device)
            feed.run(devices.example(feed.model, devices.GPU_BATCHES[-1]))
            used, why = torch.cuda.max_memory_allocated(device) / 1e9, ""
        except torch.OutOfMemoryError:
            why = "it does not fit"
    yield f"memory at batch {devices.GPU_BATCHES[-1]}", used, "GB", "-", why


def _loop(device: str, feed: devices.TunedModel, blocks: Sequence[Block]) -> float:
    """Return the seconds that the program's loop takes to answer one chunk of each block."""
    suite = Suite(
        name="device", version=1, summary="", needs="decisions", metrics=(), plan=lambda *_: Plan(()),
        observe=lambda _config, view: {"response": view.responses}, score=lambda *_: (),
    )  # fmt: skip
    loaded = LoadedObserver(name=feed.model.card.name, observer=feed, batch=feed.tuning.batch)
    space, chunks = feed.model.labels.name, frozenset([0])
    jobs = [
        Job(loaded=loaded, suite=suite, space=space, block=block, key=str(i), chunks=chunks)
        for i, block in enumerate(blocks)
    ]
    loop = InferenceLoop(seed=0, device=device, reporter=Silent(), decoders=cores())
    seconds = _timed(lambda: [*loop.show(jobs)], device)
    if failed := loaded.failure or next(iter(loaded.failures.values()), ""):
        raise BenchError(f"'{loaded.name}' fails on {device}: {failed}")
    return seconds


def _timed(work: Callable[[], object], device: str) -> float:
    devices.wait_for(torch.device(device))
    began = time.perf_counter()
    work()
    devices.wait_for(torch.device(device))
    return time.perf_counter() - began
