"""Descriptions of stimulus sets in Croissant 1.1 (MLCommons), with a table of their images and labels."""

import json
import re
from copy import deepcopy
from csv import writer
from io import StringIO

from benchmark.contracts import Stimuli
from benchmark.contracts.declarations import package_data
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.image_files import text_digest
from benchmark.version import RELEASED, __version__


def croissant(stimuli: Stimuli, entry: Entry | None) -> dict[str, str]:
    """Return file name -> text of a set's description and table of images. entry: None for the built-in world."""
    text, names = StringIO(newline=""), ["image", "digest", *stimuli.labels]
    labels = (column.tolist() for column in stimuli.labels.values())
    table = writer(text, lineterminator="\n")
    table.writerows([names, *zip(stimuli.ids, stimuli.items, *labels, strict=True)])
    plain = deepcopy(dict(package_data("benchmark.stimuli", "croissant")))
    plain["distribution"][0]["sha256"] = text_digest(text.getvalue())
    field = plain.pop("field")
    plain["recordSet"][0]["field"] = [
        field | {"@id": f"images/{name}", "name": name, "source": field["source"] | {"extract": {"column": name}}}
        for name in names
    ]
    world = plain.pop("world")
    about = entry or Entry(**world | {"citation": world["citation"].format(RELEASED[:4], __version__)})
    year = "".join(re.findall(r"\((\d{4})\)", about.citation)[:1])
    what = f"{len(stimuli)} images, labels of {stimuli.space}, digest {stimuli.digest}"
    stated = {
        "name": stimuli.name,
        "description": f"{about.title or stimuli.name}: {what}",
        "license": about.license,
        "url": about.source,
        "citeAs": about.citation,
        "creator": {"@type": "Organization", "name": about.citation.partition(" (")[0]} if about.citation else "",
        "datePublished": f"{year}-01-01" if year else "",
    }
    plain |= {name: value for name, value in stated.items() if value}
    return {"croissant.json": json.dumps(plain, indent=1, ensure_ascii=False) + "\n", "labels.csv": text.getvalue()}
