"""The metrics as data. Those that compare networks are ratios of sums over images, so intervals and paired tests
(McNemar for correct or incorrect per image) derive from one definition. Costs of attacks, and the loss that succeeded,
are not qualities of a network and are not tested. N is every image shown, never only the clean-correct ones."""

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from benchmark.contracts import Metric, Ratio
from benchmark.stats.ratios import share
from benchmark.stimuli.roles import ROLE
from suites.adversarial.config import CLOSE, AdversarialConfig, NormName, Threat, reference_budget

#: Key of `Plan.missing` where RobustBench's list is not on disk.
LISTED = "natural (RobustBench's list)"
#: What a loss that saturates, and FGSM, which uses the same one, are called in the column `by`.
SATURATING = ("fgsm", "ce", "ce-targeted", "apgd-ce", "apgd-ce-targeted")
#: Budgets with a metric of their own, beside the headline's: name, norm, epsilon, title.
BUDGETS: tuple[tuple[str, NormName, float, str], ...] = (
    ("robust_linf_1", "linf", 1 / 255, "linf 1/255"),
    ("robust_linf_8", "linf", 8 / 255, "linf 8/255"),
    ("robust_l2_1", "l2", 1.0, "l2 1"),
)


def metrics_of(config: AdversarialConfig) -> tuple[Metric, ...]:
    """Return the metrics that a configuration can give."""
    clean = "right answers without attack, on the same images"
    passes = "gradient passes (forward and backward of one image) that the attacks needed, per image shown"
    return (
        *_budgets(config),
        _metric(
            "clean_accuracy", "clean", clean, share(lambda trials: trials["clean_correct"].astype(bool)), clean=True
        ),
        *(metric for threat in config.threats for metric in _of_threat(config, threat)),
        *_of_linf(config),
        _metric("gradient_passes", "passes", passes, direction="none", shown=False, span=(0.0, inf)),
    )


def robust_at(norm: str, epsilon: float) -> Ratio:
    """Return the share of images that no attack of size `epsilon` or less broke."""
    return share(lambda trials: trials[f"{norm}_epsilon"] > epsilon * CLOSE)


def stands(column: str, index: int) -> Ratio:
    """Return the share of images that are not broken according to a column [n, epsilons]."""
    return share(lambda trials: ~trials[column][:, index].astype(bool))


def beyond_ce(norm: str, epsilon: float) -> Ratio:
    """Return the share of images that fall within `epsilon`, and there to no attack on the cross entropy."""
    return share(
        lambda trials: np.isclose(trials[f"{norm}_epsilon"], epsilon) & ~np.isin(trials[f"{norm}_by"], SATURATING)
    )


def area(threat: Threat) -> Ratio:
    """Return the area under robust accuracy against log2 epsilon between the threat's ends, over its width."""
    grid = np.array(threat.epsilons)
    half = np.diff(np.log2(grid)) / 2
    weights = np.append(half, 0) + np.insert(half, 0, 0)
    weights = weights / weights.sum() if len(grid) > 1 else np.ones(1)
    return share(lambda trials: (trials[f"{threat.norm}_epsilon"][:, None] > grid * CLOSE) @ weights)


def _budgets(config: AdversarialConfig) -> Iterator[Metric]:
    first = config.threats[0]
    label = first.label(reference_budget(first))
    text = f"images that no attack breaks within {label} (other budgets as conditions)"
    ratio = robust_at(first.norm, reference_budget(first))
    yield _metric(
        "robust_accuracy",
        f"robust {label}",
        text,
        ratio,
        headline=True,
        plain="recognise {} of 100 images under attack",
    )
    for name, norm, epsilon, title in BUDGETS:
        threat = config.threat(norm)
        if threat is None or not np.isclose(threat.epsilons, epsilon).any():
            continue
        if threat is first and np.isclose(epsilon, reference_budget(first)):
            continue
        text = f"images that no attack breaks within {threat.label(epsilon)}"
        shown = epsilon <= reference_budget(threat) * CLOSE or len(threat.epsilons) == 2
        yield _metric(name, title, text, robust_at(norm, epsilon), shown=shown)


def _of_threat(config: AdversarialConfig, threat: Threat) -> Iterator[Metric]:
    norm, unit = threat.norm, f" in 1{threat.unit}" if threat.unit else ""
    if len(threat.epsilons) > 2:
        text = f"area under robust accuracy over log2 epsilon, {norm}"
        yield _metric(f"auc_{norm}", f"{norm} area", text, area(threat), bounds=(0.0, 1.0))
    text = f"median over clean-correct images of the smallest {norm} perturbation found{unit} (an upper bound)"
    yield _metric(f"median_{norm}", f"median {norm}", text, shown=config.bisect > 0, span=(0.0, inf))
    if config.stages:
        text = "images that a margin, a DLR or a search breaks and no cross entropy does, at the reference budget"
        yield _metric(f"beyond_ce_{norm}", f"beyond CE {norm}", text, direction="none", shown=False)


def _of_linf(config: AdversarialConfig) -> Iterator[Metric]:
    if (threat := config.threat("linf")) is None:
        return
    at = int(np.argmin(np.abs(np.array(threat.epsilons) - reference_budget(threat))))
    label = threat.label(threat.epsilons[at])
    text = f"images that one sign step of {label} does not break; each epsilon on its own"
    yield _metric("fgsm_accuracy", "FGSM", text, stands("fgsm_broken", at), shown=False)
    if config.transfer:
        text = f"images that no perturbation of {label} made on another network breaks; each epsilon on its own"
        yield _metric("transfer_accuracy", "transfer", text, stands("transfer_broken", at))


def _metric(name: str, title: str, text: str, ratio: Ratio | None = None, **more: Any) -> Metric:
    return Metric(name=name, title=title, definition=text, role=ROLE, ratio=ratio, **{"span": (0.0, 1.0), **more})
