"""Pixels that whoever drew the masks left open count in no stored column: loops over the others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.contracts import Block
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE
from suites.saliency.maps.gradients import input_gradients


def void(index):
    """A band across the toy object's border, another one in each image."""
    open_ = np.zeros((32, 32), dtype=bool)
    open_[12 : 22 + index, 4:20] = True
    return open_


class Open(ToyView):
    def mask(self, position):
        return self.block.stimuli.mask(position)

    def ignored(self, position):
        return void(position)


def test_void_pixels_are_in_no_stored_column():
    stimuli = replace(toy_stimuli("cue-conflict"), ignored=void)
    view = Open(Block(stimuli, role="cue-conflict"), np.array([3, 0, 7]))
    found = SUITE.observe(SUITE.config, view)
    wanted = [view.categories.index(name) for name in view.labels["shape"]]
    rows = torch.eye(len(view.categories), dtype=torch.bool)[wanted]
    (gradient,) = input_gradients(view.forward, view.images, [rows])
    for at, index in enumerate((3, 0, 7)):
        counts = ~void(index)
        pixels = np.abs(gradient[at].numpy()).sum(axis=0).astype(float)[counts]
        inside = stimuli.mask(index)[counts]
        area, mass = inside.mean(), pixels[inside].sum() / pixels.sum()
        strongest = np.argsort(-pixels)[: inside.sum()]
        pairs = pixels[inside][:, None] - pixels[~inside][None, :]
        assert found["area"][at] == pytest.approx(area)
        assert found["mass_ratio"][at] == pytest.approx(mass / area, rel=1e-5)
        assert found["skill"][at] == pytest.approx((mass - area) / (1 - area), rel=1e-4)
        assert found["rank_accuracy"][at] == pytest.approx(inside[strongest].mean())
        auc = (pairs > 0).mean() + (pairs == 0).mean() / 2
        assert found["grad_auc"][at] == pytest.approx(auc, abs=1e-6)
