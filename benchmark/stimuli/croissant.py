"""Descriptions of stimulus sets in Croissant 1.1 (MLCommons), with a table of their images and labels."""

import json
import re
from csv import writer
from hashlib import sha256
from io import StringIO
from typing import Any

from benchmark.contracts import Stimuli
from benchmark.stimuli.catalogue import Entry
from benchmark.version import RELEASED, __version__

TABLE = "labels.csv"
#: The terms of the specification's context that stand for the same name in Croissant's vocabulary.
_TERMS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty"),
    *("fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
    *("source", "subField", "transform"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_PROGRAM = "gestaltbench"


def croissant(stimuli: Stimuli, entry: Entry | None) -> dict[str, str]:
    """Return file name -> text of a set's description and of its table of images. entry: of the catalogue, None for the
    built-in world. The images' archives are left out: Croissant wants their digests, and none is promised for ever."""
    labels = [*stimuli.labels]
    text = StringIO(newline="")
    table = writer(text, lineterminator="\n")
    table.writerow(["image", "digest", *labels])
    columns = (stimuli.labels[name].tolist() for name in labels)
    table.writerows(zip(stimuli.ids, stimuli.items, *columns, strict=True))
    data = text.getvalue()
    citation = entry.citation if entry else ""
    stated: dict[str, Any] = {
        "license": (entry.license if entry else "") or "not stated",
        "url": (entry.source if entry else "") or f"https://pypi.org/project/{_PROGRAM}/",
        "citeAs": citation or f"{_PROGRAM} {__version__}, {stimuli.name}",
        "creator": {"@type": "Organization", "name": citation.partition(" (")[0] or f"The {_PROGRAM} developers"},
    }
    year = re.search(r"\((\d{4})\)", citation)
    stated["datePublished"] = RELEASED if entry is None else f"{year[1]}-01-01" if year else ""
    plain: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": stimuli.name,
        "description": f"{(entry.title if entry else '') or 'Images of the built-in world'}: {len(stimuli)} images, "
        f"labels of {stimuli.space}, digest {stimuli.digest}",
        "version": "1.0.0",
        **{name: value for name, value in stated.items() if value},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": TABLE,
                "name": TABLE,
                "contentUrl": TABLE,
                "encodingFormat": "text/csv",
                "sha256": sha256(data.encode()).hexdigest(),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "key": {"@id": "images/image"},
                "field": [_field(name) for name in ("image", "digest", *labels)],
            }
        ],
    }
    return {"croissant.json": json.dumps(plain, indent=1, ensure_ascii=False) + "\n", TABLE: data}


def _field(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
    }
