"""What one observer answered: its confusions, and the images that it gets right or wrong against everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.report.answers import Answers, against_others, confusion, each
from benchmark.report.writing import short, slug

#: Images in a list.
MOST = 3
#: Roles with lists: those that most observers answered.
ROLES = 3
#: Categories of a confusion matrix that a page has room for.
LARGEST = 24
#: Shades of a confusion matrix, from none to all.
SHADES = 5


@dataclass(frozen=True)
class Confusion:
    """Answers by category. cells: (count, shade 0 to SHADES) of each."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]
    n: int


@dataclass(frozen=True)
class Surprise:
    """An image: what was answered, what is right; share: of the others who are right, or the observer's own
    probability of the right answer."""

    name: str
    answer: str
    truth: str
    share: str
    thumbnail: str


@dataclass(frozen=True)
class Answered:
    """One role. alone_right: right where most others are wrong; alone_wrong: the reverse; surest, least_sure (of the
    first role alone): by the probability that the observer itself gives the right answer."""

    title: str
    page: str
    right: str
    alone_right: Sequence[Surprise]
    alone_wrong: Sequence[Surprise]
    surest: Sequence[Surprise] = ()
    least_sure: Sequence[Surprise] = ()


def answered(
    answers: Sequence[Answers], name: str, thumbnails: Mapping[tuple[str, str], str]
) -> Iterator[Answered]:
    """By role, those with others to compare with."""
    for place, (one, at) in enumerate(list(each(answers, name))[:ROLES]):
        seen = one.shown[at]
        if not seen.any():
            continue
        others, n = against_others(one, at)
        known = seen & (n > 0)
        right = one.right[at]
        yield Answered(
            title=f"{one.role}, {one.space}",
            page=f"stimuli/{slug(one.key)}.html",
            right=f"{short(float(right[seen].mean()))} right of {int(seen.sum())} images",
            alone_right=[
                _surprise(one, at, i, others, thumbnails) for i in _first(right & known, others)
            ],
            alone_wrong=[
                _surprise(one, at, i, others, thumbnails)
                for i in _first(~right & known, 1 - others)
            ],
            surest=() if place else _by_certainty(one, at, thumbnails, -1),
            least_sure=() if place else _by_certainty(one, at, thumbnails, 1),
        )


def _by_certainty(
    one: Answers, at: int, thumbnails: Mapping[tuple[str, str], str], sign: int
) -> list[Surprise]:
    """The images whose right answer the observer gives the most (-1) or the least (1) probability."""
    if one.certainty is None:
        return []
    held = one.certainty[at]
    known = np.flatnonzero(~np.isnan(held))
    order = known[np.argsort(sign * held[known], kind="stable")][:MOST]
    return [_surprise(one, at, int(i), held, thumbnails) for i in order]


def _first(members: NDArray[np.bool_], share: NDArray[np.float64]) -> list[int]:
    """The images of `members` at which `share` is least, as far as it is below one half."""
    at = np.flatnonzero(members)
    order = at[np.argsort(share[at], kind="stable")][:MOST]
    return [int(i) for i in order if share[i] < 0.5]


def _surprise(
    one: Answers,
    at: int,
    image: int,
    share: NDArray[np.floating[Any]],
    thumbnails: Mapping[tuple[str, str], str],
) -> Surprise:
    name = str(one.images[image])
    return Surprise(
        name=name,
        answer=one.answer(at, image),
        truth=str(one.labels["category"][image]),
        share=short(float(share[image])),
        thumbnail=thumbnails.get((one.key, name), ""),
    )


def confusions(answers: Sequence[Answers], name: str) -> list[Confusion]:
    """One matrix for each space, of all sets whose images have one category and no conflicting cue."""
    found: dict[str, list[tuple[list[str], list[str], Array]]] = {}
    for one, at in each(answers, name):
        texture, category = one.labels["texture"], one.labels["category"]
        if one.shown[at].any() and not ((texture != "") & (texture != category)).any():
            found.setdefault(one.space, []).append(confusion(one, at))
    return [made for space, parts in found.items() if (made := _together(space, parts)) is not None]


def _together(space: str, parts: Sequence[tuple[list[str], list[str], Array]]) -> Confusion | None:
    rows = sorted({name for names, _, _ in parts for name in names})
    columns = [
        *rows,
        *dict.fromkeys(word for _, words, _ in parts for word in words if word not in rows),
    ]
    if not 2 <= len(rows) <= LARGEST or len(columns) > LARGEST:
        return None
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for names, words, part in parts:
        counts[np.ix_([rows.index(n) for n in names], [columns.index(w) for w in words])] += part
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = np.ceil(SHADES * counts / totals).astype(int)
    cells = [
        list(zip(c, s, strict=True)) for c, s in zip(counts.tolist(), shades.tolist(), strict=True)
    ]
    title = f"Confusions, {space}, images without conflicting cues"
    return Confusion(title, columns, list(zip(rows, cells, strict=True)), int(counts.sum()))
