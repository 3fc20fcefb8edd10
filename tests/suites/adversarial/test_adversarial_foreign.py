"""Attacks of optional packages: their verdicts are checked on the network, not believed."""

import random
import sys

import numpy as np
import pytest
import torch

from benchmark.errors import PluginError, UnknownName
from benchmark.testing import ToyShelf
from registry.code.closure import Closure
from registry.code.files import Files
from suites.adversarial import SUITE
from suites.adversarial.attacks.foreign import check, library
from suites.adversarial.attacks.foreign_network import installed
from suites.adversarial.attacks.norms import geometry
from suites.adversarial.attacks.problem import Problem
from suites.adversarial.config import Library
from suites.adversarial.variants import AUTOATTACK, Variants, alone, borrowed

BOUNDS = {"no upper bound of the interval"}
AUTO = Library("autoattack", "standard")
FIRST = Library("autoattack", "custom", (("attacks", ("apgd-ce",)),))


@pytest.fixture(scope="module")
def made(world):
    """made(name, count): the images of the world that a network answers rightly, as a problem."""

    def make(name, count):
        network = world(name, count)
        run, labels = network.feed.run, network.labels
        with torch.no_grad():
            right = run(network.pixels).argmax(1) == labels
        images, y = network.pixels[right], labels[right]
        seeds = np.arange(len(y), dtype=np.uint64)
        return Problem(run, images, y, seeds, y[:, None], batch=8)

    return make


def bounds(problem, epsilon):
    return torch.full((len(problem.images),), epsilon)


def sound(problem, norm, epsilon, recipe):
    """What was found, after the checks that hold for every attack."""
    shown = []

    def forward(x):
        shown.append(x.detach().clone())
        return problem.forward(x)

    watched = Problem(forward, problem.images, problem.labels, problem.seeds, problem.targets)
    found = library(watched, norm, bounds(problem, epsilon), recipe)
    last, size = shown[-1], geometry(norm).size(shown[-1] - problem.images).numpy()
    assert last.min() >= 0 and last.max() <= 1
    assert (size <= epsilon * (1 + 1e-5) + 1e-6).all()
    with torch.no_grad():
        wrong = (problem.forward(last).argmax(1) != problem.labels).numpy()
    assert np.array_equal(found.broken, wrong)
    assert np.allclose(found.size[wrong], size[wrong]) and np.isnan(found.size[~wrong]).all()
    assert np.array_equal(found.margin > 0, wrong) and np.isfinite(found.loss).all()
    assert found.passes.sum() + found.forwards.sum() == sum(len(x) for x in shown)
    return found


@pytest.fixture
def foolbox():
    return pytest.importorskip("foolbox", reason="foolbox is not installed")


@pytest.fixture
def pyautoattack():
    return pytest.importorskip("pyautoattack", reason="pyautoattack is not installed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "norm", "epsilon", "options"),
    [
        ("LinfPGD", "linf", 4 / 255, (("steps", 20),)),
        ("L2DeepFoolAttack", "l2", 1.0, ()),
        ("L1FMNAttack", "l1", 40.0, (("steps", 20),)),
    ],
)
def test_attacks_of_foolbox(name, norm, epsilon, options, made, foolbox):
    recipe = Library("foolbox", name, options)
    problem = made("world-standard-0", 6)
    assert sound(problem, norm, epsilon, recipe).broken.mean() >= 0.5
    assert not sound(problem, norm, 1e-9, recipe).broken.any()


def test_attacks_without_a_norm_of_their_own_and_ones_that_find_nothing(made, foolbox):
    problem = made("world-standard-0", 6)
    found = sound(problem, "linf", 0.9, Library("foolbox", "GaussianBlurAttack"))
    assert found.broken.any()
    assert found.passes.sum() == 0  # it asks for no gradient
    assert not sound(problem, "linf", 1e-3, Library("foolbox", "GaussianBlurAttack")).broken.any()


@pytest.mark.slow
def test_autoattack_breaks_what_a_standard_network_cannot_hold(made, pyautoattack):
    problem = made("world-standard-0", 4)
    found = sound(problem, "linf", 4 / 255, AUTO)
    assert found.broken.all()
    assert (found.passes == 101).all()  # APGD on the cross entropy alone, which never leaves early
    assert not sound(problem, "l2", 1e-6, FIRST).broken.any()


