"""The program's components are as they were last checked, and so are their golden outputs."""

import pytest

from benchmarks import versions
from registry.code.components import COMPONENTS, component_digest, members, read_lock, tree_stamp


@pytest.fixture(scope="module")
def stamp():
    return tree_stamp()


@pytest.mark.parametrize("label", COMPONENTS)
def test_every_component_has_code(label):
    """A module that moves takes its line in `COMPONENTS` with it."""
    assert list(members(label))


@pytest.mark.parametrize("label", COMPONENTS)
def test_the_program_is_as_it_was_checked(stamp, label):
    """After a change of code that decides numbers: python -m benchmarks.versions, and commit what it writes."""
    assert read_lock()[label].digest == component_digest(label, stamp)


@pytest.mark.slow
@pytest.mark.parametrize("label", COMPONENTS)
def test_golden_outputs_are_what_they_were(label):
    assert versions.close(label, versions.read_golden()[label], versions.golden(label))
