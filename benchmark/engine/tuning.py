"""Batch size, memory layout, thread count and batch-norm folding, tuned per model and device in seconds.

Tuning moves float noise only. Decisions do not change with it: what lies near a tie is decided on the plain
path (see `views`).
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from registry.fold import fold_batch_norm
from registry.model import LoadedModel

CPU_BATCHES = (4, 8, 16, 32)
GPU_BATCHES = (32, 64, 128, 256)
GAIN = 0.97  # a change must save 3 % to be taken: smaller ones are noise
_SECONDS = 1.0  # per candidate, at most


@dataclass(frozen=True)
class Tuning:
    """How a model is fed. None of it is part of an observation's identity."""

    batch: int
    channels_last: bool = False
    folded: bool = False
    threads: int = 1


PLAIN = Tuning(batch=32, threads=max(1, (os.cpu_count() or 2) // 1))


def plain(batch: int) -> Tuning:
    """The untuned setting at a batch size that the user gave."""
    return replace(PLAIN, batch=batch, threads=torch.get_num_threads())


@dataclass(frozen=True)
class Feed:
    """A module in its tuned form. `run(images NCHW in [0,1]) -> logits`."""

    model: LoadedModel
    tuning: Tuning
    run: Callable[[torch.Tensor], torch.Tensor]


def feed(model: LoadedModel, tuning: Tuning, *, device: str, compile_model: bool = False) -> Feed:
    """Bring a loaded model into its tuned form on a device. The plain path stays as `model.forward`."""
    fast = _fast(model, tuning)
    if compile_model:
        fast = replace_module(fast, torch.compile(fast.module))
    layout = torch.channels_last if tuning.channels_last else torch.contiguous_format

    def run(images: torch.Tensor) -> torch.Tensor:
        return fast.forward(images.to(device).contiguous(memory_format=layout))

    return Feed(model, tuning, run)


def _fast(model: LoadedModel, tuning: Tuning) -> LoadedModel:
    module = model.module
    if tuning.folded:
        module = fold_batch_norm(module, example(model, 2)) or module
    if tuning.channels_last:
        import copy

        module = copy.deepcopy(module) if module is model.module else module
        module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model if module is model.module else replace_module(model, module)


def replace_module(model: LoadedModel, module: nn.Module) -> LoadedModel:
    """The same loaded model around another form of its module."""
    return replace(model, module=module)


def example(model: LoadedModel, batch: int) -> torch.Tensor:
    """Grey-level noise at the model's input: [batch, 3, size, size] in [0,1], always the same."""
    size = model.card.preprocess.size if model.card.preprocess else 224
    noise = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    device = next((p.device for p in model.module.parameters()), torch.device("cpu"))
    return noise.to(device)


def tune(model: LoadedModel, device: str, notes: Path) -> Tuning:
    """The remembered setting of this model on this device, or a new one, measured and remembered."""
    key = _key(model, device)
    known = _read(notes).get(key)
    if known is not None:
        return Tuning(**known)
    with torch.inference_mode():
        best = _search(model, device)
    _write(notes, key, best)
    return best


def _key(model: LoadedModel, device: str) -> str:
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} cores"
    return f"{model.identity[:16]} | {device.partition(':')[0]} {name} | torch {torch.__version__}"


def _search(model: LoadedModel, device: str) -> Tuning:
    gpu = device.startswith("cuda")
    start = Tuning(64 if gpu else 8, channels_last=False, folded=False, threads=torch.get_num_threads())
    best, cost = start, _cost(model, start, device)
    for candidates in (_forms, _batches(gpu), _threads):
        for candidate in candidates(best):
            seconds = _cost(model, candidate, device)
            if seconds < cost * GAIN:
                best, cost = candidate, seconds
    return best


def _forms(tuning: Tuning) -> Iterator[Tuning]:
    yield replace(tuning, folded=True)
    yield replace(tuning, channels_last=True)
    yield replace(tuning, folded=True, channels_last=True)


def _batches(gpu: bool) -> Callable[[Tuning], Iterator[Tuning]]:
    sizes = GPU_BATCHES if gpu else CPU_BATCHES
    return lambda tuning: (replace(tuning, batch=size) for size in sizes if size != tuning.batch)


def _threads(tuning: Tuning) -> Iterator[Tuning]:
    if tuning.threads > 1:
        yield replace(tuning, threads=1)


def _cost(model: LoadedModel, tuning: Tuning, device: str) -> float:
    """Seconds per image, the best of a few passes; infinite where the device cannot hold the batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(tuning.threads)
    try:
        run = feed(model, tuning, device=device).run
        return _best_pass(run, example(model, tuning.batch)) / tuning.batch
    except RuntimeError:
        return float("inf")
    finally:
        torch.set_num_threads(threads)


def _best_pass(run: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> float:
    """The fastest of up to five passes within a second, after one that warms up."""
    run(images)
    best, spent = float("inf"), 0.0
    for _ in range(5):
        start = time.perf_counter()
        run(images)
        if images.is_cuda:
            torch.cuda.synchronize()
        taken = time.perf_counter() - start
        best, spent = min(best, taken), spent + taken
        if spent > _SECONDS:
            break
    return best


def _read(notes: Path) -> dict[str, dict[str, int]]:
    try:
        found = json.loads(notes.read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _write(notes: Path, key: str, tuning: Tuning) -> None:
    """Best effort: a note that cannot be kept costs a few seconds next time."""
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        fresh = notes.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({**_read(notes), key: asdict(tuning)}, indent=1))
        fresh.replace(notes)
    except OSError:
        return
