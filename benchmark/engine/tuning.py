"""Batch size and thread count, tuned per model and device in seconds.

The form of a network is not tuned: batch norms are folded, and on a CPU channels come last, so that a clock has no
say in any number. Batch size and threads move float noise at most. Decisions do not change with them: what lies near
a tie is decided on the plain path (see `model_view`).
"""

import contextlib
import copy
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from registry.cards import ModelCard
from registry.checksums import Checksum, changed, checksum
from registry.files import digest_data, locked, write_whole
from registry.model import LoadedModel, fold_batch_norm, in_layout

CPU_BATCHES = (4, 8, 16, 32)
GPU_BATCHES = (32, 64, 128, 256)
GAIN = 0.97  # a change must save 3 % to be taken: smaller ones are noise
_SECONDS, _PASSES = 0.3, 3  # per candidate, at most

Clock = Callable[[], float]
Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Tuning:
    """How a model is fed. None of it is part of an observation's identity."""

    batch: int
    threads: int = 1


def stated(batch: int) -> Tuning:
    """The setting at a batch size that the user gave."""
    return Tuning(batch, threads=torch.get_num_threads())


@dataclass(frozen=True)
class TunedModel:
    """A module in its tuned form. `run(images NCHW in [0,1]) -> logits`. state: of its parameters and buffers."""

    model: LoadedModel
    tuning: Tuning
    run: Run
    module: nn.Module | None = None
    state: Checksum = ()

    @property
    def moved(self) -> str:
        """A parameter or buffer of the module that is not what it was when the run began; "" for none."""
        return "" if self.module is None else changed(self.module, self.state)


def feed(
    model: LoadedModel, tuning: Tuning, *, device: str, compile_model: bool = False
) -> TunedModel:
    """Bring a loaded model into its tuned form on a device. The plain path stays as `model.forward`."""
    form = _form(model, device)
    if compile_model:
        compiled = cast(nn.Module, torch.compile(form.model.module))
        form = replace(form, model=replace_module(form.model, compiled))
    module = form.model.module
    return TunedModel(model, tuning, form.runner(device), module, checksum(module))


@dataclass(frozen=True)
class _Form:
    """A model in the form in which it is fed, and the memory layout of its images."""

    model: LoadedModel
    layout: torch.memory_format

    def runner(self, device: str) -> Run:
        """Images on any device and in any layout -> logits."""

        def run(images: torch.Tensor) -> torch.Tensor:
            return self.model.forward(images.to(device).contiguous(memory_format=self.layout))

        return run


def _form(model: LoadedModel, device: str) -> _Form:
    """Batch norms folded; on a CPU, whose convolutions are quickest so, channels last where the network takes that.

    It depends on the network and the kind of device alone: float noise is part of saliency and of attacks.
    """
    plain = _Form(model, torch.contiguous_format)
    if model.card.source == "export":
        return plain
    last = device.startswith("cpu") and _has(model.module, nn.Conv2d)
    if _has(model.module, _BatchNorm):
        layouts = (torch.channels_last, plain.layout) if last else (plain.layout,)
        folded = fold_batch_norm(model.module, model.normalise(example(model, 2)), layouts)
        if folded is not None:
            plain = _Form(replace_module(model, folded.module), folded.layout)
    if last and plain.layout != torch.channels_last:
        return _channels_last(plain, device)
    return plain


def _has(module: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(part, kind) for part in module.modules())


def _channels_last(plain: _Form, device: str) -> _Form:
    """The same with channels last in memory, if the network can do with it."""
    layout = torch.channels_last
    moved = in_layout(copy.deepcopy(plain.model.module), layout)
    last = _Form(replace_module(plain.model, moved), layout)
    try:
        with torch.inference_mode():
            last.runner(device)(example(plain.model, 2))
    except RuntimeError:  # a view of what lies otherwise in memory
        return plain
    return last


@contextlib.contextmanager
def working_threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and put back what was set before: networks of one run differ in it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def replace_module(model: LoadedModel, module: nn.Module) -> LoadedModel:
    """The same loaded model around another form of its module."""
    return replace(model, module=module)


