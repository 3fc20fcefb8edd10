"""Which picture is painted in the manner of which: pairs, names and the manifest of a set. Pure.

Two kinds, after Geirhos et al. (2019, arXiv:1811.12231): "stylised" (Stylized-ImageNet: every picture keeps its label
and takes the texture of a random painting) and "cue-conflict" (the shape of one class, the texture of another).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import StimuliError
from benchmark.stimuli.digests import text_digest
from benchmark.stimuli.listings import sample_order
from benchmark.stimuli.manifests import FORMAT


@dataclass(frozen=True)
class Picture:
    """A file that goes in. category: "" for a painting; digest: SHA-256 of its bytes."""

    path: Path
    category: str
    digest: str


@dataclass(frozen=True)
class Pairing:
    """An image to make. place: "CATEGORY/name.png" in the set's folder."""

    place: str
    content: Picture
    style: Picture


@dataclass(frozen=True)
class Recipe:
    """How the images are made. generator: what paints, by field (name, version, weights, runtime, ...); strength in
    [0, 1]; size: px of the square result; crop: share of the content's shorter side that is shown.
    """

    kind: str
    generator: Mapping[str, str]
    strength: float = 1.0
    size: int = 224
    crop: float = 0.875
    seed: int = 0


def textured(
    contents: Sequence[Picture], styles: Sequence[Picture], seed: int = 0
) -> list[Pairing]:
    """Every content with one style, chosen by the seed and the content's digest among the styles' digests.

    So neither names, nor order, nor other contents change the choice. Raises StimuliError where two contents would
    of a class get one name.
    """
    ordered = sorted(styles, key=lambda one: (one.digest, str(one.path)))
    pairings, seen = [], dict[str, Path]()
    for content in sorted(contents, key=lambda one: (one.category, one.path.name)):
        place = f"{content.category}/{content.path.stem}.png"
        if place in seen:
            raise StimuliError(
                f"{content.path} and {seen[place]} would both become '{place}': rename one."
            )
        seen[place] = content.path
        style = ordered[draw(seed, content.digest) % len(ordered)]
        pairings.append(Pairing(place, content, style))
    return pairings


def spread(pairings: Sequence[Pairing], limit: int | None) -> list[Pairing]:
    """A sample of at most `limit` of them (`listings.sample_order`), in their order."""
    if limit is None or limit >= len(pairings):
        return list(pairings)
    pictures = {"category": [p.content for p in pairings], "texture": [p.style for p in pairings]}
    labels = {name: np.array([p.category for p in of]) for name, of in pictures.items()}
    return [pairings[i] for i in sorted(sample_order([p.place for p in pairings], labels, limit))]


def manifest(
    recipe: Recipe, pairings: Sequence[Pairing], styles: Sequence[Picture], whole: int
) -> str:
    """JSON text of all that decides the images: equal text, equal images. No paths, no names of files that went in.

    styles: all that could be chosen; whole: how many images there are without a limit.
    """
    digests = sorted(one.digest for one in styles)
    table = {
        "format": FORMAT,
        "kind": recipe.kind,
        "generator": dict(recipe.generator),
        "strength": recipe.strength,
        "size": recipe.size,
        "crop": recipe.crop,
        "seed": recipe.seed,
        "whole": whole,
        "styles": {"count": len(digests), "digest": text_digest("\n".join(digests))},
        "images": {
            one.place: {"content": one.content.digest, "style": one.style.digest}
            for one in pairings
        },
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def draw(seed: int, text: str) -> int:
    """A number in [0, 2^64) that follows from seed and text alone."""
    return int(text_digest(f"{seed}:{text}")[:16], 16)
