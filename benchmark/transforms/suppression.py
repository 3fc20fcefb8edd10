"""Removal of one or two cues (Burgert et al. 2025, arXiv:2509.20234). Filters equal OpenCV's to a grey level; random
choices follow from the image's seed. All: images NCHW float32 in [0,1], level, seeds -> images on the 1/255 grid."""

import math
from collections.abc import Iterator

import torch
from torch.nn import functional

from benchmark.transforms.basics import Seeds, Streams, grey_levels, in_parts, rounded

#: Diameter of the bilateral filter -> its deviation in colour; the deviation in space is always 75 px.
SIGMA_COLOUR = {4: 50, 6: 80, 8: 110, 10: 140, 12: 170, 14: 200}
SIGMA_SPACE = 75.0
#: Grid of the patch shuffle -> diameter of the bilateral filter with which the paper combines it.
PAIRED = dict(zip((2, 4, 6, 8, 10, 12), SIGMA_COLOUR, strict=True))
STRONG = 12  # the filter with which the paper combines every grid
#: Side of the Gaussian kernel -> its deviation, px.
SIGMA_BLUR = {3: 0.33, 5: 0.66, 7: 1.0, 9: 1.33, 11: 1.66, 13: 2.0, 15: 2.33}
#: Half sides of the template and the search window of non-local means. The authors ask for a template of 14 px, which
#: OpenCV makes 15; they use the variant for grey images, which combines the three channels of a colour image.
TEMPLATE, SEARCH = 7, 10
LEAST_WEIGHT = 0.001  # OpenCV drops smaller weights
CACHED = 224**2  # pixels of the images at a time that fill a CPU's cache


