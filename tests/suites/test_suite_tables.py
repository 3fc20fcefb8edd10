"""What each suite says of its metrics: direction, whether it ranks or is shown, chance, bounds, role."""

import pytest

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
    "human_comparison": """
        error_consistency higher headline 0 - -
        ceiling_fraction higher shown 0 - -
        observed_consistency higher shown - 0..1 -
        accuracy_difference lower shown - 0..1 -
        ood_accuracy higher shown 0.0625 0..1 -
        margin_consistency higher hidden 0 -1..1 -
        contrast_accuracy higher hidden 0.0625 0..1 contrast
        cue_conflict_accuracy higher hidden 0.0625 0..1 cue-conflict
        response_entropy none hidden 4 - -
    """,
    "corruption": """
        corruption_accuracy higher headline - - natural
        clean_accuracy higher shown - - natural
        relative_robustness higher shown - - natural
        mce lower shown - - natural
        mce_partial lower shown - - natural
        relative_mce lower shown - - natural
        noise_accuracy higher shown - - natural
        blur_accuracy higher shown - - natural
        weather_accuracy higher shown - - natural
        digital_accuracy higher shown - - natural
        flip_consistency higher shown - - natural
        unseen_accuracy higher shown - - natural
        accuracy16 higher hidden 0.0625 - natural
        clean_accuracy16 higher hidden 0.0625 - natural
    """,
    "adversarial": """
        robust_accuracy higher headline - - natural
        robust_linf_1 higher shown - - natural
        robust_l2_1 higher shown - - natural
        clean_accuracy higher shown - - natural
        auc_linf higher shown - 0..1 natural
        auc_l2 higher shown - 0..1 natural
    """,
    "saliency": """
        object_reliance higher headline 0 -1..1 -
        ranked_reliance higher shown 0 -1..1 -
        object_accuracy higher shown - - -
        object_share higher hidden 0 -1..1 -
        object_auc_excess higher shown 0 -1..1 -
        object_auc higher shown 0.5 0..1 -
        grad_centroid none shown - - -
        object_mass_ratio higher hidden 1 - -
        object_skill higher hidden 0 - -
        rank_accuracy higher hidden - 0..1 -
        sg_object_auc_excess higher shown 0 -1..1 -
        target_contrast higher shown 0 -1..1 cue-conflict
        clickme_alignment higher shown 0 - clickme
        object_auc_excess_alpha0 higher hidden 0 -1..1 cue-conflict-alpha0
        object_auc_excess_alpha1 higher hidden 0 -1..1 cue-conflict-alpha1
        grad_image_cos none hidden - 0..1 -
        grad_high_frequency none hidden - 0..1 -
        grad_gini none hidden - 0..1 -
    """,
}


def row(metric):
    place = "headline" if metric.headline else "shown" if metric.shown else "hidden"
    chance = "-" if metric.chance is None else f"{metric.chance:g}"
    bounds = "-" if metric.bounds is None else "{:g}..{:g}".format(*metric.bounds)
    return [metric.name, metric.direction, place, chance, bounds, metric.role or "-"]


@pytest.mark.parametrize("suite", TABLES)
def test_metrics_are_those_of_the_definition(suite):
    """Chance: 1/16 of 16 categories, 1/2 of two cues and of an AUC, 4 bits of 16 equal answers, 0 of differences.
    A metric that is added needs no line here."""
    (room,) = (one for one in SUITES if one.__name__ == f"suites.{suite}")
    metrics = room.SUITE.metrics
    lines = [line.split() for line in TABLES[suite].split("\n") if line.strip()]
    assert [row(metric) for metric in metrics if row(metric) in lines] == lines


def test_summaries_show_the_accuracy_on_clean_images_once():
    clean = {metric.name for room in SUITES for metric in room.SUITE.metrics if metric.clean}
    assert clean == {"natural_accuracy", "clean_accuracy"}
