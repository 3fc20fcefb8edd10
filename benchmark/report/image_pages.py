"""Pages of images: small pictures of stimuli, the gallery of gradients, and everybody's answers to single images."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.display import printable
from benchmark.errors import BenchError
from benchmark.report.contents import (
    NETWORKS,
    ONE_PERSON,
    SIMULATED,
    Contents,
    ImageAnswers,
    common_answers,
    most_apart,
)
from benchmark.report.writing import Site, short, slug

if TYPE_CHECKING:
    from benchmark.contracts import Stimuli
    from benchmark.store import ObserverRow

#: Longest side of a small picture in pixels.
SIDE = 64
#: Licences under which a small copy may be shown with its source named.
FREE = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "Apache-2.0")
OWN = "drawn by this program"
#: Files of a gallery that are no model's; larger files, and more tiles than these, are none of ours.
STIMULI, MASKS = "_stimuli", "_masks"
LARGEST, WIDEST = 4_000_000, 32


class Pictures:
    """Small pictures of stimuli, drawn when a page asks for them: of sets that are drawn by the program, or whose
    licence lets others show them and whose files are on this disk."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sets: dict[str, tuple[Stimuli, Mapping[str, int], str] | None] = {}

    def of(self, sets: Iterable[str], image: str) -> str:
        """The path of a picture in the report, from the first of these sets that has it; "" without one."""
        for name in dict.fromkeys(sets):
            if name not in self._sets:
                self._sets[name] = self._open(name)
            known = self._sets[name]
            if known is None or image not in known[1]:
                continue
            stimuli, places, _ = known
            at = places[image]
            path = f"thumbnails/{slug(stimuli.name)}-{stimuli.items[at][:12]}.webp"
            try:
                if not (self._site.folder / path).is_file():
                    self._site.picture(path, small(stimuli.decode(at)))
            except BenchError:
                continue  # damaged: the page does without
            return path
        return ""

    def credit(self, sets: Iterable[str]) -> str:
        """Whose pictures of these sets were shown, and under which licence."""
        return "; ".join(dict.fromkeys(known[2] for name in sets if (known := self._sets.get(name))))

    def _open(self, name: str) -> tuple[Stimuli, Mapping[str, int], str] | None:
        """A set that may be shown, if it is here."""
        from benchmark.stimuli.catalogue import find_entry
        from benchmark.stimuli.datasets import open_set
        from benchmark.stimuli.generated import is_generated

        settings = self._site.settings
        try:
            entry = None if is_generated(name) else find_entry(name, settings)
            if entry is not None and (entry.license not in FREE or entry.kind != "images"):
                return None
            stimuli = open_set(name, settings)
        except BenchError:
            return None  # not here, or not readable
        credit = OWN if entry is None else f"{entry.citation} ({entry.license})".strip()
        return stimuli, {image: at for at, image in enumerate(stimuli.ids)}, credit


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """WebP of at most side x side pixels from HWC uint8 RGB."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, format="WEBP", quality=72)
    return out.getvalue()


# --- the gallery that `bench plot gallery` keeps: images, their objects, and what each model's gradient falls on


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
class KeptGallery:
    """A stimulus set's rows: images, objects, then models by name."""

    title: str
    strips: Sequence[Strip]


def galleries(site: Site, observers: Mapping[str, ObserverRow]) -> list[KeptGallery]:
    """What is kept under the home folder, of models as they are now: a strip of other weights is left out."""
    folder = site.settings.thumbnails
    kept = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        beside = [
            replace(strip, name=title)
            for file, title in ((STIMULI, "image"), (MASKS, "object"))
            if (strip := _strip(site, place, file, None))
        ]
        strips = [
            strip
            for name, known in observers.items()
            # a name is a file's own, and no path
            if known.kind == "network" and name not in ("", ".", "..") and not set(name) & set("/\\\0")
            if (strip := _strip(site, place, name, known.identity))
        ]
        if strips:
            kept.append(KeptGallery(place.name, [*beside, *strips]))
    return kept


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
    try:
        texts = json.loads(notes.get("captions") or "[]")
    except (TypeError, ValueError):
        texts = []
    captions = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    page = "" if identity is None else f"observers/{slug(name)}.html"
    return Strip(name, page, target, width, height, captions[:WIDEST])


# --- images and everybody's answers


@dataclass(frozen=True)
class ImageRow:
    """An image: shares of right answers as texts, "" where nobody of the group saw it; people: simulated ones where the
    sheet has no others. index: in the page's data."""

    index: int
    name: str
    truth: str
    people: str
    networks: str
    gap: str
    said_people: str
    said_networks: str
    thumbnail: str


