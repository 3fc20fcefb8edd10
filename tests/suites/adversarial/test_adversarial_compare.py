"""What a difference of two robust accuracies is worth: the same 1,000 images, 12.1 % against 14.3 %."""

import numpy as np
import pytest

from benchmark.contracts import Trials
from benchmark.stats import compare_ratio
from suites.adversarial import SUITE

METRIC = SUITE.metric("robust_accuracy")
N, A, B = 1000, 121, 143


def network(stands):
    epsilon = np.where(np.isin(np.arange(N), stands), np.inf, 0.25 / 255)
    names = np.array([f"{i:04d}.png" for i in range(N)])
    role, none = np.full(N, "natural"), np.full(N, "")
    columns = {"role": role, "condition": none, "stimulus": names, "linf_epsilon": epsilon}
    return Trials(columns)


def compared(both):
    """The two networks' comparison, where so many images survive in both."""
    a = np.arange(A)
    b = np.concatenate([np.arange(both), np.arange(A, A + B - both)])
    return compare_ratio(METRIC, network(a), network(b))


@pytest.mark.parametrize(
    ("both", "p"), [(17, 0.1469), (40, 0.1048), (60, 0.0668), (70, 0.0482), (80, 0.0310), (100, 0.0060)]
)
def test_paired_it_depends_on_the_images_that_only_one_survives(both, p):
    comparison = compared(both)
    assert (comparison.a, comparison.b) == (0.121, 0.143) and comparison.n == N
    assert comparison.p == pytest.approx(p, abs=6e-5)
    assert "McNemar" in comparison.method
    assert (comparison.low < -0.022 < comparison.high) and (comparison.high < 0) == (both >= 70)


def test_only_what_a_network_can_be_better_at_is_tested():
    tested = {metric.name for metric in SUITE.metrics if metric.ratio is not None}
    assert not {name for name in tested if name.startswith(("beyond_ce", "gradient", "median"))}
    assert {"robust_accuracy", "clean_accuracy", "auc_linf", "auc_l2", "fgsm_accuracy"} <= tested
