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
