"""Cue conflict: which shape meets which texture, all of them or a balanced sample. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import lcm
from pathlib import Path
from typing import TypeVar

from benchmark.errors import StimuliError
from benchmark.stimuli.stylising import Pairing, Picture, draw

T = TypeVar("T")
Cell = tuple[str, str]  # category of the shape, of the texture


@dataclass(frozen=True)
class Sample:
    """How many cue-conflict images: `per_pair` for each ordered pair of categories, or `count` in all, spread evenly;
    neither: all. same: pairs of a category with itself too (of the 1,280 published images, 80 are).
    """

    per_pair: int | None = None
    count: int | None = None
    same: bool = False


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
    quotas = _quotas(
        {cell: _pairs_of(mine[cell[0]], theirs[cell[1]]) for cell in cells}, sample, seed
    )
    names = {**_exemplars(shapes, "shape"), **_exemplars(textures, "texture")}
    uses = Counter[tuple[str, Path]]()
    pairings = []
    for (shape, texture), wanted in quotas.items():
        pairs = _pairs(mine[shape], theirs[texture], wanted, uses, seed)
        for content, style in islice(pairs, wanted):
            uses.update([("shape", content.path), ("texture", style.path)])
            name = f"{names['shape', content.path]}-{names['texture', style.path]}.png"
            pairings.append(Pairing(f"{shape}/{name}", content, style))
    return sorted(pairings, key=lambda one: one.place)


def _pairs(
    shapes: Sequence[Picture],
    textures: Sequence[Picture],
    wanted: int,
    uses: Mapping[tuple[str, Path], int],
    seed: int,
) -> Iterator[tuple[Picture, Picture]]:
    """Every pair once, such that the first `wanted` use least what was used most."""

    def order(part: str, ones: Sequence[Picture], other: str) -> list[Picture]:
        def key(one: Picture) -> tuple[int, int, str]:
            used = uses.get((part, one.path), 0)
            return used, draw(seed, f"{one.digest}:{other}"), str(one.path)

        return sorted(ones, key=key)

    first = order("shape", shapes, textures[0].category)
    second = order("texture", textures, shapes[0].category)
    for content, style in _diagonals(first, second, wanted):
        if content.digest != style.digest:
            yield content, style


def _pairs_of(shapes: Sequence[Picture], textures: Sequence[Picture]) -> int:
    """How many pairs of different pictures there are."""
    theirs = Counter(one.digest for one in textures)
    return len(shapes) * len(textures) - sum(theirs[one.digest] for one in shapes)


def _quotas(there: Mapping[Cell, int], sample: Sample, seed: int) -> dict[Cell, int]:
    """Images per pair of categories. `count` is spread evenly as far as `there` are pairs; what does not divide goes to
    pairs by lot, no category far before another.
    """
    if sample.per_pair is not None:
        cell = min(there, key=lambda one: there[one])
        if there[cell] < sample.per_pair:
            raise StimuliError(
                f"{sample.per_pair} images of each pair of categories are asked for; the folders give {there[cell]} "
                f"of shape '{cell[0]}' with texture '{cell[1]}'."
            )
        return dict.fromkeys(there, sample.per_pair)
    total = sum(there.values())
    left = total if sample.count is None else sample.count
    if left > total or not total:
        raise StimuliError(f"{left} images are asked for; the folders give {total} pairs.")
    quotas = dict.fromkeys(there, 0)
    while left:
        free = [cell for cell in there if quotas[cell] < there[cell]]
        if left < len(free):
            free = _by_lot(free, left, seed)
        share = left // len(free)
        for cell in free:
            given = min(share, there[cell] - quotas[cell])
            quotas[cell] += given
            left -= given
    return quotas


def _by_lot(cells: Sequence[Cell], n: int, seed: int) -> list[Cell]:
    shapes, textures = (
        sorted(set(side), key=lambda one: draw(seed, one)) for side in zip(*cells, strict=True)
    )
    possible = set(cells)
    return list(islice((cell for cell in _diagonals(shapes, textures) if cell in possible), n))


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
