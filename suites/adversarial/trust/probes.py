"""What is asked of a network so that its number can be trusted: is the gradient that the attack followed the slope of
the answers, is an answer the image's own, are the pixels as they were meant, are the outputs logits?

Attacks go where gradients point. A gradient that is blurred, thinned out, noisy or made up by a custom backward pass is
not zero, and the loss may rise along it, but slowly: the image seems robust. Differences of the margin along random
directions, as long as attacks move, show it, whatever the mask. Rounding (8-bit inputs or activations) is no slope at
all over short ways and hides nothing over those that attacks go.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.problem import Followed, Forward, Problem, at_class, gradient_of, wide, wrong
from suites.adversarial.trust.report import NO_SLOPE, READINGS

NONE = 1e-12
#: Half the way between the two points of a difference, in every pixel: shorter than rounding to 8 bits, longer than it,
#: and as far as the ranked budget goes, where networks bend.
LENGTHS = (0.5 / 255, 1.5 / 255, 4 / 255)
DIRECTIONS = 4
#: The boundary is looked for up to so far from an image, in so many halvings.
EDGE, HALVINGS = 8 / 255, 6
PROBES = 4 * DIRECTIONS * len(LENGTHS) + HALVINGS + 4  # plain passes per image that is probed
#: Images that no attack moved are moved by up to so much first: some gradients hold at the images and nowhere else.
SHIFT = 2 / 255
#: Differences below so many roundings of the larger of the two logits say nothing.
ROUNDINGS = 4
#: An output lower than the largest by more than so many times the third largest's distance is as good as minus infinity
#: (classes that are never given), and takes no part in how far two answers are apart.
NEVER = 30.0
#: Fewer images do not show that outputs have ends.
LEAST_IMAGES = 8
SEED = 3_000_017


def probed(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n]: the one image of four that is probed; whether one is does not depend on the others."""
    return np.asarray(seeds % np.uint64(4) == 1)


