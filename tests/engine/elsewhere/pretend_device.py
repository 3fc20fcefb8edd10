"""A pretend accelerator, so that what a GPU would refuse is refused on a machine that has none.

Its tensors say that they lie on "pretend:0" and are computed on the processor. An operation that mixes them with
tensors of the processor is refused, as is `numpy()`: whatever forgets a `.to(device)`, or reads an answer where it is
not, fails. As on CUDA a tensor without dimensions may come along, and an index may stay behind.

It is the Python backend of PyTorch's PrivateUse1 key, which is experimental. That backend knows neither
`torch.tensor(..., device=)`, `as_tensor`, `arange`, `new_tensor`, `tolist` nor lists as indices, has no list of what
autocast rounds, and no inference mode: `no_grad` stands in. It shows nothing of pinned memory, cudnn, TF32 or lack of
memory. Its clock counts copies to the processor and waits, and how long a queue of work would have kept it busy."""

import functools
import time
from contextlib import nullcontext

import torch
from torch.utils import backend_registration

NAME = "pretend"
#: Operations that carry numbers from one device to the other.
CROSSING = {"_to_copy", "_copy_from", "_local_scalar_dense"}
#: What the processor's autocast computes in the lower precision, as far as networks here use it.
IN_BF16 = ("conv1d", "conv2d", "conv3d", "linear", "matmul", "addmm", "bmm", "baddbmm", "scaled_dot_product_attention")
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


#: Operations whose result the processor needs before it can go on.
WAITED = {"_local_scalar_dense", "nonzero", "masked_select", "unique2", "_unique2"}


class Clock:
    """Simulated time. The processor's is that of its thread, without what it computes for the device; a wait for the
    device moves it forward."""

    def __init__(self):
        self.copies = self.waits = 0
        self.computing = self.waited = self.ends = self.busy = self.began = 0.0

    def now(self):
        return time.thread_time() - self.computing + self.waited

    def work(self, seconds):
        """Queue work behind what is queued."""
        self.began = self.began or self.now()
        self.ends = max(self.now(), self.ends) + seconds
        self.busy += seconds

    def wait(self, end=None):
        self.waits += 1
        self.waited += max(0.0, (self.ends if end is None else end) - self.now())

    def copy(self, waiting):
        self.copies += 1
        if waiting:
            self.wait()


CLOCK = Clock()


class Event:
    def record(self, _stream):
        self.end = CLOCK.ends

    def synchronize(self):
        CLOCK.wait(self.end)


class Stream:
    """A stream, where everything is done at once."""

    def __init__(self, device):
        self.device = torch.device(device)

    def wait_stream(self, other):
        assert other.device == self.device


class Elsewhere(torch.Tensor):
    """A tensor on the device; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here):
        form = {"strides": here.stride(), "storage_offset": here.storage_offset(), "layout": here.layout}
        kind = {"dtype": here.dtype, "device": torch.device(NAME, 0), "requires_grad": here.requires_grad}
        return torch.Tensor._make_wrapper_subclass(cls, here.size(), **form, **kind)

    def __init__(self, here):
        self.here = here.detach()

    def __repr__(self, **_):
        return f"Elsewhere({self.here})"

    def __format__(self, form):
        return format(self.here, form)

    def tolist(self):
        CLOCK.copy(waiting=True)
        return self.here.tolist()

    def __getitem__(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        return super().__getitem__(tuple(torch.tensor(part) if isinstance(part, list) else part for part in parts))

    @classmethod
    def __torch_dispatch__(cls, operation, _types, arguments=(), options=None):
        return computed(operation, *arguments, **(options or {}))


def mapped(function, value):
    """A call's arguments or results, each changed by a function; pytrees would take most of the time."""
    return type(value)([mapped(function, part) for part in value]) if type(value) in (tuple, list) else function(value)


def home(value):
    """What of a call's arguments the processor computes with."""
    return value.here if isinstance(value, Elsewhere) else value


def away(value):
    return Elsewhere(value) if isinstance(value, torch.Tensor) else value


