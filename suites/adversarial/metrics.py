"""The metrics as data; those that compare networks are ratios of sums over all images shown, which are tested."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmark.contracts import Metric, Ratio
from benchmark.contracts.declarations import filled, package_data
from benchmark.stats.ratios import share
from benchmark.stimuli.roles import ROLE
from suites.adversarial.config import CLOSE, AdversarialConfig, NormName, Threat, reference_budget

LISTED = "natural (RobustBench's list)"  # key of `Plan.missing` where RobustBench's list is not on disk
#: What a loss that saturates, and FGSM, which uses the same one, are called in the column `by`.
SATURATING = ("fgsm", "ce", "ce-targeted", "apgd-ce", "apgd-ce-targeted")
#: Budgets with a metric of their own, beside the headline's.
BUDGETS: tuple[tuple[str, NormName, float], ...] = (
    ("robust_linf_1", "linf", 1 / 255), ("robust_linf_8", "linf", 8 / 255), ("robust_l2_1", "l2", 1.0),
)  # fmt: skip


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


def protocol_metrics(config: AdversarialConfig) -> Iterator[Metric]:
    """Yield the metrics that a configuration can give."""
    first = config.threats[0]
    budget = reference_budget(first)
    yield _metric("robust_accuracy", robust_at(first.norm, budget), label=first.label(budget))
    for name, norm, epsilon in BUDGETS:
        threat = config.threat(norm)
        if threat is None or not np.isclose(threat.epsilons, epsilon).any():
            continue
        if threat is not first or not np.isclose(epsilon, budget):
            shown = epsilon <= reference_budget(threat) * CLOSE or len(threat.epsilons) == 2
            metric = _metric("budget", robust_at(norm, epsilon), label=threat.label(epsilon))
            yield replace(metric, name=name, shown=shown)
    yield _metric("clean_accuracy", share(lambda trials: trials["clean_correct"].astype(bool)))
    for threat in config.threats:
        norm, words = threat.norm, {"norm": threat.norm, "unit": f" in 1{threat.unit}" if threat.unit else ""}
        if len(threat.epsilons) > 2:
            yield replace(_metric("auc", area(threat), **words), name=f"auc_{norm}")
        yield replace(_metric("median", None, **words), name=f"median_{norm}", shown=config.bisect > 0)
        if config.stages:
            yield replace(_metric("beyond_ce", None, **words), name=f"beyond_ce_{norm}")
    if (linf := config.threat("linf")) is not None:
        at = int(np.argmin(np.abs(np.array(linf.epsilons) - reference_budget(linf))))
        yield _metric("fgsm_accuracy", stands("fgsm_broken", at), label=linf.label(linf.epsilons[at]))
        if config.transfer:
            yield _metric("transfer_accuracy", stands("transfer_broken", at), label=linf.label(linf.epsilons[at]))
    yield _metric("gradient_passes")


def _metric(kind: str, ratio: Ratio | None = None, **words: str) -> Metric:
    own = filled(package_data("suites.adversarial", "metrics")[kind], **words)
    return Metric(name=kind, role=ROLE, ratio=ratio, **{"span": (0.0, 1.0), **own})
