"""Links between suites: who counts, which numbers, what is said."""

import numpy as np
import pytest
from as_text import text
from scipy import stats

from benchmark.contracts import Metric
from benchmark.leaderboard.board import boards
from benchmark.leaderboard.lineage import architecture_line, lineage
from benchmark.leaderboard.links import contrasts, links, observed, variables
from benchmark.leaderboard.links_text import (
    answers,
    contrast_records,
    link_details,
    link_records,
)
from benchmark.leaderboard.render import render_details
from benchmark.leaderboard.summary import summaries

RECIPES = {
    "standard": ("standard",),
    "stylised": ("stylised",),
    "adversarial": ("adversarial(l2,3)",),
}


class Plain:
    version, references, against = 2, {}, None

    def __init__(self, name, clean=False):
        self.name = name
        self.metrics = (
            Metric("head", "head", "", "higher", headline=True),
            *([Metric("plain", "clean", "", clean=True)] if clean else []),
        )


@pytest.fixture
def numbers():
    """observer -> (cue-conflict, corruption, clean), of 1000."""
    rng = np.random.default_rng(4)
    names = [f"net{a}-{r}-{s}" for a in "abcd" for r in RECIPES for s in (0, 1)]
    return {name: tuple(int(v) for v in rng.integers(50, 950, 3)) for name in names}


@pytest.fixture
def summary(score, numbers):
    rows = []
    for name, (bias, noise, clean) in numbers.items():
        training = RECIPES[name.split("-")[1]]
        for suite, metric, right in (
            ("cue-conflict", "head", bias),
            ("corruption", "head", noise),
            ("corruption", "plain", clean),
        ):
            rows.append(
                score(name, right, 1000, suite=suite, metric=metric, role="", training=training)
            )
    for kind in ("human", "ideal", "simulated"):
        rows.append(score(kind, 999, 1000, suite="cue-conflict", metric="head", role="", kind=kind))
    untrained = {"training": ("untrained",), "suite": "cue-conflict", "metric": "head", "role": ""}
    rows.append(score("raw", 500, 1000, **untrained))
    suites = [Plain("cue-conflict"), Plain("corruption", clean=True)]
    return summaries([b for suite in suites for b in boards(rows, suite, {})])[0]


@pytest.mark.parametrize(
    ("name", "training", "expected"),
    [
        ("world-stylised-2", ("stylised",), ("", "world", "2", "stylised", "world/stylised")),
        ("world-standard-stylised-0", ("standard", "stylised"),
         ("", "world", "0", "standard + stylised", "world/standard+stylised")),
        ("resnet50", (), ("", "resnet50", "", "standard", "resnet/standard")),
        ("resnet101 (lab)", ("standard",), ("lab", "resnet101", "", "standard", "resnet/standard")),
        ("resnet50_trained_on_SIN (lab)", ("stylised",),
         ("lab", "resnet50", "", "stylised", "resnet/stylised")),
        ("resnet50_l2_eps3", ("adversarial(l2,3)",),
         ("", "resnet50", "", "adversarial(l2,3)", "resnet/adversarial")),
        ("vgg16_bn", (), ("", "vgg16_bn", "", "standard", "vgg/standard")),
        ("42", (), ("", "42", "", "standard", "42/standard")),
    ],
)  # fmt: skip
def test_lineage_is_read_from_names_and_tags(name, training, expected):
    assert tuple(lineage(name, training)) == expected


@pytest.mark.parametrize(
    ("name", "card", "expected"),
    [
        ("resnet50 (lab)", {"family": "clip", "arch": "timm:vit_base"}, "clip"),
        ("tv_resnet50 (lab)", {}, "resnet"),
        ("ViT_L (lab)", {}, "vit"),
        ("vit_b_16", {"arch": "torchvision:vit_b_16"}, "vit"),
        ("convnext_tiny", {}, "convnext"),
        ("swag_regnety_16gf", {}, "regnet"),
        ("mine-2", {"arch": "timm:tf_efficientnetv2_s"}, "efficientnet"),
        ("gravity-net", {"arch": "python:a.b:c"}, "gravity-net"),
    ],
)
def test_the_line_of_an_architecture_is_on_the_card_or_in_names(name, card, expected):
    assert architecture_line(name, card) == expected
    assert lineage(name, ("stylised",), card).family == f"{expected}/stylised"


def test_families_of_cards_are_resampled_as_wholes(summary):
    cards = {one.name: {"family": "one"} for one in observed(summary)}
    assert {one.lineage.family.partition("/")[0] for one in observed(summary, cards)} == {"one"}
    (link, *_) = links(summary, cards, resamples=20)
    assert link.spearman.families < links(summary, resamples=20)[0].spearman.families


def test_people_ideal_and_untrained_observers_take_no_part(summary, numbers):
    assert {one.name for one in observed(summary)} == set(numbers)
    assert [one.name for one in variables(summary)] == ["cue-conflict", "corruption", "clean"]


def test_coefficients_equal_an_independent_computation(summary, numbers):
    found = {(one.x.name, one.y.name): one for one in links(summary, resamples=200)}
    bias, noise, clean = np.array(list(numbers.values())).T / 1000
    link = found["cue-conflict", "corruption"]
    assert link.spearman.value == pytest.approx(stats.spearmanr(bias, noise)[0], abs=1e-12)
    assert link.pearson.value == pytest.approx(stats.pearsonr(bias, noise)[0], abs=1e-12)
    r = np.corrcoef([stats.rankdata(v) for v in (bias, noise, clean)])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert link.partial.value == pytest.approx(expected, abs=1e-12)
    assert (link.spearman.n, link.spearman.families) == (24, 12)
    assert set(link.without) == {one.lineage.family for one in observed(summary)}
    assert found["cue-conflict", "clean"].partial is None


def test_contrasts_pair_what_is_alike_in_all_but_the_recipe(summary, numbers):
    found = {(one.recipe, one.variable.name): one for one in contrasts(summary)}
    one = found["stylised", "corruption"]
    differences = [
        (numbers[f"net{a}-stylised-{s}"][1] - numbers[f"net{a}-standard-{s}"][1]) / 1000
        for a in "abcd"
        for s in (0, 1)
    ]
    assert one.difference == pytest.approx(np.mean(differences), abs=1e-12)
    low, high = stats.t.interval(0.95, 7, np.mean(differences), stats.sem(differences))
    assert (one.low, one.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert ("neta-stylised-1", "neta-standard-1") in one.pairs
    assert set(found) == {
        (recipe, name)
        for recipe in ("stylised", "adversarial(l2,3)")
        for name in ("cue-conflict", "corruption", "clean")
    }


def test_the_questions_are_answered_with_caution(summary):
    lines = list(answers(links(summary, resamples=200)))
    assert lines[0].startswith("does shape bias buy corruption robustness? ")
    assert "n = 24 in 12 families" in lines[0]
    assert lines[-1].startswith("Observers are no random sample")


def test_too_few_observers_are_said_to_be_too_few(summary):
    few = type(summary)(summary.space, summary.headlines, summary.lines[:6], (), summary.clean)
    assert "too few observers to say" in next(answers(links(few, resamples=50)))


def test_records_and_tables_hold_every_pair(summary):
    found, pairs = links(summary, resamples=50), contrasts(summary)
    records = list(link_records(found, summary.space))
    assert len(records) == 3 * 2 + 1
    assert {record["n"] for record in records} == {24}
    assert len(list(contrast_records(pairs, summary.space))) == 6
    shown = text(render_details(link_details(found, pairs, summary.space)), 250)
    assert "contrasts of recipes" in shown
    assert "adversarial(l2,3)" in shown
