"""Square attack (Andriushchenko, Croce, Flammarion & Hein 2020, ECCV): a random search that needs no gradient. Each
query replaces one square of the perturbation, ever smaller, by a random one; what makes the answer safer is undone."""

from bisect import bisect_left
from math import sqrt

import torch
from torch import Generator, Size, Tensor

from suites.adversarial.attacks.balls import TINY, wide
from suites.adversarial.attacks.losses import margin
from suites.adversarial.attacks.problem import Problem, Verdicts, device_batches
from suites.adversarial.config import NormName, Square

#: Of 10,000 queries, after how many the share of the image in a square is halved; and that share at first.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
FIRST = 0.8
SEED = 2_000_003
TILES = 5  # the L2 start is a grid of so many squares a side


def square(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Square) -> Verdicts:
    """Attack every image of a problem within epsilon [n], one for each, by at most `recipe.queries` forward passes."""
    verdicts = Verdicts.none(len(problem.images))
    (start, side_of, redraw), shape, bounds = SEARCHES[norm], problem.images.shape[1:], epsilon.tolist()
    for rows in device_batches(problem):
        streams = {row: Generator().manual_seed((int(problem.seeds[row]) + SEED) % 2**63) for row in rows.tolist()}
        best = torch.full(rows.shape, float("-inf"), device=problem.images.device)
        kept = problem.images[rows]
        for query in range(recipe.queries):
            if not len(rows):
                break
            if query:
                side = side_of(share_at(query, recipe.queries), *shape[1:])
                before = zip(rows.tolist(), (kept - problem.images[rows]).cpu(), strict=True)
                drawn = [redraw(delta, bounds[row], side, streams[row]) for row, delta in before]
            else:
                drawn = [start(bounds[row], streams[row], shape) for row in rows.tolist()]
            point = (problem.images[rows] + torch.stack(drawn).to(problem.images)).clamp_(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(point)
            verdicts.forwards[rows] += 1
            stands = ~verdicts.judge(problem, norm, rows, point, z)
            value = margin(z, problem.labels[rows])
            better = value > best
            best = torch.where(better, value, best)[stands]
            kept = torch.where(wide(better), point, kept)[stands]
            rows = rows[stands]
    return verdicts


def share_at(query: int, queries: int) -> float:
    """Return the share of the image that a square covers at a query: halved ever more rarely, as for 10,000 queries."""
    return float(FIRST / 2 ** bisect_left(HALVED, int(query / queries * 10_000)))


def linf_start(epsilon: float, generator: Generator, shape: Size) -> Tensor:
    """Return vertical stripes of one pixel, +-epsilon in each channel."""
    channels, height, width = shape
    return (epsilon * signs(channels, width, generator))[:, None, :].expand(-1, height, -1)


def linf_side(share: float, height: int, width: int) -> int:
    """Return the side of a square that covers `share` of the image; at least one pixel."""
    return min(max(round(sqrt(share * height * width)), 1), height, width)


def linf_redraw(delta: Tensor, epsilon: float, side: int, generator: Generator) -> Tensor:
    """Redraw one square to +-epsilon, each channel by its own sign."""
    drawn = delta.clone()
    drawn[random_square(delta.shape, side, generator)] = epsilon * signs(len(delta), 1, generator)[..., None]
    return drawn


def l2_start(epsilon: float, generator: Generator, shape: Size) -> Tensor:
    """Return a grid of patterns, each channel by its own sign, of length epsilon."""
    channels, height, width = shape
    delta = torch.zeros(shape)
    side = max(min(height, width) // TILES, 1)
    edge = max((min(height, width) - side * TILES) // 2, 0)
    for top in range(edge, height - side + 1, side):
        for left in range(edge, width - side + 1, side):
            tile = signs(channels, 1, generator)[..., None] * pattern(side, generator)
            delta[:, top : top + side, left : left + side] = tile
    return of_length(delta, epsilon)


def l2_side(share: float, height: int, width: int) -> int:
    """Return an odd number of at least three pixels."""
    side = max(round(sqrt(share * height * width)), 3)
    return min(side + 1 - side % 2, height, width)


def l2_redraw(delta: Tensor, epsilon: float, side: int, generator: Generator) -> Tensor:
    """Let one square take the other's part and the remaining budget, and turn towards a new pattern (algorithm 3)."""
    here, there = (random_square(delta.shape, side, generator) for _ in range(2))
    both = torch.zeros_like(delta)
    both[here] = both[there] = 1.0
    spare = (epsilon**2 - delta.square().sum()).clamp_min(0.0) / len(delta)
    length = (spare + (delta * both).square().sum(dim=(1, 2), keepdim=True)).sqrt()
    new = signs(len(delta), 1, generator)[..., None] * pattern(side, generator)
    new = unit_length(new + unit_length(delta[here])) * length
    drawn = delta.clone()
    drawn[there] = 0.0
    drawn[here] = new
    return of_length(drawn, epsilon)


def of_length(delta: Tensor, length: float) -> Tensor:
    """Return `delta` at an L2 norm of `length`; zero stays zero."""
    return torch.as_tensor(delta * (length / delta.norm().clamp_min(TINY)))


def unit_length(delta: Tensor) -> Tensor:
    """Return each channel at length 1; zero stays zero."""
    return delta / delta.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp_min(TINY)


def pattern(side: int, generator: Generator) -> Tensor:
    """Return [side, side] of length 1: a bump up beside a bump down, lying or standing."""
    upper = side // 2
    halves = (bump(upper, side), -bump(side - upper, side))
    drawn = of_length(torch.cat(halves), 1.0)
    return drawn.T if bool(torch.rand(1, generator=generator) > 0.5) else drawn


def bump(height: int, width: int) -> Tensor:
    """Return a bump, highest in the middle: the sum of 1 / (k + 1)^2 over the centred squares k that cover a pixel."""
    down, across = height // 2, width // 2
    rings = torch.maximum((torch.arange(height) - down).abs()[:, None], (torch.arange(width) - across).abs()[None])
    heights = 1.0 / torch.arange(1, max(down, across) + 2).float().square()
    return heights.flip(0).cumsum(0).flip(0)[rings]


def random_square(shape: Size, side: int, generator: Generator) -> tuple[slice, slice, slice]:
    """Return a square of the image, anywhere."""
    top, left = (int(torch.randint(size - side + 1, (1,), generator=generator)) for size in shape[1:])
    return slice(None), slice(top, top + side), slice(left, left + side)


def signs(height: int, width: int, generator: Generator) -> Tensor:
    """Return [height, width] of -1 and 1."""
    return torch.randint(2, (height, width), generator=generator).float() * 2 - 1


#: Norm -> how it searches on one image [c, h, w]: (epsilon, generator, shape) -> first perturbation; (share of the
#: image, height, width) -> side of a square; (perturbation, epsilon, side, generator) -> another perturbation.
SEARCHES = {"linf": (linf_start, linf_side, linf_redraw), "l2": (l2_start, l2_side, l2_redraw)}
