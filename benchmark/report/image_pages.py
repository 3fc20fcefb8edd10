"""Pages of images: thumbnails of stimuli, the gallery of gradients, and the answers of all observers."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.display import printable
from benchmark.failures import BenchError
from benchmark.report.contents import ABSENT, NETWORKS, ONE_PERSON, SIMULATED, Contents, ImageAnswers
from benchmark.report.writing import Site, slug
from benchmark.store import ObserverRow

#: Images of a role on its page: those on which the groups differ most.
MOST = 120
#: Longest side of a small picture in pixels.
SIDE = 64
#: Licences under which a small copy may be shown with its source named.
FREE = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "Apache-2.0")
OWN = "drawn by this program"
#: Whose answers a page of images tells apart.
GROUPS = {"people": ONE_PERSON, "simulated": SIMULATED, "networks": NETWORKS}
IDEAL = "ideal observers"
#: Files of a gallery that are no model's, and what they show.
BESIDE = {"_stimuli": "image", "_masks": "object"}


class Pictures:
    """Small pictures of stimuli, drawn when a page asks for them. The set must be drawn by gestaltbench, or be on this
    disk with a licence that lets others show it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sets: dict[str, tuple[Stimuli, Mapping[str, int], str] | None] = {}

    def of(self, sets: Iterable[str], image: str) -> str:
        """Return the path of a picture in the report, from the first of these sets that has it; "" without one."""
        for name in dict.fromkeys(sets):
            if name not in self._sets:
                self._sets[name] = self._open(name)
            known = self._sets[name]
            if known is None or image not in known[1]:
                continue
            stimuli, places, _ = known
            i = places[image]
            path = f"thumbnails/{slug(stimuli.name)}-{stimuli.items[i][:12]}.webp"
            with suppress(BenchError):  # damaged: the page does without
                if not (self._site.folder / path).is_file():
                    self._site.file(path, small(stimuli.decode(i)))
                return path
        return ""

    def credit(self, sets: Iterable[str]) -> str:
        """Return whose pictures of these sets were shown, and under which licence."""
        return "; ".join(dict.fromkeys(known[2] for name in sets if (known := self._sets.get(name))))

    def _open(self, name: str) -> tuple[Stimuli, Mapping[str, int], str] | None:
        """Return a set that may be shown, its images' indices, and its credit; None if it is not installed."""
        from benchmark.stimuli.catalogue import find_entry
        from benchmark.stimuli.datasets import open_set
        from benchmark.stimuli.world.sets import is_generated

        settings = self._site.settings
        try:
            entry = None if is_generated(name) else find_entry(name, settings)
            if entry is not None and (entry.license not in FREE or entry.kind != "images"):
                return None
            stimuli = open_set(name, settings)
        except BenchError:
            return None  # not here, or not readable
        credit = OWN if entry is None else f"{entry.citation} ({entry.license})".strip()
        return stimuli, {image: i for i, image in enumerate(stimuli.ids)}, credit


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """Return WebP of at most side x side pixels from HWC uint8 RGB."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, format="WEBP", quality=72)
    return out.getvalue()


def galleries(site: Site, observers: Mapping[str, ObserverRow]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Copy the rows of tiles kept under the home folder, and return (set, its rows: images, objects, models). Rows of
    other weights than a model has now are left out."""
    from PIL import Image

    folder, kept = site.settings.thumbnails, []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        strips: dict[str, dict[str, Any]] = {}
        for path in place.glob("*.png"):
            name, observer = path.stem, observers.get(path.stem)
            try:
                with Image.open(path) as image:
                    (width, height), notes = image.size, dict(image.info)
            except OSError:  # left by a killed process
                continue
            if observer and notes.get("identity") != observer.identity:
                continue
            target = f"gallery/{slug(place.name)}/{slug(name.lstrip('_'))}.png"
            site.file(target, path.read_bytes())
            page, captions = f"observers/{slug(name)}.html" if observer else "", json.loads(notes.get("captions", "[]"))
            size = {"width": width, "height": height}
            strips[name] = {"name": name, "page": page, "image": target, "captions": captions, **size}
        beside = [strips[name] | {"name": title} for name, title in BESIDE.items() if name in strips]
        if models := [strips[name] for name in observers if name in strips]:
            kept.append((place.name, [*beside, *models]))
    return kept


