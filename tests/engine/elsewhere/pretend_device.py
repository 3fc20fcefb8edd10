"""A pretend accelerator, so that what a GPU would refuse is refused on a machine that has none.

Its tensors say that they lie on "pretend:0" and are computed on the processor. An operation that mixes them with
tensors of the processor is refused, as is `numpy()`: whatever forgets a `.to(device)`, or reads an answer where it is
not, fails. As on CUDA a tensor without dimensions may come along, and an index may stay behind.

It is the Python backend of PyTorch's PrivateUse1 key, which is experimental. That backend knows neither
`torch.tensor(..., device=)`, `as_tensor`, `arange`, `new_tensor`, `tolist` nor lists as indices, has no list of what
autocast rounds, and no inference mode: `no_grad` stands in. It shows nothing of streams, pinned memory, cudnn, TF32,
lack of memory or speed."""

import functools
from contextlib import nullcontext

import torch
from torch.utils import backend_registration

NAME = "pretend"
#: Operations that carry numbers from one device to the other.
CROSSING = {"_to_copy", "_copy_from", "_local_scalar_dense"}
#: What the processor's autocast computes in the lower precision, as far as networks here use it.
IN_BF16 = ("conv1d", "conv2d", "conv3d", "linear", "matmul", "addmm", "bmm", "baddbmm", "scaled_dot_product_attention")
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


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


def computed(operation, *arguments, **options):
    """One operation of the device."""
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
    if own and strange and name not in CROSSING | INDEXING:
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
    torch.Tensor.pin_memory, torch.Tensor.record_stream = lambda tensor: tensor, lambda _tensor, _stream: None
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=module)
    device, mixed = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    device.fallback(computed, "PrivateUse1")
    device.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for operation in IN_BF16:
        mixed.impl(operation, functools.partial(rounded, getattr(torch.ops.aten, operation)), "AutocastPrivateUse1")

    def moving(make):
        @functools.wraps(make)
        def made(*arguments, device=None, **options):
            tensor = make(*arguments, **options)
            return tensor if device is None else tensor.to(device)

        return made

    def new_tensor(tensor, data, dtype=None, device=None, **_):
        return torch.tensor(data, dtype=dtype or tensor.dtype, device=device or tensor.device)

    torch.Tensor.new_tensor = new_tensor
    for name in ("tensor", "as_tensor", "arange"):
        setattr(torch, name, moving(getattr(torch, name)))
    torch.inference_mode = lambda mode=True: torch.no_grad()
    return device, mixed
