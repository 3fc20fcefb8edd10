"""The device and precision of a run, a network's tuned form, and checks that it answers each image by itself."""

import contextlib
import copy
import ctypes
import ctypes.util
import platform
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules import module as hooked
from torch.nn.modules.batchnorm import _BatchNorm

from benchmark.contracts import Policy
from benchmark.engine.device_choice import Tuning, remember, remembered, usual_tuning
from benchmark.failures import ModelFailure
from registry.determinism_checks import (
    ALONE,
    FORWARD,
    TOLERANCE,
    Check,
    Checksum,
    changed_tensor,
    check_load,
    checksum,
    distance,
    probe,
)
from registry.model import LoadedModel, fold_batch_norm
from registry.user_errors import reason


@contextlib.contextmanager
def numerics(policy: Policy) -> Iterator[None]:
    """Set the precision of products, the kernels and how networks are compiled; restore all of it at the end."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_matrix_products(tf32=policy.precision == "tf32"))
        if policy.device != "cpu":  # whose kernels are deterministic anyway
            # Deterministic kernels as far as torch has them (it warns of others), chosen without a clock.
            cudnn, memory = torch.backends.cudnn, cast(Any, torch.utils.deterministic)
            mode = torch.are_deterministic_algorithms_enabled()
            warns = torch.is_deterministic_algorithms_warn_only_enabled()
            stack.callback(torch.use_deterministic_algorithms, mode, warn_only=warns)
            for place, name, value in (
                (cudnn, "deterministic", True),
                (cudnn, "benchmark", False),
                (memory, "fill_uninitialized_memory", False),
            ):
                stack.callback(setattr, place, name, getattr(place, name))
                setattr(place, name, value)
            torch.use_deterministic_algorithms(True, warn_only=True)
        if policy.precision == "bf16":
            stack.enter_context(torch.autocast(policy.device, torch.bfloat16))
        if policy.compile:
            # Compiled networks take several backward passes after one forward pass (a gradient of several targets).
            # What is compiled would free its buffers in the first one and refuse `retain_graph`. For the whole run: a
            # backward pass may be compiled as late as it is first taken.
            from torch._functorch import config

            stack.enter_context(config.patch(donated_buffer=False))
        yield


@contextlib.contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """Compute in float32 throughout on a kind of device ("cpu", "cuda"), whatever the run's precision."""
    with _matrix_products(tf32=False), torch.autocast(kind, enabled=False):
        yield


@contextlib.contextmanager
def _matrix_products(*, tf32: bool) -> Iterator[None]:
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = tf32
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


@contextlib.contextmanager
def training_untouched() -> Iterator[None]:
    """Compute within the block as in a fresh process: float32, gradients on, no autocast, no hooks on every module.
    Afterwards all of that and every generator of random numbers (Python, NumPy, torch on each device) is as it was."""
    gpus, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.enter_context(torch.random.fork_rng(range(gpus)))
        if mps:
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        # Hooks of all modules: profilers and loggers of a training would see the copy's passes as the network's.
        for name, hooks in vars(hooked).items():
            if name.startswith("_global_") and isinstance(hooks, dict):
                stack.callback(hooks.update, dict(hooks))
                hooks.clear()
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        if torch.empty(0).device.type != "cpu":  # torch.set_default_device
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", *["cuda"] * bool(gpus), *["mps"] * mps):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


def pinned(pixels: Tensor, device: str) -> Tensor:
    """Return the pixels in memory that a GPU fetches while it computes."""
    return pixels.pin_memory() if device.startswith("cuda") else pixels


def limit_malloc() -> None:
    """Tell glibc to keep freed activations instead of unmapping them; without effect elsewhere."""
    if platform.libc_ver()[0] != "glibc":
        return
    # Otherwise the kernel maps, zero-fills and unmaps every large activation in each pass: a third of the CPU time.
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_TOP_PAD of malloc.h
    for parameter, size in ((-1, 2**30), (-3, 2**30), (-2, 64 * 2**20)):
        libc.mallopt(parameter, size)


# Batch size and threads are tuned per model and device, by the clock, and on an accelerator the layout of memory. The
# function of a network is not, so that a clock decides no number: batch norms are always folded, and on a CPU channels
# always come last. What is tuned moves float noise at most, and no decision: near-ties are decided on the plain path
# (`model_view`).
CPU_BATCHES = (4, 8, 16, 32)
GPU_BATCHES = (32, 64, 128, 256)
API_BATCH = 32
THREADS_GAIN = 0.7  # threads that wait for one another cost more than they save, and the more so beside other work
NEGLIGIBLE = 0.1  # by so much less for a smaller batch on a CPU: gradients are quicker in a larger one
_SECONDS, _PASSES = 0.3, 3  # per candidate, at most
#: Share of a run that tuning may take, and what it takes: so many seconds, or images of a slow network.
TUNING_SHARE, TUNING_SECONDS, TUNING_IMAGES = 1 / 20, 3.0, 300
TIMED_BATCH = 4  # of a network that is not tuned

