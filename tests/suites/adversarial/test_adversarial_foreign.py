"""Attacks of other packages: read, named, kept to their contract; verdicts are checked on the network, not believed."""

import logging
import sys
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adversarial_world import toy

from benchmark.failures import PluginError, load_each
from benchmark.testing import ToyShelf, check_suite
from suites.adversarial import PLAIN, SUITE, variants_of
from suites.adversarial.attack_plugins import Attack, load_attack
from suites.adversarial.attacks.other_packages import AttackedNetwork, foreign_attack
from suites.adversarial.config import PROTOCOLS, AutoAttack, PluggedIn
from suites.adversarial.conformance import check_attack

INSTALLED = "suites.adversarial.attacks.other_packages.ATTACKS"


def bounds(problem, epsilon):
    return torch.full((len(problem.images),), epsilon)


@pytest.fixture
def plugged(monkeypatch):
    """call(norm, points): the recipe of an attack that is installed as "mine"."""

    def install(norm, points):
        monkeypatch.setattr(INSTALLED, {"mine": Attack(title="my attack", norm=norm, points=points)})
        return PluggedIn("mine", "")

    return install


@pytest.mark.parametrize(("points", "said"), [
    *((points, "must return a floating-point tensor of shape .* at most 0.01") for points in (
        lambda f, x, y, e, s: x + 2 * e * (x < 0.5), lambda f, x, y, e, s: x - 1,
        lambda f, x, y, e, s: x * float("nan"), lambda f, x, y, e, s: x[:1],
        lambda f, x, y, e, s: (x * 255).byte(), lambda f, x, y, e, s: x.numpy(),
    )),
    (lambda f, x, y, e, s: 1 / 0, "failed .ZeroDivisionError"),
])  # fmt: skip
def test_what_is_no_perturbed_image_is_an_error_that_names_the_attack(points, said, world, plugged):
    problem, recipe = world("world-standard-0", 3).problem(8), plugged("linf", points)
    with pytest.raises(PluginError, match=f"'my attack'.*{said}"):
        foreign_attack(problem, "linf", bounds(problem, 0.01), recipe)

    def out_of_memory(*_):
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):  # the engine has the answer
        foreign_attack(problem, "linf", bounds(problem, 0.01), plugged("linf", out_of_memory))


@pytest.mark.release
def test_autoattack_breaks_what_a_standard_network_cannot_hold(world):
    pytest.importorskip("pyautoattack")
    problem = world("world-standard-0", 2).problem(8)
    verdicts = foreign_attack(problem, "linf", bounds(problem, 4 / 255), AutoAttack())
    assert verdicts.broken.all()
    assert (verdicts.passes == 101).all()  # APGD on the cross entropy alone, which never leaves early
    first = AutoAttack("custom", (("attacks", ("apgd-ce",)),))
    assert not foreign_attack(problem, "l2", bounds(problem, 1e-6), first).broken.any()


