"""A large leaderboard: 100 observers under five suites stay small, each with its page."""

import pytest

from benchmark.report.site import build
from tests.report.conftest import SUITES, suite_of

pytest.importorskip("vl_convert")
pytestmark = pytest.mark.slow
MEGABYTES = 1e6


def conditions():
    """As many single conditions as a run has: categories, cells, budgets, levels."""
    made = [("cue-conflict", "shape_bias", f"category{i}") for i in range(16)]
    made += [("corruption", "corruption_accuracy", f"fog{i}/{level}") for i in range(15) for level in range(1, 6)]
    made += [("adversarial", "robust_accuracy", f"linf {i}/255") for i in (0.25, 0.5, 1, 2, 4, 8)]
    made += [("adversarial", "robust_accuracy", f"l2 {i}") for i in (0.25, 0.5, 1, 2, 3)]
    made += [("human-comparison", "contrast_accuracy", f"c{i:02}") for i in (1, 3, 5, 10, 15, 30, 50)]
    return [one for one in made if any(metric.name == one[1] for metric in suite_of(one[0]).metrics)]


def test_a_hundred_observers_fit_into_five_megabytes(fill, tmp_path):
    settings = fill([f"network-{i}" for i in range(100)], SUITES, conditions())
    site = build(settings, tmp_path / "out")
    assert site.written < 5 * MEGABYTES
    assert (tmp_path / "out" / "index.html").stat().st_size < 0.5 * MEGABYTES
    assert len(list((tmp_path / "out" / "observers").glob("*.html"))) == 100
    assert site.pages > 100
