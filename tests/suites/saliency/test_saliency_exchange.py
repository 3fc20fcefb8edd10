"""Exchanging the object or the ground: what the headline must say of observers whose evidence is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.contracts import Block, Trials
from benchmark.stats import ratio_score
from benchmark.testing import ToyView, toy_stimuli
from benchmark.testing.toys import CATEGORIES
from suites.saliency import SUITE
from suites.saliency.config import EVIDENCE
from suites.saliency.maps.localisation import context_of
from suites.saliency.maps.object_exchange import evidence_columns, grounds, moved, partners, rank_share
from suites.saliency.metrics import reliance, split

SIDE = 32
N = 32


def painted(index):
    """An image whose object, the left half, and whose ground both say its category, by brightness."""
    level = 40 + 10 * (index % 16)
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def columns_of(*ends):
    """A mask of these columns."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:, slice(*ends)] = True
    return mask


def left_half(_index):
    return columns_of(SIDE // 2)


STIMULI = replace(toy_stimuli("cue-conflict"), decode=painted, mask=left_half, digest="painted")


class Reader(ToyView):
    """A network that reads the mean brightness of some columns: its log-odds of category c fall with the distance from
    c's brightness. weights: of the left and of the right half."""

    weights = (1.0, 0.0)

    def forward(self, images):
        grey = images.mean(1) * 255
        left, right = grey[..., : SIDE // 2].mean((1, 2)), grey[..., SIDE // 2 :].mean((1, 2))
        levels = torch.arange(16) * 10.0 + 40
        share = self.weights
        return sum(-((w * (x[:, None] - levels)) ** 2) / 100 for w, x in zip(share, (left, right), strict=True))

    def mask(self, position):
        return self.block.stimuli.mask(position)

    def ignored(self, position):
        open_ = self.block.stimuli.ignored
        return np.zeros((SIDE, SIDE), bool) if open_ is None else open_(position)


def evidence(weights, stimuli=STIMULI):
    """(of the object, of the ground), each [n]."""
    view = Reader(Block(stimuli=stimuli, role="cue-conflict"), np.arange(N))
    view.weights = weights
    found = evidence_columns(view, context_of(view, 0))
    return tuple(found[name] for name in EVIDENCE[:2])


def test_the_parts_add_up_to_all_of_the_evidence():
    """Object and ground together: the margin on the image less that on the one that lends, worked out in numpy."""
    of_object, of_ground = evidence((1.0, 0.5))
    shape = [CATEGORIES.index(name) for name in STIMULI.labels["shape"]]
    lent = partners(Reader(Block(stimuli=STIMULI, role="cue-conflict"), np.arange(N)))

    def margin(position, category):
        level = 40.0 + 10 * (position % 16)
        logits = -((1 + 0.25) * (level - (np.arange(16) * 10.0 + 40)) ** 2) / 100
        return logits[category] - np.delete(logits, category).max()

    expected = [margin(i, shape[i]) - margin(int(lent[i]), shape[i]) for i in range(N)]
    np.testing.assert_allclose(of_object + of_ground, expected, rtol=1e-4, atol=1e-4)


class Counter(ToyView):
    """A network that counts the pixels of each category's level in some channels; images are painted in red on the
    object and in blue on the ground."""

    channels, mask, ignored = (0, 2), Reader.mask, Reader.ignored

    def forward(self, images):
        seen, levels = images[:, list(self.channels)].amax(1) * 255, torch.arange(16) * 10.0 + 40
        near = (seen[:, None] - levels[:, None, None]).abs() < 1
        return near.double().sum((2, 3)).float()


def bar(index):
    """Objects of the same place and size, upright or lying."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4:28, 12:20] = True
    return mask.T if index % 3 == 0 else mask


def red_on_blue(index):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0], image[..., 2] = (bar(index) * painted(index)[..., 0], ~bar(index) * painted(index)[..., 0])
    return image


BARS = replace(STIMULI, decode=red_on_blue, mask=bar, digest="bars")


def test_who_reads_the_object_relies_on_it_and_who_reads_the_ground_does_not():
    found = []
    for channels in ((0,), (2,)):
        view = Counter(Block(stimuli=BARS, role="cue-conflict"), np.arange(N))
        view.channels = channels
        found.append(reliance(Trials(columns=evidence_columns(view, context_of(view, 0)))).mean())
    assert found[0] > 0.1 and found[1] < -0.01


def test_a_rank_is_the_share_of_other_classes_below():
    """Best of the two classes 2 and 0.5: below it -1, 0 and the half of 2, of four."""
    z, inside = torch.tensor([[2.0, 0.5, -1.0, 0.0, 2.0, 3.0]]), torch.tensor([[True] * 2 + [False] * 4])
    assert rank_share(z, inside).tolist() == [2.5 / 4] and rank_share(z * float("nan"), inside).isnan().all()


def test_an_image_that_answers_nothing_has_no_reliance():
    """Neither exact zeros nor rounding around a constant answer are evidence."""
    assert np.isnan(evidence((0.0, 0.0))).all()

    class Constant(Counter):
        def forward(self, images):
            noise = 1e-6 * torch.randn(len(images), 16, generator=torch.Generator().manual_seed(1))
            return torch.arange(16.0) + noise

    view = Constant(Block(stimuli=BARS, role="natural"), np.arange(N))
    found = evidence_columns(view, context_of(view, 0))
    assert all(np.isnan(found[name]).all() for name in EVIDENCE)
    rows = ([1.0, np.nan, 0.0, 3.0], [0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 0.0, -1.0])
    half = dict(zip(EVIDENCE, map(np.array, rows), strict=True))
    np.testing.assert_allclose(reliance(Trials(columns=half)), [0.0, np.nan, 0.0, 1.0])
    np.testing.assert_allclose(split(Trials(columns=half)), [1.0, np.nan, -1.0, 0.5])


def test_an_outline_is_put_where_the_object_is_and_brought_to_its_size():
    onto, outline = np.zeros((2, 40, 50), bool)
    onto[20:40, 25:45] = True
    outline[2:8, 3:23] = True
    found = moved(outline, onto)
    assert abs(found.sum() - 400) <= 20
    assert found[:, 20:30].any(axis=1).sum() <= 14  # still flat: 11 rows of 36
    away = np.zeros((40, 50), bool)
    away[:10, :10] = True
    cut = moved(outline, away)  # two fifths of it would be off the picture
    assert abs(cut.sum() - 100) <= 10


def test_two_images_exchange_with_one_another_whatever_the_chunk_and_useless_objects_with_nobody():
    """An object that fills nothing or all has no partner; of three others one is left over."""
    view = ToyView(Block(stimuli=toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(N))
    found = partners(view)
    shape = np.asarray(view.block.stimuli.labels["shape"])
    assert set(found) == set(range(N))
    assert all(shape[i] != shape[j] and found[j] == i for i, j in found.items())
    assert all(partners(ToyView(view.block, part)) == found for part in np.array_split(np.arange(N), 5))

    def mask(index):
        return left_half(index) if index in (3, 4, 8) else np.full((SIDE, SIDE), index % 2 == 0)

    view = Reader(Block(stimuli=replace(STIMULI, mask=mask), role="cue-conflict"), np.arange(N))
    found = partners(view)
    assert set(found) < {3, 4, 8} and len(found) == 2
    of_object, _ = evidence((1.0, 1.0), view.block.stimuli)
    assert set(np.flatnonzero(~np.isnan(of_object))) == set(found)


def test_pairs_are_drawn_together_where_an_interval_is_made():
    """Two images of a pair with the same value, eight pairs: eight values make the interval, not sixteen."""
    names = np.array([f"i{k:02d}" for k in range(16)])
    value = np.repeat(np.linspace(-0.7, 0.7, 8), 2)
    columns = {
        "role": np.full(16, "natural"), "stimulus": names, "area": np.full(16, 0.3), "object_evidence": (1 + value) / 2,
        "ground_evidence": np.full(16, 9.0), "place_evidence": (1 - value) / 2,
    }  # fmt: skip
    alone = ratio_score(SUITE.headline, Trials(columns=columns))
    paired = Trials(columns={**columns, "partner": names.reshape(8, 2)[:, ::-1].ravel()})
    together = ratio_score(SUITE.headline, paired)
    assert together.method == "wilson, clustered (8 pairs)"
    t = 2.364624 * np.linspace(-0.7, 0.7, 8).std(ddof=1) / np.sqrt(8)  # 7 degrees of freedom
    half = t / np.sqrt(1 + t**2)  # Wilson's form between -1 and 1, about 0
    assert together.high - together.value == pytest.approx(half, rel=1e-6)
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


@pytest.mark.parametrize("corner", [(0, 0), (3, 4), (7, 9)])
def test_a_hole_is_filled_from_the_nearest_pixel_wherever_it_lies(corner):
    hole = np.zeros((11, 14), bool)
    hole[corner[0] : corner[0] + 4, corner[1] : corner[1] + 5] = True
    hole[corner[0] + 1, corner[1] + 1] = False
    places = torch.arange(hole.size, dtype=torch.float32).view(1, 1, *hole.shape).expand(1, 3, -1, -1)
    found = grounds(places, hole[None])[0, 0].numpy().astype(int)
    outside = np.argwhere(~hole)
    for at in np.argwhere(hole):
        taken = np.array(np.unravel_index(found[tuple(at)], hole.shape))
        assert not hole[tuple(taken)]
        nearest = ((outside - at) ** 2).sum(axis=1).min()
        assert ((taken - at) ** 2).sum() == nearest
    assert (found[~hole] == np.arange(hole.size).reshape(hole.shape)[~hole]).all()


def test_void_pixels_are_in_no_pasted_picture():
    """What says the category lies in the void band alone: it is neither the object's nor the ground's doing."""

    def decode(index):
        image = np.full((SIDE, SIDE, 3), 100, np.uint8)
        image[:, 14:18] = painted(index)[0, 0, 0]
        return image

    void = columns_of(14, 18)
    stimuli = replace(STIMULI, decode=decode, mask=lambda _: left_half(0) & ~void, ignored=lambda _: void)
    of_object, of_ground = evidence((1.0, 1.0), stimuli)
    np.testing.assert_allclose(of_object, of_ground, atol=1e-4)
    # the same band as a part of the object is the object's doing:
    of_object, of_ground = evidence((1.0, 1.0), replace(stimuli, mask=lambda _: left_half(0) | void, ignored=None))
    assert np.abs(of_ground).max() < 1e-4 and np.abs(of_object).min() > 0.1