def test_autoattack_gets_its_seed_and_classes_and_its_points_are_cut_to_ball_and_box(monkeypatch):
    """A stand-in for the authors' package: what it is given, and the points that it gives back. It warns to nobody.
    Of .25: to .625, in sum 1.25; of .125: to .5, in sum 1; next to the edge: to 1 and no further; NaN: nowhere."""
    calls, logger = [], logging.getLogger("auto-attack")
    reached = torch.full((5, 1, 1, 2), 5.0)
    reached[3], reached[2, ..., 0] = float("nan"), -7.0

    class Package:
        def __init__(self, network, **options):
            calls.append(options)
            self.apgd_targeted, self.fab = SimpleNamespace(n_target_classes=9), SimpleNamespace(n_target_classes=0)

        def run_standard_evaluation(self, images, labels, batch_size):
            counts = [one.n_target_classes for one in (self.apgd_targeted, self.fab)]
            calls.append((counts, labels.tolist(), batch_size, torch.initial_seed(), logger.disabled))
            sys.settrace(None)
            return reached, "unused"

    monkeypatch.setitem(sys.modules, "pyautoattack", SimpleNamespace(AutoAttack=Package))
    tracing, seed = sys.gettrace(), torch.initial_seed()
    recipe = AutoAttack("custom", (("attacks", ("apgd-ce",)),))
    pixels = [[0.25, 0.25], [0.125, 0.125], [0.0, 0.75], [0.25, 0.25], [0.25, 0.9375]]
    verdicts = foreign_attack(problem_of(pixels, batch=3), "linf", torch.full((5,), 0.375), recipe)
    options = {"norm": "Linf", "eps": 0.375, "seed": 0, "device": "cpu", "version": "custom", "attacks": ("apgd-ce",)}
    assert calls == [options, ([1, 0], [0] * 5, 32, 0, True)]
    assert verdicts.broken.tolist() == [True, False, False, False, True]
    assert verdicts.size[[0, 4]].tolist() == [0.375, 0.375] and np.isnan(verdicts.size[1:4]).all()
    assert verdicts.margin.tolist() == pytest.approx([0.25, 0.0, 0.0, -0.5, 0.625])
    assert verdicts.loss.tolist() == pytest.approx(np.log1p(np.exp(verdicts.margin)).tolist())
    assert verdicts.passes.tolist() == [0] * 5 and verdicts.forwards.tolist() == [2, 1, 1, 1, 1]
    assert (logger.disabled, sys.gettrace(), torch.initial_seed()) == (False, tracing, seed)


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    suite = SUITE.variants["autoattack"]
    assert suite.config == PROTOCOLS["autoattack"] and "linf 4/255" in suite.headline.definition
    with pytest.raises(PluginError, match=r"gestaltbench\[autoattack\]"):
        suite.plan(suite.config, ToyShelf("world16"))


def brighter(x):
    """Class 1 where the two pixels add up to more than 1."""
    total = x.flatten(1).sum(dim=1)
    return torch.stack([torch.ones_like(total), total], dim=1)


def problem_of(pixels, **more):
    return toy(brighter, torch.tensor(pixels).reshape(-1, 1, 1, 2), **more)


def test_each_epsilon_is_a_call_of_its_own_and_its_cost_is_shared_out(plugged):
    calls = []

    def points(forward, images, labels, epsilon, seeds):
        calls.append((epsilon, images[:, 0, 0, 0].tolist(), np.asarray(seeds).tolist()))
        with torch.no_grad():
            forward(images)
        forward(images[:1])  # nobody wants its gradient
        wanted = images[:2].clone().requires_grad_()
        forward(wanted).sum().backward()
        assert wanted.grad.is_contiguous() and wanted.grad.abs().sum() > 0
        return images

    pixels = [[0.1, 0.1], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1]]
    budgets = torch.tensor([0.25, 0.5, 0.25, 0.25])
    verdicts = foreign_attack(problem_of(pixels), "linf", budgets, plugged("linf", points))
    assert [call[0] for call in calls] == [0.25, 0.5]
    assert calls[0][1] == pytest.approx([0.1, 0.3, 0.4]) and calls[0][2] == [0, 2, 3]
    assert calls[1][1] == pytest.approx([0.2]) and calls[1][2] == [1]
    # Three images: 2 gradients, 3 + 1 plain; one image: 1 gradient, 1 + 1 plain; and 1 plain each for the verdict.
    assert verdicts.passes.tolist() == [1, 1, 1, 0]
    assert verdicts.forwards.tolist() == [2 + 1, 2 + 1, 1 + 1, 1 + 1]


def test_logits_that_are_no_numbers_are_zero_to_the_packages():
    bad, x = torch.tensor([[float("nan"), float("inf")], [float("-inf"), 2.0]]), torch.zeros(2, 1, 1, 2)
    network = AttackedNetwork(toy(lambda x: bad + 0 * x.sum(), x))
    expected = [[0.0, 0.0], [0.0, 2.0]]
    assert network(x).tolist() == expected and network(x.requires_grad_()).tolist() == expected


def still(forward, images, labels, epsilon, seeds):
    return images


def step(forward, images, labels, epsilon, seeds):
    shown = images.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(forward(shown), labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, shown)
    return (images + epsilon * slope.sign()).clamp(0, 1)


