"""The suite: contract, batches, what is left out and counted, what stands beside the scores."""

import numpy as np
import pytest
import torch
from shelves import Shelf

from benchmark.contracts import Block, Trials
from benchmark.failures import MissingStimuli
from benchmark.stats import compare_ratio
from benchmark.testing import ToyShelf, ToyView, check_suite, toy_stimuli, toy_trials
from benchmark.testing.toys import CATEGORIES
from registry.labels import decide, label_space
from suites.saliency import SUITE
from suites.saliency.config import REFERENCES, SaliencyConfig
from suites.saliency.maps.gradients import frequencies, saliency
from suites.saliency.maps.localisation import context_of, mass_columns
from suites.saliency.plan import plan
from suites.saliency.score import NO_ANSWER


def scores(trials):
    return {(s.role, s.metric, s.condition): s for s in SUITE.score(SUITE.config, trials)}


@pytest.fixture(scope="module")
def toy():
    return toy_trials(SUITE, ToyShelf("geirhos16")).of("cue-conflict")


def with_columns(trials, **columns):
    return Trials(columns={**trials.columns, **columns}, missing=trials.missing)


@pytest.mark.slow
def test_the_contract_is_kept():
    assert [check for check in check_suite(SUITE) if not check.ok] == []


def test_every_reference_map_stands_beside_the_scores(toy):
    found = scores(toy)
    for name in REFERENCES:
        reliance, auc = (found["cue-conflict", f"object_{m}", f"reference: {name}"] for m in ("reliance", "auc"))
        assert reliance.reason == NO_ANSWER and auc.value == pytest.approx(toy[f"{name}_auc"].mean())
    assert abs(found["cue-conflict", "object_auc", "reference: noise"].value - 0.5) < 0.05


def test_trials_from_before_a_measure_have_no_value_for_it(toy):
    """As after installing another package's measure: nothing breaks, and `bench compare` still pairs the rest."""
    older = Trials(columns={name: v for name, v in toy.columns.items() if name not in ("gini", "smooth_auc")})
    found = scores(older)
    for name in ("grad_gini", "sg_object_auc_excess"):
        assert found["cue-conflict", name, ""].value is None and found["cue-conflict", name, ""].reason
    assert found["cue-conflict", "object_auc", ""].value == scores(toy)["cue-conflict", "object_auc", ""].value
    assert compare_ratio(SUITE.metric("grad_gini"), older, toy).difference is None


def test_answers_split_the_conflict_images(toy):
    response = np.where(np.arange(32) % 3 == 0, toy["shape"], toy["texture"])
    response[1] = "nothing"
    found = scores(with_columns(toy, response=response))
    conflict = toy["shape"] != toy["texture"]
    counts = [found["cue-conflict", "object_auc", f"answered {answer}"].n for answer in ("shape", "texture", "other")]
    shape, other = ((conflict & (response == answer)).sum() for answer in (toy["shape"], "nothing"))
    assert (sum(counts), counts[0], counts[2]) == (conflict.sum(), shape, other)


def test_the_contrast_is_paired_and_over_conflict_images_alone(toy):
    found = scores(toy)["cue-conflict", "target_contrast", ""]
    conflict = toy["shape"] != toy["texture"]
    gap = (toy["grad_auc"] - toy["texture_auc"])[conflict]
    assert found.value == pytest.approx(gap.mean())
    assert (found.n, found.excluded) == (int(conflict.sum()), int((~conflict).sum()))


def test_natural_images_come_first_and_conflict_images_stand_beside_them(toy):
    natural = with_columns(toy, role=np.full(len(toy), "natural"), grad_auc=toy["grad_auc"] + 0.1)
    both = Trials(columns={k: np.concatenate([natural[k], toy[k]]) for k in toy.columns}, missing=toy.missing)
    found, alone = scores(both), scores(toy)
    headline = alone["cue-conflict", "object_auc_excess", ""].value
    assert found["natural", "object_auc_excess", ""].value == pytest.approx(headline + 0.1)
    beside = found["cue-conflict", "object_auc_excess", "conflict images"]
    assert beside.value == pytest.approx(headline)
    paired = compare_ratio(SUITE.metric("object_auc_excess"), both, with_columns(both, grad_auc=both["grad_auc"] + 0.1))
    assert (paired.n, paired.difference) == (32, pytest.approx(-0.1))


