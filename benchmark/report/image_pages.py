"""Pages of images: thumbnails of stimuli, the gallery of gradients, and the answers of all observers."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
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
from benchmark.report.writing import Site, slug
from benchmark.store import ObserverRow

#: Longest side of a small picture in pixels.
SIDE = 64
#: Licences under which a small copy may be shown with its source named.
FREE = ("CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "MIT", "Apache-2.0")
OWN = "drawn by this program"
#: Whose answers a page of images tells apart.
GROUPS = {"people": ONE_PERSON, "simulated": SIMULATED, "networks": NETWORKS}
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
        """Return the path of a picture in the report, from the first of these sets that has it; "" without one."""
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
        """Open a set that may be shown; None if it is not installed."""
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


class Strip(NamedTuple):
    """A row of tiles. page: the model's, "" for images and objects; captions: one for each tile, or none."""

    name: str
    page: str
    image: str
    width: int
    height: int
    captions: Sequence[str]


def galleries(site: Site, observers: Mapping[str, ObserverRow]) -> list[tuple[str, list[Strip]]]:
    """(set, its rows: images, objects, models by name) that are kept under the home folder, of models as they are now:
    a strip of other weights is left out."""
    folder = site.settings.thumbnails
    kept = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        titles = {STIMULI: "image", MASKS: "object"}
        beside = [
            strip._replace(name=title) for file, title in titles.items() if (strip := _strip(site, place, file, None))
        ]
        strips = [
            strip
            for name, known in observers.items()
            # a name is a file's own, and no path
            if known.kind == "network" and name not in ("", ".", "..") and not set(name) & set("/\\\0")
            if (strip := _strip(site, place, name, known.identity))
        ]
        if strips:
            kept.append((place.name, [*beside, *strips]))
    return kept


def _strip(site: Site, place: Path, name: str, identity: str | None) -> Strip | None:
    """Copy a stored strip into the report; None if it is missing or shows other weights."""
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
    return Strip(name=name, page=page, image=target, width=width, height=height, captions=captions[:WIDEST])


# --- images and everybody's answers


def stimulus_pages(site: Site, contents: Contents, pictures: Pictures) -> None:
    """stimuli/ROLE-SPACE.html and an index: which images are hard for people, which for networks."""
    sheets = [_sheet(site, answers, pictures) for answers in contents.answers]
    for sheet in sheets:
        title = f"Stimuli: {sheet['title']}"
        site.page(sheet["page"], "stimuli.html", title=title, sheet=sheet, sheets=sheets)
    if sheets:
        site.page("stimuli.html", "stimuli_index.html", title="Stimuli", sheets=sheets)


def _sheet(site: Site, answers: ImageAnswers, pictures: Pictures) -> dict[str, Any]:
    """A role as a page shows it. crowd: people or simulated people ("": neither); rows: the images on which people and
    networks differ most; answers: JSON for the script."""
    data, records = f"data/stimuli-{slug(answers.key)}.csv", list(image_records(answers))
    site.table(data, records, list(records[0]))
    members, called = answers.crowd
    who = "people" if called == "people" else "simulated"
    chosen = most_apart(answers)
    shape, texture, category = (answers.labels[name] for name in ("shape", "texture", "category"))
    conflict = (texture != "") & (texture != category) & (shape == category)
    rows = [
        {
            "name": record["image"],
            "truth": record["category"] + (f" (texture: {record['texture']})" if conflict[at] else ""),
            "right": record[f"{who}_right"],
            "gap": None if None in gap else gap[0] - gap[1],
            "said": record[f"{who}_answers"],
            "networks": record["networks_right"],
            "networks_said": record["networks_answers"],
            "thumbnail": pictures.of(answers.sets.values(), record["image"]),
        }
        for at in chosen
        for record in [records[at]]
        for gap in [(record[f"{who}_right"], record["networks_right"])]
    ]
    counts = {name: int(answers.group(kinds).sum()) for name, kinds in GROUPS.items()}
    return {
        "title": f"{answers.role}, {answers.space}",
        "page": f"stimuli/{slug(answers.key)}.html",
        "total": len(answers.images),
        "crowd": called if members.any() else "",
        "rows": rows,
        "answers": _data(answers, chosen),
        "data": data,
        "credit": pictures.credit(answers.sets.values()),
        **counts,
    }


def image_records(answers: ImageAnswers) -> Iterator[dict[str, Any]]:
    """One record per image: for each group the share of correct answers (None if the image was not shown), n, and the
    most frequent answers."""
    groups = {name: answers.group(kinds) for name, kinds in GROUPS.items()}
    shares = {name: answers.share(members) for name, members in groups.items()}
    for at, image in enumerate(answers.images.tolist()):
        record = {"image": image, **{name: column[at] for name, column in answers.labels.items()}}
        for name, (right, n) in shares.items():
            record[f"{name}_right"] = float(right[at]) if n[at] else None
            record[name] = int(n[at])
        gap = (record["people_right"], record["networks_right"])
        record["people_minus_networks"] = None if None in gap else gap[0] - gap[1]
        for name, members in groups.items():
            words = common_answers(answers, at, members)
            record[f"{name}_answers"] = ", ".join(f"{word} {count}" for word, count in words)
        yield record


def _data(answers: ImageAnswers, chosen: Sequence[int]) -> str:
    """JSON that cannot leave its element: "<" is written as an escape. codes: by image the place of each observer's
    answer in `words`, `ABSENT` where it was not shown."""
    groups = {kind: name for name, kinds in GROUPS.items() for kind in kinds}
    pairs = zip(answers.observers, answers.kinds, strict=True)
    data = {
        "groups": [*GROUPS, "ideal observers"],
        "observers": [
            {"name": printable(name), "page": slug(name), "group": groups.get(kind, "ideal observers")}
            for name, kind in pairs
        ],
        "words": [printable(word) for word in answers.words],
        "category": [printable(str(answers.labels["category"][at])) for at in chosen],
        "codes": answers.code[:, chosen].T.tolist(),
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
