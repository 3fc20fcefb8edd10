"""Another package's map and measure: scored by the suite's own rules, named, part of what is stored."""

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.contracts import Block
from benchmark.failures import PluginError
from benchmark.identity import code_digest
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE, saliency_columns
from suites.saliency.config import REFERENCES, SaliencyConfig, added_column
from suites.saliency.map_plugins import GROUP, Map, Measure, added_metrics, read_maps


def a_map(forward, images, targets, seeds):
    return np.ones(images.shape[::2])


def a_measure(maps, masks):
    return np.ones(len(maps))


MAP, MEASURE = (
    Map(title="m", definition="m", make=a_map),
    Measure(title="n", definition="n", measure=a_measure, direction="none"),
)
CALLED = Measure(title="c", definition="c", measure=len)


def entry(name, value):
    return EntryPoint(name, f"{__name__}:{value}", GROUP)


def test_what_cannot_be_used_is_named_with_the_reason():
    given = {"ok": "MAP", "Capital": "MAP", "gone": "GONE", "wrong": "GROUP", "called": "CALLED"}
    found = read_maps([entry(name, value) for name, value in given.items()])
    assert list(found.maps) == ["ok"]
    assert "small letters" in found.broken["Capital"]
    assert "AttributeError" in found.broken["gone"]
    assert all("with a plain function" in found.broken[name] for name in ("wrong", "called"))
    metrics = {metric.name: metric for metric in added_metrics(found)}
    assert metrics["gone"].ratio is None


def test_names_and_code_decide_what_is_stored():
    found = read_maps([entry("b", "MEASURE"), entry("a", "MAP")])
    assert found.signatures == (("a", code_digest(a_map)), ("b", code_digest(a_measure)))
    metrics = {metric.name: metric for metric in added_metrics(found)}
    assert set(metrics) == {"a_object_auc_excess", "a_object_auc", "b"}
    assert metrics["b"].direction == "none"


def test_a_column_of_the_suite_is_never_overwritten():
    """Names of its columns and reference maps are free: what is added is stored apart."""
    found = read_maps([entry("sobel", "MAP"), entry("response", "MEASURE")])
    assert not found.broken
    assert added_column("response") not in ("response", *(f"{name}_auc" for name in REFERENCES))


@pytest.fixture
def observed(monkeypatch):
    """The suite's columns of three toy images where a measure, a map or both are installed."""

    def call(measure=None, make=None):
        measures = {"m": SimpleNamespace(measure=measure)} if measure else {}
        maps = {"g": SimpleNamespace(make=make)} if make else {}
        monkeypatch.setattr(saliency_columns, "ADDED", SimpleNamespace(measures=measures, maps=maps))
        view = ToyView(Block(stimuli=toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(3))
        return SUITE.observe(SaliencyConfig(added=tuple((name, "") for name in (*measures, *maps))), view)

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
