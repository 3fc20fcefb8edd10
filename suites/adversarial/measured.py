"""What is kept of each image: the image at rest, every attack on it, and what the trust report asks. Imported when a
network is shown something, for it needs torch."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array, Trials, View
from suites.adversarial.attacks.attack_sequence import NAME, Curve, curve, merged, second_opinion
from suites.adversarial.attacks.pgd import Slope, fgsm, slope
from suites.adversarial.attacks.problem import Followed, Problem, likely_wrong, per_category
from suites.adversarial.attacks.surrogates import Space, transferred
from suites.adversarial.config import VANISHING, Apgd, Config, reference
from suites.adversarial.trust.probes import (
    PROBES,
    Slopes,
    answers_apart,
    asked,
    company_differences,
    distribution,
    ends,
    otherwise,
    preimage,
    probed,
    slopes,
)
from suites.adversarial.trust.report import LEAST_ASKED, NO_SLOPE, READINGS, REPEAT, oddities

#: Columns of numbers that are NaN where an image is not attacked, or not asked.
REAL = (
    "loss",
    "margin",
    "gradient_norm",
    "repeat_difference",
    "gradient_error",
    "gradient_spread",
    "gradient_company",
    "company_difference",
    "alone_difference",
)
PROBED = REAL[-5:]
#: Of single images, before any attack.
TRUTHS = ("probabilities", "bounded", "tied", "not_finite")
Answers = Callable[[Tensor], Tensor]
#: A wrong answer counts only if the network as it was loaded confirms it, where its margin is below so many times the
#: largest difference of their logits on so many images.
AMBIGUOUS = 10.0
#: ... and never below this: answers closer than that are decided on the plain path everywhere (relative difference of
#: the two largest probabilities 1e-3).
NEAR_TIE = 1e-3
FEW = 8
#: What is said to have broken an image whose gradient is no number before any attack began.
NOT_FINITE = "not finite"
#: Logits that differ from full precision by no more than this share of the largest are told from it by rounding alone.
ROUNDING = 1e-3


def measured(config: Config, view: View) -> Mapping[str, Array]:
    """The columns that `observe` documents."""
    columns = _blank(config, view)
    columns["exact_correct"] = _right_in_full_precision(view, columns["clean_correct"])
    _ask_otherwise(view, columns)
    rows = np.flatnonzero(columns["clean_correct"])
    if len(rows):
        for name, values in _attacked(config, view, rows).items():
            columns[name][rows] = values
    return columns


def _blank(config: Config, view: View) -> dict[str, Array]:
    """The columns of images that are not attacked."""
    n = len(view.index)
    right = np.asarray(view.responses == view.labels["category"], dtype=bool)
    columns: dict[str, Array] = {"response": np.asarray(view.responses), "clean_correct": right}
    for name in REAL:
        columns[name] = np.full(n, np.nan)
    columns |= {name: np.zeros(n, dtype=np.int64) for name in ("passes", "forwards")}
    columns |= {name: np.zeros(n, dtype=bool) for name in TRUTHS}
    columns["probed"] = probed(view.seeds)
    columns["asked"] = asked(view.seeds)
    columns["otherwise"] = np.zeros((n, len(READINGS)), dtype=bool)
    columns["second_opinion"] = np.full((n, len(config.opinion)), -1)
    columns["fgsm_broken"] = np.ones((n, len(_fast_epsilons(config))), dtype=bool)
    if config.transfer is not None:
        columns["transfer_broken"] = columns["fgsm_broken"].copy()
    for threat in config.threats:
        columns[f"{threat.norm}_epsilon"] = np.zeros(n)
        columns[f"{threat.norm}_by"] = np.full(n, "", dtype=NAME)
        columns[f"{threat.norm}_held"] = np.zeros(n)
        for name in ("size", "loss", "margin"):
            columns[f"{threat.norm}_{name}"] = np.full(n, np.nan)
    return columns


def _ask_otherwise(view: View, columns: dict[str, Array]) -> None:
    rows = np.flatnonzero(columns["asked"])
    if len(rows):
        (forward, _, _), labels = _answers(view), _labels(view, rows)
        with torch.no_grad():
            columns["otherwise"][rows] = otherwise(forward, view.images[rows], labels, view.batch)
        columns["forwards"][rows] += len(READINGS)


def _right_in_full_precision(view: View, right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[n]: answered rightly by the network as it was loaded; asked only where the run's precision moves logits by more
    than rounding."""
    forward, plain, _ = _answers(view)
    some = view.images[:FEW]
    with torch.no_grad():
        exact = plain(some)
        if not (forward(some) - exact).abs().amax() > ROUNDING * exact.abs().amax():
            return right
    parts = torch.cat([plain(x).argmax(dim=1) for x in torch.split(view.images, view.batch)])
    found: NDArray[np.bool_] = (parts == _labels(view, np.arange(len(right)))).cpu().numpy()
    return found


