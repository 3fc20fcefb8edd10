"""The program's own components answer what they answered under the same version."""

import json

import pytest
from component_answers import COMPONENTS, GOLDEN, close

KEPT = json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_component_has_kept_answers():
    assert list(KEPT) == list(COMPONENTS)


@pytest.mark.slow
@pytest.mark.parametrize("label", COMPONENTS)
def test_a_component_answers_as_its_version_says(label):
    """Numbers moved: raise the component's version (CONTRIBUTING.md), then python tests/engine/component_answers.py."""
    version, answers = COMPONENTS[label]
    assert KEPT[label]["version"] == version
    assert close(label, KEPT[label]["answers"], answers())


def test_answers_differ_by_more_than_rounding_or_not_at_all():
    assert close("answers", {"a": [1.0]}, {"a": [1.0005]})
    assert not close("answers", {"a": [1.0]}, {"a": [1.005]})
    assert not close("statistics", {"a": [1.0]}, {"a": [1.0005]})
    assert not close("answers", {"a": [1.0]}, {"b": [1.0]})
    assert close("saliency.scores", {"a": [1.0]}, {"a": [1.0], "b": [1.0]})
    assert not close("saliency.scores", {"a": [1.0], "b": [1.0]}, {"a": [1.0]})
    assert close("saliency.trials", {"a": [1.0]}, {"a": [1.0], "b": [1.0]})
