"""Perturbations made on other networks: feasible, never made on the network itself, and what they tell of a mask."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from benchmark.contracts import Policy
from benchmark.failures import MissingStimuli
from benchmark.identity import observation_key
from benchmark.settings import Settings
from benchmark.stimuli.resolver import Resolver
from registry.cards import ModelCard, Preprocess, write_card
from registry.world_networks import tiny_resnet
from suites.adversarial import SUITE
from suites.adversarial.config import PROTOCOLS, linf
from suites.adversarial.plan import plan
from suites.adversarial.trust.report import flags

HALF = Preprocess(size=32, resize=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
OTHERS = ("world-standard-1", "world-stylised-1")
THREAT = replace(linf(4.0, 8.0, 16.0), far=0.0)
CONFIG = replace(PROTOCOLS["transfer"], threats=(THREAT,), transfer=OTHERS, check=None, finish=None, opinion=())


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return Resolver("world16", Settings(home=home, db="unused.db", mirror=None, data=None))


@pytest.fixture(scope="module")
def target(world):
    return world("world-standard-0", 20)


@pytest.fixture(scope="module")
def trials_of(target, shelf):
    """The trials where perturbations are made on the networks of those names."""

    def trials_of(*names, run=None):
        return target.trials(CONFIG, run=run, networks=shelf.networks(names))

    return trials_of


@pytest.mark.slow
def test_some_transfer_and_the_curve_is_the_worst_case(trials_of):
    trials = trials_of(*OTHERS)
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


def own_network(home, weights):
    """A home with one card, "mine", over the bytes of a file of weights."""
    (home / "cards").mkdir(parents=True)
    (home / "mine.safetensors").write_bytes(weights)
    card = ModelCard(
        name="mine", source="file", arch="python:registry.world_networks:tiny_resnet",
        weights=str(home / "mine.safetensors"), labels="world16", preprocess=HALF,
    )  # fmt: skip
    write_card(card, home / "cards")
    return Resolver("world16", Settings(home=home, db="unused.db", mirror=None, data=None), limit=16)


def key(shelf):
    config = replace(CONFIG, transfer=("mine",))
    (block,) = plan(config, shelf).blocks
    return observation_key("weights", block, replace(SUITE, config=config), Policy())


@pytest.mark.slow
def test_the_key_tells_which_networks_made_perturbations(tmp_path):
    """What lies on the disk is found when the run is planned: by its weights, not by its name."""
    torch.manual_seed(1)
    one, two = (save(tiny_resnet(16).state_dict()) for _ in range(2))
    none = Resolver("world16", Settings(home=tmp_path, db="unused.db", mirror=None, data=None), limit=16)
    made = [own_network(tmp_path / name, of) for name, of in zip("abc", (one, two, one), strict=True)]
    first, second, again = map(key, made)
    assert first == again
    assert len({first, second, key(none)}) == 3


def test_a_network_that_cannot_be_loaded_is_a_reason_and_no_crash(tmp_path):
    with pytest.raises(MissingStimuli, match="'mine' is shown the images, too"):
        own_network(tmp_path, b"nothing").networks(["mine"])


@pytest.mark.release
def test_a_mask_that_stops_gradients_does_not_stop_what_others_made(target, trials_of):
    """The network behind a quantiser answers a little differently, so that it is not taken for itself."""
    masked = trials_of("world-standard-0", run=lambda x: 1.1 * target.feed.run((x * 63).round() / 63))
    assert any(flag.startswith("trust: black box beats white box: transfer") for flag in flags(CONFIG, masked))
    assert not any("transfer" in flag for flag in flags(CONFIG, trials_of("world-standard-1")))
