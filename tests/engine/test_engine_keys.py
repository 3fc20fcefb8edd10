"""What an observation's key holds, and what it leaves out."""

import subprocess
import sys
from dataclasses import replace

import engine_toys as toys
import numpy as np
import pytest

from benchmark.contracts import Block, Plan, Policy, Transform
from benchmark.identity import block_key, code_digest, observation_key, score_code
from benchmark.stimuli.datasets import seeds_of, subset
from registry.caches import Place
from registry.cards import ModelCard
from registry.digests import digest_data
from registry.load import load_model

STIMULI = toys.make_stimuli(20)
BLOCK = Block(STIMULI, role="toys")
SUITE = toys.toy_suite(STIMULI)


def key(identity="weights", block=BLOCK, suite=SUITE, policy=None):
    return observation_key(identity, block, suite, policy or Policy())


def identity(tmp_path, card):
    return load_model(card, Place(tmp_path)).identity


def brighter(images, seeds):
    return images * 1.1


def darker(images, seeds):
    return images * 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"identity": "other weights"},
        {"block": replace(BLOCK, condition="grey")},
        {"block": replace(BLOCK, presentation="card")},
        {"block": replace(BLOCK, role="other")},
        {"block": replace(BLOCK, stimuli=toys.make_stimuli(19))},
        {"block": replace(BLOCK, transform=Transform("brighter", {"by": 1.1}, brighter))},
        {"suite": replace(SUITE, trial_version=2)},
        {"suite": replace(SUITE, name="another")},
        {"suite": replace(SUITE, config={"steps": 10})},
        {"policy": Policy(seed=1)},
        {"policy": Policy(device="cuda")},
        {"policy": Policy(precision="bf16")},
        {"policy": Policy(compile=True)},
    ],
)
def test_what_decides_the_answers_is_in_the_key(changed):
    assert key(**changed) != key()


@pytest.mark.slow
def test_transforms_differ_by_name_parameters_and_code():
    made = {
        block_key(replace(BLOCK, transform=transform))
        for transform in (
            Transform("a", {"by": 1}, brighter),
            Transform("b", {"by": 1}, brighter),
            Transform("a", {"by": 2}, brighter),
            Transform("a", {"by": 1}, darker),
        )
    }
    assert len(made) == 4


@pytest.mark.slow
def test_score_metrics_and_summary_are_not_in_the_key():
    other = replace(
        SUITE, score=lambda _c, _t: [], summary="another summary", metrics=(), version=2
    )
    assert key(suite=other) == key() and score_code(other) != score_code(SUITE)


@pytest.mark.slow
def test_equal_blocks_of_suites_are_one_block_whatever_they_call_it():
    assert block_key(BLOCK) == block_key(replace(BLOCK, role="another word"))


def test_name_and_path_are_not_in_a_model_identity(tmp_path):
    card = toys.network("one", "Readout", seed=3)
    same = card.model_copy(update={"name": "two", "license": "MIT", "training": ("standard",)})
    assert identity(tmp_path, card) == identity(tmp_path, same)


def test_weights_and_preprocessing_are_in_a_model_identity(tmp_path):
    card = toys.network("one", "Readout", seed=3)
    mean = toys.HALF.model_copy(update={"mean": (0.4, 0.5, 0.5)})
    made = {
        identity(tmp_path, card),
        identity(tmp_path, toys.network("one", "Readout", seed=4)),
        identity(tmp_path, card.model_copy(update={"preprocess": mean})),
    }
    assert len(made) == 3


def test_a_copy_of_a_checkpoint_elsewhere_is_the_same_model(tmp_path):
    from safetensors.torch import save_file

    from registry.tiny import tiny_resnet

    state = tiny_resnet(16).state_dict()
    found = set()
    for place in ("a.safetensors", "deeper/b.safetensors"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        save_file(state, path)
        card = ModelCard(
            name=path.stem, source="file", arch="python:registry.tiny:tiny_resnet",
            weights=str(path), labels="world16", preprocess=toys.HALF,
        )  # fmt: skip
        found.add(identity(tmp_path, card))
    assert len(found) == 1


BASE = '''
from helpers import shared
import helpers

LIMIT = 0.5

def helper(x):
    """Says nothing."""
    return x + 1

def observe(config, view):
    # a remark
    return {"a": helper(view), "b": shared(view), "c": helpers.by_module(view), "d": LIMIT}
'''
HELPERS = """
def shared(x):
    return x * 2

def by_module(x):
    return x * 3
"""


@pytest.fixture
def digest_of(tmp_path):
    """Digest of `observe` of a small package with one edit, in a process of its own."""

    def call(edit=("", ""), helper_edit=("", "")):
        folder = tmp_path / digest_data([edit, helper_edit])[:8]
        package = folder / "toypack"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        helpers = HELPERS.replace(*helper_edit)
        text = BASE.replace("from helpers", "from toypack.helpers")
        text = text.replace("import helpers", "from toypack import helpers")
        (package / "helpers.py").write_text(helpers)
        (package / "suite.py").write_text(text.replace(*edit))
        code = (
            "from benchmark.identity import code_digest; import toypack.suite as s;"
            "print(code_digest(s.observe))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return call


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit",
    [("# a remark", "# another"), ('"""Says nothing."""', '"""Says more."""'), ("x + 1", "(x  +  1)")],
    ids=["comment", "docstring", "layout"],
)  # fmt: skip
def test_words_and_layout_do_not_change_the_code_digest(digest_of, edit):
    assert digest_of(edit) == digest_of()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "helper_edit"),
    [
        (('"a": helper', '"e": helper'), ("", "")),
        (("x + 1", "x + 2"), ("", "")),
        (("LIMIT = 0.5", "LIMIT = 0.6"), ("", "")),
        (("", ""), ("x * 2", "x * 4")),
        (("", ""), ("x * 3", "x * 4")),
    ],
    ids=["observe", "helper", "constant", "helper elsewhere", "helper through its module"],
)
def test_code_that_decides_answers_changes_the_code_digest(digest_of, edit, helper_edit):
    assert digest_of(edit, helper_edit) != digest_of()


@pytest.mark.slow
def test_lambdas_that_differ_in_a_constant_differ():
    made = [
        replace(SUITE, plan=lambda c, s: Plan((BLOCK,), {"x": "a"}), version=1),
        replace(SUITE, plan=lambda c, s: Plan((BLOCK,), {"x": "b"}), version=1),
    ]
    assert code_digest(made[0].plan) != code_digest(made[1].plan)


@pytest.mark.slow
def test_score_code_sees_score_and_ratios_alone():
    base = score_code(SUITE)
    assert score_code(replace(SUITE, observe=toys.toy_score)) == base
    assert score_code(replace(SUITE, score=toys.toy_observe)) != base


def test_digest_refuses_what_is_not_plain_data():
    with pytest.raises(TypeError, match="plain data"):
        digest_data({"a": object()})


def test_seeds_stay_with_their_stimulus():
    every = np.arange(20)
    whole = dict(zip(STIMULI.ids, seeds_of(STIMULI, every, 5).tolist(), strict=True))
    assert len(set(whole.values())) == 20
    backwards = seeds_of(STIMULI, every[::-1].copy(), 5).tolist()
    assert backwards == list(whole.values())[::-1]
    part = subset(STIMULI, 7)
    assert dict(zip(part.ids, seeds_of(part, np.arange(7), 5).tolist(), strict=True)) == {
        name: whole[name] for name in part.ids
    }
    assert not set(seeds_of(STIMULI, every, 6).tolist()) & set(whole.values())
