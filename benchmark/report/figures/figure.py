"""A figure: its specification, its data, and what is said under it. Colours and shapes for every eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
Records = Sequence[dict[str, Any]]

#: Okabe & Ito (2008), without black and yellow: told apart by colour-blind people, on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#5e4fa2")
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
INK, QUIET, LINE = "#1b1f24", "#59626d", "#dde1e6"
#: Data of a mark that does not depend on the records: drawn once, not once for each of them.
ONCE: Spec = {"values": [{}]}
#: Observers that one figure shows; the caption says where there are more.
MOST = 40


@dataclass(frozen=True)
class Figure:
    """name: of its files; caption: stimuli, n, interval, units; records: the data behind it, one mark each, with the
    fields `names` in the CSV."""

    name: str
    title: str
    caption: str
    spec: Spec
    records: Records
    names: Sequence[str]


def axis(title: str, **more: Any) -> Spec:
    """An axis with its unit."""
    return {"title": title, **more}


def palette(values: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and shape scales for up to eight values; more begin again with another pairing of the two."""
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    shapes = [SHAPES[(i + i // len(SHAPES)) % len(SHAPES)] for i in range(len(values))]
    names = list(values)
    return {"domain": names, "range": colours}, {"domain": names, "range": shapes}


def some_of(total: int, shown: int, what: str) -> str:
    """ "The first 60 of 200 networks." where not all are shown."""
    return "" if shown >= total else f" The first {shown} of {total} {what}."
