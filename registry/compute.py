"""What one forward pass costs, counted from a model's architecture: without weights, images or a clock."""

from __future__ import annotations

from registry.cards import ModelCard

#: Of a network that is not built here: about a ResNet-50 at 224 pixels, by the area of the input.
_TYPICAL, _SIDE = 8_000_000_000, 224
_OWN = "python:registry."
#: Architectures that this program and the libraries that it depends on define: alike on every machine.
_COUNTED = ("timm:", "torchvision:", _OWN)


def forward_flops(card: ModelCard) -> int:
    """Floating point operations of one image's forward pass; 0 of an ideal observer, which sees none.

    One that somebody else's code builds, or that cannot be counted, stands by the area of its input alone.
    """
    if card.source == "ideal" or card.preprocess is None:
        return 0
    size = card.preprocess.size
    kwargs = card.options.get("kwargs")
    counted = _counted(card.arch, size, kwargs) if card.arch.startswith(_COUNTED) else 0
    return counted or _TYPICAL * size * size // (_SIDE * _SIDE)


def _counted(arch: str, size: int, kwargs: dict[str, object] | None) -> int:
    """0 where the network cannot be built or run without data."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from registry.architectures import build

    # Our own are small, and some of their operations look at values, which "meta" tensors lack.
    device, classes = ("cpu", 16) if arch.startswith(_OWN) else ("meta", 1000)
    try:
        with torch.device(device):
            module = build(arch, classes, kwargs).eval()
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(torch.zeros(1, 3, size, size))
    except Exception:  # noqa: BLE001 - of whatever a network does at its first pass
        return 0
    return int(counter.get_total_flops())