def _attacked(config: Config, view: View, rows: NDArray[np.int64]) -> dict[str, Array]:
    """The columns of the images at `rows`."""
    problem = _problem(view, rows)
    rest = slope(problem)
    targets = _targets(config, rest, problem)
    problem = replace(problem, first=rest.gradient, rest=rest.margin, targets=targets)
    which = probed(problem.seeds)
    linf = config.threat("linf")
    followed = Followed(which, reference(linf) if linf else 0.0)
    problem = replace(problem, followed=followed)
    columns = _at_rest(view, rows, rest)
    epsilons = _fast_epsilons(config)
    columns["fgsm_broken"] = broken = fgsm(problem, rest.gradient, epsilons)
    curves = {
        # without stages an attack of a package stands alone, as others publish it
        threat.norm: curve(problem, threat, config, broken if threat.norm == "linf" and config.stages else None)
        for threat in config.threats
    }
    # Of two gradients, each in its batch and alone; those that were followed are known.
    passes = 1 + 3 * which.astype(np.int64)
    anew = [row not in followed.point for row in np.flatnonzero(which)]
    passes[which] += np.array(anew, dtype=np.int64)  # of nobody: an empty list would be floats
    forwards = len(epsilons) + len(READINGS) * asked(problem.seeds).astype(np.int64)
    forwards = forwards + PROBES * which
    columns |= _probed(view, problem, rows, followed)
    if config.opinion and linf is not None:
        untrue, odd = oddities(Trials({**columns, "probed": which}))
        least = LEAST_ASKED if odd and not untrue else 0
        curves["linf"], columns["second_opinion"] = second_opinion(
            problem, curves["linf"], linf, config, which & _odd(columns), least
        )
    if config.transfer is not None:
        space = Space(view.block.stimuli.space, view.categories, view.block.networks)
        made, cost = transferred(problem, config.transfer, space, epsilons, rest.z)
        columns["transfer_broken"] = made
        curves["linf"] = merged(curves["linf"], made, epsilons, "transfer")
        forwards = forwards + cost
    columns["passes"] = passes + sum(one.passes for one in curves.values())
    columns["forwards"] = forwards + sum(one.forwards for one in curves.values())
    columns["not_finite"] = problem.failed
    for threat in config.threats:
        found = _failed(curves[threat.norm], rest.failed.cpu().numpy(), threat.epsilons[0])
        columns |= {f"{threat.norm}_{name}": values for name, values in _kept(found).items()}
    return columns


def _failed(found: Curve, at_rest: NDArray[np.bool_], epsilon: float) -> Curve:
    """Images without a gradient to begin with are broken at the smallest epsilon."""
    return replace(
        found,
        epsilon=np.where(at_rest, epsilon, found.epsilon),
        by=np.where(at_rest, NOT_FINITE, found.by).astype(NAME),
        size=np.where(at_rest, epsilon, found.size),
        held=np.where(at_rest, 0.0, found.held),
    )


