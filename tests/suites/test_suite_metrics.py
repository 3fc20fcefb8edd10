"""What boards know of each metric beside its value: chance, bounds, which way is better, whether it is shown."""

import pytest

from suites.adversarial import SUITE as ADVERSARIAL
from suites.corruption import SUITE as CORRUPTION
from suites.cue_conflict import SUITE as CUE_CONFLICT
from suites.human_comparison import SUITE as HUMAN
from suites.saliency import SUITE as SALIENCY

UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
OF_SIXTEEN = 0.0625
#: (suite, chance, bounds) -> metrics; those that are not named have neither.
KNOWN = {
    (CUE_CONFLICT.name, 0.5, UNIT): "shape_bias shape_bias_alpha0 shape_bias_alpha1",
    (CUE_CONFLICT.name, OF_SIXTEEN, UNIT): (
        "shape_fraction texture_fraction agree_accuracy natural_accuracy edges_accuracy silhouettes_accuracy"
    ),
    (CUE_CONFLICT.name, 0.875, UNIT): "neither_fraction",
    (HUMAN.name, 0.0, None): "error_consistency ceiling_fraction",
    (HUMAN.name, None, UNIT): "observed_consistency accuracy_difference",
    (HUMAN.name, 0.0, SIGNED): "margin_consistency",
    (HUMAN.name, 4.0, None): "response_entropy",
    (HUMAN.name, OF_SIXTEEN, UNIT): (
        "ood_accuracy colour_accuracy contrast_accuracy high_pass_accuracy low_pass_accuracy edges_accuracy "
        "phase_scrambling_accuracy power_equalisation_accuracy false_colour_accuracy rotation_accuracy "
        "eidolonI_accuracy eidolonII_accuracy eidolonIII_accuracy uniform_noise_accuracy sketch_accuracy "
        "stylised_accuracy silhouettes_accuracy cue_conflict_accuracy"
    ),
    (CORRUPTION.name, OF_SIXTEEN, None): "accuracy16 clean_accuracy16",
    (ADVERSARIAL.name, None, UNIT): "auc_linf auc_l2",
    (SALIENCY.name, 0.0, SIGNED): (
        "object_reliance object_share object_auc_excess sg_object_auc_excess target_contrast object_auc_excess_alpha0 "
        "object_auc_excess_alpha1"
    ),
    (SALIENCY.name, 0.5, UNIT): "object_auc",
    (SALIENCY.name, 1.0, None): "object_mass_ratio",
    (SALIENCY.name, 0.0, None): "object_skill clickme_alignment",
    (SALIENCY.name, None, UNIT): "rank_accuracy grad_image_cos grad_high_frequency grad_gini",
}
LOWER = """
neither_fraction accuracy_difference mce mce_partial relative_mce mce_measured relative_mce_measured mean_error
"""
NEITHER = """
shape_fraction texture_fraction human_error_consistency threshold response_entropy largest_share
beyond_ce_linf beyond_ce_l2 gradient_passes grad_centroid grad_image_cos grad_high_frequency grad_tv grad_gini
"""
SHOWN = {
    CUE_CONFLICT.name: "shape_bias agree_accuracy natural_accuracy edges_accuracy silhouettes_accuracy",
    HUMAN.name: "error_consistency ceiling_fraction observed_consistency accuracy_difference ood_accuracy",
    CORRUPTION.name: (
        "corruption_accuracy clean_accuracy relative_robustness mce mce_partial relative_mce noise_accuracy "
        "blur_accuracy weather_accuracy digital_accuracy flip_consistency unseen_accuracy"
    ),
    ADVERSARIAL.name: "robust_accuracy robust_linf_1 robust_l2_1 clean_accuracy auc_linf auc_l2",
    SALIENCY.name: (
        "object_reliance object_accuracy object_auc_excess object_auc grad_centroid sg_object_auc_excess "
        "target_contrast clickme_alignment"
    ),
}
SUITES = (CUE_CONFLICT, HUMAN, CORRUPTION, ADVERSARIAL, SALIENCY)
HEADLINES = ("shape_bias", "error_consistency", "corruption_accuracy", "robust_accuracy", "object_reliance")


@pytest.mark.parametrize(("suite", "headline"), [*zip(SUITES, HEADLINES, strict=True)], ids=HEADLINES)
def test_chance_bounds_and_direction_of_every_metric(suite, headline):
    expected = {
        name: (chance, bounds)
        for (of, chance, bounds), names in KNOWN.items()
        if of == suite.name
        for name in names.split()
    }
    names = {metric.name for metric in suite.metrics}
    assert expected.keys() <= names
    for metric in suite.metrics:
        found = (metric.chance, metric.bounds)
        assert found == expected.get(metric.name, (None, None)), metric.name
        better = "lower" if metric.name in LOWER.split() else "higher"
        better = "none" if metric.name in NEITHER.split() else better
        assert metric.direction == better, metric.name
    assert suite.headline.name == headline


def test_which_columns_a_board_shows():
    shown = {suite.name: {one.name for one in suite.metrics if one.shown} for suite in SUITES}
    assert shown == {suite: set(names.split()) for suite, names in SHOWN.items()}
    clean = {one.name for suite in SUITES for one in suite.metrics if one.clean}
    assert clean == {"natural_accuracy", "clean_accuracy"}
