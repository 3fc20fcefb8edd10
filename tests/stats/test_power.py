"""Power by formula is that of simulations: of right and wrong, of a ratio over shapes and textures, of t tests."""

import numpy as np
import pytest
from scipy import stats

from benchmark.contracts import Trials
from benchmark.stats import compare_ratio
from benchmark.stats.differences import Discordant, Studentised, detectable, needed, power_of

Z = 1.959964


def rejected(share, gap, n, runs=40_000):
    """How often McNemar's test finds that one of two alone is right on (share + gap) / 2 of the images, the other on
    (share - gap) / 2."""
    a, b, _ = np.random.default_rng(3).multinomial(n, [(share + gap) / 2, (share - gap) / 2, 1 - share], runs).T
    return (np.abs(a - b) > Z * np.sqrt(np.maximum(a + b, 1))).mean()


@pytest.mark.parametrize(
    ("b", "c", "gap", "times"), [(60, 40, 0.02, 1), (60, 40, 0.02, 2), (45, 5, 0.03, 4), (200, 150, 0.05, 0.5)]
)
def test_right_and_wrong_are_seen_as_often_as_simulated(b, c, gap, times):
    test = Discordant(b=b, c=c, n=1000)
    simulated = rejected((b + c) / 1000, gap, round(1000 * times))
    assert power_of(test, gap, times=times) == pytest.approx(simulated, abs=0.03)


def test_a_plan_without_answers_is_the_published_formula():
    share, gap, z = 0.15, 0.02, stats.norm.ppf(0.8)
    n = (Z * share**0.5 + z * (share - gap**2) ** 0.5) ** 2 / gap**2  # Connor 1987
    assert needed(Discordant(b=share / 2, c=share / 2, n=1), gap, 0.8) == pytest.approx(n, rel=1e-4)
    assert power_of(Discordant(b=share / 2, c=share / 2, n=1), gap, times=n) == pytest.approx(0.8, abs=1e-4)


def test_a_mean_is_seen_as_the_noncentral_t_says():
    test = Studentised(difference=0.0, se=0.1, df=24, limit=2.0)  # 25 images, standard deviation .5
    for gap in (0.1, 0.25, 0.4):
        end, noncentral = stats.t.ppf(0.975, 24), stats.nct(24, gap / 0.1)
        assert power_of(test, gap) == pytest.approx(noncentral.sf(end) + noncentral.cdf(-end), abs=1e-6)
    smallest = detectable(test, 0.8)
    assert power_of(test, smallest) == pytest.approx(0.8, abs=1e-5)
    assert power_of(test, 0.25, times=100) == 1.0
    assert 0.25 < smallest < 2
    none = [
        detectable(Studentised(difference=0.0, se=0.1, df=24, limit=0.25), 0.8),
        detectable(Discordant(b=1, c=0, n=2), 0.999),
    ]
    assert none == [None, None] and detectable(Discordant(b=60, c=40, n=100), 0.999) is not None


def test_power_is_a_share_at_every_df_and_centre():
    """scipy's lower tail of the noncentral t is NaN at many of these."""
    grid = [(df, se) for df in np.geomspace(1, 300, 9) for se in (0.0024, 0.024, 0.24)]
    found = [[power_of(Studentised(difference=0.0, se=se, df=df), gap) for gap in (0.0, 0.03, 0.3)] for df, se in grid]
    assert np.all((np.array(found) >= 0.049999) & (np.array(found) <= 1)) and np.all(np.diff(found) > -1e-9)
    assert all(detectable(Studentised(difference=0.0, se=se, df=df), 0.8) for df, se in grid[1::3])


def test_people_bound_what_more_images_show():
    test = Studentised(difference=0.0, se=0.02, df=50, limit=2.0, people=0.0003)  # .0001 is about images
    assert needed(test, 0.03, 0.8) is None
    people = needed(test, 0.03, 0.8, of="people")
    assert power_of(test, 0.03, people=people) == pytest.approx(0.8, abs=1e-4)
    assert needed(Studentised(difference=0.0, se=0.02, df=50, limit=2.0), 0.03, 0.8, of="people") is None
    assert power_of(test, 0.03, times=3, people=2) > power_of(test, 0.03, times=3)


def test_more_images_and_people_divide_the_parts_of_the_variance_that_are_theirs():
    """.0001 of images / 2, .0002 crossed / 8, .0001 of people / 4: .01 squared; 3 standard errors, 800 degrees."""
    test = Studentised(difference=0.0, se=0.02, df=50, limit=2.0, people=0.0001, crossed=0.0002)
    assert power_of(test, 0.03, times=2, people=4) == pytest.approx(stats.norm.cdf(3 - 1.96293), abs=1e-5)


def test_what_does_not_vary_shows_nothing():
    assert power_of(Discordant(b=0, c=0, n=100), 0.0) == 0.0
    assert power_of(Studentised(difference=0.0, se=0.0, df=10), 0.1) == 0.0
    with pytest.raises(TypeError, match="float"):
        power_of(0.5, 0.1)


SHAPES, TEXTURES = 40, 32


def conflicts(make, rng, shapes, textures, leans, density=1 / 6):
    """Two observers on images of crossed shapes and textures, of which `density` are there; what leads them, an
    exemplar's strength, they share in part. leans: how far each leans to shape."""
    shape, texture = (part.ravel() for part in np.mgrid[:shapes, :textures])
    kept = rng.random(len(shape)) < density
    shape, texture = shape[kept], texture[kept]
    strength = rng.normal(0, 0.5, shapes)[shape] - rng.normal(0, 0.5, textures)[texture]
    names = np.array([f"{s}-{t}" for s, t in zip(shape, texture, strict=True)])
    for lean in leans:
        own = strength + rng.normal(0, 1, len(names)) + lean
        response = np.where(rng.random(len(names)) < 0.2, "-", np.where(own > 0, "s", "t"))
        exemplars = {"shape_exemplar": shape.astype(str), "texture_exemplar": texture.astype(str)}
        yield Trials(columns={**make(response, names).columns, **exemplars})


@pytest.mark.release
def test_a_ratio_over_shapes_and_textures_is_seen_as_often_as_simulated(bias, make):
    """Of twice as many; of 400 simulations a share of .8 has a standard error of .02: three of them, and of 60 pilots
    .02. As many as planned would be seen in .5."""
    rng, leans, times = np.random.default_rng(0), (0.3, 0.0), 2
    whole = compare_ratio(bias, *conflicts(make, rng, 600, 480, leans))  # the truth, nearly
    pilots = [compare_ratio(bias, *conflicts(make, rng, SHAPES, TEXTURES, leans)) for _ in range(60)]
    foretold = np.mean([power_of(pilot.test, whole.difference, times=times) for pilot in pilots])
    sizes = SHAPES * times, TEXTURES * times
    runs = [compare_ratio(bias, *conflicts(make, rng, *sizes, leans, 1 / 6 / times)).p < 0.05 for _ in range(400)]
    assert foretold == pytest.approx(np.mean(runs), abs=0.08)
