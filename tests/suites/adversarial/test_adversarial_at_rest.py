"""What is noted of images before any attack, on logits by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from suites.adversarial.measured import problem_of, right_in_full_precision
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


def test_images_are_read_otherwise():
    """Class a is a red mean above .2. What is scaled to 0 ... 255 once more is, whatever the picture."""

    def red(x):
        value = x[:, 0].flatten(1).mean(dim=1)
        return torch.stack([value, torch.full_like(value, 0.2)], dim=1)

    images = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    columns = otherwise(red, images, torch.zeros(2, dtype=torch.int64), 1)
    # (.1 - .485) / .229, .1 x .229 + .485; -.8, .55; 25.5, .0004
    assert columns.astype(int).tolist() == [[0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 0]]
