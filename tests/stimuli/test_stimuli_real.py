"""On the real stimuli and trials: skipped, with the reason, where BENCH_TEST_DATA does not lead to them."""

import numpy as np
import pytest

from benchmark.stimuli.catalogue import stimuli_folder
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.regenerate import trial_stimuli
from benchmark.stimuli.trial_tables import read_tables
from benchmark.stimuli.verify import verify_set

#: experiment -> people, images, answers "na"
EXPERIMENTS = {
    "colour": (4, 1280, 26), "contrast": (4, 1280, 18), "high-pass": (4, 1280, 44),
    "low-pass": (4, 1280, 24), "phase-scrambling": (4, 1120, 37), "power-equalisation": (4, 1120, 17),
    "false-colour": (4, 1120, 15), "rotation": (4, 1280, 28), "eidolonI": (4, 1280, 47),
    "eidolonII": (4, 1280, 33), "eidolonIII": (4, 1280, 31), "uniform-noise": (4, 1280, 38),
    "sketch": (7, 800, 40), "stylized": (5, 800, 12), "edges": (10, 160, 34),
    "silhouettes": (10, 160, 22), "cue-conflict": (10, 1280, 131),
}  # fmt: skip


@pytest.fixture(scope="session")
def people(real):
    folder = stimuli_folder("human-trials", real)
    if folder is None:
        pytest.skip("no real trials: 'human-trials' is not in the data folder")
    return read_tables(folder).files


@pytest.mark.release
@pytest.mark.parametrize("name", ["cue-conflict", "filled-silhouettes"])
def test_image_names_are_those_of_the_tables(real, people, name):
    experiment = {"filled-silhouettes": "silhouettes"}.get(name, name)
    here, known = (open_set(name, real), trial_stimuli([f for f in people if f.experiment == experiment]))
    assert set(here.ids) <= set(known.ids)
    assert len(known) == here.whole
    position = [known.ids.index(i) for i in here.ids]
    assert position == sorted(position)
    for column in here.labels:
        assert np.array_equal(here.labels[column], known.labels[column][position])
    assert verify_set(name, real).ok


@pytest.mark.slow
def test_masks_lie_on_the_objects(real):
    """The outline of a mask is where the line drawing has its lines, and nowhere better by a shift."""
    edges, silhouettes = open_set("edges", real), open_set("silhouettes", real)
    assert edges.mask is not None and silhouettes.mask is not None
    support = np.zeros((3, 3))
    for i in range(0, len(edges), 8):
        mask, lines = edges.mask(i), edges.decode(i)[:, :, 0] < 128
        assert 0.02 < mask.mean() < 0.95
        assert np.array_equal(mask, silhouettes.mask(silhouettes.ids.index(edges.ids[i])))
        outline = np.hypot(*np.gradient(mask.astype(float))) > 0
        for dy, dx in np.ndindex(3, 3):
            support[dy, dx] += lines[np.roll(outline, (dy - 1, dx - 1), (0, 1))].mean()
    assert support.argmax() == 4


@pytest.mark.slow
def test_people_images_and_missing_answers_of_all_experiments(people):
    assert {file.experiment for file in people} == set(EXPERIMENTS)
    assert len(people) == 90 and all(file.kind == "human" for file in people)
    for experiment, (observers, images, missing) in EXPERIMENTS.items():
        mine = [file for file in people if file.experiment == experiment]
        assert len({file.observer for file in mine}) == observers, experiment
        assert all(len(file) == images for file in mine), experiment
        assert len(trial_stimuli(mine)) == images, experiment
        assert sum((f.columns["response"] == "na").sum() for f in mine) == missing, experiment
        pairs = [set(zip(f.columns["stimulus"], f.columns["condition"], strict=True)) for f in mine]
        assert all(pair == pairs[0] for pair in pairs), experiment
