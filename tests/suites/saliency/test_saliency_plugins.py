"""Another package's map and measure: scored by the suite's own rules, named, part of what is stored."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from benchmark.contracts import Block
from benchmark.failures import PluginError, load_each
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE, saliency_columns
from suites.saliency.config import REFERENCES, SaliencyConfig, added_column
from suites.saliency.map_plugins import GROUP, Map, Measure, added_metrics, function_of, load_map


def a_map(forward, images, targets, seeds):
    return np.ones(images.shape[::2])


def a_measure(maps, masks):
    return np.ones(len(maps))


MAP = Map(title="m", definition="m", make=a_map)
MEASURE = Measure(title="n", definition="n", measure=a_measure, direction="none")
CALLED = Measure(title="c", definition="c", measure=len)


def read(**given):
    return load_each([EntryPoint(name, f"{__name__}:{value}", GROUP) for name, value in given.items()], load_map)


def test_what_cannot_be_used_is_named_with_the_reason():
    given = {"ok": "MAP", "Capital": "MAP", "gone": "GONE", "wrong": "GROUP", "called": "CALLED"}
    found, broken = read(**given)
    assert list(found) == ["ok"]
    assert "small letters" in broken["Capital"]
    assert "AttributeError" in broken["gone"]
    assert all("with a plain function" in broken[name] for name in ("wrong", "called"))
    metrics = {metric.name: metric for metric in added_metrics(found, broken)}
    assert metrics["gone"].ratio is None


def test_names_and_code_decide_what_is_stored():
    found, broken = read(b="MEASURE", a="MAP")
    assert {name: function_of(own) for name, own in found.items()} == {"a": a_map, "b": a_measure}
    metrics = {metric.name: metric for metric in added_metrics(found, broken)}
    assert set(metrics) == {"a_object_auc_excess", "a_object_auc", "b"}
    assert metrics["b"].direction == "none"
    # Names of the suite's columns and reference maps are free: what is added is stored apart.
    assert not read(sobel="MAP", response="MEASURE")[1]
    assert added_column("response") not in ("response", *(f"{name}_auc" for name in REFERENCES))


@pytest.fixture
def observed(monkeypatch):
    """The suite's columns of three toy images where a measure, a map or both are installed."""

    def call(measure=None, make=None):
        added = {"m": Measure(title="m", definition="m", measure=measure)} if measure else {}
        added |= {"g": Map(title="g", definition="g", make=make)} if make else {}
        monkeypatch.setattr(saliency_columns, "ADDED", added)
        view = ToyView(Block(stimuli=toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(3))
        return SUITE.observe(SaliencyConfig(added=tuple((name, "") for name in added)), view)

    return call


@pytest.mark.parametrize(("added", "said"), [
    ({"measure": lambda maps, masks: [1.0]}, "expected values of shape"),
    ({"make": lambda *_: torch.ones(2, 4, 4)}, "expected values of shape"),
    ({"measure": lambda maps, masks: maps[0] / "x"}, "'m' failed.*TypeError"),
])  # fmt: skip
def test_what_a_package_returns_must_have_the_shape_that_is_asked_for(added, said, observed):
    with pytest.raises(PluginError, match=said):
        observed(**added)


def test_the_suites_own_numbers_do_not_move(observed):
    bare = observed()
    added = observed(lambda maps, masks: np.ones(len(maps)), lambda f, images, *_: images.sum(dim=1))
    assert set(bare) < set(added)
    for name, values in bare.items():
        np.testing.assert_array_equal(added[name], values)
