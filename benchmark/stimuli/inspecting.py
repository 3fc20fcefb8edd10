"""What can be wrong with the images of a folder, found by looking at all of them or at a sample."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.listings import Listing, evenly
from benchmark.stimuli.pixels import FileImages
from benchmark.stimuli.places import remedy

Tick = Callable[[], None]
SHOWN = 10  # problems of one kind that are spelled out
#: Every image of a set is read where it has at most so many; of a larger one a sample.
READ_ALL = 5000
SAMPLE = 1000
Expect = Callable[[int], Tick]


@dataclass(frozen=True)
class Row:
    """One corruption of a set in cells, in words."""

    corruption: str
    severities: str
    classes: str
    images: str
    size: str
    remark: str


@dataclass(frozen=True)
class Verification:
    """Whether a set can be used as published, and what was looked at, a line each; `table` for sets in cells."""

    ok: bool
    lines: tuple[str, ...]
    table: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Depth:
    """How closely to look. sample: images per folder; full: read every one; expect: told how many images will be
    read, gives what is called after each."""

    sample: int | None = None
    full: bool = False
    expect: Expect = lambda _: lambda: None

    def of(self, n: int, standard: int, total: int) -> Sequence[int]:
        """Which of the n images of a folder to read, of a set with `total`; standard: how many of a large set."""
        if self.full or (self.sample is None and total <= READ_ALL):
            return range(n)
        return evenly(n, standard if self.sample is None else self.sample)


@dataclass(frozen=True)
class Looked:
    """What was seen of the images that were read. sizes: (width, height) px -> how many."""

    unreadable: tuple[str, ...]
    sizes: Counter[tuple[int, int]]
    first: dict[tuple[int, int], str]
    """The first file of each size."""


def empty_files(listing: Listing) -> list[int]:
    """Positions of files without a byte, of all that are listed. Raises StimuliError where one is gone."""
    found = []
    for i, file in enumerate(listing.files):
        path = os.path.join(listing.folder, file)  # noqa: PTH118 - a million paths as text, not objects
        try:
            if not os.stat(path).st_size:  # noqa: PTH116 - as above
                found.append(i)
        except OSError as error:
            raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return found


def look_at(entry: Entry, listing: Listing, index: Iterable[int], tick: Tick) -> Looked:
    """Decode the images at `index`."""
    images = FileImages(listing.paths, remedy(entry))
    unreadable: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], str] = {}
    for i in index:
        try:
            height, width, _ = images(i).shape
            sizes[width, height] += 1
            first.setdefault((width, height), str(images.paths[i]))
        except StimuliError as error:
            unreadable.append(str(error))
        tick()
    return Looked(tuple(unreadable), sizes, first)


def size_problems(entry: Entry, looked: Looked) -> list[str]:
    """Images whose size is not the published one."""
    if entry.size is None:
        return []
    expected = (entry.size, entry.size)
    return [
        f"{n} of {looked.sizes.total()} images that were read are {w} x {h} px, expected "
        f"{entry.size} x {entry.size} (such as {looked.first[w, h]})"
        for (w, h), n in looked.sizes.items()
        if (w, h) != expected
    ]


def size_words(sizes: Counter[tuple[int, int]]) -> str:
    """The sizes seen, the most frequent first: "224 x 224", "500 x 375 and 87 others"."""
    if not sizes:
        return ""
    (width, height), _ = sizes.most_common(1)[0]
    others = len(sizes) - 1
    return f"{width} x {height}" + (f" and {others} other{'s' * (others > 1)}" if others else "")


def class_problems(entry: Entry, classes: Collection[str]) -> list[str]:
    """Classes that a set of this entry cannot have: unknown ones, or more than were published."""
    problems = []
    if entry.space == "imagenet1k":
        from registry.labels import label_space

        unknown = sorted(set(classes) - set(label_space("imagenet1k").classes))
        if unknown:
            problems.append(f"not among the 1000 classes of ImageNet-1k: {some(unknown)}")
    if entry.classes is not None and len(classes) > entry.classes:
        problems.append(f"{len(classes)} classes, expected {entry.classes}")
    return problems


def repeats(items: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A line on images of one folder that are the same files byte for byte, where there are any."""
    first: dict[str, int] = {}
    twice = [
        (ids[first[item]], ids[i]) for i, item in enumerate(items) if first.setdefault(item, i) != i
    ]
    if not twice:
        return []
    return [
        f"{len(twice)} images are copies of others ({some([' = '.join(two) for two in twice])})"
    ]


def altered_files(names: Sequence[str]) -> list[str]:
    """A line on files that are others than when they were first read, where there are any."""
    if not names:
        return []
    return [
        f"{len(names)} files changed since they were first read, behind an unchanged size and time ({some(names)}): "
        "the set is another one now"
    ]


def some(names: Sequence[str], shown: int = 3) -> str:
    """A few of many names."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def shortened(problems: Sequence[str]) -> list[str]:
    """The first problems of one kind, and how many there are beyond them."""
    more = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"... and {more} more of this kind"] if more > 0 else [])]