def asked(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """[n]: the one image of two that is shown otherwise normalised."""
    return np.asarray(seeds % np.uint64(2) == 0)


def otherwise(forward: Forward, images: Tensor, labels: Tensor, batch: int) -> NDArray[np.bool_]:
    """[n, readings]: right answers to images [n, c, h, w] read otherwise."""
    columns = [
        torch.cat([forward(read(some)) for some in torch.split(images, batch)]).argmax(dim=1) == labels
        for read in READINGS.values()
    ]
    return torch.stack(columns, dim=1).cpu().numpy()


@dataclass(frozen=True)
class Slopes:
    """Of each probed image; arrays [n]. error: how far the slopes of the margin along random directions, as the
    gradient has them, are from differences of the network as it was loaded: |g.v - d| over the longer of the two, both
    as vectors over the directions. 0: equal; 1: nothing in common; the smallest over all `LENGTHS`. Of the gradients
    followed and those at the boundary, those that are off on more images. spread: the same
    between the differences over the shortest and the longest. NaN: rounding exceeds the differences. company: how far
    the gradient in the attack's batch is from that of the image alone."""

    error: NDArray[np.float64]
    spread: NDArray[np.float64]
    company: NDArray[np.float64]


def slopes(problem: Problem, plain: Forward, rows: NDArray[np.int64], seen: Followed) -> Slopes:
    """Check the gradients that an attack followed (`seen`), or, for images that it broke before, those of the images
    moved a little, in batches; and those at the boundary, where a gradient that leads astray does most."""
    _fill(problem, seen, [row for row in rows.tolist() if row not in seen.point])
    edge = _at_boundary(problem, seen, [row for row in rows.tolist() if row in seen.point])
    followed, near = (
        np.array(
            [_slope(problem, plain, row, at) if row in at.point else (np.nan,) * 3 for row in rows.tolist()]
        ).reshape(-1, 3)
        for at in (seen, edge)
    )
    off = [~(checks[:, 0] <= NO_SLOPE) for checks in (followed, near)]
    worse = near if off[1].sum() > off[0].sum() else followed
    return Slopes(worse[:, 0], worse[:, 1], np.fmax(followed[:, 2], near[:, 2]))


def _at_boundary(problem: Problem, seen: Followed, rows: list[int]) -> Followed:
    """The gradients where images on their way along the signs of those in `seen` are last answered rightly."""
    edge = Followed(seen.wanted, seen.within)
    for some in (rows[i : i + problem.batch] for i in range(0, len(rows), problem.batch)):
        images, labels = problem.images[some], problem.labels[some]
        signs = torch.stack([seen.way[row] for row in some]).sign()
        low, step = torch.zeros(len(some)).to(images), EDGE / 2
        for _ in range(HALVINGS):
            with torch.no_grad():
                z = problem.forward((images + wide(low + step) * signs).clamp(0.0, 1.0))
            low, step = torch.where(wrong(z, labels), low, low + step), step / 2
        point = (images + wide(low) * signs).clamp(0.0, 1.0)
        rival, way = _gradient(problem, point, labels)
        for place, row in enumerate(some):
            edge.note(row, point[place], way[place], int(rival[place]))
    return edge


def _fill(problem: Problem, seen: Followed, rows: list[int]) -> None:
    for some in (rows[i : i + problem.batch] for i in range(0, len(rows), problem.batch)):
        shifts = [2 * torch.rand(problem.images[row].shape, generator=_generator(problem, row)) - 1 for row in some]
        images = problem.images[some]
        point = (images + SHIFT * torch.stack(shifts).to(images)).clamp(0.0, 1.0)
        rival, way = _gradient(problem, point, problem.labels[some])
        for place, row in enumerate(some):
            seen.note(row, point[place], way[place], int(rival[place]))


def _generator(problem: Problem, row: int) -> torch.Generator:
    return torch.Generator().manual_seed((int(problem.seeds[row]) + SEED) % 2**63)


def _gradient(problem: Problem, point: Tensor, labels: Tensor, rival: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The most likely wrong class [n] at the points, or those that are given; the gradient of its logit over the right
    one's."""
    at = point.detach().clone().requires_grad_()
    z = problem.forward(at)
    if rival is None:
        rival = z.detach().scatter(1, labels[:, None], float("-inf")).argmax(dim=1)
    return rival, gradient_of(at_class(z, rival) - at_class(z, labels), at)


def _slope(problem: Problem, plain: Forward, row: int, seen: Followed) -> tuple[float, float, float]:
    point, way, rival = seen.point[row][None], seen.way[row][None], seen.rival[row]
    label = int(problem.labels[row])
    generator = _generator(problem, row)
    ways = torch.randint(2, (DIRECTIONS, *point.shape[1:]), generator=generator) * 2.0 - 1
    ways = ways.to(point)
    claimed = (way.double() * ways.double()).flatten(1).sum(dim=1)
    answers = plain(torch.cat([point + s * t * ways for t in LENGTHS for s in (1, -1)]))
    pair = torch.tensor([rival], device=point.device)
    two = answers[:, [rival, label]]
    rounding = ROUNDINGS * torch.finfo(torch.float32).eps * float(two.abs().amax())
    z = two.double().view(len(LENGTHS), 2, DIRECTIONS, 2)
    gap = z[..., 0] - z[..., 1]
    risen = gap[:, 0] - gap[:, 1]
    measured = risen / (2 * risen.new_tensor(LENGTHS)[:, None])
    _, alone = _gradient(problem, point, problem.labels[row : row + 1], pair)
    company = _apart(way.double().flatten(), alone.double().flatten())
    clear = [max(float(risen[i].norm()), 2 * t * float(claimed.norm())) > rounding for i, t in enumerate(LENGTHS)]
    if not any(clear):
        silent = not risen.any() and not claimed.any()
        return (0.0 if silent else np.nan), np.nan, company
    error = min(_apart(claimed, slope) for slope, sure in zip(measured, clear, strict=True) if sure)
    noise = rounding / max(float(risen[-1].norm()), NONE)
    return error, (_apart(measured[0], measured[-1]) if all(clear) else noise), company


def _apart(a: Tensor, b: Tensor) -> float:
    """The distance of two vectors over the longer one's length; 0 where both are zero."""
    longer = float(torch.maximum(a.norm(), b.norm()))
    return float((a - b).norm()) / longer if longer else 0.0


def company_differences(
    plain: Forward, images: Tensor, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[rows], twice: how far the logits of an image beside a copy of itself are from those beside the next image of the
    chunk, and from those of the copy; see `answers_apart`."""
    pairs = [_company(plain, images, int(row)) for row in rows]
    apart = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return apart[:, 0], apart[:, 1]


def _company(plain: Forward, images: Tensor, row: int) -> tuple[float, float]:
    image, other = images[row : row + 1], images[(row + 1) % len(images)][None]
    alone, copy = torch.split(plain(torch.cat([image, image])), 1)
    beside = plain(torch.cat([image, other]))[:1]
    return float(answers_apart(alone, beside)), float(answers_apart(alone, copy))


def answers_apart(a: Tensor, b: Tensor) -> Tensor:
    """[n]: distances of two answers [n, classes], each less its mean and at unit length, as far as rounding does not
    make them: a constant on all logits is no part of an answer, and hides none; nor does a class that is never
    given."""
    rounding = torch.finfo(torch.float32).eps * torch.maximum(a.abs(), b.abs())
    least = torch.minimum(_least(a), _least(b))
    rounding = torch.where(torch.maximum(a, b) < least, 0.0, rounding)
    a, b = (torch.maximum(z.double(), least) for z in (a, b))
    a, b = (z - z.mean(dim=1, keepdim=True) for z in (a, b))
    length = torch.maximum(a.norm(dim=1), b.norm(dim=1)).clamp_min(NONE)
    units = [z / z.norm(dim=1, keepdim=True).clamp_min(NONE) for z in (a, b)]
    apart: Tensor = (units[0] - units[1]).norm(dim=1) - rounding.double().norm(dim=1) / length
    return apart.clamp_min(0.0)


def _least(z: Tensor) -> Tensor:
    """[n, 1]: outputs below it are as good as minus infinity."""
    top = z.double().topk(min(3, z.shape[1]), dim=1).values
    return top[:, :1] - NEVER * (top[:, :1] - top[:, -1:])


def preimage(logits: Tensor) -> Callable[[Tensor], Tensor]:
    """The map from outputs to what attacks are to drive, in double precision. Outputs that are a distribution on every
    image: their logarithms, the logits up to a constant. Others between two ends (`ends`): the logits of a sigmoid.
    Both keep the order of the outputs, and their gradients do not vanish with the outputs'. Else: as they are."""
    if (limits := ends(logits)) is None:
        return lambda z: z
    if bool(distribution(logits).all()):
        return lambda z: z.double().clamp_min(1e-38).log()
    low, high = limits

    def logit(z: Tensor) -> Tensor:
        share = (z.double() - low) / (high - low)
        inside = share.clamp(1e-38, 1 - 1e-9)
        return torch.logit(inside) + (share - inside)  # the ends of a sample may be passed by

    return logit


def ends(logits: Tensor) -> tuple[float, float] | None:
    """The lowest and the highest value that outputs [n, classes] can take, as those of a sigmoid: 0 and 1 where all lie
    there, else the extremes of which most outputs are next to the one, and most images' largest next to the other.

    Next to: 2 % of the usual distance between an image's largest output and its middle one. Logarithms of
    probabilities are logits, though 0 is their end, and some are cut off below."""
    if bool(within(logits).all()):
        return 0.0, 1.0
    logs = bool(((logits.double().exp().sum(dim=1) - 1).abs() < 0.05).all())
    if logs or len(logits) < LEAST_IMAGES or logits.shape[1] < 2:
        return None
    given = torch.maximum(logits.double(), _least(logits).median())
    low, high, top = float(given.amin()), float(given.amax()), given.amax(dim=1)
    near = 0.02 * float((top - given.median(dim=1).values).median())
    piled = [(given < low + near).flatten(), top > high - near]
    return (low, high) if all(float(x.float().mean()) > 0.5 for x in piled) else None


def within(logits: Tensor) -> Tensor:
    """[n]: all outputs of an image lie in [0, 1]."""
    return (logits.amin(dim=1) > -1e-5) & (logits.amax(dim=1) < 1 + 1e-5)


def distribution(logits: Tensor) -> Tensor:
    """[n]: ... and sum to one."""
    return within(logits) & ((logits.double().sum(dim=1) - 1).abs() < 1e-5)
