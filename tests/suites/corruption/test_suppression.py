"""Feature reliance: by hand, against other libraries, and of observers that are known to read one cue."""

import numpy as np
import pytest
from corruption_tables import by_name, table
from cue_readers import READERS, three_cues

from benchmark.contracts import Trials
from benchmark.testing.toys import ToyShelf
from benchmark.transforms.listing import own_list, transform
from suites.corruption import SUITE
from suites.corruption.feature_reliance import MATCHED, PAIRS, SUPPRESSION, left, score


def hand(**columns):
    """Ten images: 8 right as they are, 2 of these and 1 other when shuffled, 6 filtered, 8 grey."""
    right = {
        "clean": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        "patch-shuffle/8": [1, 1, 0, 0, 0, 0, 0, 0, 1, 0],
        "bilateral/10": [1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        "grey/1": [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
    }
    return table(right, **columns)


def test_reliance_by_hand():
    scores = by_name(score(None, hand()))
    values = {name: scores[f"{name}_reliance", ""].value for name in MATCHED}
    assert values == pytest.approx({"shape": 1 - 3 / 8, "texture": 1 - 6 / 8, "colour": 0.0})
    assert scores["shape_over_texture", ""].value == pytest.approx((6 - 3) / 8)
    assert scores["clean_accuracy", ""].value == 0.8
    assert scores["suppressed_accuracy", "bilateral/10"].value == 0.6
    assert scores["suppressed_accuracy", "bilateral/10"].method == "wilson"
    kept = scores["accuracy_kept", "patch-shuffle/8"]
    assert (kept.value, kept.n) == (3 / 8, 8)
    assert scores["shape_reliance", ""].method == "t (by stimulus)"
    # By the delta method: the fall of each image beyond its part of 5 / 8, of the nine that count; t of 8.
    assert all(part.high is None or part.high <= 1 for (name, _), part in scores.items() if name.endswith("_reliance"))
    fall = np.array([0, 0, 1, 1, 1, 1, 1, 1, -1, 0]) - 5 / 8 * np.array([1] * 8 + [0] * 2)
    spread = np.sqrt(np.sum((fall / 8)[:9] ** 2) * 9 / 8)
    assert 5 / 8 - scores["shape_reliance", ""].low == pytest.approx(2.306004 * spread, rel=1e-4)


def test_what_was_not_shown_has_no_value():
    scores = by_name(score(None, hand()))
    for pair in PAIRS:
        assert scores[f"{pair}_reliance", ""].value is None and scores[f"{pair}_reliance", ""].reason
    assert not any(metric.endswith("16") for metric, _ in scores)
    nothing = score(None, Trials(columns={}))
    assert nothing and all(part.value is None for part in nothing)


def test_what_a_filter_leaves_against_other_libraries():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    whole = ndimage.gaussian_filter(rng.random((64, 48)), 1.5)
    shown = ndimage.gaussian_filter(whole, 1)
    cycles = np.hypot(np.fft.fftfreq(64, 1 / 64)[:, None], np.fft.fftfreq(48, 1 / 48))
    expected = []
    for x in (shown, whole):
        mean, square, energy = *(ndimage.uniform_filter(y, 15) for y in (x, x**2)), np.abs(np.fft.fft2(x)) ** 2
        expected.append(np.array([(square - mean**2)[7:-7, 7:-7].mean(), energy[cycles >= 15].sum() / energy.sum()]))
    variance, power, edges = left(whole, shown)
    assert (variance, power) == pytest.approx(tuple(expected[0] / expected[1]))
    along = [np.corrcoef(np.gradient(shown, axis=k).ravel(), np.gradient(whole, axis=k).ravel())[0, 1] for k in (0, 1)]
    assert edges == pytest.approx(np.mean(along))
    assert left(whole, whole) == pytest.approx((1, 1, 1))
    assert all(np.isnan(left(np.ones((20, 20)), np.ones((20, 20)))))


def test_the_plan_squeezes_and_shows_every_cell():
    blocks = SUPPRESSION.plan(SUPPRESSION.config, ToyShelf("imagenet1k")).blocks
    assert len(blocks) == 1 + sum(len(entry.levels) for entry in own_list("suppression").values()) == 69
    assert {block.presentation for block in blocks} == {"square224"} and blocks[0].transform is None
    world = SUPPRESSION.plan(SUPPRESSION.config, ToyShelf("world16")).blocks
    assert {block.presentation for block in world} == {"whole"} and len(world) == 69
    assert SUITE.variants["suppression"] is SUPPRESSION


@pytest.mark.slow
@pytest.mark.parametrize(
    "cue", ["shape", *(pytest.param(cue, marks=pytest.mark.release) for cue in ("texture", "colour"))]
)
def test_a_reader_leans_on_what_it_reads(cue):
    """A shape reader matches silhouettes, a texture reader sees cells one by one, a colour reader the mean colour."""
    import torch

    images, category = three_cues()
    seeds = np.arange(len(images), dtype=np.uint64)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    answers = {"clean": READERS[cue](images) == category}
    for cell in (*MATCHED.values(), *PAIRS.values()):
        name, level = cell.split("/")
        shown = transform(own_list("suppression")[name], int(level)).apply(pixels, seeds)
        shown = (shown * 255).round().byte().permute(0, 2, 3, 1).numpy()
        answers[cell] = READERS[cue](shown) == category
    scores = by_name(score(None, table(answers)))
    value = {name: scores[f"{name}_reliance", ""].value for name in (*MATCHED, *PAIRS)}
    assert value[cue] > 0.6
    assert all(abs(value[other]) < 0.1 for other in set(MATCHED) - {cue})
    assert all((value[pair] > 0.5) == (cue in pair.split("_")) for pair in PAIRS)
    if cue == "texture":  # what a cell shows does not change where it lies
        assert value["shape"] == 0
    highest = max(scores[f"{other}_reliance", ""].high for other in set(MATCHED) - {cue})
    assert scores[f"{cue}_reliance", ""].low > highest
