"""What the trust report asks of a network: gradients that are no slopes, answers and gradients that hang on company,
outputs that are no logits, and pixels that are not as they were meant."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adversarial_world import toy

from benchmark.contracts import Trials
from suites.adversarial.attacks.pgd import Ascent, schedule
from suites.adversarial.attacks.problem import Followed
from suites.adversarial.config import LINF, AdversarialConfig, Stage
from suites.adversarial.trust.probes import answers_apart, company_differences, ends, preimage, slopes
from suites.adversarial.trust.report import READINGS, preprocessing

WAYS = torch.randn(2, 3 * 64, generator=torch.Generator().manual_seed(1))


def line(x):
    """Two logits of an 8 x 8 image: their slope is the same everywhere."""
    return (x.flatten(1) - 0.5) @ WAYS.T


class Scaled(torch.autograd.Function):
    """The pixels; their gradient times a factor."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient, None


def checked(run, n=4, batch=32):
    images = torch.full((n, 3, 8, 8), 0.5)
    problem = toy(run, images, batch=batch)
    with torch.no_grad():
        plain = run(images)
    assert plain.shape == (n, 2)
    problem = replace(problem, followed=Followed(np.ones(n, dtype=bool), 1.0))
    return SimpleNamespace(
        **dict(
            zip(("error", "spread", "company"), slopes(problem, lambda x: run(x).detach(), np.arange(n)), strict=True)
        )
    )


def test_a_line_is_its_own_slope_and_half_of_it_is_half_right():
    exact = checked(line)
    assert exact.error.max() < 1e-3 and exact.spread.max() < 1e-3 and exact.company.max() < 1e-6
    half = checked(lambda x: line(Scaled.apply(x, 0.5)))
    assert np.allclose(half.error, 0.5, atol=1e-3) and half.spread.max() < 1e-3
    flat = checked(lambda x: 0 * line(x))
    assert flat.error.tolist() == [0, 0, 0, 0]


def test_rounding_to_eight_bits_is_no_mask_and_coarse_steps_are_unclear():
    def rounded(count):
        return lambda x: line(x + ((x * count).round() / count - x).detach())

    assert checked(rounded(255)).error.max() < 0.4
    coarse = checked(rounded(7))
    assert np.median(coarse.error) > 0.5 and np.median(coarse.spread) > 0.5


def test_ripples_have_slopes_that_lead_nowhere():
    checks = checked(lambda x: line(x + 0.004 * torch.sin(2000 * x)))
    assert np.median(checks.error) > 0.6


def test_a_constant_on_all_logits_hides_no_mask():
    """One million: the slopes are still seen. One thousand million rounds them away, and that is said."""
    masked = checked(lambda x: line(Scaled.apply(x, 0.1)) * 30 + 1e6)
    assert masked.error.min() > 0.5
    assert np.isnan(checked(lambda x: line(x) + 1e9).error).all()


def test_gradients_that_company_changes():
    def alone_right(x):
        """The gradient of the first image of a batch, and of one alone, is right; the others' are turned round."""
        factor = torch.ones(len(x), 1, 1, 1)
        factor[1:] = -1
        return line(Scaled.apply(x, factor))

    checks = checked(alone_right)
    assert checks.company[0] < 1e-6 and np.allclose(checks.company[1:], 2)
    assert checks.error[0] < 1e-3 and np.allclose(checks.error[1:], 2, atol=1e-3)


def test_what_the_attack_followed_is_what_is_checked():
    """The last gradient of the margin within the budget, at the point where it was taken, in the attack's batch."""
    images, labels = torch.full((4, 3, 8, 8), 0.5), torch.tensor([0, 0, 0, 1])
    shift = torch.tensor([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])[:, :, None]
    seen = Followed(np.array([True, False, True, True]), 4 / 255)

    def run(x):
        run.shown.append(x.detach().clone())
        return line(x) + shift[: len(x), :, 0]

    run.shown = []
    problem = toy(run, images, labels)
    problem = replace(problem, followed=seen)
    Ascent(problem, "linf", schedule([(Stage("margin", 3, "clean"), 4 / 255)]))
    assert sorted(seen.point) == [0, 2, 3] and seen.rival == {0: 1, 2: 1, 3: 0}
    assert torch.equal(seen.point[2], run.shown[2][2])
    up = (WAYS[1] - WAYS[0]).view(3, 8, 8)
    assert torch.allclose(seen.way[0], up, atol=1e-5) and torch.allclose(seen.way[3], -up, atol=1e-5)
    Ascent(problem, "linf", schedule([(Stage("margin", 1, "clean"), 8 / 255)]))
    Ascent(problem, "linf", schedule([(Stage("ce", 1, "clean"), 1 / 255)]))
    assert torch.equal(seen.point[2], run.shown[2][2])


def test_company_counts_and_a_copy_does_not():
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))

    def together(x):
        return x.flatten(1) - x.flatten(1).mean(dim=0) + 1

    rows = np.array([0, 2])
    company, copy = company_differences(lambda x: x.flatten(1), images, rows)
    assert company.tolist() == [0, 0] and copy.tolist() == [0, 0]
    company, copy = company_differences(together, images, rows)
    assert (company > 0.01).all() and copy.tolist() == [0, 0]


def test_answers_differ_less_their_mean_and_beyond_rounding():
    """(1, -1) against (3, 1, -4) turned: what is added to all logits is no part of an answer."""
    a, b = torch.tensor([[1.0, -1.0]]), torch.tensor([[-2.0, 2.0]])
    assert float(answers_apart(a, b)) == pytest.approx(2.0)
    assert float(answers_apart(a + 1e6, b + 1e6)) == pytest.approx(2.0, abs=0.2)
    assert float(answers_apart(a + 1e6, a + 1e6 + torch.tensor([[0.06, 0.0]]))) == 0.0
    assert float(answers_apart(a, 5 * a + 7)) == pytest.approx(0.0, abs=1e-6)


def test_a_class_that_is_never_given_hides_no_difference():
    a = torch.tensor([[3.0, 1.0, 0.0, -1e9]])
    assert float(answers_apart(a, a + torch.tensor([[0.0, 0.5, 0.0, 0.0]]))) > 0.001
    assert float(answers_apart(a, a - torch.tensor([[0.0, 0.0, 0.0, 1e9]]))) == 0.0


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


LEAST = AdversarialConfig((LINF,), (Stage("ce", 1),))


@pytest.fixture(scope="module")
def network(world):
    return world("world-salt-and-pepper-0", 64)  # it needs its input as it was trained on


def said(network, run):
    """Asked of the image at rest, before any attack: the least of those will do."""
    return list(preprocessing(network.trials(LEAST, run=run)))


# this network does not mind its pixels in [0.5, 1], so what would set that right gains nothing
@pytest.mark.slow
@pytest.mark.parametrize("reading", [r for r in READINGS if r != "scaled to [-1, 1] once more"])
def test_every_reading_is_flagged_where_it_was_meant(network, reading):
    opposite = reading.replace("more", "?").replace("less", "more").replace("?", "less")
    flags = said(network, lambda x: network.feed.run(READINGS[opposite](x)))
    assert any(flag.endswith(reading) for flag in flags)
    assert all(flag.startswith("preprocessing: ") for flag in flags)


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
    columns["exact_correct"] = columns["clean_correct"]
    assert list(preprocessing(Trials(columns))) == said