Clock = Callable[[], float]
Run = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class TunedModel:
    """A model in its tuned form."""

    model: LoadedModel
    tuning: Tuning
    run: Run  # images NCHW in [0,1] -> logits
    module: nn.Module | None = None
    state: Checksum = ()  # of its parameters and buffers when the run began
    single: torch.Tensor | None = None  # logits of the picture `ALONE`, as the network was loaded

    @property
    def moved(self) -> str:
        """Name a parameter or buffer that has changed since the run began; "" for none."""
        return "" if self.module is None else changed_tensor(self.module, self.state, checksum(self.module))


def feed(model: LoadedModel, tuning: Tuning, *, device: str, compile_model: bool = False) -> TunedModel:
    """Return a loaded model in its tuned form on a device. The plain path stays as `model.forward`."""
    form, layout, single = _form(model, device, tuning.channels_last)
    if compile_model and model.card.gradients:
        form = replace(form, module=cast(nn.Module, torch.compile(form.module)))
    run, state = _runner(form, layout, device), checksum(form.module)
    return TunedModel(model=model, tuning=tuning, run=run, module=form.module, state=state, single=single)


def _runner(model: LoadedModel, layout: torch.memory_format, device: str) -> Run:
    return lambda images: model.forward(images.to(device).contiguous(memory_format=layout))


def _form(
    model: LoadedModel, device: str, channels_last: bool
) -> tuple[LoadedModel, torch.memory_format, torch.Tensor | None]:
    """Return a model with batch norms folded, the memory layout that its images are to have, and the logits of the
    picture `ALONE` before folding."""
    layout, parts, single = torch.contiguous_format, list(model.module.modules()), None
    if model.card.source == "export":
        return model, layout, single
    normed = any(isinstance(part, _BatchNorm) for part in parts)
    # Weights that a first pass casts would pass no gradient on if it were made in inference mode.
    if model.card.gradients and not normed:
        with contextlib.suppress(RuntimeError), torch.inference_mode(mode=False), torch.no_grad():
            model.forward(example(model, 1))
    last = (channels_last or device.startswith("cpu")) and any(isinstance(part, nn.Conv2d) for part in parts)
    if normed:
        layouts = (torch.channels_last, layout) if last else (layout,)
        # In the precision of the weights: rounding to bf16 would hide whether the copy is the same function.
        images = probe(model)[ALONE]
        with full_precision(images.device.type), torch.inference_mode(mode=False):
            plain = model  # its logits are found in whatever the network returns, folded or not
            folded = fold_batch_norm(
                model.module, images, layouts, lambda module, x: replace(plain, module=module).forward(x)
            )
        if folded is not None:
            module, layout, single = folded
            model = replace(model, module=module)
    if last and layout != torch.channels_last:
        turned = replace(model, module=cast(Any, copy.deepcopy(model.module)).to(memory_format=torch.channels_last))
        # RuntimeError: the network takes a view of what then lies otherwise in memory
        with contextlib.suppress(RuntimeError), torch.inference_mode():
            _runner(turned, torch.channels_last, device)(example(model, 2))
            return turned, torch.channels_last, single
    return model, layout, single


def check_tuned(model: LoadedModel) -> list[Check]:
    """Check that a loaded network answers alike in its tuned form; no row if that is the network itself."""
    images, name = probe(model), "tuned form"
    try:
        with torch.no_grad():
            tuned = feed(model, Tuning(len(images)), device=str(images.device))
            gap = distance(tuned.run(images), model.forward(images))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary of a network's own code
        return [Check(name=name, ok=False, detail=f"the copy that runs use fails ({reason(error)})")]
    text = f"logits of the copy that runs use differ by {gap:.2g} of the largest"
    return [] if tuned.module is model.module else [Check(name=name, ok=gap <= TOLERANCE, detail=text)]


@contextlib.contextmanager
def working_threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and restore the former number: networks of one run differ in it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def example(model: LoadedModel, batch: int) -> torch.Tensor:
    """Return fixed noise at the model's input: [batch, 3, size, size] in [0,1]."""
    size = model.preprocess.size
    noise = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    return noise.to(next((weight.device for weight in model.module.parameters()), torch.device("cpu")))


def tune(
    model: LoadedModel,
    device: str,
    notes: Path,
    announce: Callable[[], None] = lambda: None,
    passes: float = float("inf"),
) -> Tuning:
    """Return the remembered setting of the architecture on this device, or measure it; a usual one if that would cost
    more than a twentieth of the run. announce: called before measuring, which takes seconds; passes: of the run."""
    if model.card.source == "api":  # an endpoint, whose answers cost money, is not timed
        return Tuning(API_BATCH, 1)
    known = remembered(model.card, device, notes)
    if known is not None and known[2]:
        return known[0]
    if passes < float("inf"):
        # The search itself passes some 300 images, and of a fast network as many as seconds have room for.
        seconds = rough_seconds(model, device, notes)
        if TUNING_SHARE * passes * seconds < max(TUNING_SECONDS, TUNING_IMAGES * seconds):
            return usual_tuning(device, seconds)
    announce()
    with torch.inference_mode():
        best, seconds = _search(model, device)
    remember(model.card, device, notes, tuning=asdict(best), seconds=seconds)
    return best


