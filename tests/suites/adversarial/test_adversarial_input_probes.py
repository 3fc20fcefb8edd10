"""A network that is normalised twice, or not at all, is found out; one that is right is not."""

import numpy as np
import pytest
import torch

from benchmark.contracts import Trials
from suites.adversarial.config import LINF, Config, Stage
from suites.adversarial.trust.input_probes import asked
from suites.adversarial.trust.readings import READINGS
from suites.adversarial.trust.report import preprocessing

LEAST = Config((LINF,), (Stage("ce", 1),))


@pytest.fixture(scope="module")
def network(world):
    return world("world-salt-and-pepper-0", 64)  # it needs its input as it was trained on


def said(network, run):
    """Asked of the image at rest, before any attack: the least of those will do."""
    return list(preprocessing(network.trials(LEAST, run=run)))


def test_readings_undo_one_another():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    more, less, *_ = READINGS.values()
    assert torch.allclose(less(more(x)), x, atol=1e-6)
    assert torch.allclose(more(x)[0, 0, 0, 0], (x[0, 0, 0, 0] - 0.485) / 0.229)


# this network does not mind its pixels in [0.5, 1], so what would set that right gains nothing
@pytest.mark.slow
@pytest.mark.parametrize("reading", [r for r in READINGS if r != "scaled to [-1, 1] once more"])
def test_every_reading_is_flagged_where_it_was_meant(network, reading):
    opposite = reading.replace("more", "?").replace("less", "more").replace("?", "less")
    flags = said(network, lambda x: network.feed.run(READINGS[opposite](x)))
    assert any(flag.endswith(reading) for flag in flags)
    assert all(flag.startswith("preprocessing: ") for flag in flags)


@pytest.mark.slow
def test_right_preprocessing_is_not(network):
    assert said(network, network.feed.run) == []


def test_who_is_asked_depends_on_the_seed_alone():
    seeds = np.arange(1000, dtype=np.uint64)
    assert asked(seeds).mean() == 0.5
    assert np.array_equal(asked(seeds[::3]), asked(seeds)[::3])


@pytest.mark.slow
def test_images_that_were_not_asked_say_nothing(network):
    trials = network.trials(LEAST)
    assert not trials["otherwise"][~trials["asked"]].any()
    assert 0.3 < trials["asked"].mean() < 0.7
    assert (trials["forwards"][trials["asked"]] >= 4).all()


@pytest.mark.slow
def test_a_gain_that_may_be_chance_is_no_flag(network):
    trials = network.trials(LEAST)
    shown, asked_ = trials["clean_correct"].copy(), np.flatnonzero(trials["asked"])
    otherwise = np.repeat(shown[:, None], len(READINGS), axis=1)
    for count, flagged in ((4, False), (len(asked_) // 2, True)):
        shown[asked_] = True
        shown[asked_[:count]] = False
        otherwise[asked_] = False
        otherwise[asked_, 0] = True
        changed = Trials({**trials.columns, "clean_correct": shown, "otherwise": otherwise})
        assert bool(list(preprocessing(changed))) == flagged


@pytest.mark.parametrize(
    ("asked_", "right", "better", "said"),
    [
        (40, 20, 38, ["preprocessing: 50% right as shown, 95% normalised once more"]),
        (40, 20, 24, []),  # a tenth, not more
        (40, 20, 2, []),  # it answers far worse
        (8, 4, 7, []),  # three more of eight may be chance
        (0, 0, 0, []),
    ],
)
def test_a_reading_that_is_answered_better_is_said(asked_, right, better, said):
    """Of 50 images some are asked; the first `right` as shown, the first `better` otherwise. Who is not asked is
    answered wrongly whatever the reading."""
    row = np.arange(50)
    otherwise = np.zeros((50, len(READINGS)), dtype=bool)
    otherwise[:better, 0] = True
    columns = {"asked": row < asked_, "clean_correct": row < right, "otherwise": otherwise}
    assert list(preprocessing(Trials(columns))) == said
