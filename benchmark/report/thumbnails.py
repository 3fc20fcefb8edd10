"""Small pictures of stimuli, where their licence lets others show them and their files are on this disk."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.report.answers import Answers, telling
from benchmark.report.writing import Site, slug

if TYPE_CHECKING:
    from benchmark.contracts import Stimuli
    from benchmark.settings import Settings

SIDE = 64
#: Images of a role that get one: the first and the last of the page.
MOST = 60
#: Licences under which a small copy may be shown with its source named.
FREE = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "Apache-2.0")
OWN = "drawn by this program"

Places = dict[tuple[str, str], str]


def thumbnails(
    site: Site, answers: Sequence[Answers], settings: Settings
) -> tuple[Places, dict[str, str]]:
    """((key of a role, image) -> path in the report, key -> whose pictures they are and under which licence)."""
    places: Places = {}
    credits: dict[str, str] = {}
    for one in answers:
        chosen = telling(one)
        chosen = (
            chosen if len(chosen) <= MOST else [*chosen[: MOST * 2 // 3], *chosen[-MOST // 3 :]]
        )
        wanted = set(one.images[chosen].tolist())
        for stimuli, credit in _allowed(one, settings):
            for image, path in _drawn(site, stimuli, wanted):
                places[one.key, image] = path
                wanted.discard(image)
                credits[one.key] = credit
    return places, credits


def _allowed(answers: Answers, settings: Settings) -> Iterator[tuple[Stimuli, str]]:
    """The sets of a role that may be shown, as far as they are here."""
    from benchmark.stimuli.catalogue import find_entry
    from benchmark.stimuli.datasets import open_set
    from benchmark.stimuli.generated import is_generated

    for name in dict.fromkeys(answers.sets.values()):
        try:
            entry = None if is_generated(name) else find_entry(name, settings)
            if entry is None or (entry.license in FREE and entry.kind == "images"):
                yield (
                    open_set(name, settings),
                    OWN if entry is None else f"{entry.citation} ({entry.license})".strip(),
                )
        except BenchError:
            continue  # not here, or not readable: the page does without


def _drawn(site: Site, stimuli: Stimuli, wanted: set[str]) -> Iterator[tuple[str, str]]:
    for at, image in enumerate(stimuli.ids):
        if image not in wanted:
            continue
        path = f"thumbnails/{slug(stimuli.name)}-{stimuli.items[at][:12]}.webp"
        if not (site.folder / path).is_file():
            try:
                site.picture(path, small(stimuli.decode(at)))
            except BenchError:
                continue
        yield image, path


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """WebP of at most side x side pixels from HWC uint8 RGB."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, format="WEBP", quality=72)
    return out.getvalue()
