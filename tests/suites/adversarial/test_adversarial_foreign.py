"""Attacks of other packages: their verdicts are checked on the network, not believed."""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.errors import PluginError
from benchmark.testing import ToyShelf
from suites.adversarial import SUITE
from suites.adversarial.added import Attack
from suites.adversarial.attacks.foreign import foreign
from suites.adversarial.attacks.problem import BALLS
from suites.adversarial.config import AUTOATTACK, AutoAttack, PluggedIn

INSTALLED = "suites.adversarial.attacks.foreign.ATTACKS"
AUTO = AutoAttack()
FIRST = AutoAttack("custom", (("attacks", ("apgd-ce",)),))


@pytest.fixture(scope="module")
def made(world):
    """made(name, count): the images of the world that a network answers rightly, as a problem."""
    return lambda name, count: world(name, count).problem(8)


def bounds(problem, epsilon):
    return torch.full((len(problem.images),), epsilon)


def sound(problem, norm, epsilon, recipe):
    """What was found, after the checks that hold for every attack."""
    shown = []

    def forward(x):
        shown.append(x.detach().clone())
        return problem.forward(x)

    watched = replace(problem, forward=forward, batch=32)
    verdicts = foreign(watched, norm, bounds(problem, epsilon), recipe)
    last, size = shown[-1], BALLS[norm].size(shown[-1] - problem.images).numpy()
    assert last.min() >= 0 and last.max() <= 1
    assert (size <= epsilon * (1 + 1e-5) + 1e-6).all()
    with torch.no_grad():
        wrong = (problem.forward(last).argmax(1) != problem.labels).numpy()
    assert np.array_equal(verdicts.broken, wrong)
    assert np.allclose(verdicts.size[wrong], size[wrong]) and np.isnan(verdicts.size[~wrong]).all()
    assert np.array_equal(verdicts.margin > 0, wrong) and np.isfinite(verdicts.loss).all()
    assert verdicts.passes.sum() + verdicts.forwards.sum() == sum(len(x) for x in shown)
    return verdicts


@pytest.fixture
def foolbox():
    return pytest.importorskip("foolbox", reason="foolbox is not installed")


@pytest.fixture
def pyautoattack():
    return pytest.importorskip("pyautoattack", reason="pyautoattack is not installed")


@pytest.fixture
def plugged(monkeypatch):
    """call(norm, points): the recipe of an attack that is installed as "mine"."""

    def install(norm, points):
        monkeypatch.setattr(INSTALLED, {"mine": Attack("my attack", norm, points)})
        return PluggedIn("mine", "")

    return install


def of_foolbox(name, **options):
    """What docs/extending.md shows: any attack of foolbox in ten lines."""

    def points(forward, images, labels, epsilon, seeds):
        import foolbox

        model = foolbox.PyTorchModel(forward, (0, 1), device=images.device)
        attack = getattr(foolbox.attacks, name)(**options)
        return attack(model, images, labels, epsilons=[epsilon])[1][0]

    return points


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "norm", "epsilon", "options"),
    [
        ("LinfPGD", "linf", 4 / 255, {"steps": 20}),
        ("L2DeepFoolAttack", "l2", 1.0, {}),
        ("L1FMNAttack", "l1", 40.0, {"steps": 20}),
    ],
)
def test_attacks_of_foolbox(name, norm, epsilon, options, made, plugged, foolbox):
    recipe = plugged(norm, of_foolbox(name, **options))
    problem = made("world-standard-0", 6)
    assert sound(problem, norm, epsilon, recipe).broken.mean() >= 0.5
    assert not sound(problem, norm, 1e-9, recipe).broken.any()


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (lambda f, x, y, e, s: x + 2 * e * (x < 0.5), "linf norm 0.02, beyond the budget of 0.01"),
        (lambda f, x, y, e, s: x - 1, r"outside \[0, 1\]"),
        (lambda f, x, y, e, s: x * float("nan"), "or NaN"),
        (lambda f, x, y, e, s: x[:1], "expected the same shape"),
        (lambda f, x, y, e, s: (x * 255).byte(), "floating point"),
        (lambda f, x, y, e, s: x.numpy(), "gave a ndarray: expected a tensor"),
        (lambda f, x, y, e, s: 1 / 0, "failed: ZeroDivisionError"),
    ],
)
def test_what_is_no_perturbed_image_is_an_error_that_names_the_attack(points, said, made, plugged):
    problem, recipe = made("world-standard-0", 3), plugged("linf", points)
    with pytest.raises(PluginError, match=f"'my attack'.*{said}"):
        foreign(problem, "linf", bounds(problem, 0.01), recipe)


def test_memory_that_runs_out_is_the_engines_to_answer(made, plugged):
    def points(forward, images, labels, epsilon, seeds):
        raise RuntimeError("CUDA out of memory")

    problem = made("world-standard-0", 3)
    with pytest.raises(RuntimeError, match="out of memory"):
        foreign(problem, "linf", bounds(problem, 0.01), plugged("linf", points))


def test_the_images_are_the_suites_own(made, plugged):
    def points(forward, images, labels, epsilon, seeds):
        return images.add_(epsilon).clamp_(0, 1)

    problem = made("world-standard-0", 3)
    before = problem.images.clone()
    foreign(problem, "linf", bounds(problem, 0.01), plugged("linf", points))
    assert torch.equal(problem.images, before)


@pytest.mark.slow
def test_autoattack_breaks_what_a_standard_network_cannot_hold(made, pyautoattack):
    problem = made("world-standard-0", 4)
    verdicts = sound(problem, "linf", 4 / 255, AUTO)
    assert verdicts.broken.all()
    assert (verdicts.passes == 101).all()  # APGD on the cross entropy alone, which never leaves early
    assert not sound(problem, "l2", 1e-6, FIRST).broken.any()


def drawn(forward, images, labels, epsilon, seeds):
    """Noise of each image's own seed."""
    streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    noise = torch.stack([torch.rand(images.shape[1:], generator=one) for one in streams])
    return (images + epsilon * (2 * noise - 1).sign()).clamp(0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "epsilon"), [(FIRST, 1 / 255), (None, 0.06)])
def test_verdicts_do_not_depend_on_the_device_batch_and_leave_no_trace(recipe, epsilon, made, plugged):
    if recipe is FIRST:
        pytest.importorskip("pyautoattack")
    recipe = recipe or plugged("linf", drawn)
    problem = made("world-standard-0", 5)
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    tracing = sys.gettrace()
    verdicts = [foreign(replace(problem, batch=batch), "linf", bounds(problem, epsilon), recipe) for batch in (2, 5)]
    assert np.array_equal(verdicts[0].broken, verdicts[1].broken)
    assert 0 < verdicts[0].broken.sum() < len(problem.images)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1]) and before[2] == random.getstate()
    assert sys.gettrace() is tracing


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    suite = SUITE.variants["autoattack"]
    assert suite.config == AUTOATTACK and "linf 4/255" in suite.headline.definition
    with pytest.raises(PluginError, match=r"gestaltbench\[autoattack\]"):
        suite.plan(suite.config, ToyShelf("world16"))
