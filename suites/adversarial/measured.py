"""What is kept of each image: the image at rest, every attack on it, and what the trust report asks. Imported when a
network is shown something, for it needs torch."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array, View
from suites.adversarial.attacks.attack_sequence import NAME, Curve, curve, merged
from suites.adversarial.attacks.fgsm import Slope, fgsm, slope
from suites.adversarial.attacks.problem import Problem, likely_wrong, per_category
from suites.adversarial.attacks.surrogates import Space, transferred
from suites.adversarial.config import Apgd, Config
from suites.adversarial.trust.gradient_probes import (
    PROBES,
    company_differences,
    gradient_errors,
    probed,
)
from suites.adversarial.trust.input_probes import asked, otherwise
from suites.adversarial.trust.readings import READINGS

#: Columns of numbers that are NaN where an image is not attacked, or not asked.
REAL = (
    "loss",
    "margin",
    "gradient_norm",
    "repeat_difference",
    "gradient_error",
    "company_difference",
    "alone_difference",
)
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
    columns |= {name: np.zeros(n, dtype=bool) for name in ("probabilities", "not_finite")}
    columns["probed"] = probed(view.seeds)
    columns["asked"] = asked(view.seeds)
    columns["otherwise"] = np.zeros((n, len(READINGS)), dtype=bool)
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
        (forward, _), labels = _answers(view), _labels(view, rows)
        with torch.no_grad():
            columns["otherwise"][rows] = otherwise(forward, view.images[rows], labels, view.batch)
        columns["forwards"][rows] += len(READINGS)


def _right_in_full_precision(view: View, right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[n]: answered rightly by the network as it was loaded; asked only where the run's precision moves logits by more
    than rounding."""
    forward, plain = _answers(view)
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
    columns = _at_rest(view, rows, rest) | _probed(view, problem, rows)
    epsilons = _fast_epsilons(config)
    columns["fgsm_broken"] = broken = fgsm(problem, rest.gradient, epsilons)
    asking = probed(problem.seeds).astype(np.int64)
    passes = 1 + asking
    forwards = len(epsilons) + len(READINGS) * asked(problem.seeds).astype(np.int64)
    forwards = forwards + PROBES * asking
    curves = {
        # without stages an attack of a package stands alone, as others publish it
        threat.norm: curve(
            problem, threat, config, broken if threat.norm == "linf" and config.stages else None
        )
        for threat in config.threats
    }
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


def _probed(view: View, problem: Problem, rows: NDArray[np.int64]) -> dict[str, Array]:
    """Whether gradients are slopes, and answers the images' own, of those images that are asked (NaN: the others)."""
    which = np.flatnonzero(probed(problem.seeds))
    found = {name: np.full(len(rows), np.nan) for name in REAL[-3:]}
    if len(which):
        (forward, plain), some = _answers(view), problem.images[which]
        error = gradient_errors(forward, plain, some, problem.labels[which], problem.seeds[which])
        company, alone = company_differences(plain, view.images, rows[which])
        for name, values in zip(REAL[-3:], (error, company, alone), strict=True):
            found[name][which] = values
    return found


def _kept(found: Curve) -> dict[str, Array]:
    names = ("epsilon", "by", "size", "held", "loss", "margin")
    return {name: getattr(found, name) for name in names}


def _problem(view: View, rows: NDArray[np.int64]) -> Problem:
    """The images at `rows`, and forward passes with one logit per category."""
    images = view.images[rows].clone()  # also out of inference mode
    labels = _labels(view, rows)
    forward, plain = _answers(view)
    some = images[:FEW]
    with torch.no_grad():
        apart = float((forward(some) - plain(some)).abs().amax())
        sure = max(AMBIGUOUS * apart, NEAR_TIE)
    seeds, targets = view.seeds[rows], labels[:, None]
    return Problem(
        forward, images, labels, seeds, targets, batch=view.batch, plain=plain, sure=sure
    )


def _answers(view: View) -> tuple[Answers, Answers]:
    """The tuned network and the network as it was loaded: images -> logits [n, categories]."""
    pick = per_category(view.outputs)
    return lambda images: pick(view.forward(images)), lambda images: pick(view.plain(images))


def _labels(view: View, rows: NDArray[np.int64]) -> Tensor:
    """[n]: the true categories' positions, on the images' device."""
    place = {name: i for i, name in enumerate(view.categories)}
    truth = [place[name] for name in view.labels["category"][rows].tolist()]
    return torch.tensor(truth, device=view.images.device)


def _targets(config: Config, rest: Slope, problem: Problem) -> Tensor:
    steps = [stage.targets for stage in config.stages]
    others = [one.targets for one in config.attacks if isinstance(one, Apgd)]
    return likely_wrong(rest.z, problem.labels, max([*steps, *others, 0]))


def _fast_epsilons(config: Config) -> tuple[float, ...]:
    threat = config.threat("linf")
    return threat.epsilons if threat else ()


def _at_rest(view: View, rows: NDArray[np.int64], rest: Slope) -> dict[str, Array]:
    """What the trust report needs to know of the unattacked images."""
    raw = view.logits[rows].double()
    z, other = rest.z.double(), per_category(view.outputs)(view.logits[rows]).double()
    gap = z / z.norm(dim=1, keepdim=True) - other / other.norm(dim=1, keepdim=True)
    shares = (raw.amin(dim=1) > -1e-5) & ((raw.sum(dim=1) - 1).abs() < 1e-5)
    found = {
        "loss": rest.loss,
        "margin": rest.margin,
        "gradient_norm": rest.gradient.double().flatten(1).norm(dim=1),
        "repeat_difference": gap.norm(dim=1),
        "probabilities": shares,
    }
    return {name: values.cpu().numpy() for name, values in found.items()}
