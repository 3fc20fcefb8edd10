"""The metrics as data. Each but the median is a ratio of sums over images, so intervals and paired tests (McNemar for
what is right or wrong per image) derive from one definition. N is every image shown, never the clean-correct ones.
"""

import numpy as np

from benchmark.contracts import Array, Metric, Ratio, Trials
from suites.adversarial.config import L2, LINF, Threat
from suites.adversarial.protocol import ROLE

CLOSE = 1 + 1e-6  # stored epsilons come back as they went, but 4/255 may be computed in two ways
REFERENCE = 4 / 255


def robust_at(norm: str, epsilon: float) -> Ratio:
    """Images that no attack of size `epsilon` or less broke, over all images."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        return trials[f"{norm}_epsilon"] > epsilon * CLOSE, np.ones(len(trials), dtype=bool)

    return ratio


def fgsm_at(column: int) -> Ratio:
    """Images that FGSM at the epsilon of that column did not break, over all images."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        return ~trials["fgsm_broken"][:, column].astype(bool), np.ones(len(trials), dtype=bool)

    return ratio


def area(threat: Threat) -> Ratio:
    """Area under robust accuracy against log2 epsilon between the threat's ends, over its width (trapezoids)."""
    grid = np.array(threat.epsilons)
    half = np.diff(np.log2(grid)) / 2
    weights = np.append(half, 0) + np.insert(half, 0, 0)
    weights = weights / weights.sum() if len(grid) > 1 else np.ones(1)

    def ratio(trials: Trials) -> tuple[Array, Array]:
        survives = trials[f"{threat.norm}_epsilon"][:, None] > grid * CLOSE
        return survives @ weights, np.ones(len(trials), dtype=bool)

    return ratio


def _clean(trials: Trials) -> tuple[Array, Array]:
    return trials["clean_correct"].astype(bool), np.ones(len(trials), dtype=bool)


def _passes(trials: Trials) -> tuple[Array, Array]:
    return trials["passes"], np.ones(len(trials), dtype=bool)


def _metric(name: str, title: str, text: str, ratio: Ratio | None = None, **more: bool) -> Metric:
    return Metric(name, title, text, "higher", ROLE, ratio=ratio, **more)


METRICS = (
    _metric(
        "robust_accuracy",
        "robust",
        "images that no attack breaks within linf 4/255 (other budgets as conditions)",
        robust_at("linf", REFERENCE),
        headline=True,
    ),
    _metric("clean_accuracy", "clean", "right answers without attack, on the same images", _clean),
    _metric(
        "robust_linf_1", "linf 1/255", "as robust, within linf 1/255", robust_at("linf", 1 / 255)
    ),
    _metric("robust_l2_1", "l2 1", "as robust, within l2 1.0", robust_at("l2", 1.0)),
    _metric(
        "fgsm_accuracy",
        "FGSM",
        "images that one sign step of linf 4/255 does not break; each epsilon on its own",
        fgsm_at(LINF.epsilons.index(REFERENCE)),
        shown=False,
    ),
    _metric(
        "auc_linf", "linf area", "area under robust accuracy over log2 epsilon, linf", area(LINF)
    ),
    _metric("auc_l2", "l2 area", "area under robust accuracy over log2 epsilon, l2", area(L2)),
    _metric(
        "median_linf",
        "median linf",
        "median over clean-correct images of the smallest linf perturbation found, in 1/255 (an upper bound)",
        shown=False,
    ),
    _metric(
        "median_l2",
        "median l2",
        "median over clean-correct images of the smallest l2 perturbation found (an upper bound)",
        shown=False,
    ),
    Metric(
        "gradient_passes",
        "passes",
        "gradient passes (forward and backward of one image) that the attacks needed, per image shown",
        "none",
        ROLE,
        shown=False,
        ratio=_passes,
    ),
)
