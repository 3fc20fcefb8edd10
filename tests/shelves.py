"""Shelves of toy sets on which some are missing."""

from benchmark.failures import MissingStimuli
from benchmark.testing import ToyShelf


class Shelf(ToyShelf):
    """lost: the roles that are missing; only: those that are there (None: all others)."""

    def __init__(self, space, *lost, only=None):
        super().__init__(space)
        self.lost, self.only = lost, only

    def find(self, role):
        if role in self.lost or not (self.only is None or role in self.only):
            raise MissingStimuli(f"'{role}' is not here")
        return super().find(role)

    def textures(self, role):
        if role in self.lost:
            raise MissingStimuli(f"'{role}' is not here: fetch it")
        return super().textures(role)