def test_images_of_one_silhouette_are_drawn_together(toy):
    """Eight copies of each silhouette's value: four values make the interval, not thirty-two."""
    names = np.array([f"cat{1 + i // 8}-dog{1 + i}.png" for i in range(32)])
    values = np.repeat([0.2, 0.4, 0.6, 0.8], 8)
    clustered = with_columns(toy, stimulus=names, grad_auc=values)
    apart = scores(with_columns(toy, grad_auc=values))["cue-conflict", "object_auc", ""]
    together = scores(clustered)["cue-conflict", "object_auc", ""]
    assert (together.value, together.n, together.excluded) == (apart.value, 32, 0)
    assert together.method == "wilson, clustered (4 shapes)"
    assert "by stimulus" in apart.method
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_plans():
    whole = ("natural", "cue-conflict", "cue-conflict-alpha0", "cue-conflict-alpha1")
    shown = {
        "world16": [(role, "whole") for role in whole],
        "geirhos16": [("cue-conflict", "whole"), ("natural-masked", "card")],
        "imagenet1k": [("natural-masked", "card"), ("clickme", "whole")],
    }
    for space, expected in shown.items():
        blocks = plan(SaliencyConfig(), ToyShelf(space)).blocks
        assert [(block.role, block.presentation) for block in blocks] == expected


def test_sets_that_are_not_here_are_named_and_the_others_shown():
    found = plan(SaliencyConfig(), Shelf("geirhos16", "natural-masked"))
    assert [block.role for block in found.blocks] == ["cue-conflict"]
    assert found.missing == {"natural-masked": "'natural-masked' is not here"}
    with pytest.raises(MissingStimuli, match="'clickme' is not here"):
        plan(SaliencyConfig(), Shelf("imagenet1k", "natural-masked", "clickme"))


class ManyOutputs(ToyView):
    """A view of a network with ImageNet's outputs."""

    def __init__(self, block, index):
        super().__init__(block, index)
        self.outputs = label_space("imagenet1k").groupings["geirhos16"].indices

    def forward(self, images):
        pooled = torch.nn.functional.avg_pool2d(images.double(), 8).flatten(1)
        draw = torch.Generator().manual_seed(0)
        weights = torch.randn(pooled.shape[1], 1000, generator=draw, dtype=torch.float64)
        return ((pooled - 0.5) @ weights * 3).float()

    @property
    def probabilities(self):
        return decide(self.logits, label_space("imagenet1k").groupings["geirhos16"]).numpy()


def test_a_category_of_many_outputs_has_the_gradient_of_its_probability():
    """By float64 and by hand: the direction of the summed probability's logarithm."""
    view = ManyOutputs(Block(stimuli=toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(4))
    found = SUITE.observe(SUITE.config, view)
    images = view.images.double().requires_grad_()
    share = view.forward(images).double().softmax(1)
    rows = [list(view.outputs[CATEGORIES.index(name)]) for name in view.labels["shape"]]
    total = sum(share[i, row].sum().log() for i, row in enumerate(rows))
    (gradient,) = torch.autograd.grad(total, images)
    np.testing.assert_allclose(found["centroid"], frequencies(gradient.numpy())[0], rtol=1e-4)
    maps, masks = saliency(gradient.numpy()), np.stack([view.mask(i) for i in range(4)])
    np.testing.assert_allclose(found["mass_ratio"], mass_columns(maps, masks)["mass_ratio"], rtol=1e-4)


class Useless(ToyView):
    """Masks of which the first four are full or empty."""

    def mask(self, position):
        full = np.full((32, 32), position % 2 == 0)
        return full if position < 4 else np.eye(32, dtype=bool)


def test_the_pool_leaves_out_useless_masks_and_is_evenly_spaced():
    context = context_of(Useless(Block(stimuli=toy_stimuli("cue-conflict")), np.arange(3)), 160)
    assert context.pool.shape == (28, 32 * 32) and len(context.categories) == 28
    assert context.masks.shape == (3, 32, 32)
    small = context_of(ToyView(Block(stimuli=toy_stimuli("cue-conflict")), np.arange(3)), 4)
    assert small.categories.tolist() == [CATEGORIES[i % 16] for i in (0, 8, 16, 24)]
