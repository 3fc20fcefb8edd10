"""The columns of each attacked image: clean answers, attacks, probes. Imported to run a network: it needs torch."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmark.contracts import Array, Trials, View
from suites.adversarial.attacks.attack_sequence import NAME, Resistance, resistance
from suites.adversarial.attacks.other_packages import surrogate, transferred
from suites.adversarial.attacks.pgd import Slope, fgsm, slope
from suites.adversarial.attacks.problem import Forward, GradientTrace, Problem, Rows, Truths, likely_wrong, per_category
from suites.adversarial.config import VANISHING, AdversarialConfig, Apgd, reference_budget
from suites.adversarial.trust import probes
from suites.adversarial.trust.report import LEAST_ASKED, NO_SLOPE, PROBED, READINGS, REPEAT, TRUTHS, oddities

#: Columns of numbers that are NaN where an image is not attacked, or not asked.
REAL = ("loss", "margin", "gradient_norm", "repeat_difference", *PROBED)
KEPT = ("epsilon", "by", "size", "held", "loss", "margin")  # what is kept of a norm
#: A wrong answer counts only if the network as it was loaded confirms it, where its margin is below so many times the
#: largest difference of their logits on so many images.
AMBIGUOUS = 10.0
NEAR_TIE = 1e-3  # ... and never below this: closer answers are decided on the plain path everywhere
FEW = 8
NOT_FINITE = "not finite"  # what is said to have broken an image whose gradient is no number before any attack began
ROUNDING = 1e-3  # logits within this share of the largest differ from full precision by rounding alone


def attack_columns(config: AdversarialConfig, view: View) -> Mapping[str, Array]:
    """Return the columns that `observe` documents."""
    right = np.asarray(view.responses == view.labels["category"], dtype=bool)
    n, linf = len(right), config.threat("linf")
    columns: dict[str, Array] = {"response": np.asarray(view.responses), "clean_correct": right}
    columns |= {name: np.full(n, np.nan) for name in REAL}
    columns |= {name: np.zeros(n, dtype=np.int64) for name in ("passes", "forwards")}
    columns |= {name: np.zeros(n, dtype=bool) for name in TRUTHS}
    columns["probed"], columns["asked"] = probes.probed(view.seeds), probes.asked(view.seeds)
    columns["otherwise"] = np.zeros((n, len(READINGS)), dtype=bool)
    columns["second_opinion"] = np.full((n, len(config.opinion)), -1)
    columns["fgsm_broken"] = np.ones((n, len(linf.epsilons) if linf else 0), dtype=bool)
    if config.transfer:
        columns["transfer_broken"] = columns["fgsm_broken"].copy()
    for norm in (threat.norm for threat in config.threats):
        columns |= {f"{norm}_{name}": np.full(n, np.nan) for name in ("size", "loss", "margin")}
        columns |= {f"{norm}_epsilon": np.zeros(n), f"{norm}_held": np.zeros(n), f"{norm}_by": np.full(n, "", NAME)}
    (forward, plain, _), columns["exact_correct"] = forward_functions(view), right
    with torch.no_grad():
        exact = plain(view.images[:FEW])
        # Answers in full precision are computed only if the run's precision moves logits beyond rounding.
        if (forward(view.images[:FEW]) - exact).abs().amax() > ROUNDING * exact.abs().amax():
            answers = torch.cat([plain(x).argmax(dim=1) for x in torch.split(view.images, view.batch)])
            columns["exact_correct"] = (answers == _labels(view, np.arange(n))).cpu().numpy()
        if len(rows := np.flatnonzero(columns["asked"])):
            labels = _labels(view, rows)
            columns["otherwise"][rows] = probes.otherwise(forward, view.images[rows], labels, view.batch)
            columns["forwards"][rows] += len(READINGS)
    rows = np.flatnonzero(right)
    if len(rows):
        for name, values in attacked(config, view, rows).items():
            columns[name][rows] = values
    return columns


def attacked(config: AdversarialConfig, view: View, rows: Rows) -> dict[str, Array]:
    """Return the columns of the images at `rows`."""
    problem, rest, columns = prepared_problem(config, view, rows)
    linf, which = config.threat("linf"), problem.followed.wanted
    epsilons = linf.epsilons if linf else ()
    columns["fgsm_broken"] = broken = fgsm(problem, rest.gradient, epsilons)
    curves = {
        # without stages an attack of a package stands alone, as others publish it
        threat.norm: resistance(problem, threat, config, broken if threat.norm == "linf" and config.stages else None)
        for threat in config.threats
    }
    # Of two gradients in their batch and the first alone; those that were followed are known.
    known = np.isin(np.arange(len(rows)), list(problem.followed.point))
    passes = 1 + which * (2 + ~known)
    forwards = len(epsilons) + len(READINGS) * probes.asked(problem.seeds) + probes.PROBES * which
    probed, plain = np.flatnonzero(which), forward_functions(view)[1]
    checks = *probes.slopes(problem, plain, probed), *probes.company_differences(plain, view.images, rows[probed])
    for name, values in zip(PROBED, checks, strict=True):
        columns[name] = np.full(len(rows), np.nan)
        columns[name][probed] = values
    if config.opinion and linf is not None:
        columns["second_opinion"] = _second_opinion(config, columns, which, curves["linf"])
    if config.transfer:
        space, device = view.block.stimuli.space, str(problem.images.device)
        others = [surrogate(network, space, view.categories, device) for network in view.block.networks]
        columns["transfer_broken"], cost = transferred(problem, others, epsilons, rest.z)
        curves["linf"].merge(columns["transfer_broken"], "transfer")
        forwards = forwards + cost
    columns["passes"] = passes + sum(curve.passes for curve in curves.values())
    columns["forwards"] = forwards + sum(curve.forwards for curve in curves.values())
    failed = rest.failed.cpu().numpy()
    columns["not_finite"], gone = problem.failed | failed, np.flatnonzero(failed)
    for threat in config.threats:
        # Images without a gradient to begin with are broken at the smallest epsilon.
        curve, smallest = curves[threat.norm], np.array(threat.epsilons[0])
        curve.lower(gone, smallest, NOT_FINITE, smallest)
        curve.held[gone] = 0.0
        columns |= {f"{threat.norm}_{name}": getattr(curve, name) for name in KEPT}
    return columns


def _second_opinion(config: AdversarialConfig, columns: dict[str, Array], which: Truths, curve: Resistance) -> Rows:
    """Return what attacks find on images whose gradient is odd enough to ask one that needs none."""
    untrue, odd = oddities(config, Trials(columns={**columns, "probed": which, "linf_epsilon": curve.epsilon}))
    astray = ~(columns["gradient_error"] <= NO_SLOPE) | (columns["gradient_company"] > NO_SLOPE)
    beside = columns["company_difference"] > REPEAT
    asking = which & np.asarray(astray | beside | (columns["gradient_norm"] < VANISHING) | columns["bounded"])
    return curve.ask(config.opinion, asking, LEAST_ASKED if odd and not untrue else 0)


def prepared_problem(config: AdversarialConfig, view: View, rows: Rows) -> tuple[Problem, Slope, dict[str, Array]]:
    """Return the images at `rows`, their slopes, and the columns of what is known of them at rest."""
    images, labels = view.images[rows].clone(), _labels(view, rows)  # a clone is also out of inference mode
    (forward, plain, logits), linf = forward_functions(view), config.threat("linf")
    with torch.no_grad():
        apart = float((forward(images[:FEW]) - plain(images[:FEW])).abs().amax())
    problem = Problem(
        forward=forward, images=images, labels=labels, seeds=view.seeds[rows], targets=labels[:, None],
        batch=view.batch, plain=plain, sure=max(AMBIGUOUS * apart, NEAR_TIE),
    )  # fmt: skip
    rest = slope(problem)
    last = () if config.finish is None else (config.finish.last,)
    aimed = [recipe.targets for recipe in (*config.attacks, *last) if isinstance(recipe, Apgd)]
    targets = likely_wrong(rest.z, labels, max([*aimed, 0]))
    followed = GradientTrace(wanted=probes.probed(problem.seeds), within=reference_budget(linf) if linf else 0.0)
    problem = replace(problem, first=rest.gradient, rest=rest.margin, targets=targets, followed=followed)
    raw = view.logits[rows]
    top = raw.topk(min(2, raw.shape[1]), dim=1).values
    known = {
        "loss": rest.loss,
        "margin": rest.margin,
        "gradient_norm": rest.gradient.double().flatten(1).norm(dim=1),
        "repeat_difference": probes.answers_apart(rest.z, logits(raw)),
        "probabilities": probes.distribution(raw),
        "bounded": torch.full_like(rest.margin, probes.ends(view.logits) is not None, dtype=torch.bool),
        "tied": top[:, 0] == top[:, -1],
    }
    return problem, rest, {name: values.cpu().numpy() for name, values in known.items()}


def forward_functions(view: View) -> tuple[Forward, Forward, Forward]:
    """Return the tuned network, the network as it was loaded (both images -> logits [n, categories]), and the map from
    outputs [n, classes] to these logits. Outputs that are not logits are mapped by their pre-image."""
    pick = per_category(view.outputs)
    inverse = probes.preimage(view.logits) if all(len(columns) == 1 for columns in view.outputs) else lambda z: z

    def logits(z: Tensor) -> Tensor:
        return pick(inverse(z))

    return (lambda images: logits(view.forward(images)).float(), lambda images: logits(view.plain(images)), logits)


def _labels(view: View, rows: Rows) -> Tensor:
    places = [view.categories.index(name) for name in view.labels["category"][rows].tolist()]
    return torch.tensor(places, device=view.images.device)
