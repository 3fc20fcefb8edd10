"""Device and precision: chosen once per run, stated in every observation."""

import contextlib
import ctypes
import ctypes.util
import gc
import platform
from collections.abc import Iterator
from typing import Literal, cast

import torch

from benchmark.contracts import Policy
from benchmark.errors import BenchError

Precision = Literal["fp32", "tf32", "bf16"]
# mallopt parameters of glibc (malloc.h)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEEP = 2**30


def choose_device(wanted: str) -> str:
    """ "auto" -> "cuda", "mps" or "cpu", whichever is there first. A device that is not there is an error."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    there = {"cpu": True, "cuda": cuda, "mps": mps}
    kind, colon, index = wanted.partition(":")
    if not there.get(kind, False) or (colon and not (index.isascii() and index.isdigit())):
        have = ", ".join(name for name, is_there in there.items() if is_there)
        raise BenchError(
            f"device '{wanted}' is not available here (found: {have}). Use --device auto or one of them."
        )
    if kind == "cuda" and index and int(index) >= (count := torch.cuda.device_count()):
        there_are = ", ".join(f"cuda:{i}" for i in range(count))
        raise BenchError(f"device '{wanted}' is not available here: there is only {there_are}.")
    return wanted


def choose_devices(wanted: str) -> tuple[str, ...]:
    """Several devices of one kind: "cuda:all", or a comma list ("cuda:0,cuda:2"); else the one that
    `choose_device` gives. A device that is named twice has two workers. Raises BenchError.
    """
    if wanted == "cuda:all" and torch.cuda.is_available():
        return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    devices = tuple(choose_device(part.strip()) for part in wanted.split(","))
    if len({device.partition(":")[0] for device in devices}) > 1:
        raise BenchError(
            f"--device {wanted}: the devices of one run are of one kind, because numbers differ between kinds in "
            "their last digits. Run one kind after the other."
        )
    return devices


def make_policy(
    device: str, precision: str, *, compile_model: bool = False, seed: int = 0
) -> Policy:
    """The policy of a run; the index of a device ("cuda:1") is not part of it."""
    kind = device.partition(":")[0]
    if abs(seed) >= 2**63:
        raise BenchError(f"a seed is a whole number of at most 64 bits, not {seed}.")
    if precision not in ("fp32", "tf32", "bf16"):
        raise BenchError(f"precision is fp32, tf32 or bf16, not '{precision}'.")
    if precision == "tf32" and kind != "cuda":
        raise BenchError(
            f"precision tf32 exists on CUDA devices only, not on '{kind}'. Use --precision fp32."
        )
    return Policy(kind, cast(Precision, precision), compile_model, seed)


@contextlib.contextmanager
def numerics(policy: Policy) -> Iterator[None]:
    """Set the precision of matrix products and how networks are compiled, and put back what was set before."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    tf32 = policy.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        with _autocast(policy), _kept_graphs(policy):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextlib.contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """float32 throughout on a kind of device ("cpu", "cuda"), whatever the run's precision."""
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = False
    try:
        with torch.autocast(kind, enabled=False):
            yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


def _autocast(policy: Policy) -> contextlib.AbstractContextManager[object]:
    if policy.precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(policy.device, torch.bfloat16)


def _kept_graphs(policy: Policy) -> contextlib.AbstractContextManager[object]:
    """Compiled networks take several backward passes after one forward pass (a gradient of several targets).

    From torch 2.6 on, what is compiled would free its buffers in the first one and refuse `retain_graph`. For the
    whole run: a backward pass may be compiled as late as it is first taken.
    """
    if not policy.compile:
        return contextlib.nullcontext()
    from torch._functorch import config

    if not hasattr(config, "donated_buffer"):
        return contextlib.nullcontext()
    patched: contextlib.AbstractContextManager[object] = config.patch(donated_buffer=False)
    return patched


@contextlib.contextmanager
def resting_heap() -> Iterator[None]:
    """Leave what is there already out of Python's searches for circular garbage, and put it back afterwards.

    The libraries' objects are some hundred thousand; to go through them, now and then, takes as long as ten images.
    """
    if gc.get_freeze_count():  # somebody else decides
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_pages() -> None:
    """Tell glibc to keep freed activations instead of unmapping them.

    Otherwise every large activation is mapped, zero-filled by the kernel and unmapped again in each pass:
    a third of the CPU time at batch 25. Without effect elsewhere than on Linux with glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        libc.mallopt(parameter, _KEEP)
    libc.mallopt(_M_TOP_PAD, 64 * 2**20)
