"""Probes for the trust report: are gradients slopes, answers independent of other images, and outputs logits?"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suites.adversarial.attacks.balls import BALLS, seeded, wide
from suites.adversarial.attacks.losses import gradient_of, margin
from suites.adversarial.attacks.problem import Forward, GradientTrace, Problem, Rows, wrong
from suites.adversarial.trust.report import NO_SLOPE, READINGS, SCALED

NONE = 1e-12
#: Half the way between the two points of a difference, in every pixel: no longer than rounding to 8 bits, whole levels,
#: which it leaves as they are, and as far as the ranked budget goes, where networks bend.
LENGTHS = (0.5 / 255, 1 / 255, 4 / 255)
DIRECTIONS = 3
OWN = 3  # the gradient's signs, those of the weaker half of its entries, the gradient itself
#: The boundary is looked for up to so far from an image, in so many halvings.
EDGE, HALVINGS = 8 / 255, 6
PROBES = 2 * (2 * DIRECTIONS + OWN) * len(LENGTHS) + HALVINGS + 4  # plain passes per image that is probed
#: Images that no attack moved are moved by up to so much first: some gradients hold at the images and nowhere else.
SHIFT = 2 / 255
ROUNDINGS = 4  # differences below so many roundings of the larger of the two logits say nothing
#: An output lower than the largest by more than so many times the third largest's distance is as good as minus infinity
#: (classes that are never given), and takes no part in how far two answers are apart.
NEVER = 30.0
LEAST_IMAGES = 8  # fewer images do not show that outputs have ends
SEED = 3_000_017


def probed(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return [n]: the one image of four that is probed; whether one is does not depend on the others."""
    return np.asarray(seeds % np.uint64(4) == 1)