def stimulus_pages(site: Site, contents: Contents, pictures: Pictures) -> None:
    """Write stimuli/ROLE-SPACE.html and an index: which images are hard for people, which for networks."""
    sheets, group_of = list[dict[str, Any]](), {kind: name for name, kinds in GROUPS.items() for kind in kinds}
    for answers in contents.answers:
        data, records = f"data/stimuli-{slug(answers.key)}.csv", list(image_records(answers))
        site.table(data, records)
        members, called = answers.crowd
        chosen, sets = most_apart(answers), answers.sets.values()
        shown = {
            "groups": [*GROUPS, IDEAL],
            "observers": [
                {"name": printable(name), "page": slug(name), "group": group_of.get(kind, IDEAL)}
                for name, kind in zip(answers.observers, answers.kinds, strict=True)
            ],
            "words": [printable(word) for word in answers.words],
            "category": [printable(str(records[i]["category"])) for i in chosen],
            "codes": answers.code[:, chosen].T.tolist(),  # of each image: indices of `words`, `ABSENT` for no answer
        }
        sheet = {
            "title": f"{answers.role}, {answers.space}",
            "page": f"stimuli/{slug(answers.key)}.html",
            "total": len(answers.images),
            "crowd": called if members.any() else "",
            "who": "people" if called == "people" else "simulated",
            "rows": [records[i] | {"thumbnail": pictures.of(sets, records[i]["image"])} for i in chosen],
            "answers": json.dumps(shown, separators=(",", ":")).replace("<", "\\u003c"),  # cannot end its element
            "data": data,
            "credit": pictures.credit(sets),
        }
        sheets.append(sheet | {name: int(answers.group(kinds).sum()) for name, kinds in GROUPS.items()})
    for one in sheets:
        site.page(one["page"], "stimuli.html", title=f"Stimuli: {one['title']}", sheet=one, sheets=sheets)
    if sheets:
        site.page("stimuli.html", "stimuli_index.html", title="Stimuli", sheets=sheets)


def most_apart(answers: ImageAnswers, most: int = MOST) -> list[int]:
    """Return the images by how far people are ahead of networks, both ends; without people the hardest ones."""
    human, _ = answers.share(answers.crowd[0])
    machine, _ = answers.share(answers.group(NETWORKS))
    gap = human - machine
    if np.isnan(gap).all():
        gap = -np.nan_to_num(machine, nan=1.0)
    order: list[int] = np.argsort(-np.nan_to_num(gap, nan=0.0), kind="stable").tolist()
    first = most * 2 // 3
    return order if len(order) <= most else [*order[:first], *order[first - most :]]


def image_records(answers: ImageAnswers) -> Iterator[dict[str, Any]]:
    """Yield a record per image: share right (None: not shown), n and most frequent answers of each group."""
    groups = {name: answers.group(kinds) for name, kinds in GROUPS.items()}
    shares = {name: answers.share(members) for name, members in groups.items()}
    for i, image in enumerate(answers.images.tolist()):
        record = {"image": image, **{name: column[i] for name, column in answers.labels.items()}}
        for name, (right, n) in shares.items():
            record |= {f"{name}_right": float(right[i]) if n[i] else None, name: int(n[i])}
        gap = float(shares["people"][0][i] - shares["networks"][0][i])
        record["people_minus_networks"] = None if np.isnan(gap) else gap
        for name, members in groups.items():
            counts = Counter(code for code in answers.code[members, i].tolist() if code != ABSENT)
            most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
            record[f"{name}_answers"] = ", ".join(f"{answers.words[code]} {count}" for code, count in most)
        yield record
