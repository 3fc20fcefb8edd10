"""What a folder of the user's looks like."""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Layout
from benchmark.stimuli.layouts import images_below
from benchmark.stimuli.names import GEIRHOS16, PREFIX, WNID, read_pair

LOOKED_AT = 200  # images; enough to tell layouts apart without reading a large tree


class Guess(NamedTuple):
    """A layout, and the decision space where the categories tell it."""

    layout: Layout
    space: str | None


def guess_layout(folder: Path) -> Guess:
    """Layout and space of a folder. Raises StimuliError where it holds neither images nor
    tables."""
    if (folder / "labels.csv").is_file():
        return Guess("labels-csv", None)
    images = list(islice(images_below(folder), LOOKED_AT))
    if not images:
        if any(folder.rglob("*.csv")):
            return Guess("trials", "geirhos16")
        raise StimuliError(f"{folder}: neither images nor tables of trials below this folder.")
    if all(PREFIX.match(path.name) for path in images):
        return Guess("session", "geirhos16")
    return _by_folders(images)


def _by_folders(images: list[Path]) -> Guess:
    classes = {path.parent.name for path in images}
    if all(WNID.fullmatch(name) for name in classes):
        return Guess("class-folder", "imagenet1k")
    if not classes <= set(GEIRHOS16):
        return Guess("class-folder", None)
    conflict = all(read_pair(path.name) for path in images)
    return Guess("cue-conflict" if conflict else "class-folder", "geirhos16")