def asked(seeds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return [n]: the one image of two that is shown otherwise normalised."""
    return np.asarray(seeds % np.uint64(2) == 0)


def otherwise(forward: Forward, images: Tensor, labels: Tensor, batch: int) -> NDArray[np.bool_]:
    """Return [n, readings]: right answers to images [n, c, h, w] read otherwise."""
    columns = [
        torch.cat([forward(read(some)) for some in torch.split(images, batch)]).argmax(dim=1) == labels
        for read in READINGS.values()
    ]
    return torch.stack(columns, dim=1).cpu().numpy()


def slopes(problem: Problem, plain: Forward, rows: Rows) -> NDArray[np.float64]:
    """Return [5, rows] for each image at `rows` (NaN: rounding exceeds the differences):

    error: distance of the margin's slopes along random directions, by the gradient and by differences of the network as
    it was loaded, over the longer of the two (at the correct length, if only that differs), the smallest over all
    `LENGTHS`; spread: the same between differences of the shortest and the longest length; company: distance between
    the gradient in the attack's batch and alone; rise: the measured over the predicted rise of the margin along the
    gradient's signs, over that along the gradient itself, the largest over all `LENGTHS` (NaN: it claims none); scale:
    ratio of the measured slopes to the gradient's, by least squares."""
    # A gradient that is blurred, sparse, noisy or replaced is not zero, and the loss may rise along it, but slowly: the
    # image seems robust. Differences of the length of an attack's moves reveal this for any mask. As attacks follow
    # signs, small misleading entries disturb them too: those show in the rise along the attack's own directions.
    # Images that the attack broke early are moved slightly and use new gradients. Gradients at the boundary, where a
    # misleading one does most harm, count where more of them are off.
    followed, edge = problem.followed, GradientTrace(wanted=problem.followed.wanted, within=problem.followed.within)
    for some in _batches(problem, [row for row in rows.tolist() if row not in followed.point]):
        images = problem.images[some]
        shifts = seeded(BALLS["linf"].draw, images, [int(problem.seeds[row]) + SEED for row in some])
        _note(problem, followed, some, (images + SHIFT * shifts).clamp(0.0, 1.0))
    for some in _batches(problem, [row for row in rows.tolist() if row in followed.point]):
        # The last correctly answered point of each image along the signs of the gradients that were followed.
        images, signs = problem.images[some], torch.stack([followed.direction[row] for row in some]).sign()
        low, step = torch.zeros(len(some)).to(images), EDGE / 2
        for _ in range(HALVINGS):
            with torch.no_grad():
                z = problem.forward((images + wide(low + step) * signs).clamp(0.0, 1.0))
            low, step = torch.where(wrong(z, problem.labels[some]), low, low + step), step / 2
        _note(problem, edge, some, (images + wide(low) * signs).clamp(0.0, 1.0))
    checks = np.full((2, 5, len(rows)), np.nan)
    for check, gradients in zip(checks, (followed, edge), strict=True):
        for place, row in enumerate(rows.tolist()):
            if row in gradients.point:
                check[:, place] = _slope(problem, plain, row, gradients, checks[0, -1, place])
    off = (~(checks[:, 0] <= NO_SLOPE)).sum(axis=1)
    return np.stack([*checks[int(off[1] > off[0]), :2], *checks[0, 2:]])


def _note(problem: Problem, gradients: GradientTrace, rows: list[int], point: Tensor) -> None:
    at, labels = point.detach().clone().requires_grad_(), problem.labels[rows]
    z = problem.forward(at)
    rival = z.detach().scatter(1, labels[:, None], float("-inf")).argmax(dim=1)
    way = gradient_of(margin(z, labels, rival), at)
    for place, row in enumerate(rows):
        gradients.note(row, point[place], way[place], int(rival[place]))


def _batches(problem: Problem, rows: list[int]) -> list[list[int]]:
    return [rows[i : i + problem.batch] for i in range(0, len(rows), problem.batch)]


def _slope(problem: Problem, plain: Forward, row: int, gradients: GradientTrace, scale: float) -> tuple[float, ...]:
    """Return error, spread, company, rise and scale of one gradient; only error and spread if its scale is known."""
    point, way, rival = gradients.point[row][None], gradients.direction[row][None], gradients.rival[row]
    label, company, rise = problem.labels[row : row + 1], np.nan, np.nan
    stream = torch.Generator().manual_seed((int(problem.seeds[row]) + SEED) % 2**63)
    ways = (torch.randint(2, (DIRECTIONS, *point.shape[1:]), generator=stream) * 2.0 - 1).to(point)
    if first := np.isnan(scale):
        at = point.detach().clone().requires_grad_()
        alone = gradient_of(margin(problem.forward(at), label, torch.tensor([rival], device=point.device)), at)
        company = _apart(way.double().flatten(), alone.double().flatten())
        # The ways that attacks take by a gradient, each as long as steps along signs.
        signs = torch.where(way == 0, ways[:1], way.sign())
        weaker = signs * (way.abs() <= way.abs().median())
        itself = way.double() / way.double().square().mean().sqrt().clamp_min(1e-300)
        ways = torch.cat([ways, signs, weaker, itself.to(way)])
    claimed = (way.double() * ways.double()).flatten(1).sum(dim=1)
    answers = plain(torch.cat([point + s * t * ways for t in LENGTHS for s in (1, -1)]))[:, [rival, int(label)]]
    rounding = ROUNDINGS * torch.finfo(torch.float32).eps * float(answers.abs().amax())
    z = answers.double().view(len(LENGTHS), 2, len(ways), 2)
    gap = z[..., 0] - z[..., 1]
    risen = gap[:, 0] - gap[:, 1]
    measured = risen / (2 * risen.new_tensor(LENGTHS)[:, None])
    if first:
        size = float(claimed[:DIRECTIONS].square().sum())
        scale = float(claimed[:DIRECTIONS] @ measured[0, :DIRECTIONS]) / size if size else np.nan
    length = scale if 0 < scale < 1 / SCALED or scale > SCALED else 1.0  # of a gradient that differs only in it
    if first and bool(claimed[-1]):
        # Networks bend along the whole gradient, hardly along its weaker entries.
        signs, weaker, itself = (measured / claimed)[:, DIRECTIONS:].unbind(dim=1)
        weaker = weaker / length
        weaker = torch.where(weaker > 1, 1 / weaker, weaker)
        weaker = (measured[:, -2] == 0).double() if claimed[-2] == 0 else weaker
        rise = float(torch.minimum(signs / itself.abs(), weaker).amax())
    claimed, measured, risen = claimed[:DIRECTIONS] * length, measured[:, :DIRECTIONS], risen[:, :DIRECTIONS]
    clear = [max(float(risen[i].norm()), 2 * t * float(claimed.norm())) > rounding for i, t in enumerate(LENGTHS)]
    if not any(clear):
        silent = not risen.any() and not claimed.any()
        return (0.0 if silent else np.nan), np.nan, company, np.nan, np.nan
    error = min(_apart(claimed, slope) for slope, sure in zip(measured, clear, strict=True) if sure)
    noise = rounding / max(float(risen[-1].norm()), NONE)
    return error, (_apart(measured[0], measured[-1]) if all(clear) else noise), company, rise, scale


def _apart(a: Tensor, b: Tensor) -> float:
    """Return the distance of two vectors over the longer one's length; 0 where both are zero."""
    longer = float(torch.maximum(a.norm(), b.norm()))
    return float((a - b).norm()) / longer if longer else 0.0


def company_differences(plain: Forward, images: Tensor, rows: Rows) -> NDArray[np.float64]:
    """Return [2, rows]: how far logits beside the own copy are from those beside the next image, and the copy's."""
    apart = np.zeros((2, len(rows)))
    for place, row in enumerate(rows.tolist()):
        image, other = images[row : row + 1], images[(row + 1) % len(images)][None]
        alone, copy = torch.split(plain(torch.cat([image, image])), 1)
        beside = plain(torch.cat([image, other]))[:1]
        apart[:, place] = float(answers_apart(alone, beside)), float(answers_apart(alone, copy))
    return apart


def answers_apart(a: Tensor, b: Tensor) -> Tensor:
    """Return [n]: distances of two answers [n, classes], each less its mean and at unit length, beyond rounding."""
    rounding = torch.finfo(torch.float32).eps * torch.maximum(a.abs(), b.abs())
    least = torch.minimum(_least(a), _least(b))
    rounding = torch.where(torch.maximum(a, b) < least, 0.0, rounding)
    a, b = (torch.maximum(z.double(), least) for z in (a, b))
    a, b = (z - z.mean(dim=1, keepdim=True) for z in (a, b))
    length = torch.maximum(a.norm(dim=1), b.norm(dim=1)).clamp_min(NONE)
    units = [z / z.norm(dim=1, keepdim=True).clamp_min(NONE) for z in (a, b)]
    apart = (units[0] - units[1]).norm(dim=1) - rounding.double().norm(dim=1) / length
    return torch.as_tensor(apart.clamp_min(0.0))


def _least(z: Tensor) -> Tensor:
    """Return [n, 1]: outputs below it are as good as minus infinity."""
    top = z.double().topk(min(3, z.shape[1]), dim=1).values
    return top[:, :1] - NEVER * (top[:, :1] - top[:, -1:])


def preimage(logits: Tensor) -> Forward:
    """Return the map from outputs to the values that attacks act on, in double precision. It keeps their order, and
    gradients do not vanish with the outputs'. Of outputs that are distributions: logarithms, the logits up to a
    constant. Of others between two `ends`: the logits of a sigmoid. All others stay as they are."""
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
    """Return the lowest and the highest value of outputs [n, classes] that are bounded like a sigmoid's. They are 0 and
    1 if all outputs are inside. Otherwise they are the extremes, if most outputs are next to one and most images'
    largest output next to the other (within 2 % of the usual distance between an image's largest and middle output)."""
    if bool(in_unit_range(logits).all()):
        return 0.0, 1.0
    # Logarithms of probabilities are logits, although they end at 0 and may be clipped below.
    logs = bool(((logits.double().exp().sum(dim=1) - 1).abs() < 0.05).all())
    if logs or len(logits) < LEAST_IMAGES or logits.shape[1] < 2:
        return None
    given = torch.maximum(logits.double(), _least(logits).median())
    low, high, top = float(given.amin()), float(given.amax()), given.amax(dim=1)
    near = 0.02 * float((top - given.median(dim=1).values).median())
    piled = [(given < low + near).flatten(), top > high - near]
    return (low, high) if all(float(x.float().mean()) > 0.5 for x in piled) else None


def in_unit_range(logits: Tensor) -> Tensor:
    """Return [n]: all outputs of an image lie in [0, 1]."""
    return (logits.amin(dim=1) > -1e-5) & (logits.amax(dim=1) < 1 + 1e-5)


def distribution(logits: Tensor) -> Tensor:
    """Return [n]: ... and sum to one."""
    return in_unit_range(logits) & ((logits.double().sum(dim=1) - 1).abs() < 1e-5)
