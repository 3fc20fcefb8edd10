"""The gallery that `bench plot gallery` keeps: images, their objects, and what each model's gradient falls on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.report.writing import Site, slug

if TYPE_CHECKING:
    from benchmark.settings import Settings
    from benchmark.store import ObserverRow

#: Suite on whose page it stands.
SUITE = "saliency"
STIMULI, MASKS = "_stimuli", "_masks"
#: Larger files, and more tiles than these, are none of ours.
LARGEST, WIDEST = 4_000_000, 32


@dataclass(frozen=True)
class Strip:
    """A row of tiles. page: the model's, "" for images and objects; captions: one for each tile, or none."""

    name: str
    page: str
    image: str
    width: int
    height: int
    captions: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """A stimulus set's rows: images, objects, then models by name."""

    title: str
    strips: Sequence[Strip]


def galleries(
    site: Site, observers: Mapping[str, ObserverRow], settings: Settings
) -> list[Gallery]:
    """What is kept under the home folder, of models as they are now: a strip of other weights is left out."""
    folder = settings.thumbnails
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        models = [
            (name, known.identity)
            for name, known in observers.items()
            if known.kind == "network" and _plain(name)
        ]
        strips = [
            strip for name, identity in models if (strip := _strip(site, place, name, identity))
        ]
        if strips:
            found.append(Gallery(place.name, [*_beside(site, place), *strips]))
    return found


def _plain(name: str) -> bool:
    """Whether a name is a file's own, and no path."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")


def _beside(site: Site, place: Path) -> Iterator[Strip]:
    for file, title in ((STIMULI, "image"), (MASKS, "object")):
        strip = _strip(site, place, file, None)
        if strip is not None:
            yield Strip(title, "", strip.image, strip.width, strip.height, strip.captions)


def _strip(site: Site, place: Path, name: str, identity: str | None) -> Strip | None:
    """A kept strip, copied into the report; None where there is none, or it shows other weights."""
    from PIL import Image

    path = place / f"{name}.png"
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        with Image.open(path, formats=["PNG"]) as image:
            width, height, notes = *image.size, dict(image.info)
        if identity is not None and notes.get("identity") != identity:
            return None
        target = f"gallery/{slug(place.name)}/{slug(name.lstrip('_'))}.png"
        site.picture(target, path.read_bytes())
    except OSError:
        return None
    page = "" if identity is None else f"observers/{slug(name)}.html"
    return Strip(name, page, target, width, height, _captions(notes.get("captions")))


def _captions(text: object) -> list[str]:
    """The texts under the tiles; none where the file says no list of texts."""
    try:
        found = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return (
        [one for one in found if isinstance(one, str)][:WIDEST] if isinstance(found, list) else []
    )