@pytest.mark.slow
def test_each_image_has_its_own_epsilon(made, pyautoattack):
    problem = made("world-standard-0", 4)
    epsilon = torch.where(torch.arange(len(problem.images)) % 2 == 0, 4 / 255, 1e-9)
    found = library(problem, "linf", epsilon, FIRST)
    assert np.array_equal(found.broken, epsilon.numpy() > 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "epsilon"),
    [
        (FIRST, 1 / 255),
        (Library("foolbox", "LinfPGD", (("steps", 5), ("rel_stepsize", 0.5))), 1 / 255),
    ],
)
def test_verdicts_do_not_depend_on_the_device_batch_and_leave_no_trace(recipe, epsilon, made):
    pytest.importorskip("pyautoattack" if recipe.package == "autoattack" else "foolbox")
    problem = made("world-standard-0", 8)
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    tracing = sys.gettrace()
    found = [
        library(
            Problem(
                problem.forward, problem.images, problem.labels, problem.seeds,
                problem.targets, batch=batch,
            ),
            "linf", bounds(problem, epsilon), recipe,
        )
        for batch in (3, 8)
    ]  # fmt: skip
    assert np.array_equal(found[0].broken, found[1].broken)
    assert 0 < found[0].broken.sum() < len(problem.images)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1]) and before[2] == random.getstate()
    assert sys.gettrace() is tracing


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "foolbox", None)
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    for recipe in (AUTO, Library("foolbox", "LinfPGD")):
        with pytest.raises(PluginError, match=rf"gestaltbench\[{recipe.package}\]"):
            check(recipe)
    with pytest.raises(PluginError, match="not installed"):
        installed("no_such_package", "none")


def test_unknown_attacks(foolbox):
    with pytest.raises(UnknownName, match="LinfDeepFoolAttack"):
        check(Library("foolbox", "LinfDeepFool"))
    with pytest.raises(UnknownName):
        check(Library("foolbox", "Distance"))  # a class there, but no attack
    with pytest.raises(PluginError, match="steps"):
        check(Library("foolbox", "VirtualAdversarialAttack"))
    check(Library("foolbox", "VirtualAdversarialAttack", (("steps", 3),)))
    with pytest.raises(PluginError, match="standard, plus"):
        check(Library("autoattack", "quick"))


def test_variants_of_any_name(monkeypatch):
    listed = {"autoattack": borrowed(SUITE, "autoattack", "", AUTOATTACK)}
    variants = Variants(listed, SUITE)
    assert list(variants) == ["autoattack"] and len(variants) == 1
    assert "foolbox-L2PGD" in variants and "foolbox-" not in variants and "other" not in variants
    fool = variants["foolbox-L2PGD"]
    assert fool.name == "adversarial:foolbox-L2PGD"
    assert "l2 1" in fool.headline.definition
    assert "linf 4/255" in variants["autoattack"].headline.definition
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(PluginError, match="foolbox"):
        fool.plan(fool.config, ToyShelf("world16"))


@pytest.mark.slow
def test_a_variant_gives_a_curve_of_its_own(world, foolbox):
    suite = SUITE.variants["foolbox-L2FastGradientAttack"]
    trials = world("world-standard-0", 16).trials(config=suite.config)
    scores = {(one.metric, one.condition): one for one in suite.score(suite.config, trials)}
    curve = [scores["robust_accuracy", f"l2 {e:g}"].value for e in suite.config.threats[0].epsilons]
    assert curve == sorted(curve, reverse=True) and curve[0] > curve[-1]
    assert set(trials["l2_by"]) <= {"", "foolbox:L2FastGradientAttack"}
    assert {flag for one in scores.values() for flag in one.flags} <= BOUNDS


def test_fgsm_does_not_help_an_attack_that_stands_alone(world, foolbox):
    suite = SUITE.variants["foolbox-LinfAdditiveUniformNoiseAttack"]  # noise: FGSM breaks more
    trials = world("world-standard-0", 16).trials(config=suite.config)
    assert (trials["linf_epsilon"] > 1 / 255 * 1.01).mean() > 0.9
    assert trials["fgsm_broken"][:, 3].mean() > 0.3
    assert set(trials["linf_by"]) <= {"", "foolbox:LinfAdditiveUniformNoiseAttack"}
    scores = suite.score(suite.config, trials)
    assert {flag for one in scores for flag in one.flags} <= BOUNDS
    assert not any(one.metric.startswith("beyond_ce") for one in scores)


@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        ("LInfFMNAttack", "linf"), ("LinfinityBrendelBethgeAttack", "linf"), ("FGSM", "linf"),
        ("L1FMNAttack", "l1"), ("EADAttack", "l1"), ("DDNAttack", "l2"), ("FGM", "l2"),
    ],
)  # fmt: skip
def test_an_attack_is_run_in_the_norm_it_is_made_for(attack, norm, foolbox):
    assert [threat.norm for threat in alone(attack).threats] == [norm]
    distance = {"linf": foolbox.distances.linf, "l2": foolbox.distances.l2}
    distance["l1"] = foolbox.distances.l1
    assert getattr(foolbox.attacks, attack).distance is distance[norm]


@pytest.mark.parametrize("module", ["autoattack", "foolbox_attacks"])
def test_an_adapters_code_is_part_of_the_key(module):
    closure = Closure(Files(frozenset()), lambda _module: None)
    closure.want(SUITE.observe.__module__, "observe")
    wanted = closure.modules[f"suites.adversarial.attacks.{module}"].wanted
    assert "*" in wanted or {"points", "check"} <= wanted
