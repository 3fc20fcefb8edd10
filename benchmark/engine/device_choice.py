"""Which device a run has, and the batch and threads that were found for a network on it: known without torch."""

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from benchmark.contracts import Policy
from benchmark.failures import BenchError
from registry.cards import ModelCard
from registry.files import digest_data, locked, write_whole

Precision = Literal["fp32", "tf32", "bf16"]
#: Batches of networks that are not tuned (CPU, GPU); seconds per image from which several threads pay.
UNTUNED_BATCH, SEVERAL_THREADS = (16, 64), 0.005


def choose_device(wanted: str) -> str:
    """ "auto" -> "cuda", "mps" or "cpu", whichever is available first. Raises BenchError if a device is not."""
    indexed, there = [f"cuda:{i}" for i in range(_gpus())], ["cpu"]
    if sys.platform == "darwin":
        import torch

        there += ["mps"] if torch.backends.mps.is_available() else []
    there += ["cuda", *indexed] if indexed else []
    if wanted == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if kind in there)
    if wanted not in there:
        have = ", ".join(there)
        raise BenchError(f"device '{wanted}' is not available here (found: {have}). Use --device auto or one of them.")
    return wanted


def _gpus() -> int:
    """Return how many GPUs torch finds."""
    # Without a driver there is none, and importing torch takes longer than a plan.
    drivers = ("/dev/nvidiactl", "/dev/nvhost-ctrl", "/dev/dxg", "/dev/kfd")
    if "torch" not in sys.modules and sys.platform == "linux" and not any(map(os.path.exists, drivers)):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose_devices(wanted: str) -> tuple[str, ...]:
    """Return devices of one kind: "cuda:all", a comma list ("cuda:0,cuda:2"; a device that is named twice has two
    workers), or that of `choose_device`. Raises BenchError."""
    if wanted == "cuda:all" and (count := _gpus()):
        return tuple(f"cuda:{i}" for i in range(count))
    devices = tuple(choose_device(part.strip()) for part in wanted.split(","))
    if len({device.partition(":")[0] for device in devices}) > 1:
        raise BenchError(f"--device {wanted}: numbers differ between kinds of devices. Run one kind after the other.")
    return devices


def make_policy(device: str, precision: str, *, compile_model: bool = False, seed: int = 0) -> Policy:
    """Return the policy of a run; the index of a device ("cuda:1") is not part of it."""
    kind = device.partition(":")[0]
    if abs(seed) >= 2**63:
        raise BenchError(f"a seed is a whole number of at most 64 bits, not {seed}.")
    if precision not in ("fp32", "tf32", "bf16"):
        raise BenchError(f"precision is fp32, tf32 or bf16, not '{precision}'.")
    if precision == "tf32" and kind != "cuda":
        raise BenchError(f"precision tf32 exists on CUDA devices only, not on '{kind}'. Use --precision fp32.")
    return Policy(device=kind, precision=cast(Precision, precision), compile=compile_model, seed=seed)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Return how many threads torch computes with."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else cores()


@dataclass(frozen=True)
class Tuning:
    """A model's batch and threads, and whether channels come last in memory: no part of an observation's identity."""

    batch: int
    threads: int = field(default_factory=thread_count)
    channels_last: bool = False


def usual_tuning(device: str, seconds: float) -> Tuning:
    """Return the setting of a network that is not tuned. seconds: per image."""
    if device.startswith("cuda"):
        return Tuning(UNTUNED_BATCH[1])
    return Tuning(UNTUNED_BATCH[0], thread_count() if seconds > SEVERAL_THREADS else 1)


def remembered(card: ModelCard, device: str, notes: Path) -> tuple[Tuning, float, bool] | None:
    """Return the setting of this architecture on this device, its seconds per image, and whether it was tuned."""
    known = _read(notes).get(_key(card, device))
    if known is None:
        return None
    if "tuning" not in known:
        return usual_tuning(device, known["seconds"]), float(known["seconds"]), False
    threads = min(known["tuning"]["threads"], thread_count())  # a process beside others has its share
    return Tuning(**{**known["tuning"], "threads": threads}), float(known["seconds"]), True


def remember(card: ModelCard, device: str, notes: Path, **entry: Any) -> None:
    """Keep the setting of this architecture on this device ("tuning") and its "seconds" per image."""
    with suppress(OSError), locked(notes.parent):  # what is not kept costs seconds next time
        write_whole(notes, json.dumps(_read(notes) | {_key(card, device): entry}, indent=1))


def _key(card: ModelCard, device: str) -> str:
    name = f"{os.cpu_count()} cores"
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    size = card.preprocess.size if card.preprocess else 0
    options = {} if card.simulated else card.options  # two simulated people differ in their noise alone
    # a file that is a network by itself is an architecture of its own
    whole = [card.weights] if card.arch in ("export", "onnx") else []
    arch = digest_data([card.source, card.arch, options, size, *whole])[:16]
    return f"{arch} | {device.partition(':')[0]} {name} | torch {version('torch')}"


def _read(notes: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(notes.read_text())
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}
