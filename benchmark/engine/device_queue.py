"""What a device does while the processor goes on: it makes images beside the network, and answers arrive meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arriving = Callable[[], NDArray[Any]]


@dataclass
class _Parcel:
    """What one copy brings to the processor."""

    bits: NDArray[np.int32] | None = None  # once it is sent
    sent: Any = None  # its event, until it has come


class DeviceQueue:
    """A device's second stream, and the values on their way from it to the processor. The processor itself, and a
    device without streams, does everything at once."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        module = None if self._device.type == "cpu" else torch.get_device_module(self._device)
        self._module: Any = module if hasattr(module, "Stream") and hasattr(module, "Event") else None
        self._side = self._module.Stream(device=self._device) if self._module else None
        self._waiting: list[Tensor] = []
        self._parcel = _Parcel()

    @property
    def ahead(self) -> bool:
        """Whether work can be queued before earlier work has ended."""
        return self._module is not None

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Queue the work of the block on the second stream."""
        if self._module is None:
            yield
            return
        with self._module.stream(self._side):
            yield

    def hand_over(self, images: Tensor) -> None:
        """Let the first stream, not the processor, wait for images of the second one."""
        if images.device.type == self._device.type:
            main = self._module.current_stream(self._device)
            main.wait_stream(self._side)
            images.record_stream(main)  # their memory is not reused before the network has read them

    def add(self, values: Tensor) -> Arriving:
        """Return a function that gives float32 or int64 values on the processor, which come with the next copy."""
        if self._module is None:
            return lambda: values.cpu().numpy()
        flat = values.detach().contiguous().reshape(-1).view(torch.int32)
        start, parcel = sum(map(len, self._waiting)), self._parcel
        part, kind = slice(start, start + len(flat)), np.int64 if values.dtype == torch.int64 else np.float32
        self._waiting.append(flat)
        return lambda: self._read(parcel)[part].view(kind).reshape(values.shape)

    def send(self) -> None:
        """Copy all that was added to the processor, without waiting for it."""
        if self._waiting:
            together, event = torch.cat(self._waiting), self._module.Event()
            # Only a copy into pinned memory returns before it has ended.
            here = torch.empty(together.shape, dtype=torch.int32, pin_memory=self._device.type == "cuda")
            here.copy_(together, non_blocking=True)
            event.record(self._module.current_stream(self._device))
            self._parcel.bits, self._parcel.sent = here.numpy(), event
            self._waiting, self._parcel = [], _Parcel()

    def _read(self, parcel: _Parcel) -> NDArray[np.int32]:
        if parcel.bits is None:
            self.send()
        assert parcel.bits is not None
        if parcel.sent:
            parcel.sent.synchronize()
            parcel.sent = None
        return parcel.bits