@dataclass(frozen=True)
class Sheet:
    """A role as a page shows it. crowd: what the people of its columns are called, "" where there are none; answers:
    JSON for the script: observers, words, and codes by image."""

    key: str
    title: str
    total: int
    people: int
    simulated: int
    networks: int
    crowd: str
    pictures: Sequence[ImageRow]
    answers: str
    data: str
    credit: str


def stimulus_pages(site: Site, contents: Contents, pictures: Pictures) -> None:
    """stimuli/ROLE-SPACE.html and an index: which images are hard for people, which for networks."""
    sheets = []
    for answers in contents.answers:
        data = f"data/stimuli-{slug(answers.key)}.csv"
        records = list(image_records(answers))
        site.table(data, records, list(records[0]))
        sheets.append(_sheet(answers, data, pictures))
    links = [(sheet.title, f"stimuli/{slug(sheet.key)}.html", sheet) for sheet in sheets]
    for sheet in sheets:
        page = f"stimuli/{slug(sheet.key)}.html"
        site.page(page, "stimuli.html", title=f"Stimuli: {sheet.title}", sheet=sheet, links=links, here=page)
    if sheets:
        site.page("stimuli.html", "stimuli_index.html", title="Stimuli", links=links)


def image_records(answers: ImageAnswers) -> Iterator[dict[str, Any]]:
    """One record per image."""
    people, networks = answers.group(ONE_PERSON), answers.group(NETWORKS)
    human, k = answers.share(people)
    machine, m = answers.share(networks)
    simulated = answers.group(SIMULATED)
    drawn, s = answers.share(simulated)
    for at, image in enumerate(answers.images.tolist()):
        yield {
            "image": image,
            **{name: column[at] for name, column in answers.labels.items()},
            "people_right": _or_none(human[at]),
            "people": int(k[at]),
            "networks_right": _or_none(machine[at]),
            "networks": int(m[at]),
            "people_minus_networks": _or_none(human[at] - machine[at]),
            "people_answers": _said(answers, at, people),
            "network_answers": _said(answers, at, networks),
            "simulated_right": _or_none(drawn[at]),
            "simulated": int(s[at]),
            "simulated_answers": _said(answers, at, simulated),
        }


def _sheet(answers: ImageAnswers, data: str, pictures: Pictures) -> Sheet:
    (people, called), networks = answers.crowd, answers.group(NETWORKS)
    human, _ = answers.share(people)
    machine, _ = answers.share(networks)
    chosen = most_apart(answers)
    rows = []
    for index, at in enumerate(chosen):
        image = str(answers.images[at])
        rows.append(
            ImageRow(
                index=index,
                name=image,
                truth=_truth(answers, at),
                people=_share(human[at]),
                networks=_share(machine[at]),
                gap=_share(human[at] - machine[at]),
                said_people=_said(answers, at, people),
                said_networks=_said(answers, at, networks),
                thumbnail=pictures.of(answers.sets.values(), image),
            )
        )
    return Sheet(
        key=answers.key,
        title=f"{answers.role}, {answers.space}",
        total=len(answers.images),
        people=int(answers.group(ONE_PERSON).sum()),
        simulated=int(answers.group(SIMULATED).sum()),
        networks=int(networks.sum()),
        crowd=called if people.any() else "",
        pictures=rows,
        answers=_data(answers, chosen),
        data=data,
        credit=pictures.credit(answers.sets.values()),
    )


def _data(answers: ImageAnswers, chosen: Sequence[int]) -> str:
    """JSON that cannot leave its element: "<" is written as an escape. codes: by image the place of each observer's
    answer in `words`, `ABSENT` where it was not shown."""
    groups = {"People": ONE_PERSON, "Simulated people": SIMULATED, "Networks": NETWORKS}
    observers = [
        {
            "name": printable(name),
            "page": slug(name),
            "group": next((group for group, kinds in groups.items() if kind in kinds), "Ideal observers"),
        }
        for name, kind in zip(answers.observers, answers.kinds, strict=True)
    ]
    data = {
        "groups": [*groups, "Ideal observers"],
        "observers": observers,
        "words": [printable(word) for word in answers.words],
        "category": [printable(str(answers.labels["category"][at])) for at in chosen],
        "codes": answers.code[:, chosen].T.tolist(),
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _truth(answers: ImageAnswers, at: int) -> str:
    shape, texture = (str(answers.labels[name][at]) for name in ("shape", "texture"))
    category = str(answers.labels["category"][at])
    return f"{category} (texture: {texture})" if texture and texture != category and shape == category else category


def _said(answers: ImageAnswers, at: int, members: NDArray[np.bool_]) -> str:
    return ", ".join(f"{word} {count}" for word, count in common_answers(answers, at, members))


def _share(value: float) -> str:
    return "" if np.isnan(value) else short(float(value))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