def rough_seconds(model: LoadedModel, device: str, notes: Path) -> float:
    """Return the seconds per image of a few passes on this device, measured once."""
    if known := remembered(model.card, device, notes):
        return known[1]
    gpu = device.startswith("cuda")
    clock = time.perf_counter if gpu else time.process_time
    with torch.inference_mode():
        seconds = _cost(model, _runner(model, torch.contiguous_format, device), Tuning(TIMED_BATCH, 1), clock)
    seconds /= 1 if gpu else usual_tuning(device, seconds).threads
    remember(model.card, device, notes, seconds=seconds)
    return seconds


def _search(model: LoadedModel, device: str) -> tuple[Tuning, float]:
    """Choose the batch, then the threads at the best batch, and measure seconds per image."""
    gpu, threads = device.startswith("cuda"), torch.get_num_threads()
    run = _runner(*_form(model, device, False)[:2], device)
    # Other work on the machine does not disturb CPU time. Only the number of threads needs the wall clock.
    clock = time.perf_counter if gpu else time.process_time
    tunings = [Tuning(size, threads if gpu else 1) for size in (GPU_BATCHES if gpu else CPU_BATCHES)]
    costs = [_cost(model, run, tuning, clock) for tuning in tunings]
    most = min(costs) * (1 if gpu else 1 + NEGLIGIBLE)
    fit = (tuning for tuning, cost in zip(tunings, costs, strict=True) if cost <= most < float("inf"))
    best = [tunings[0], *fit][-1]  # the largest; where none ran, the smallest
    if not gpu and threads > 1:
        several = replace(best, threads=threads)
        alone, together = (_cost(model, run, tuning, time.perf_counter) for tuning in (best, several))
        best = several if together < THREADS_GAIN * alone else best
    if not device.startswith("cpu") and any(isinstance(part, nn.Conv2d) for part in model.module.modules()):
        turned = _runner(*_form(model, device, True)[:2], device)
        if _cost(model, turned, best, clock) < _cost(model, run, best, clock):
            run, best = turned, replace(best, channels_last=True)
    return best, _cost(model, run, best, clock) / (1 if gpu else best.threads)


def _cost(model: LoadedModel, run: Run, tuning: Tuning, clock: Clock) -> float:
    """Measure seconds per image, the best of a few passes; infinite if the device cannot hold the batch."""
    best, spent = float("inf"), 0.0
    with contextlib.suppress(RuntimeError), working_threads(tuning.threads):
        images = example(model, tuning.batch)
        for i in range(_PASSES + 1):
            wait_for(images.device)
            start = clock()
            run(images)
            wait_for(images.device)
            taken = clock() - start
            if i:  # the first warms up
                best, spent = min(best, taken), spent + taken
            if spent > _SECONDS:
                break
    return best / tuning.batch


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has finished its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)  # this one, which need not be the current one


#: One image in so many is shown again, alone.
REPLAYED = 512
#: Largest relative difference that a precision's rounding explains.
ROUNDING = {"fp32": TOLERANCE, "tf32": 1e-2, "bf16": 0.1}
#: Images that a network is checked with together: eight places for four images, or one image beside another where a
#: batch is smaller. A compiled network gets its whole batch, for which it is compiled anyway.
_CHECKED, _PAIR = 8, 2


class Unsound(ModelFailure):
    """A network whose answers depend on its batch, on chance or on earlier images."""


def require_sound(feed: TunedModel, policy: Policy) -> None:
    """Raise Unsound, with every reason, if the loaded network or its tuned form fails a check."""
    whole = feed.tuning.batch
    batch = whole if policy.compile else min(whole, _CHECKED if whole >= _CHECKED else _PAIR)
    tolerance = ROUNDING[policy.precision]
    try:
        rows = check_load(feed.model, feed.run, batch=batch, tolerance=tolerance, single=feed.single)
    except (RuntimeError, MemoryError):  # the run itself handles lack of memory and a failing forward pass
        return
    failed = [f"{row.name}: {row.detail}" for row in rows if not row.ok and row.name != FORWARD]
    if failed:
        raise Unsound(f"{feed.model.card.name} was not run, because {'; '.join(failed)} (`bench models check`).")


def replayed_row(seeds: NDArray[np.uint64]) -> slice:
    """Return the row of a chunk that is shown again, which its seeds decide; an empty slice for none."""
    row = int(seeds[0] % np.uint64(REPLAYED))
    return slice(row, row + 1) if row < len(seeds) else slice(0)


def require_replay(name: str, gap: float, kind: str) -> None:
    """Raise Unsound if logits of an image in its batch and by itself differ by more than rounding. gap: as `distance`;
    kind: of device."""
    if gap > (0.25 if torch.is_autocast_enabled(kind) else 10 * TOLERANCE):
        raise Unsound(f"{name} answers an image otherwise when it is shown alone (by {gap:.2g} of the largest logit)")