def example(model: LoadedModel, batch: int) -> torch.Tensor:
    """Grey-level noise at the model's input: [batch, 3, size, size] in [0,1], always the same."""
    size = model.preprocess.size
    noise = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    device = next((p.device for p in model.module.parameters()), torch.device("cpu"))
    return noise.to(device)


def tune(
    model: LoadedModel, device: str, notes: Path, begins: Callable[[], None] = lambda: None
) -> Tuning:
    """The remembered setting of this architecture on this device, or a new one, measured (`begins` is called before)
    and remembered."""
    key = _key(model.card, device)
    known = _read(notes).get(key)
    if known is not None:
        return Tuning(known["tuning"]["batch"], known["tuning"]["threads"])
    begins()
    with torch.inference_mode():
        best, seconds = _search(model, device)
    _write(notes, key, {"tuning": asdict(best), "seconds": seconds})
    return best


def remembered_seconds(cards: Iterable[ModelCard], device: str, notes: Path) -> dict[str, float]:
    """Model -> seconds per image of its architecture on this device, for those that tuning has measured."""
    known = _read(notes)
    found = ((card.name, known.get(_key(card, device))) for card in cards)
    return {name: float(note["seconds"]) for name, note in found if note is not None}


def _key(card: ModelCard, device: str) -> str:
    name = (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else f"{os.cpu_count()} cores"
    )
    size = card.preprocess.size if card.preprocess else 0
    arch = digest_data([card.source, card.arch, card.options, size])[:16]
    return f"{arch} | {device.partition(':')[0]} {name} | torch {torch.__version__}"


def _search(model: LoadedModel, device: str) -> tuple[Tuning, float]:
    """Batch, then threads at the best batch; and seconds per image.

    On a CPU the batch is judged by one thread's processor time, which other work on the machine does not
    disturb, and so are the seconds, by that of all threads; only the number of threads needs the wall clock.
    """
    gpu = device.startswith("cuda")
    threads = torch.get_num_threads()
    clock = time.perf_counter if gpu else time.process_time
    trial = _Trial(model, device, _form(model, device).runner(device))
    best = Tuning(64 if gpu else 8, threads if gpu else 1)
    best = trial.cheapest(best, _batches(best, gpu), clock)
    if not gpu and threads > 1:
        best = trial.cheapest(best, (replace(best, threads=threads),), time.perf_counter)
    return best, trial.cost(best, clock) / (1 if gpu else best.threads)


@dataclass(frozen=True)
class _Trial:
    """Measures settings of one model."""

    model: LoadedModel
    device: str
    run: Run

    def cheapest(self, start: Tuning, others: Iterable[Tuning], clock: Clock) -> Tuning:
        """`start`, or the one of `others` that saves most, if that is more than noise."""
        best, cost = start, self.cost(start, clock)
        for candidate in others:
            seconds = self.cost(candidate, clock)
            if seconds < cost * GAIN:
                best, cost = candidate, seconds
        return best

    def cost(self, tuning: Tuning, clock: Clock) -> float:
        """Seconds per image, the best of a few passes; infinite where the device cannot hold the batch."""
        try:
            with working_threads(tuning.threads):
                return _best_pass(self.run, example(self.model, tuning.batch), clock) / tuning.batch
        except RuntimeError:
            return float("inf")


def _batches(tuning: Tuning, gpu: bool) -> Iterator[Tuning]:
    sizes = GPU_BATCHES if gpu else CPU_BATCHES
    return (replace(tuning, batch=size) for size in sizes if size != tuning.batch)


def _best_pass(run: Run, images: torch.Tensor, clock: Clock) -> float:
    """The fastest of a few passes, after one that warms up."""
    run(images)
    best, spent = float("inf"), 0.0
    for _ in range(_PASSES):
        start = clock()
        run(images)
        if images.is_cuda:
            torch.cuda.synchronize()
        taken = clock() - start
        best, spent = min(best, taken), spent + taken
        if spent > _SECONDS:
            break
    return best


def _read(notes: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(notes.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _write(notes: Path, key: str, note: dict[str, Any]) -> None:
    """Best effort: a note that cannot be kept costs a few seconds next time."""
    try:
        with locked(notes.parent):
            write_whole(notes, json.dumps({**_read(notes), key: note}, indent=1))
    except OSError:
        return
