"""What a device does while the processor goes on: images are made beside the network, and answers come to the
processor while the next ones are computed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arriving = Callable[[], NDArray[Any]]


class DeviceQueue:
    """A device's second stream, and the values on their way from it to the processor. The processor itself, and a
    device without streams, does everything at once."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        module = None if self._device.type == "cpu" else torch.get_device_module(self._device)
        self._module: Any = module if hasattr(module, "Stream") and hasattr(module, "Event") else None
        self._side = self._module.Stream(device=self._device) if self._module else None
        self._parcel = _Parcel(self.send)

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

    def hand_over(self, images: Tensor) -> Tensor:
        """Return images of the second stream, for which the first one waits, not the processor."""
        if self._module is not None and images.device.type == self._device.type:
            main = self._module.current_stream(self._device)
            main.wait_stream(self._side)
            images.record_stream(main)  # their memory is not reused before the network has read them
        return images

    def add(self, values: Tensor) -> Arriving:
        """Return a function that gives float32 or int64 values on the processor, which come with the next copy."""
        if self._module is None:
            return lambda: values.cpu().numpy()
        return self._parcel.add(values.detach())

    def send(self) -> None:
        """Copy all that was added to the processor, without waiting for it."""
        parcel = self._parcel
        if parcel.values:
            self._parcel = _Parcel(self.send)
            parcel.send(self._module, self._device)


class _Parcel:
    """Values that are copied to the processor together."""

    def __init__(self, send: Callable[[], None]) -> None:
        self.values: list[Tensor] = []
        self._send_now = send
        self._event: Any = None  # after the copy
        self._bits: NDArray[np.int32] | None = None

    def add(self, values: Tensor) -> Arriving:
        flat = values.contiguous().reshape(-1).view(torch.int32)
        start = sum(map(len, self.values))
        self.values.append(flat)
        kind, shape, end = (np.int64 if values.dtype == torch.int64 else np.float32), values.shape, start + len(flat)
        return lambda: self._read()[start:end].view(kind).reshape(shape)

    def send(self, module: Any, device: torch.device) -> None:
        together = torch.cat(self.values)
        # Only a copy into pinned memory returns before it has ended.
        here = torch.empty(together.shape, dtype=torch.int32, pin_memory=device.type == "cuda")
        here.copy_(together, non_blocking=True)
        self._event = module.Event()
        self._event.record(module.current_stream(device))
        self._bits, self.values = here.numpy(), []

    def _read(self) -> NDArray[np.int32]:
        if self._bits is None:
            self._send_now()
        if self._event is not None:
            self._event.synchronize()
            self._event = None
        assert self._bits is not None
        return self._bits
