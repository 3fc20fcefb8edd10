"""What each suite says of its metrics: direction, whether it ranks or is shown, chance, bounds, role."""

import pytest

from benchmark.contracts.declarations import declared_metrics, package_data
from suites import adversarial, corruption, cue_conflict, human_comparison, saliency

SUITES = (adversarial, corruption, cue_conflict, human_comparison, saliency)

TABLES = {
    "cue_conflict": """
        shape_bias higher headline 0.5 0..1 cue-conflict
        shape_fraction none hidden 0.0625 0..1 cue-conflict
        texture_fraction none hidden 0.0625 0..1 cue-conflict
        neither_fraction lower hidden 0.875 0..1 cue-conflict
        agree_accuracy higher shown 0.0625 0..1 cue-conflict
        natural_accuracy higher shown 0.0625 0..1 natural
        edges_accuracy higher shown 0.0625 0..1 edges
        silhouettes_accuracy higher shown 0.0625 0..1 silhouettes
        shape_bias_alpha0 higher hidden 0.5 0..1 cue-conflict-alpha0
        shape_bias_alpha1 higher hidden 0.5 0..1 cue-conflict-alpha1
    """,
    "adversarial": """
        robust_accuracy higher headline - - natural
        robust_linf_1 higher shown - - natural
        robust_l2_1 higher shown - - natural
        clean_accuracy higher shown - - natural
        auc_linf higher shown - 0..1 natural
        auc_l2 higher shown - 0..1 natural
    """,
}


def row(metric):
    place = "headline" if metric.headline else "shown" if metric.shown else "hidden"
    chance = "-" if metric.chance is None else f"{metric.chance:g}"
    bounds = "-" if metric.bounds is None else "{:g}..{:g}".format(*metric.bounds)
    return [metric.name, metric.direction, place, chance, bounds, metric.role or "-"]


@pytest.mark.parametrize("suite", TABLES)
def test_metrics_are_those_of_the_definition(suite):
    """Chance: 1/16 of 16 categories, 1/2 of two cues. A metric that is added needs no line here; other suites declare
    theirs as data."""
    (room,) = (one for one in SUITES if one.__name__ == f"suites.{suite}")
    lines = [line.split() for line in TABLES[suite].split("\n") if line.strip()]
    assert [row(metric) for metric in room.SUITE.metrics if row(metric) in lines] == lines


def test_summaries_show_the_accuracy_on_clean_images_once():
    clean = {metric.name for room in SUITES for metric in room.SUITE.metrics if metric.clean}
    assert clean == {"natural_accuracy", "clean_accuracy"}


def test_a_ratio_needs_a_declared_metric_and_lists_become_tuples():
    declared = {"hits": {"title": "hits", "definition": "right answers", "role": "own"}}
    (metric,) = declared_metrics(declared, {"hits": len}, role="all", span=(0.0, 1.0))
    assert (metric.name, metric.role, metric.ratio, metric.span) == ("hits", "own", len, (0.0, 1.0))
    with pytest.raises(KeyError, match="misses"):
        declared_metrics(declared, {"misses": len})
    assert package_data("suites.corruption", "alexnet")["errors"]["fog"][0] == 0.67474