STILL = Attack(title="still", norm="l2", points=still)
STEP = Attack(title="one step", norm="linf", points=step)
ATTACKS = {
    "still": STILL, "no_attack": 3, "no_norm": replace(STILL, norm="l3"),
    "falling": replace(STILL, epsilons=(2.0, 1.0)), "zero": replace(STILL, epsilons=(0.0, 1.0)),
    "no_function": replace(STILL, points=np.array),
}  # fmt: skip


def read(name, value="still"):
    """Another package's attack, of those of ATTACKS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "third_attacks", SimpleNamespace(**ATTACKS))
        return load_each([EntryPoint(name, f"third_attacks:{value}", "bench.attacks")], load_attack)


def test_a_sound_entry_point():
    assert read("my-still") == ({"my-still": STILL}, {})
    assert STILL.budgets == (0.25, 0.5, 1.0, 2.0, 3.0)
    assert replace(STILL, epsilons=(7.0,)).budgets == (7.0,)


@pytest.mark.parametrize(("name", "value", "said"), [
    ("My_Own", "still", "small letters"), ("a" * 31, "still", "at most 30"),
    ("strong", "still", "no variant's"),
    *(("own", value, "expected a gestaltbench.attacks.Attack") for value in ("no_attack", "no_norm", "no_function")),
    ("own", "falling", "ascend"), ("own", "zero", "above 0"), ("own", "missing", "AttributeError"),
])  # fmt: skip
def test_what_cannot_be_used_is_named_with_the_reason(name, value, said):
    attacks, broken = read(name, value)
    assert not attacks and said in broken[name]


@pytest.fixture
def suites(monkeypatch):
    """call(attacks, broken): the suite's variants where some packages are installed."""

    def installed(attacks, broken):
        for module in ("", ".plan", ".attacks.other_packages"):
            for name, value in (("ATTACKS", attacks), ("BROKEN", broken)):
                monkeypatch.setattr(import_module(f"suites.adversarial{module}"), name, value, raising=False)
        return variants_of(PLAIN)

    return installed


@pytest.mark.slow
def test_an_attack_is_a_variant_with_a_board_of_its_own_and_its_code_is_part_of_what_is_stored(suites):
    found = suites({"one-step": STEP, "still": STILL}, {})
    suite = found["one-step"]
    assert suite.name == "adversarial:one-step" and "one step" in suite.summary
    assert suite.config.threats[0].label(4 / 255) == "linf 4/255"
    assert "l2 1" in found["still"].headline.definition
    assert [check for check in check_suite(suite) if not check.ok] == []
    assert set(found) == {*PROTOCOLS, "one-step", "still"}
    other = suites({"one-step": replace(STEP, points=still)}, {})["one-step"]
    assert other.config.attacks[0].code != suite.config.attacks[0].code


def test_a_broken_one_says_so_where_it_is_asked_for(suites):
    found = suites({}, {"own": "third:OWN cannot be used", "strong": "taken"})
    assert found["own"].summary == "BROKEN: third:OWN cannot be used"
    assert "BROKEN: taken" in found["strong"].summary
    with pytest.raises(PluginError, match="'own': third:OWN cannot be used"):
        found["own"].plan(found["own"].config, ToyShelf("world16"))
    assert found["strong"].plan(found["strong"].config, ToyShelf("world16")).blocks


INSIDE = "points lie in the ball and in [0, 1]"
ALONE = "an image gets the same points in any batch"
COUNT = iter(range(100_000))


@pytest.mark.parametrize(("points", "names"), [
    *(pytest.param(sound, [], marks=pytest.mark.slow) for sound in (step, still)),
    (lambda f, x, y, e, s: (x + 1.5 * e).clamp(0, 1), [INSIDE, ALONE]),
    (lambda f, x, y, e, s: (x + e * (x.mean(0) - 0.5).sign()).clamp(0, 1), [ALONE]),  # of the batch
    (lambda f, x, y, e, s: (x + e * torch.randn(x.shape).sign()).clamp(0, 1), [ALONE]),  # of one generator
    (lambda f, x, y, e, s: x * (1 - 1e-3 * (next(COUNT) % 7) * e), [ALONE]),  # of the call
])  # fmt: skip
def test_the_kit_finds_what_breaks_the_contract_and_passes_what_keeps_it(points, names):
    attack = Attack(title="", norm="linf", points=points)
    assert [check.name for check in check_attack(attack) if not check.ok] == names
