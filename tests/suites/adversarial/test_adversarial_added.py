"""Attacks that other packages add: read, named, and kept to their contract."""

from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from benchmark.errors import PluginError
from benchmark.testing import ToyShelf, check_suite
from suites.adversarial import PLAIN, variants
from suites.adversarial.added import Attack, read_added
from suites.adversarial.conformance import check_attack


def still(forward, images, labels, epsilon, seeds):
    return images


def step(forward, images, labels, epsilon, seeds):
    """One sign step."""
    shown = images.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(forward(shown), labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, shown)
    return (images + epsilon * slope.sign()).clamp(0, 1)


STILL = Attack("still", "l2", still)
STEP = Attack("one step", "linf", step)
ATTACKS = {
    "still": STILL,
    "no_attack": 3,
    "no_norm": replace(STILL, norm="l3"),
    "falling": replace(STILL, epsilons=(2.0, 1.0)),
    "zero": replace(STILL, epsilons=(0.0, 1.0)),
    "no_function": replace(STILL, points=np.array),
}


@pytest.fixture
def third(monkeypatch, tmp_path):
    """A module of another package that has all of ATTACKS."""
    import sys
    from types import ModuleType

    module = ModuleType("third_attacks")
    vars(module).update(ATTACKS)
    monkeypatch.setitem(sys.modules, "third_attacks", module)


def read(name, value="still"):
    return read_added([EntryPoint(name, f"third_attacks:{value}", "bench.attacks")])


def test_a_sound_entry_point(third):
    assert read("my-still") == ({"my-still": STILL}, {})
    assert STILL.budgets == (0.25, 0.5, 1.0, 2.0, 3.0)
    assert replace(STILL, epsilons=(7.0,)).budgets == (7.0,)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("My_Own", "still", "small letters"),
        ("a" * 31, "still", "at most 30"),
        ("strong", "still", "a variant of the suite"),
        ("own", "no_attack", "expected a gestaltbench.attacks.Attack, got int"),
        ("own", "no_norm", "norm 'l3': expected one of linf, l2, l1"),
        ("own", "falling", "ascend"),
        ("own", "zero", "above 0"),
        ("own", "no_function", "a plain function"),
        ("own", "missing", "AttributeError"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(name, value, said, third):
    attacks, broken = read(name, value)
    assert not attacks and said in broken[name]


@pytest.fixture
def suites(monkeypatch):
    """call(attacks, broken): the suite's variants where some packages are installed."""

    def installed(attacks, broken):
        for module in ("variants", "plan", "attacks.foreign"):
            for name, value in (("ATTACKS", attacks), ("BROKEN", broken)):
                monkeypatch.setattr(import_module(f"suites.adversarial.{module}"), name, value, raising=False)
        return variants.variants_of(PLAIN)

    return installed


@pytest.mark.slow
def test_an_attack_is_a_variant_with_a_board_of_its_own(suites):
    found = suites({"one-step": STEP, "still": STILL}, {})
    suite = found["one-step"]
    assert suite.name == "adversarial:one-step" and "one step" in suite.summary
    assert suite.config.threats[0].label(4 / 255) == "linf 4/255"
    assert "l2 1" in found["still"].headline.definition
    failed = [check for check in check_suite(suite) if not check.ok]
    assert not failed
    assert set(found) == {
        "standard", "strong", "robustbench", "autoattack", "bisect", "l1", "transfer", "one-step", "still",
    }  # fmt: skip


def test_its_code_is_part_of_what_is_stored(suites):
    other = replace(STEP, points=still)
    codes = [suites({"own": attack}, {})["own"].config.attacks[0].code for attack in (STEP, other)]
    assert len(set(codes)) == 2


def test_a_broken_one_says_so_where_it_is_asked_for(suites):
    found = suites({}, {"own": "third:OWN cannot be used", "strong": "taken"})
    assert found["own"].summary == "BROKEN: third:OWN cannot be used"
    assert "BROKEN: taken" in found["strong"].summary
    with pytest.raises(PluginError, match="'own': third:OWN cannot be used"):
        found["own"].plan(found["own"].config, ToyShelf("world16"))
    assert found["strong"].plan(found["strong"].config, ToyShelf("world16")).blocks


def failed(attack):
    return [check.name for check in check_attack(attack) if not check.ok]


@pytest.mark.slow
def test_the_kit_passes_what_keeps_the_contract():
    assert failed(STEP) == [] and failed(STILL) == []


def too_far(forward, images, labels, epsilon, seeds):
    return (images + 1.5 * epsilon).clamp(0, 1)


def of_the_batch(forward, images, labels, epsilon, seeds):
    return (images + epsilon * (images.mean(0) - 0.5).sign()).clamp(0, 1)


def of_one_generator(forward, images, labels, epsilon, seeds):
    return (images + epsilon * torch.randn(images.shape).sign()).clamp(0, 1)


INSIDE = "points lie in the ball and in [0, 1]"
REPEATED = "the same images and seeds give the same points"
ALONE = "an image does not depend on the others of its batch"
COUNT = iter(range(100_000))


def of_the_call(forward, images, labels, epsilon, seeds):
    return images * (1 - 1e-3 * (next(COUNT) % 7) * epsilon)


@pytest.mark.parametrize(
    ("points", "names"),
    [
        (too_far, [INSIDE, REPEATED, ALONE]),
        (of_the_batch, [ALONE]),
        (of_one_generator, [ALONE]),
        (of_the_call, [REPEATED, ALONE]),
    ],
)  # fmt: skip
def test_the_kit_finds_what_breaks_it(points, names):
    assert failed(Attack("", "linf", points)) == names
