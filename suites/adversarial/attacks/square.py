"""Square attack (Andriushchenko, Croce, Flammarion & Hein 2020, ECCV): a random search that needs no gradient.

One square of the perturbation is drawn anew at a time, ever smaller; what makes the answer no safer is kept. It is the
check on gradients that lead nowhere: where it breaks what they leave standing, they are masked. Each image draws from
its own seed.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from benchmark.errors import BenchError
from suites.adversarial.attacks.problem import (
    TINY,
    Outcome,
    Problem,
    cross_entropy,
    fallen,
    geometry,
    margin,
    unattacked,
)
from suites.adversarial.config import NormName, Square

#: Of 10,000 queries, after how many the share of the image in a square is halved.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
SEED = 2_000_003
TILES = 5  # the L2 start is a grid of so many squares a side


@dataclass(frozen=True)
class Search:
    """How one norm searches, each on one image [c, h, w]. start: (epsilon, generator, shape) -> perturbation; side:
    (share of the image, height, width) -> pixels; redraw: (perturbation, epsilon, side, generator) -> another one."""

    start: Callable[[float, torch.Generator, torch.Size], Tensor]
    side: Callable[[float, int, int], int]
    redraw: Callable[[Tensor, float, int, torch.Generator], Tensor]


def square(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Square) -> Outcome:
    """Attack every image of a problem within epsilon [n], one for each, by at most `recipe.queries` forward passes."""
    found, rows = unattacked(len(problem.images)), torch.arange(len(problem.images))
    for part in torch.split(rows, problem.batch):
        _search(problem, norm, epsilon, recipe, part.to(problem.images.device), found)
    return found


def share_at(query: int, queries: int, first: float) -> float:
    """The share of the image that a square covers at a query: halved ever more rarely, as for 10,000 queries."""
    share: float = first / 2 ** bisect_left(HALVED, int(query / queries * 10_000))
    return share


def _search(problem: Problem, norm: NormName, epsilon: Tensor, recipe: Square, rows: Tensor, found: Outcome) -> None:
    how, ball = _search_in(norm), geometry(norm)
    bounds = epsilon.tolist()
    streams = {row: torch.Generator().manual_seed((int(problem.seeds[row]) + SEED) % 2**63) for row in rows.tolist()}
    shape = problem.images.shape[1:]
    first = [how.start(bounds[row], streams[row], shape) for row in rows.tolist()]
    point = _placed(problem, rows, first)
    best = torch.full(rows.shape, float("-inf"), device=rows.device)
    kept = point
    for query in range(recipe.queries):
        if query:
            side = how.side(share_at(query, recipe.queries, recipe.share), *shape[1:])
            delta = (kept - problem.images[rows]).cpu()
            redrawn = [
                how.redraw(one, bounds[row], side, streams[row]) for one, row in zip(delta, rows.tolist(), strict=True)
            ]
            point = _placed(problem, rows, redrawn)
        z = _answers(problem, rows, point, found)
        y = problem.labels[rows]
        fell, value = fallen(problem, rows, point, z), margin(z, y, torch.full_like(y, -1))
        if bool(fell.any()):
            at = rows[fell].cpu().numpy()
            found.broken[at] = True
            found.size[at] = ball.size((point - problem.images[rows])[fell]).cpu().numpy()
        better = value > best
        best = torch.where(better, value, best)[~fell]
        kept = torch.where(better.reshape(-1, 1, 1, 1), point, kept)[~fell]
        rows = rows[~fell]
        if not len(rows):
            return


def _placed(problem: Problem, rows: Tensor, deltas: list[Tensor]) -> Tensor:
    return (problem.images[rows] + torch.stack(deltas).to(problem.images)).clamp_(0.0, 1.0)


def _answers(problem: Problem, rows: Tensor, point: Tensor, found: Outcome) -> Tensor:
    """Logits [b, c]; what they cost and where the images stand goes into `found`."""
    with torch.no_grad():
        z = problem.forward(point)
    y, at = problem.labels[rows], rows.cpu().numpy()
    none = torch.full_like(y, -1)
    found.forwards[at] += 1
    found.loss[at] = cross_entropy(z, y, none).cpu().numpy()
    found.margin[at] = margin(z, y, none).cpu().numpy()
    return z


def _search_in(norm: NormName) -> Search:
    found = {"linf": Search(linf_start, linf_side, linf_redraw), "l2": Search(l2_start, l2_side, l2_redraw)}
    if norm not in found:
        raise BenchError(f"the Square attack is not defined here in {norm}; use linf or l2.")
    return found[norm]


def linf_start(epsilon: float, generator: torch.Generator, shape: torch.Size) -> Tensor:
    """Vertical stripes of one pixel, +-epsilon in each channel."""
    channels, height, width = shape
    return (epsilon * signs(channels, width, generator))[:, None, :].expand(-1, height, -1)


def linf_side(share: float, height: int, width: int) -> int:
    """Of a square that covers `share` of the image; at least one pixel."""
    return min(max(round(sqrt(share * height * width)), 1), height, width)


def linf_redraw(delta: Tensor, epsilon: float, side: int, generator: torch.Generator) -> Tensor:
    """One square is +-epsilon, each channel by its own sign."""
    drawn = delta.clone()
    drawn[place(delta.shape, side, generator)] = epsilon * signs(len(delta), 1, generator)[..., None]
    return drawn


def l2_start(epsilon: float, generator: torch.Generator, shape: torch.Size) -> Tensor:
    """A grid of patterns, each channel by its own sign, of length epsilon."""
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
    """Odd, at least three pixels."""
    side = max(round(sqrt(share * height * width)), 3)
    return min(side + 1 - side % 2, height, width)


def l2_redraw(delta: Tensor, epsilon: float, side: int, generator: torch.Generator) -> Tensor:
    """One square takes the other's part of the perturbation and what the ball has left, and turns towards a new
    pattern (algorithm 3 of the paper)."""
    here, there = (place(delta.shape, side, generator) for _ in range(2))
    both = torch.zeros_like(delta)
    both[here] = both[there] = 1.0
    spare = (epsilon**2 - delta.square().sum()).clamp_min(0.0) / len(delta)
    length = (spare + (delta * both).square().sum(dim=(1, 2), keepdim=True)).sqrt()
    new = signs(len(delta), 1, generator)[..., None] * pattern(side, generator)
    new = unit(new + unit(delta[here])) * length
    drawn = delta.clone()
    drawn[there] = 0.0
    drawn[here] = new
    return of_length(drawn, epsilon)


def of_length(delta: Tensor, length: float) -> Tensor:
    """`delta` at an L2 norm of `length`; zero stays zero."""
    made: Tensor = delta * (length / delta.norm().clamp_min(TINY))
    return made


def unit(delta: Tensor) -> Tensor:
    """Each channel at length 1; zero stays zero."""
    return delta / delta.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp_min(TINY)


def pattern(side: int, generator: torch.Generator) -> Tensor:
    """[side, side] of length 1: a bump up beside a bump down, lying or standing."""
    upper = side // 2
    halves = (bump(upper, side), -bump(side - upper, side))
    drawn = of_length(torch.cat(halves), 1.0)
    return drawn.T if bool(torch.rand(1, generator=generator) > 0.5) else drawn


def bump(height: int, width: int) -> Tensor:
    """Highest in the middle: the sum of 1 / (k + 1)^2 over the centred squares k = 0, 1, ... that cover a pixel."""
    middle = (height // 2, width // 2)
    rings = torch.maximum(
        (torch.arange(height) - middle[0]).abs()[:, None], (torch.arange(width) - middle[1]).abs()[None, :]
    )
    count = max(middle) + 1
    heights = 1.0 / torch.arange(1, count + 1).float().square()
    return heights.flip(0).cumsum(0).flip(0)[rings]


def place(shape: torch.Size, side: int, generator: torch.Generator) -> tuple[slice, slice, slice]:
    """A square of the image, anywhere."""
    top, left = (int(torch.randint(size - side + 1, (1,), generator=generator)) for size in shape[1:])
    return slice(None), slice(top, top + side), slice(left, left + side)


def signs(height: int, width: int, generator: torch.Generator) -> Tensor:
    """[height, width] of -1 and 1."""
    return torch.randint(2, (height, width), generator=generator).float() * 2 - 1
