"""What an observation's key holds, and what it leaves out."""

from dataclasses import replace

import engine_toys as toys
import numpy as np
import pytest

from benchmark.contracts import Block, Policy, Transform
from benchmark.identity import observation_key
from benchmark.stimuli.datasets import seeds_of, subset

STIMULI = toys.make_stimuli(20)
BLOCK = Block(stimuli=STIMULI, role="toys")
SUITE = toys.toy_suite(STIMULI)


def key(identity="weights", block=BLOCK, suite=SUITE, policy=None):
    return observation_key(identity, block, suite, policy or Policy())


def brighter(images, seeds):
    return images * 1.1


@pytest.mark.slow
def test_what_decides_the_answers_is_in_the_key():
    changes = [
        {}, {"identity": "other weights"}, {"block": replace(BLOCK, condition="grey")},
        {"block": replace(BLOCK, presentation="card")}, {"block": replace(BLOCK, role="other")},
        {"block": replace(BLOCK, stimuli=toys.make_stimuli(19))},
        {"block": replace(BLOCK, transform=Transform(name="brighter", params={"by": 1.1}, apply=brighter))},
        {"suite": replace(SUITE, trial_version=2)}, {"suite": replace(SUITE, name="another")},
        {"suite": replace(SUITE, config={"steps": 10})}, {"policy": Policy(seed=1)}, {"policy": Policy(device="cuda")},
        {"policy": Policy(precision="bf16")}, {"policy": Policy(compile=True)},
    ]  # fmt: skip
    keys = [key(**changed) for changed in changes]
    assert len(set(keys)) == len(changes) and key() == keys[0]


def test_seeds_stay_with_their_stimulus():
    every = np.arange(20)
    whole = dict(zip(STIMULI.ids, seeds_of(STIMULI, every, 5).tolist(), strict=True))
    assert len(set(whole.values())) == 20
    backwards = seeds_of(STIMULI, every[::-1].copy(), 5).tolist()
    assert backwards == list(whole.values())[::-1]
    part = subset(STIMULI, 7)
    assert seeds_of(part, np.arange(7), 5).tolist() == [whole[name] for name in part.ids]
    assert not set(seeds_of(STIMULI, every, 6).tolist()) & set(whole.values())
