"""What is noted of images before any attack, on logits by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adversarial_world import toy

from suites.adversarial import SUITE, measured
from suites.adversarial.attacks.attack_sequence import Resistance
from suites.adversarial.attacks.pgd import Ascent, schedule
from suites.adversarial.config import Stage
from suites.adversarial.measured import attacked, problem_of, right_in_full_precision
from suites.adversarial.trust.probes import otherwise

TWO = ((0,), (1,))


def seen(forward, plain, n=10, batch=4):
    images = torch.linspace(0.1, 1.0, n).view(n, 1, 1, 1)
    labels = {"category": np.array(["a"] * n)}
    return SimpleNamespace(
        images=images, labels=labels, categories=("a", "b"), outputs=TWO, batch=batch,
        seeds=np.arange(n, dtype=np.uint64), forward=forward, plain=plain, logits=level(images),
    )  # fmt: skip


def level(x, by=0.0):
    """Class a as bright as the pixel, b at one half, both above what might be probabilities; a moved by something."""
    value = x.flatten(1)[:, 0] + 2
    return torch.stack([value + by, torch.full_like(value, 2.5)], dim=1)


def test_answers_are_sure_beyond_ten_times_what_the_tuned_network_is_off():
    """The largest difference of the first eight images, in absolute value; never below one thousandth."""
    off = problem_of(seen(lambda x: level(x, -0.02), level), np.array([1, 3]))
    assert off.sure == pytest.approx(0.2, rel=1e-5)
    assert off.images.flatten().tolist() == pytest.approx([0.2, 0.4])
    assert off.seeds.tolist() == [1, 3] and off.labels.tolist() == [0, 0] and off.batch == 4
    assert problem_of(seen(level, level), np.array([0])).sure == 1e-3


def test_full_precision_is_asked_where_the_run_moves_logits_beyond_rounding():
    right = np.array([False] * 10)
    bright = [False] * 4 + [False] + [True] * 5  # above one half; a tie goes to the first class
    bright[4] = True
    asked = right_in_full_precision(seen(lambda x: level(x, 0.01), level), right)
    assert asked.tolist()[:4] == [False] * 4 and asked.tolist()[5:] == [True] * 5
    assert right_in_full_precision(seen(lambda x: level(x, 5e-4), level), right) is right


def test_margins_that_each_step_reached():
    """The first channel may move by .2, the second image's by .12; it moves by .05 a step."""

    def answer(x):
        gap = x[:, 0, 0, 0] - 0.5 - x[:, 1, 0, 0].detach()
        return torch.stack([-gap, gap], dim=1)

    images = torch.full((2, 2, 1, 1), 0.5)
    images[:, 1, 0, 0] = torch.tensor([0.2, 0.12])
    problem = toy(answer, images)
    pool = Ascent(problem, "linf", schedule([(Stage("ce", 10, "clean"), 0.2 * 0.99)]))
    expected = [[-0.301, -0.202, -0.103, *[-0.004] * 7], [-0.141, -0.042, 0.057, *[np.nan] * 7]]
    np.testing.assert_allclose(pool.reached, expected, atol=1e-6)
    assert pool.fell.tolist() == [-1, 2] and pool.passes.tolist() == [10, 4]
    assert pool.forwards.tolist() == [1, 0] and pool.size[1] == pytest.approx(0.1485)


def test_images_are_read_otherwise():
    """Class a is a red mean above .2. What is scaled to 0 ... 255 once more is, whatever the picture."""

    def red(x):
        value = x[:, 0].flatten(1).mean(dim=1)
        return torch.stack([value, torch.full_like(value, 0.2)], dim=1)

    images = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    columns = otherwise(red, images, torch.zeros(2, dtype=torch.int64), 1)
    # (.1 - .485) / .229, .1 x .229 + .485; -.8, .55; 25.5, .0004
    assert columns.astype(int).tolist() == [[0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 0]]


def test_what_each_image_cost(monkeypatch):
    """One gradient pass at rest; FGSM at six budgets; every second image read six ways; of every fourth,
    slopes at two points: one gradient alone, one in a batch (no attack left any here), and 2 x 4 x 3 plain passes;
    six to find the boundary, and 4 for company."""
    view = seen(level, level, n=8, batch=8)
    plain = []
    view.plain = lambda x: plain.append(len(x)) or level(x)
    view.logits = level(view.images)
    n = len(view.images)
    zeros, nan = np.zeros(n, dtype=np.int64), np.full(n, np.nan)

    def nothing(problem, threat, config, broken):
        names = np.full(n, "", dtype="U40")
        return Resistance(problem, threat, np.full(n, np.inf), names, nan, nan, nan, nan, zeros + 10, zeros + 100)

    monkeypatch.setattr(measured, "resistance", nothing)
    monkeypatch.setattr(measured, "fgsm", lambda *_: np.zeros((n, 6), dtype=bool))
    config = SUITE.config
    before = len(plain)
    columns = attacked(config, view, np.arange(n))
    assert columns["passes"].tolist() == [21, 25, 21, 21, 21, 25, 21, 21]  # two norms of 10
    assert columns["forwards"].tolist() == [212, 264, 212, 206, 212, 264, 212, 206]
    assert sum(plain[before:]) == 8 + 2 * 52  # once to see how far it is off, then two images
