"""What a folder of the user's looks like: the entry that describes it."""

import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import ANNOTATED, LAYOUTS, Entry, Layout
from benchmark.stimuli.cells import SEVERITY
from benchmark.stimuli.generated import PREFIX as RESERVED
from benchmark.stimuli.items import images_below
from benchmark.stimuli.masked.telling import role_of, tell
from benchmark.stimuli.names import GEIRHOS16, PREFIX, WNID, read_pair

LOOKED_AT = 200  # images; enough to tell layouts apart without reading a large tree


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Guess(NamedTuple):
    """A layout, and the decision space where the categories tell it."""

    layout: Layout
    space: str | None


def describe(
    name: str, place: Path, role: str | None, space: str | None, layout: str | None
) -> Entry:
    """The entry of a folder; what is not given is read off its names. Raises StimuliError."""
    check_name(name)
    if layout is not None and layout not in LAYOUTS:
        raise StimuliError(f"'{layout}' is no layout; expected one of {', '.join(LAYOUTS)}.")
    guess = guess_layout(place)
    found = layout or guess.layout
    if found == "textures":
        space = "any"
    if space is None and guess.space is None:
        raise StimuliError(
            f"{place}: the categories are neither the 16 nor WordNet ids. Say in which decision "
            f"space the labels of '{name}' live: --space NAME."
        )
    return Entry(
        name=name,
        role=role or (role_of(found) if found in ANNOTATED else name),
        space=space or guess.space or "",
        layout=found,  # type: ignore[arg-type]
        kind=found if found in ("trials", "textures") else "images",  # type: ignore[arg-type]
        title="added by the user",
        folder=str(place),
    )


def check_name(name: str) -> None:
    """Raise StimuliError where `name` cannot name a set of the user's."""
    if not _NAME.fullmatch(name) or name.startswith(RESERVED):
        raise StimuliError(
            f"'{name}' cannot name a set: use letters, digits, '.', '_' and '-', "
            f"not starting with '{RESERVED}'."
        )


def guess_layout(folder: Path) -> Guess:
    """Layout and space of a folder. Raises StimuliError where it holds neither images nor
    tables."""
    told = tell(folder)
    if told is not None:
        return Guess(*told)
    if (folder / "labels.csv").is_file():
        return Guess("labels-csv", None)
    images = list(islice(images_below(folder), LOOKED_AT))
    if not images:
        if any(folder.rglob("*.csv")):
            return Guess("trials", "geirhos16")
        raise StimuliError(f"{folder}: neither images nor tables of trials below this folder.")
    if all(PREFIX.match(path.name) for path in images):
        return Guess("session", "geirhos16")
    found = _by_folders(images)
    in_cells = all(_in_cell(path.relative_to(folder)) for path in images)
    return Guess("cells", found.space) if in_cells else found


def _in_cell(image: Path) -> bool:
    """Whether an image lies in CORRUPTION/SEVERITY/class."""
    return len(image.parts) > 3 and bool(SEVERITY.fullmatch(image.parts[-3]))


def _by_folders(images: list[Path]) -> Guess:
    classes = {path.parent.name for path in images}
    if all(WNID.fullmatch(name) for name in classes):
        return Guess("class-folder", "imagenet1k")
    if not classes <= set(GEIRHOS16):
        return Guess("class-folder", None)
    conflict = all(read_pair(path.name) for path in images)
    return Guess("cue-conflict" if conflict else "class-folder", "geirhos16")
