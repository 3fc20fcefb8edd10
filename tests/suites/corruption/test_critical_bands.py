"""The channel of critical-band masking: by hand, against scipy's fit, on published answers."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from corruption_tables import by_name, table
from scipy import stats
from scipy.optimize import minimize

from benchmark.contracts import Trials
from benchmark.testing.toys import ToyShelf
from suites.corruption import SUITE
from suites.corruption.bands import BANDS_SUITE, LEVELS, channel, score, thresholds

OCTAVES = np.arange(7.0)


def bell(octave, height, centre, spread):
    return height * np.exp(-((octave - centre) ** 2) / (2 * spread**2))


def test_thresholds_by_hand():
    unmasked, accuracy = np.array([0.8]), np.zeros((1, 6, 4))
    accuracy[0] = [
        [0.8, 0.8, 0.8, 0.7],  # never halved
        [0.8, 0.8, 0.6, 0.2],  # half way between .08 and .16
        [0.8, 0.4, 0.2, 0.2],  # at .04
        [0.0, 0.0, 0.0, 0.0],  # below .02: a bound
        [0.8, 0.2, 0.8, 0.2],  # the first fall counts; odds of 99 to 1 at most
        [0.8, 0.8, 0.8, 0.4],  # at .16
    ]
    assert thresholds(unmasked, accuracy)[0] == pytest.approx([0, 0.5, 2, 3, 2.1929, 0], abs=1e-4)


@pytest.mark.parametrize("truth", [(2.9, 4.4, 0.6), (2.0, 3.0, 1.5), (4.5, 4.2, 1.3)])
def test_the_channel_is_scipys_fit_of_a_censored_likelihood(truth):
    fallen = np.clip(bell(OCTAVES, *truth) + np.random.default_rng(0).normal(0, 0.1, 7), 0, 3)

    def loss(shape):
        model = bell(OCTAVES, *shape)
        inside = stats.norm.logpdf(fallen, model, 0.1)
        beyond = stats.norm.logsf(3, model, 0.1), stats.norm.logcdf(0, model, 0.1)
        return -np.where(fallen == 3, beyond[0], np.where(fallen == 0, beyond[1], inside)).sum()

    height, centre, spread = minimize(loss, truth, method="Nelder-Mead", tol=1e-9, options={"maxiter": 4000}).x
    width, middle, peak = (values[0] for values in channel(fallen[None], OCTAVES, 0.1))
    found = (width, np.log2(middle / 1.75), peak)
    assert found == pytest.approx((2.3548 * spread, centre, 2 ** (height - 4)), rel=1e-3)


def masked_trials(height, centre, spread, n=400, seed=0):
    """An observer whose accuracy, .9 without noise, falls by a logistic curve at a channel's thresholds."""
    rng, fallen = np.random.default_rng(seed), bell(OCTAVES, height, centre, spread)
    right = {"unmasked/0": rng.random(n) < 0.9}
    for band, octave in enumerate(fallen):
        for level in LEVELS:
            beyond = np.log2(level / 0.16) + octave
            right[f"band-{band}/{level}"] = rng.random(n) < 0.9 / (1 + np.exp(3 * beyond))
    return table(right)


@pytest.mark.release
@pytest.mark.parametrize("height", [3.2, 4.0, 4.5])
def test_the_interval_of_a_width_of_three_octaves_covers_below_the_weakest_noise_too(height):
    """Of 30 28 or 29 are expected; thresholds below .02 are never a number."""
    inside = 0
    for seed in range(30):
        scores = by_name(score(None, masked_trials(height, 4.0, 3 / 2.3548, n=200, seed=seed)))
        width, centre = scores["channel_width", ""], scores["threshold", "band-4"]
        inside += width.low <= 3 <= width.high
        assert centre.value is None and centre.reason.startswith("<= 0.02: the weakest")
        assert any(flag.startswith("threshold <= 0.02") for flag in width.flags)
    assert inside >= 26


