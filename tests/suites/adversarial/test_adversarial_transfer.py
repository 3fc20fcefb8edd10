"""Perturbations made on other networks: feasible, never made on the network itself, and what they tell of a mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.errors import BenchError
from suites.adversarial import SUITE
from suites.adversarial.config import TRANSFER, Transfer, linf
from suites.adversarial.losses import cross_entropy
from suites.adversarial.surrogates import Space, crafted, surrogates
from suites.adversarial.trust import flags

OTHERS = Transfer(("world-standard-1", "world-stylised-1"), steps=5)
CONFIG = replace(TRANSFER, threats=(linf(4.0, 8.0, 16.0, far=0.0),), transfer=OTHERS, check=None)


@pytest.fixture(scope="module", autouse=True)
def nothing_of_ones_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def target(world):
    return world("world-standard-0", 20)


def of(*names):
    return replace(CONFIG, transfer=replace(OTHERS, networks=names))


def test_points_are_feasible_and_raise_the_loss_of_their_own_network(target):
    space = Space("world16", target.feed.model.labels.classes)
    (other,) = surrogates(("world-standard-1",), space, "cpu")
    x, y, none = target.pixels, target.labels, torch.full((20,), -1)
    before = cross_entropy(other.forward(x), y, none)
    for point in crafted(other.forward, x, y, 4 / 255, 5):
        assert (point - x).abs().max() <= 4 / 255 + 1e-6
        assert point.min() >= 0 and point.max() <= 1
        with torch.no_grad():
            assert (cross_entropy(other.forward(point), y, none) > before).float().mean() > 0.9


def test_some_transfer_and_the_curve_is_the_worst_case(target):
    trials = target.trials(CONFIG)
    broken, right = trials["transfer_broken"], trials["clean_correct"]
    assert 0 < broken[right][:, -1].mean() < 1
    for column, epsilon in enumerate((4 / 255, 8 / 255, 16 / 255)):
        assert (trials["linf_epsilon"][broken[:, column]] <= epsilon * 1.000001).all()
    assert broken[~right].all()
    suite = SUITE.variants["transfer"]
    scores = suite.score(CONFIG, trials)
    shown = {s.condition: s.value for s in scores if s.metric == "transfer_accuracy"}
    assert shown["linf 16/255"] == pytest.approx(1 - broken[:, 2].mean())
    assert shown[""] == shown["linf 4/255"]


def test_the_network_itself_makes_no_perturbations_by_whatever_name(target):
    alone, beside = (
        target.trials(of(*names))["transfer_broken"]
        for names in (("world-standard-1",), ("world-standard-0", "world-standard-1"))
    )
    assert np.array_equal(alone, beside)
    with pytest.raises(BenchError, match="no other network"):
        target.trials(of("world-standard-0"))


def test_networks_of_other_spaces_or_without_weights_are_left_out(target):
    with pytest.raises(BenchError, match="none answers in 'world16'"):
        target.trials(of("efficientnet-lite0", "no-such-network"))


def test_a_mask_that_stops_gradients_does_not_stop_what_others_made(target):
    masked = target.trials(of("world-standard-0"), run=lambda x: hidden(target, x))
    said = flags(CONFIG, masked)
    assert any(flag.startswith("trust: black box beats white box: transfer") for flag in said)
    honest = target.trials(of("world-standard-1"))
    assert not any("transfer" in flag for flag in flags(CONFIG, honest))


def hidden(target, x):
    """The network behind a quantiser, answering a little differently so that it is not taken for itself."""
    return 1.1 * target.feed.run((x * 63).round() / 63)