def noted(name, arguments, options):
    """Count an operation that copies to the processor or waits."""
    if name in ("copy_", "_copy_from"):
        there = [isinstance(tensor, Elsewhere) for tensor in arguments[:2]]
        waiting = len(arguments) < 3 or not arguments[2]
        if there == ([False, True] if name == "copy_" else [True, False]):
            CLOCK.copy(waiting)
        elif waiting and not all(there):  # memory that is not pinned
            CLOCK.wait()
        return
    back = name == "_to_copy" and torch.device(options.get("device") or NAME).type != NAME
    masks = name in INDEXING and any(part is not None and part.dtype == torch.bool for part in arguments[1])
    if back or masks or name in WAITED:
        CLOCK.copy(waiting=True)


def computed(operation, *arguments, **options):
    """One operation of the device, whose time is not the processor's."""
    began = time.thread_time()
    noted(operation.overloadpacket.__name__, arguments, options)
    try:
        return carried_out(operation, *arguments, **options)
    finally:
        CLOCK.computing += time.thread_time() - began


def carried_out(operation, *arguments, **options):
    name = operation.overloadpacket.__name__
    if name == "copy_":
        home(arguments[0]).copy_(home(arguments[1]))
        return arguments[0]
    tensors = []
    mapped(
        lambda leaf: tensors.append(leaf) if isinstance(leaf, torch.Tensor) else None, [*arguments, *options.values()]
    )
    own = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    strange = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, Elsewhere)]
    indexing = name in INDEXING and isinstance(arguments[0], Elsewhere)
    if own and strange and not indexing and name not in CROSSING:
        raise RuntimeError(f"Expected all tensors to be on the same device: {operation} got {NAME}:0 and cpu")
    device = options.get("device")
    plain = {key: mapped(home, value) for key, value in options.items() if key not in ("device", "pin_memory")}
    if device is not None:
        plain["device"] = torch.device("cpu")
    out = operation(*mapped(home, arguments), **plain)
    if own and arguments and isinstance(arguments[0], Elsewhere) and out is arguments[0].here:
        return arguments[0]  # in place
    stays = bool(own) or not tensors if device is None else torch.device(device).type == NAME
    return mapped(away, out) if stays else out


def rounded(operation, *arguments, **options):
    """One operation under autocast."""

    def lowered(value):
        lower = isinstance(value, torch.Tensor) and value.dtype == torch.float32
        return value.to(torch.bfloat16) if lower else value

    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
    with torch._C._ExcludeDispatchKeyGuard(key):
        return operation(*mapped(lowered, arguments), **{key: lowered(value) for key, value in options.items()})


def install():
    """Register the device in this process, once, and put in what the backend lacks. Keep what is returned."""
    module = backend_registration._DummyBackendModule()
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    module.Stream, module.stream, module.current_stream = Stream, lambda _own: nullcontext(), Stream
    module.Event = Event
    torch.Tensor.pin_memory, torch.Tensor.record_stream = lambda tensor: tensor, lambda _tensor, _stream: None
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=module)
    device, mixed = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    device.fallback(computed, "PrivateUse1")
    device.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for operation in IN_BF16:
        mixed.impl(operation, functools.partial(rounded, getattr(torch.ops.aten, operation)), "AutocastPrivateUse1")

    counting = torch.arange

    def moving(make):
        @functools.wraps(make)
        def made(*arguments, device=None, **options):
            tensor = make(*arguments, **options)
            # CUDA counts on the device, and waits where numbers come from a list.
            return tensor if device is None else tensor.to(device, non_blocking=make is counting)

        return made

    def new_tensor(tensor, data, dtype=None, device=None, **_):
        return torch.tensor(data, dtype=dtype or tensor.dtype, device=device or tensor.device)

    torch.Tensor.new_tensor = new_tensor
    for name in ("tensor", "as_tensor", "arange"):
        setattr(torch, name, moving(getattr(torch, name)))
    torch.accelerator.synchronize = lambda *_: CLOCK.wait()
    torch.inference_mode = lambda mode=True: torch.no_grad()
    return device, mixed
