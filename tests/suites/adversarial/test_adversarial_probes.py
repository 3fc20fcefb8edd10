"""What the trust report asks of a network: gradients that are no slopes, answers and gradients that hang on company,
outputs that are no logits, and pixels that are not as they were meant."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adversarial_world import toy
from masked_networks import instead

from benchmark.contracts import Trials
from suites.adversarial.attack_images import prepared_problem
from suites.adversarial.attacks.problem import GradientTrace
from suites.adversarial.config import LINF, QUICK, AdversarialConfig, Stage
from suites.adversarial.trust.probes import answers_apart, ends, preimage, slopes
from suites.adversarial.trust.report import READINGS, preprocessing

WAYS = torch.randn(2, 3 * 64, generator=torch.Generator().manual_seed(1))


def line(x):
    """Two logits of an 8 x 8 image: their slope is the same everywhere."""
    return (x.flatten(1) - 0.5) @ WAYS.T


def checked(run, n=4, batch=32):
    images = torch.full((n, 3, 8, 8), 0.5)
    problem = toy(run, images, batch=batch)
    with torch.no_grad():
        plain = run(images)
    assert plain.shape == (n, 2)
    problem = replace(problem, followed=GradientTrace(wanted=np.ones(n, dtype=bool), within=1.0))
    names = ("error", "spread", "company", "rise", "scale")
    return SimpleNamespace(**dict(zip(names, slopes(problem, lambda x: run(x).detach(), np.arange(n)), strict=True)))


def test_a_line_is_its_own_slope_and_four_fifths_of_it_are_so_right():
    exact = checked(line)
    assert exact.error.max() < 1e-3 and exact.spread.max() < 1e-3 and exact.company.max() < 1e-6
    assert np.allclose([exact.rise, exact.scale], 1, atol=1e-3)
    short = checked(instead(line, lambda gradient, _: 0.8 * gradient))
    assert np.allclose(short.error, 0.2, atol=1e-3) and short.spread.max() < 1e-3
    flat = checked(lambda x: 0 * line(x))
    assert flat.error.tolist() == [0, 0, 0, 0]


def test_the_rise_is_that_along_the_gradients_signs_and_those_of_its_weaker_half():
    """Weights of 1 on 64 pixels, of 1/2 on 32, of 1/4 on 96, some of which the gradient turns."""
    weights = torch.tensor([1.0, 0.5, 0.25]).repeat_interleave(torch.tensor([64, 32, 96]))
    net = lambda x: torch.stack([0 * x[:, 0, 0, 0], (x.flatten(1) - 0.5) @ weights], dim=1)  # noqa: E731

    def turned(which, by=-1.0):
        signs = torch.ones(192)
        signs[which] = by
        return checked(instead(net, lambda gradient, _: gradient * signs.view(3, 8, 8))).rise

    # a quarter of the weaker ones: half of their rise
    assert np.allclose(turned(slice(96, 120)), 0.5, atol=1e-3) and np.allclose(turned(slice(96, 192)), -1, atol=1e-3)
    assert np.abs(turned(slice(96, 192), 0.0)).max() == 0
    # along all signs 72 of 104, along the gradient 62 of 78
    assert np.allclose(turned(slice(64, 96)), (72 / 104) / (62 / 78), atol=1e-3)


def test_answers_differ_less_their_mean_and_beyond_rounding():
    """(1, -1) against (3, 1, -4) turned: what is added to all logits is no part of an answer."""
    a, b = torch.tensor([[1.0, -1.0]]), torch.tensor([[-2.0, 2.0]])
    assert float(answers_apart(a, b)) == pytest.approx(2.0)
    assert float(answers_apart(a + 1e6, b + 1e6)) == pytest.approx(2.0, abs=0.2)
    assert float(answers_apart(a + 1e6, a + 1e6 + torch.tensor([[0.06, 0.0]]))) == 0.0
    assert float(answers_apart(a, 5 * a + 7)) == pytest.approx(0.0, abs=1e-6)


def test_pre_images_of_probabilities_and_sigmoids():
    z = torch.tensor([[3.0, 1.0, -2.0], [0.0, 0.5, 7.0]])
    back = preimage(z.softmax(dim=1))(z.softmax(dim=1))
    assert torch.allclose(back - back[:, :1], (z - z[:, :1]).double(), atol=1e-4)
    assert torch.allclose(preimage(z.sigmoid())(z.sigmoid()), z.double(), atol=1e-3)
    assert preimage(z)(z) is z
    z = torch.tensor([[9.0, -9.0, 2.0, -9.0, -9.0]]).repeat(8, 1)
    bent = 3 * z.tanh() + 1
    checks = preimage(bent)
    assert ends(bent) == pytest.approx((-2.0, 4.0)) and ends(z.log_softmax(dim=1)) is None
    assert ends(bent[:7]) is None and ends(torch.randn(8, 4)) is None
    assert torch.allclose(checks(bent)[:, 2], torch.tensor(4.0).double(), atol=1e-3)
    beyond = checks(torch.tensor([[4.0, 4.1, -2.1, -2.0]]))[0]
    assert beyond[1] > beyond[0] and beyond[2] < beyond[3]
    whole = torch.tensor([[1.0, 0.0]])
    assert torch.isfinite(preimage(whole)(whole)).all()
    assert torch.isfinite(preimage(torch.ones(1, 2))(torch.ones(1, 2))).all()


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["normalised once more", "scaled to 0 ... 255 once less"])
def test_a_reading_is_flagged_where_it_was_meant(reading, world):
    """Asked of the image at rest, before any attack: the least of those will do."""
    network = world("world-salt-and-pepper-0", 64)  # it needs its input as it was trained on
    opposite = reading.replace("more", "?").replace("less", "more").replace("?", "less")
    least = AdversarialConfig(threats=(LINF,), stages=(Stage(loss="ce", steps=1),))
    flags = list(preprocessing(network.trials(least, run=lambda x: network.feed.run(READINGS[opposite](x)))))
    assert any(flag.endswith(reading) for flag in flags)
    assert all(flag.startswith("preprocessing: ") for flag in flags)


@pytest.mark.parametrize(("asked_", "right", "better", "said"), [
    (40, 20, 38, ["preprocessing: 50% right as shown, 95% normalised once more"]),
    # a tenth, not more; it answers far worse; three more of eight may be chance
    (40, 20, 24, []), (40, 20, 2, []), (8, 4, 7, []), (0, 0, 0, []),
])  # fmt: skip
def test_a_reading_that_is_answered_better_is_said(asked_, right, better, said):
    """Of 50 images some are asked; the first `right` as shown, the first `better` otherwise; the rest are wrong."""
    row = np.arange(50)
    otherwise = np.zeros((50, len(READINGS)), dtype=bool)
    otherwise[:better, 0] = True
    columns = {"asked": row < asked_, "clean_correct": row < right, "otherwise": otherwise}
    columns["exact_correct"] = columns["clean_correct"]
    assert list(preprocessing(Trials(columns=columns))) == said


def seen(forward, plain, n=10, batch=4):
    images = torch.linspace(0.1, 1.0, n).view(n, 1, 1, 1)
    labels = {"category": np.array(["a"] * n)}
    return SimpleNamespace(
        images=images, labels=labels, categories=("a", "b"), outputs=((0,), (1,)), batch=batch,
        seeds=np.arange(n, dtype=np.uint64), forward=forward, plain=plain, logits=level(images),
    )  # fmt: skip


def level(x, by=0.0):
    """Class a as bright as the pixel, b at one half, both above what might be probabilities; a moved by something."""
    value = x.flatten(1)[:, 0] + 2
    return torch.stack([value + by, torch.full_like(value, 2.5)], dim=1)


def test_answers_are_sure_beyond_ten_times_what_the_tuned_network_is_off():
    """The largest difference of the first eight images, in absolute value; never below one thousandth."""
    off = prepared_problem(QUICK, seen(lambda x: level(x, -0.02), level), np.array([1, 3]))[0]
    assert off.sure == pytest.approx(0.2, rel=1e-5)
    assert off.images.flatten().tolist() == pytest.approx([0.2, 0.4])
    assert off.seeds.tolist() == [1, 3] and off.labels.tolist() == [0, 0] and off.batch == 4
    assert prepared_problem(QUICK, seen(level, level), np.array([0]))[0].sure == 1e-3