def _probed(view: View, problem: Problem, rows: NDArray[np.int64], followed: Followed) -> dict[str, Array]:
    """Whether gradients are slopes, and answers the images' own, of those images that are asked (NaN: the others)."""
    which = np.flatnonzero(followed.wanted)
    found = {name: np.full(len(rows), np.nan) for name in PROBED}
    if len(which):
        _, plain, _ = _answers(view)
        seen: Slopes = slopes(problem, plain, which, followed)
        apart = company_differences(plain, view.images, rows[which])
        for name, values in zip(PROBED, (seen.error, seen.spread, seen.company, *apart), strict=True):
            found[name][which] = values
    return found


def _odd(columns: Mapping[str, Array]) -> NDArray[np.bool_]:
    """[n]: something about the gradient of an image is odd enough to ask an attack that needs none."""
    astray = ~(columns["gradient_error"] <= NO_SLOPE) | (columns["gradient_company"] > NO_SLOPE)
    beside = columns["company_difference"] > REPEAT
    return np.asarray(astray | beside | (columns["gradient_norm"] < VANISHING) | columns["bounded"])


def _kept(found: Curve) -> dict[str, Array]:
    names = ("epsilon", "by", "size", "held", "loss", "margin")
    return {name: getattr(found, name) for name in names}


def _problem(view: View, rows: NDArray[np.int64]) -> Problem:
    """The images at `rows`, and forward passes with one logit per category."""
    images = view.images[rows].clone()  # also out of inference mode
    labels = _labels(view, rows)
    forward, plain, _ = _answers(view)
    some = images[:FEW]
    with torch.no_grad():
        apart = float((forward(some) - plain(some)).abs().amax())
        sure = max(AMBIGUOUS * apart, NEAR_TIE)
    seeds, targets = view.seeds[rows], labels[:, None]
    return Problem(forward, images, labels, seeds, targets, batch=view.batch, plain=plain, sure=sure)


def _answers(view: View) -> tuple[Answers, Answers, Answers]:
    """The tuned network and the network as it was loaded: images -> logits [n, categories]; and how these are had from
    outputs [n, classes]. Outputs of one column each that are no logits stand for what they come from."""
    pick = per_category(view.outputs)
    inverse = preimage(view.logits) if all(len(c) == 1 for c in view.outputs) else lambda z: z

    def logits(z: Tensor) -> Tensor:
        return pick(inverse(z))

    return (lambda images: logits(view.forward(images)).float(), lambda images: logits(view.plain(images)), logits)


def _labels(view: View, rows: NDArray[np.int64]) -> Tensor:
    """[n]: the true categories' positions, on the images' device."""
    place = {name: i for i, name in enumerate(view.categories)}
    truth = [place[name] for name in view.labels["category"][rows].tolist()]
    return torch.tensor(truth, device=view.images.device)


def _targets(config: Config, rest: Slope, problem: Problem) -> Tensor:
    steps = [stage.targets for stage in config.stages]
    last = () if config.finish is None else (config.finish.last,)
    others = [one.targets for one in (*config.attacks, *last) if isinstance(one, Apgd)]
    return likely_wrong(rest.z, problem.labels, max([*steps, *others, 0]))


def _fast_epsilons(config: Config) -> tuple[float, ...]:
    threat = config.threat("linf")
    return threat.epsilons if threat else ()


def _at_rest(view: View, rows: NDArray[np.int64], rest: Slope) -> dict[str, Array]:
    """What the trust report needs to know of the unattacked images."""
    raw = view.logits[rows]
    _, _, logits = _answers(view)
    top = raw.topk(min(2, raw.shape[1]), dim=1).values
    found = {
        "loss": rest.loss,
        "margin": rest.margin,
        "gradient_norm": rest.gradient.double().flatten(1).norm(dim=1),
        "repeat_difference": answers_apart(rest.z, logits(raw)),
        "probabilities": distribution(raw),
        "bounded": torch.full_like(rest.margin, ends(view.logits) is not None, dtype=torch.bool),
        "tied": top[:, 0] == top[:, -1],
    }
    return {name: values.cpu().numpy() for name, values in found.items()}
