"""How much memory a network asks for, found without giving it any: shapes are computed, numbers are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Bytes of one result of an operator, and of all results together, for one image. The largest activation
#: of published classifiers, of EfficientNet-L2 at 800 px, has 0.3 GiB.
MOST_RESULT = 2**30
MOST_RESULTS = 32 * 2**30
FEWEST = 2  # batch 1 is a special case in many exported programs


class TooLarge(MemoryError):
    """An operator asks for more memory than any classifier needs."""


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operators return."""

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0
        self.images = images

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(func, int(leaf.numel()) * leaf.element_size() // self.images)
        return result

    def _add(self, func: Callable[..., Any], size: int) -> None:
        self.total += size
        if size > MOST_RESULT:
            raise TooLarge(f"{func} makes a tensor of {size / 2**30:.3g} GiB per image")
        if self.total > MOST_RESULTS:
            raise TooLarge(f"its operators make more than {MOST_RESULTS // 2**30} GiB per image")


def bytes_per_image(module: nn.Module, side: int, batch: int = FEWEST) -> int:
    """Bytes that all operators of `module` return for one image of `side` x `side` pixels, together, when it is shown
    `batch` at once.

    Raises TooLarge beyond `MOST_RESULT` or `MOST_RESULTS`, and whatever a forward pass raises that fails.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        images = torch.empty((batch, 3, side, side))
        meter = _Meter(batch)
        with meter:
            module(images)
    return meter.total
