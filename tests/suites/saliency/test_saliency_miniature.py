"""A world in miniature whose ground carries a brittle cue: the metric must see who uses it.

Four bright textured shapes on textured ground, 32 x 32; on the ground alone a pattern of +-4/255 names the class. A
network that was trained as usual reads the pattern, one that was trained on attacks of 6/255 cannot.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from suites.saliency.maps.gradients import input_gradients, saliency
from suites.saliency.maps.localisation import average_ranks, mean_auc_of_others, object_auc

pytestmark = pytest.mark.slow

SIDE, CLASSES, EPSILON, PATTERN = 32, 4, 6 / 255, 4 / 255


def patterns():
    """[classes, 1, side, side] of +-1: stripes up, stripes across, a chessboard, stripes twice as wide."""
    y, x = np.mgrid[:SIDE, :SIDE]
    made = [x % 2, y % 2, (x + y) % 2, x // 2 % 2]
    return torch.tensor(np.stack(made)[:, None] * 2.0 - 1, dtype=torch.float32)


def world(n, seed):
    """Images [n, 3, side, side], masks [n, side, side], labels [n]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.arange(n) % CLASSES
    masks = np.zeros((n, SIDE, SIDE), dtype=bool)
    for mask, label in zip(masks, labels, strict=True):
        cy, cx, r = *rng.uniform(11, 21, 2), rng.uniform(6, 9)
        dy, dx = y - cy, x - cx
        mask |= (
            np.maximum(abs(dy), abs(dx)) < 0.85 * r,
            np.hypot(dy, dx) < r,
            (dy > -r) & (dy < 0.8 * r) & (abs(dx) < (dy + r) / 2),
            np.minimum(abs(dy), abs(dx)) < r / 3.5,
        )[label] & (np.maximum(abs(dy), abs(dx)) < r)
    inside = torch.from_numpy(masks)[:, None].float()
    draw = torch.Generator().manual_seed(seed)
    grain = 0.12 * functional.avg_pool2d(torch.randn(n, 3, SIDE + 2, SIDE + 2, generator=draw), 3, 1)
    light = 0.25 + 0.15 * torch.rand(n, 3, 1, 1, generator=draw)
    images = light + 0.35 * inside + grain + PATTERN * patterns()[labels] * (1 - inside)
    return images.clamp(0, 1), masks, torch.from_numpy(labels)


def network():
    torch.manual_seed(0)
    layers, inputs = [], 3
    for outputs, stride in ((16, 2), (32, 2), (64, 2), (64, 1)):
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES))


def attacked(net, images, labels, epsilon, steps):
    """PGD in the L-infinity ball from a random start."""
    start = images + epsilon * (2 * torch.rand_like(images) - 1)
    x = start.clamp(0, 1)
    for _ in range(steps):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(functional.cross_entropy(net(x), labels), x)
        x = x.detach() + 2.5 * epsilon / steps * slope.sign()
        x = x.clamp(images - epsilon, images + epsilon).clamp(0, 1)
    return x.detach()


def trained(images, labels, epsilon, passes, batch=64):
    net, order = network(), torch.Generator().manual_seed(1)
    total = passes * (len(images) // batch)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=total)
    for step in range(total):
        at = torch.randint(0, len(images), (batch,), generator=order)
        x, y = images[at], labels[at]
        if epsilon:
            net.eval()
            x = attacked(net, x, y, epsilon * min(1.0, 2 * step / total), 3)
            net.train()
        optimiser.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimiser.step()
        rate.step()
    return net.eval().requires_grad_(False)


def measured(net, images, masks, labels):
    """([n] AUC on the object, [n] excess, accuracy, accuracy under attack)."""
    rows = functional.one_hot(labels, CLASSES).bool()
    maps = saliency(input_gradients(net, images, [rows])[0].numpy())
    own, kinds = object_auc(maps, masks), labels.numpy()
    pool = masks.reshape(len(masks), -1)
    others = mean_auc_of_others(average_ranks(maps), kinds, pool.astype(float), kinds)
    clean = (net(images).argmax(1) == labels).float().mean()
    hard = (net(attacked(net, images, labels, EPSILON, 10)).argmax(1) == labels).float().mean()
    return own, own - others, float(clean), float(hard)


@pytest.fixture(scope="module")
def found():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        images, _, labels = world(1024, 0)
        test = world(160, 1)
        standard = measured(trained(images, labels, 0.0, 6), *test)
        robust = measured(trained(images, labels, EPSILON, 24), *test)
    torch.set_num_threads(before)
    return standard, robust


def test_who_reads_the_ground_has_its_gradient_there(found):
    (standard, standard_excess, clean, hard), (robust, robust_excess, clean_too, held) = found
    assert min(clean, clean_too) > 0.95
    assert hard < 0.2
    assert held > 0.8
    assert standard.mean() < 0.45
    assert robust.mean() - standard.mean() > 0.3
    assert standard_excess.mean() < 0 < robust_excess.mean()
    pooled = np.sqrt((robust_excess.var(ddof=1) + standard_excess.var(ddof=1)) / 2)
    assert (robust_excess.mean() - standard_excess.mean()) / pooled > 1
