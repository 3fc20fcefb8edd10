"""Grey levels and the number type that a transform works in. Images are NCHW."""

from __future__ import annotations

import torch


def working(images: torch.Tensor) -> torch.Tensor:
    """The images in the precision of the published code, float64, on the 1/255 grid that a decoded
    file has.

    Devices without float64 work in float32.
    """
    exact = images.device.type != "mps"
    return grey_levels(images).to(torch.float64 if exact else torch.float32) / 255


def grey_levels(images: torch.Tensor) -> torch.Tensor:
    """Images in [0,1], or uint8 -> whole numbers 0..255 as float, the file that was decoded."""
    if images.dtype == torch.uint8:
        return images.float()
    return (images * 255).round_().clamp_(0, 255)


def stored_levels(images: torch.Tensor) -> torch.Tensor:
    """Images in [0,1], or uint8 -> uint8 levels: the file that was decoded."""
    if images.dtype == torch.uint8:
        return images
    half = torch.tensor(0.5, device=images.device)
    return torch.add(half, images, alpha=255).clamp_(0, 255).to(torch.uint8)


def rounded(images: torch.Tensor) -> torch.Tensor:
    """Clip to [0,1] and store as uint8 by rounding half up, as float32 in [0,1]."""
    return ((images.clamp(0, 1) * 255 + 0.5).floor() / 255).float()


def truncated(images: torch.Tensor) -> torch.Tensor:
    """Clip to [0,1] and store as uint8 by dropping the fraction, as float32 in [0,1]."""
    return ((images.clamp(0, 1) * 255).floor() / 255).float()


def luminance(images: torch.Tensor) -> torch.Tensor:
    """[n, 1, H, W]: .2125 R + .7154 G + .0721 B, the grey of scikit-image's `rgb2gray`."""
    red, green, blue = images.unbind(1)
    return (0.2125 * red + 0.7154 * green + 0.0721 * blue).unsqueeze(1)
