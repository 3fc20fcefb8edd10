from pathlib import Path

import pytest

from benchmark.stimuli.catalogue import canonical_condition, experiment_of, image_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0001_s5n_s01_0_bird_00_bird3-bird2.png", "bird3-bird2.png"),
        ("0001_nse_dnn_0.00_knife_10_n03041632_8618.JPEG", "n03041632_8618.JPEG"),
        ("0001_eid_s01_16-0-10_oven_10_n04111531_13542.png", "n04111531_13542.png"),
        ("0001_ske_s01_0_boat_00_boat-0068-sketch-23.png", "boat-0068-sketch-23.png"),
        ("my_own_image_7.png", "my_own_image_7.png"),
        ("0001_x_s01_0_boat_00_", "0001_x_s01_0_boat_00_"),
    ],
)
def test_only_the_published_prefix_is_taken_off(name, expected):
    assert image_id(name) == expected


@pytest.mark.parametrize(
    ("experiment", "text", "expected"),
    [
        ("uniform-noise", "0.20", "0.2"),
        ("high-pass", "3.0", "3"),
        ("high-pass", "inf", "inf"),
        ("false-colour", "True", "true"),
        ("contrast", "c05", "c05"),
        ("eidolonI", "8-10-10", "8-10-10"),
        ("cue-conflict", "0", ""),
        ("edges", "NaN", ""),
    ],
)
def test_conditions_have_one_spelling(experiment, text, expected):
    assert canonical_condition(experiment, text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("style-transfer-512-nomask-experiment_alexnet_session_1.csv", "cue-conflict"),
        ("edge-experiment-trained-CNNs/edge-experiment_resnet50_session-1.csv", "edges"),
        ("silhouette/silhouette_subject-01_session_1.csv", "silhouettes"),
        ("highpass/x.csv", "high-pass"),
        ("texture-shape_cue-conflict/texture-shape_cue-conflict_vgg16session-1.csv", "cue-conflict"),
        ("x/noise-generalisation_contrast-png_resnet50_session-1.csv", "contrast"),
        ("noise-generalisation_uniform-noise/noise-experiment_subject-01_session_1.csv", "uniform-noise"),
        ("eidolonII/eidolonII_subject-01_session_1.csv", "eidolonII"),
        ("d/style-transfer-512-nomask-content-guessing-experiment_vgg_session_1.csv",
         "style-transfer-512-nomask-content-guessing"),
    ],
)  # fmt: skip
def test_experiments_are_told_from_names(path, expected):
    assert experiment_of(Path("/nowhere") / path) == expected