def test_what_cannot_be_measured_has_a_reason():
    n = 20
    unharmed = {"unmasked/0": np.ones(n), **{f"band-{b}/{level}": np.ones(n) for b in range(7) for level in LEVELS}}
    scores = by_name(score(None, table(unharmed)))
    assert scores["channel_width", ""].value is None and "halves" in scores["channel_width", ""].reason
    assert scores["threshold", "band-3"].reason == ">= 0.16: the strongest noise shown does not halve it"
    few = {**unharmed, "band-3/0.08": np.arange(n) < 8, "band-3/0.16": np.zeros(n)}
    assert "noise of 1 bands alone halves the accuracy" in by_name(score(None, table(few)))["channel_width", ""].flags
    beyond = {**unharmed, **{f"band-3/{level}": np.zeros(n) for level in LEVELS}}
    assert "the weakest noise" in by_name(score(None, table(beyond)))["channel_width", ""].reason
    wrong = by_name(score(None, table({name: 0 * right for name, right in unharmed.items()})))
    assert wrong["channel_centre", ""].reason == "no image is answered rightly without noise"
    assert by_name(score(None, table({"unmasked/0": np.ones(n)})))["channel_centre", ""].reason.startswith("no band")
    assert all(part.value is None for part in score(None, Trials(columns={})))


def test_sixteen_categories_count_where_they_are_kept():
    right = {"unmasked/0": [1, 1, 0, 0], **{f"band-{b}/{level}": [0] * 4 for b in range(7) for level in LEVELS}}
    sixteen = {name: [1, 1, 1, -1] if name == "unmasked/0" else [0] * 4 for name in right}
    assert by_name(score(None, table(right, right16=sixteen)))["unmasked_accuracy", ""].value == 0.75


def test_people_stand_below_the_ranking():
    people = by_name(score(None, masked_trials(3.2, 4.0, 0.9, n=20)))["channel_width", "people"]
    assert (people.value, people.n) == (1.43, 14)
    assert people.low == pytest.approx(1.43 - 2.1604 * 0.54 / 14**0.5, rel=1e-3)
    assert set(BANDS_SUITE.references) == {"people"}


def test_the_plan_has_images_of_the_categories_in_every_band():
    blocks = BANDS_SUITE.plan(BANDS_SUITE.config, ToyShelf("geirhos16")).blocks
    assert len(blocks) == 1 + 7 * 4 and {block.presentation for block in blocks} == {"crop224"}
    world = BANDS_SUITE.plan(BANDS_SUITE.config, ToyShelf("world16")).blocks
    assert len(world) == 1 + 5 * 4 and world[1].transform.params["whole"]
    assert SUITE.variants["critical-bands"] is BANDS_SUITE


def test_published_networks_have_channels_two_to_four_times_as_wide_as_peoples():
    """The answers of 80 networks that Subramanian et al. publish, through this measure: the paper's claim."""
    root = os.environ.get("BENCH_TEST_DATA", "")
    paths = sorted(Path(root, "published-scores", "critical-band-masking").glob("solomon_*.json")) if root else []
    if not paths:
        pytest.skip("set BENCH_TEST_DATA to a folder that has published-scores/")
    unmasked, accuracy = [], []
    for path in paths:
        cells = json.loads(path.read_text())
        values = {re.fullmatch(r"noise(.+)freq(.)", name).groups(): np.mean(hits) for name, hits in cells.items()}
        unmasked.append(np.mean([values["0", str(band)] for band in range(7)]))
        accuracy.append([[values[str(level), str(band)] for level in LEVELS] for band in range(7)])
    good = np.array(unmasked) > 0.3
    fallen = thresholds(np.array(unmasked)[good], np.array(accuracy)[good])
    width, centre, _ = np.hstack([channel(own[None], OCTAVES, 0.1) for own in fallen])
    assert good.sum() == 80 and 2 < np.median(width) / 1.43 < 4 and (width > 1.43).all()
    assert np.median(width) == pytest.approx(3.53, abs=0.05) and np.median(centre) == pytest.approx(35.7, abs=0.5)
