"""A shelf on which some sets are missing."""

import pytest

from benchmark.errors import MissingStimuli
from benchmark.testing import ToyShelf


class Lacking(ToyShelf):
    """A toy shelf without some roles."""

    def __init__(self, space, *roles):
        super().__init__(space)
        self.roles = roles

    def find(self, role):
        if role in self.roles:
            raise MissingStimuli(f"no {role} here")
        return super().find(role)


@pytest.fixture
def lacking():
    """lacking(space, *roles) -> a shelf."""
    return Lacking