def patch_shuffle(images: torch.Tensor, grid: int, seeds: Seeds) -> torch.Tensor:
    """Permute the cells of a `grid` x `grid` grid at random among cells of equal size. Borders are at integer pixels,
    so cells differ by one if the grid does not divide the side (albumentations 1.4.1)."""
    height, width = images.shape[-2:]
    borders = (
        torch.tensor([side * i // grid for i in range(grid + 1)], device=images.device) for side in (height, width)
    )
    (tops, heights), (lefts, widths) = ((own[:-1], own.diff()) for own in borders)
    # The cell of each pixel, [height] and [width].
    rows, columns = (torch.arange(grid, device=images.device).repeat_interleave(size) for size in (heights, widths))
    draws = Streams(seeds, f"patch-shuffle/{grid}", images.device).uniform(grid * grid)
    kind = (heights[:, None] * (max(height, width) + 1) + widths).reshape(-1)
    source = torch.empty(len(images), grid * grid, dtype=torch.long, device=images.device)
    for size in set(kind.tolist()):
        at = (kind == size).nonzero()[:, 0]
        source[:, at] = at[draws[:, at].argsort(dim=1)]
    cell = (rows[:, None] * grid + columns).reshape(-1)
    shown = source[:, cell]
    down = (torch.arange(height, device=images.device) - tops[rows])[:, None].expand(height, width).reshape(-1)
    across = (torch.arange(width, device=images.device) - lefts[columns]).expand(height, width).reshape(-1)
    index = (tops[shown // grid] + down) * width + lefts[shown % grid] + across
    return images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def patch_rotation(images: torch.Tensor, grid: int, seeds: Seeds) -> torch.Tensor:
    """Turn each cell of a `grid` x `grid` grid by a random multiple of 90 degrees. If the grid does not divide the
    side, the image is scaled to the next multiple, and back afterwards (bilinear, as in OpenCV)."""
    n, channels, height, width = images.shape
    side = -(-max(height, width) // grid) * grid
    cell = side // grid
    square = _scaled(images, (side, side)).reshape(n, channels, grid, cell, grid, cell).transpose(3, 4)
    turns = Streams(seeds, f"patch-rotation/{grid}", images.device).bits(grid, grid).bitwise_and(3)
    turned = square
    for k in (1, 2, 3):
        turned = torch.where((turns == k)[:, None, :, :, None, None], torch.rot90(square, k, dims=(-2, -1)), turned)
    return _scaled(turned.transpose(3, 4).reshape(n, channels, side, side), (height, width))


def _scaled(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if images.shape[-2:] == size:
        return images
    return rounded(functional.interpolate(images, size, mode="bilinear", align_corners=False))


def bilateral(images: torch.Tensor, diameter: int, seeds: Seeds) -> torch.Tensor:
    """Average over a disc, by nearness in colour and place (Tomasi and Manduchi 1998, distances as in OpenCV)."""
    radius, colour = diameter // 2, -0.5 / SIGMA_COLOUR[diameter] ** 2

    def smoothed(images: torch.Tensor, _seeds: Seeds) -> torch.Tensor:
        levels = grey_levels(images)
        total, weights = torch.zeros_like(levels), torch.zeros_like(levels[:, :1])
        for distance, shifted in _around(functional.pad(levels, (radius,) * 4, mode="reflect"), radius):
            if distance <= radius:
                apart = (shifted - levels).abs_().sum(1, keepdim=True)
                weight = (apart.square_() * colour - 0.5 * (distance / SIGMA_SPACE) ** 2).exp_()
                total += weight * shifted
                weights += weight
        return rounded(total.div_(weights) / 255)

    return in_parts(images, seeds, CACHED // images.shape[-2:].numel() or 1, smoothed)


def _around(padded: torch.Tensor, reach: int) -> Iterator[tuple[float, torch.Tensor]]:
    """Yield every shift by up to `reach` px each way: its length, and the view of an image with that margin."""
    height, width = padded.shape[-2] - 2 * reach, padded.shape[-1] - 2 * reach
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            yield math.hypot(y - reach, x - reach), padded[..., y : y + height, x : x + width]


def non_local_means(images: torch.Tensor, strength: int, seeds: Seeds) -> torch.Tensor:
    """Average over places with similar surroundings (Buades et al. 2005, with OpenCV's rounding and least weight)."""

    side = 2 * TEMPLATE + 1

    def smoothed(images: torch.Tensor, _seeds: Seeds) -> torch.Tensor:
        padded = functional.pad(grey_levels(images), (TEMPLATE + SEARCH,) * 4, mode="reflect")
        levels = padded[..., SEARCH:-SEARCH, SEARCH:-SEARCH]
        total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
        for _, shifted in _around(padded, SEARCH):
            apart = (shifted - levels).square_().sum(1, keepdim=True)
            for dim, margin in ((-2, (0, 0, 1, 0)), (-1, (1, 0))):  # sums over the template, whole numbers below 2**31
                sums = functional.pad(apart, margin).cumsum(dim, dtype=torch.int32)
                count = sums.shape[dim] - side
                apart = sums.narrow(dim, side, count) - sums.narrow(dim, 0, count)
            # OpenCV divides by the power of two above the template's size, drops the fraction and corrects the scale.
            distance = (apart >> 8).float().mul_(256 / side**2)
            weight = distance.mul_(-1 / (strength**2 * images.shape[1])).exp_()
            weight *= weight >= LEAST_WEIGHT
            total += weight * shifted[..., TEMPLATE:-TEMPLATE, TEMPLATE:-TEMPLATE]
            weights += weight
        return rounded(total.div_(weights) / 255)

    return in_parts(images, seeds, CACHED // images.shape[-2:].numel() or 1, smoothed)


def gaussian_blur(images: torch.Tensor, kernel: int, seeds: Seeds) -> torch.Tensor:  # noqa: ARG001 - all take seeds
    """Blur by a Gaussian cut at `kernel` px, which removes texture and edges. As in OpenCV, weights are
    multiples of 1/256: the rounding error of one is added to the next, the remainder to the middle."""
    half = kernel // 2
    exact = [math.exp(-0.5 * (x / SIGMA_BLUR[kernel]) ** 2) for x in range(-half, half + 1)]
    weights, left = [], 0.0
    for weight in exact[:half]:
        left += 256 * weight / sum(exact)
        weights.append(round(left))
        left -= weights[-1]
    taps = torch.tensor([*weights, 256 - 2 * sum(weights), *reversed(weights)], device=images.device).double()
    padded = functional.pad(grey_levels(images).double(), (half,) * 4, mode="reflect").flatten(0, 1)[:, None]
    down = functional.conv2d(functional.conv2d(padded, taps[None, None, None]), taps[None, None, :, None])
    return rounded(down.view_as(images) / (256**2 * 255))


def grey(images: torch.Tensor, share: float, seeds: Seeds) -> torch.Tensor:  # noqa: ARG001
    """Blend with grey (.299 R + .587 G + .114 B); `share` 1 is all grey. Stored by dropping the fraction."""
    levels = grey_levels(images)
    red, green, blue = levels.unbind(1)
    plain = (0.299 * red + 0.587 * green + 0.114 * blue).round_()[:, None]
    return ((1 - share) * levels + share * plain).add_(1e-3).floor_() / 255


def channel_shuffle(images: torch.Tensor, channels: int, seeds: Seeds) -> torch.Tensor:
    """Permute the three channels by one of their six orders, including the original."""
    order = Streams(seeds, "channel-shuffle", images.device).uniform(channels).argsort(dim=1)
    return images.gather(1, order[:, :, None, None].expand_as(images))


def patch_shuffle_grey(images: torch.Tensor, grid: int, seeds: Seeds) -> torch.Tensor:
    """Remove global shape and colour."""
    return grey(patch_shuffle(images, grid, seeds), 1, seeds)


def bilateral_patch_shuffle(images: torch.Tensor, grid: int, seeds: Seeds) -> torch.Tensor:
    """Remove texture, then global shape, at strengths that grow together."""
    return patch_shuffle(bilateral(images, PAIRED[grid], seeds), grid, seeds)


def strong_bilateral_patch_shuffle(images: torch.Tensor, grid: int, seeds: Seeds) -> torch.Tensor:
    """Remove texture by one strong filter, then global shape."""
    return patch_shuffle(bilateral(images, STRONG, seeds), grid, seeds)


def bilateral_grey(images: torch.Tensor, diameter: int, seeds: Seeds) -> torch.Tensor:
    """Remove texture and colour."""
    return grey(bilateral(images, diameter, seeds), 1, seeds)
