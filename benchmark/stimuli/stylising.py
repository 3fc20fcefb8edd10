"""Which picture is painted in the manner of which: pairs, names and the manifest of a stylised set. Pure.

Two kinds, after Geirhos et al. (2019, arXiv:1811.12231): "stylised" (Stylized-ImageNet: every picture keeps its label
and takes the texture of a random painting) and "cue-conflict" (the shape of one class, the texture of another).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import lcm
from pathlib import Path
from typing import TypeVar

from benchmark.errors import StimuliError
from benchmark.stimuli.digests import text_digest
from benchmark.stimuli.manifests import FORMAT

T = TypeVar("T")


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
class Sample:
    """How many cue-conflict images: `per_pair` for each ordered pair of categories, or `count` in all, spread evenly;
    neither: all. same: pairs of a category with itself too (of the 1,280 published images, 80 are).
    """

    per_pair: int | None = None
    count: int | None = None
    same: bool = False


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
        style = ordered[_number(seed, content.digest) % len(ordered)]
        pairings.append(Pairing(place, content, style))
    return pairings


def conflicting(
    shapes: Sequence[Picture], textures: Sequence[Picture], sample: Sample, seed: int = 0
) -> list[Pairing]:
    """Shapes with textures of other categories, by category and name, under names like "cat/cat7-elephant1.png".

    A sample is balanced: over pairs of categories, and over the exemplars of each category (their uses differ by one
    at most where the numbers allow it). A picture is never paired with itself. Raises StimuliError where there are
    fewer pairs than are asked for.
    """
    mine, theirs = _by_category(shapes), _by_category(textures)
    cells = [(s, t) for s in sorted(mine) for t in sorted(theirs) if sample.same or s != t]
    if not cells:
        raise StimuliError(
            f"no pair of different categories: shapes of {', '.join(sorted(mine))}, "
            f"textures of {', '.join(sorted(theirs))}. Add categories, or allow equal ones with --same-category."
        )
    quotas = _quotas(cells, sample, seed)
    names = {**_exemplars(shapes, "shape"), **_exemplars(textures, "texture")}
    uses = Counter[tuple[str, Path]]()
    pairings = []
    for shape, texture in cells:
        wanted = quotas.get((shape, texture))
        pairs = _pairs(mine[shape], theirs[texture], wanted, uses, seed)
        chosen = list(islice(pairs, wanted))
        if wanted is not None and len(chosen) < wanted:
            raise StimuliError(
                f"{wanted} images of shape '{shape}' with texture '{texture}' are asked for; "
                f"the folders give {len(chosen)} pairs of them."
            )
        for content, style in chosen:
            uses.update([("shape", content.path), ("texture", style.path)])
            name = f"{names['shape', content.path]}-{names['texture', style.path]}.png"
            pairings.append(Pairing(f"{shape}/{name}", content, style))
    return sorted(pairings, key=lambda one: one.place)


def spread(pairings: Sequence[Pairing], limit: int | None) -> list[Pairing]:
    """At most `limit` of them, evenly spaced over the order, as `sets.subset` does."""
    n = len(pairings)
    if limit is None or limit >= n:
        return list(pairings)
    return [pairings[i * n // limit] for i in range(limit)]


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


def _pairs(
    shapes: Sequence[Picture],
    textures: Sequence[Picture],
    wanted: int | None,
    uses: Mapping[tuple[str, Path], int],
    seed: int,
) -> Iterator[tuple[Picture, Picture]]:
    """Every pair once, such that the first `wanted` use least what was used most."""

    def order(part: str, ones: Sequence[Picture], other: str) -> list[Picture]:
        def key(one: Picture) -> tuple[int, int, str]:
            used = uses.get((part, one.path), 0)
            return used, _number(seed, f"{one.digest}:{other}"), str(one.path)

        return sorted(ones, key=key)

    first = order("shape", shapes, textures[0].category)
    second = order("texture", textures, shapes[0].category)
    for content, style in _diagonals(first, second, wanted or 0):
        if content.digest != style.digest:
            yield content, style


def _quotas(
    cells: Sequence[tuple[str, str]], sample: Sample, seed: int
) -> dict[tuple[str, str], int]:
    """Images per pair of categories; {}: all there are. What does not divide evenly goes to pairs by lot, no category
    far before another.
    """
    if sample.per_pair is not None:
        return dict.fromkeys(cells, sample.per_pair)
    if sample.count is None:
        return {}
    each, rest = divmod(sample.count, len(cells))
    sides = [
        sorted(set(side), key=lambda one: _number(seed, one)) for side in zip(*cells, strict=True)
    ]
    possible = set(cells)
    lucky = set(islice((cell for cell in _diagonals(*sides) if cell in possible), rest))
    return {cell: each + (cell in lucky) for cell in cells}


def _diagonals(first: Sequence[T], second: Sequence[T], wanted: int = 0) -> Iterator[tuple[T, T]]:
    """Every pair once, such that each beginning uses all of either side equally often, or nearly so; of `wanted` pairs,
    what is used once more than the rest are the first ones of either side.

    Step i pairs number i mod n with (i - i div l) mod m, l = lcm(n, m): by the Chinese remainder theorem n m steps
    give n m pairs. The shift is counted from the round of l steps in which `wanted` lies.
    """
    n, m = len(first), len(second)
    around = lcm(n, m)
    for i in range(n * m):
        yield first[i % n], second[(i + wanted // around - i // around) % m]


def _exemplars(pictures: Sequence[Picture], part: str) -> dict[tuple[str, Path], str]:
    """(part, path) -> "cat7": the file's own name where all of its category are of that form, else numbered by name."""
    names = {}
    for category, ones in _by_category(pictures).items():
        stems = [one.path.stem for one in ones]
        own = len(set(stems)) == len(stems) and all(
            re.fullmatch(rf"{re.escape(category)}\d+", stem) for stem in stems
        )
        for i, one in enumerate(ones, 1):
            names[part, one.path] = one.path.stem if own else f"{category}{i}"
    return names


def _by_category(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    groups: dict[str, list[Picture]] = {}
    for one in sorted(pictures, key=lambda one: (one.category, one.path.name)):
        groups.setdefault(one.category, []).append(one)
    return groups


def _number(seed: int, text: str) -> int:
    return int(text_digest(f"{seed}:{text}")[:16], 16)
