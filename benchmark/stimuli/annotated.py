"""Sets whose images carry masks or graded maps: read from their folder, counted, opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_built_in
from benchmark.stimuli.digests import file_digests, set_digest, text_digest
from benchmark.stimuli.items import Annotation, Item, LeftOut, Size, check_spelling, check_unique
from benchmark.stimuli.listings import label_columns, sample_order
from benchmark.stimuli.masked import READERS
from benchmark.stimuli.pixels import FileImages, changed, size_of
from benchmark.stimuli.places import remedy
from benchmark.stimuli.plain_files import State, state_of

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What lies in a folder. items: by category, then name; left_out: reason -> images that the set
    does not show; absent: how many of these are of the set, but not in the folder.
    """

    items: tuple[Item, ...]
    left_out: Mapping[str, int]
    absent: int

    @property
    def lines(self) -> tuple[str, ...]:
        """What was left out, a line each."""
        return tuple(f"left out: {n} images ({why})" for why, n in sorted(self.left_out.items()))


@dataclass(frozen=True)
class Planned:
    """The files of each item as they were when the set was planned. An image file is read and compared whole where it
    is decoded; what annotates it, or holds many images, is compared by its state before and after it is read.
    """

    states: tuple[Mapping[Path, State], ...]

    def __call__(self, index: int, read: Callable[[], T]) -> T:
        """What `read` gives. Raises StimuliError naming a file that is another one now."""
        self._check(index)
        value = read()
        self._check(index)
        return value

    def _check(self, index: int) -> None:
        for path, state in self.states[index].items():
            try:
                same = state_of(path) == state
            except OSError:
                same = False
            if not same:
                raise changed(path)


@dataclass(frozen=True)
class Pictures:
    """decode(i): HWC uint8 from an image file, or from where an annotation says that it lies."""

    files: FileImages
    sources: tuple[Callable[[], NDArray[np.uint8]] | None, ...]
    planned: Planned

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8."""
        source = self.sources[index]
        return self.files(index) if source is None else self.planned(index, source)

    def size(self, index: int) -> Size:
        """Height and width; of a file only the header is read."""
        source = self.sources[index]
        if source is not None:
            height, width = self.planned(index, source).shape[:2]
            return height, width
        width, height = size_of(self.files.paths[index], self.files.remedy)
        return height, width


@dataclass(frozen=True)
class Over(Generic[T]):
    """f(i): what the annotation of the i-th image says at that image's size."""

    pictures: Pictures
    says: tuple[Callable[[Size], T], ...]

    def __call__(self, index: int) -> T:
        """The mask or map of an image."""
        pictures, says = self.pictures, self.says[index]
        return pictures.planned(index, lambda: says(pictures.size(index)))


def survey(entry: Entry, folder: Path) -> Survey:
    """Read a folder's layout; no image is decoded. Raises StimuliError (file, what was expected)."""
    found: list[Item] = []
    left: list[LeftOut] = []
    for one in READERS[entry.layout](entry, folder):
        if isinstance(one, LeftOut):
            left.append(one)
        else:
            found.append(one)
    counts = Counter(one.reason for one in left)
    found.sort(key=lambda item: (item.labels["category"], item.id))
    seen = Survey(tuple(found), counts, sum(one.absent for one in left))
    if not found:
        raise StimuliError(
            f"{folder}: no images of layout '{entry.layout}' for the set '{entry.name}'"
            + "".join(f"; {line}" for line in seen.lines)
            + "."
        )
    check_unique(found)
    return seen


def open_annotated(
    entry: Entry, folder: Path, settings: Settings, limit: int | None = None
) -> Stimuli:
    """The set of an entry, read from `folder`; with `limit` a sample of so many images.

    An item's digest covers its image and what is drawn over it. Raises StimuliError.
    """
    seen = survey(entry, folder)
    n = len(seen.items)
    sampled, items = limit is not None and limit < n, seen.items
    if limit is not None and sampled:
        order = sample_order([item.id for item in items], label_columns(items), limit)
        items = tuple(items[i] for i in order)
    drawn = [item.annotation or Annotation() for item in items]
    ids = tuple(item.id for item in items)
    check_spelling(folder, ids)
    needed = [(item.path, *one.files) for item, one in zip(items, drawn, strict=True)]
    planned = Planned(_states(needed))
    known = _known(needed, folder, settings)
    digests = _digests(needed, drawn, known)
    labels = label_columns(items)
    whole_files = tuple(known[item.path] for item in items)
    files = FileImages(tuple(item.path for item in items), remedy(entry), whole_files)
    pictures = Pictures(files, tuple(one.pixels for one in drawn), planned)
    return Stimuli(
        name=entry.name,
        digest=set_digest(ids, digests, labels),
        space=entry.space,
        ids=ids,
        items=digests,
        labels=labels,
        decode=pictures,
        mask=_over(pictures, [one.mask for one in drawn]),
        ignored=_over(pictures, [one.ignored for one in drawn]),
        importance=_over(pictures, [one.importance for one in drawn]),
        whole=entry.count or n + seen.absent,
        origin="catalogue" if find_built_in(entry.name) else "added",
        sampled=sampled,
    )


def _over(pictures: Pictures, says: Sequence[Callable[[Size], T] | None]) -> Over[T] | None:
    """What all images have, or None."""
    known = tuple(one for one in says if one is not None)
    return Over(pictures, known) if len(known) == len(says) else None


def _states(needed: Sequence[Sequence[Path]]) -> tuple[Mapping[Path, State], ...]:
    """Before anything is read. Raises StimuliError."""
    try:
        known = {path: state_of(path) for path in {path for paths in needed for path in paths}}
    except OSError as error:
        raise StimuliError(
            f"{error.filename or 'a file of the set'}: cannot be read ({error.strerror or error})."
        ) from error
    return tuple({path: known[path] for path in paths} for paths in needed)


def _known(
    needed: Sequence[Sequence[Path]], folder: Path, settings: Settings
) -> Mapping[Path, str]:
    """SHA-256 of every file."""
    files = tuple(dict.fromkeys(path for paths in needed for path in paths))
    return dict(zip(files, file_digests(files, folder, settings), strict=True))


def _digests(
    needed: Sequence[Sequence[Path]], drawn: Sequence[Annotation], known: Mapping[Path, str]
) -> tuple[str, ...]:
    """One a stimulus, of its image file, the files that annotate it, and the rest in words."""
    texts = (
        "\n".join([*(known[path] for path in paths), one.text])
        for paths, one in zip(needed, drawn, strict=True)
    )
    return tuple(text_digest(text) for text in texts)
