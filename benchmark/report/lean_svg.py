"""The same picture in fewer bytes: what draws nothing goes, what many marks share is said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

#: A mark with a name: browsers show a title when the pointer rests on it.
_NAMED = re.compile(
    r'<path aria-label="([^"]*)" role="graphics-symbol"(?: aria-roledescription="[^"]*")?([^<>]*)/>'
)
_NOTHING = re.compile(
    r'<path class="(?:foreground|background)"(?:[^<>]*(?:d=""|d="M0,0h0v0h0Z")[^<>]*| d="[^"]*")/>|<g></g>'
)
_FONT = re.compile(r' font-family="[^"]*"')
_TITLE = re.compile(r"><title>[^<>]*</title></(?:path|circle)>")
_TAG = re.compile(r"<[^<>]*>")
_PLACED = re.compile(r' (?:transform|d|x2|y2)="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
_IDLE = re.compile(
    r' (?:pointer-events="none"|aria-hidden="true"|opacity="1"|aria-roledescription="[^"]*"|font-weight="normal"|'
    r'class="mark-[^"]*"|role="graphics-[^"]*")'
)
_GREYS = re.compile(r'"rgb\((\d+), (\d+), (\d+)\)"')
_CIRCLE = re.compile(r' d="M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0"')
#: A group of marks and nothing else.
_MARKS = re.compile(
    r"<g>((?:<(?:path|text|line|circle)[^<>]*>[^<>]*(?:<title>[^<>]*</title>)?(?:</(?:path|text|circle)>)?)+)</g>"
)
_PLACE = re.compile(r' transform="translate\((-?[\d.]+),(-?[\d.]+)\)"')
_LINE = re.compile(
    r'<line transform="translate\((-?[\d.]+),(-?[\d.]+)\)" x2="(-?[\d.]+)" y2="(-?[\d.]+)"/>'
)
_ELEMENT = re.compile(
    r"<(path|text|line|circle)(?:[^<>]*/>|[^<>]*>[^<>]*(?:<title>[^<>]*</title>)?</\1>)"
)
_COLOUR = re.compile(r' (?:fill|stroke)="[^"]*"')
#: What marks take from their group (opacity is none of it).
_INHERITED = (
    "font-family",
    "font-size",
    "text-anchor",
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "fill-opacity",
    "stroke-opacity",
)


def lean(drawn: str) -> str:
    """A drawing of vl-convert without what draws nothing; coordinates to a tenth of a pixel. Texts are left alone:
    they stand between tags, and only what is inside tags is touched."""
    drawn = _NAMED.sub(_named, _NOTHING.sub("", drawn))
    drawn = _TAG.sub(lambda tag: _short(tag[0]), drawn)
    drawn = _MARKS.sub(lambda group: _shared(group[1]), drawn)
    fonts = set(_FONT.findall(drawn))
    if len(fonts) != 1:
        return drawn
    return drawn.replace((font := fonts.pop()), "").replace("<svg", f"<svg{font}", 1)


def without_names(drawn: str) -> str:
    """A lean drawing for where no pointer reaches its marks."""
    return _TITLE.sub("/>", drawn)


def _named(mark: re.Match[str]) -> str:
    tag = _short(f"<path{mark[2]}/>").removesuffix("/>")
    return f"{tag}><title>{mark[1]}</title></{tag[1:].partition(' ')[0]}>"


def _short(tag: str) -> str:
    tag = _PLACED.sub(
        lambda place: _LONG.sub(lambda one: f"{round(float(one[0]), 1):g}", place[0]),
        _IDLE.sub("", tag),
    )
    tag = _GREYS.sub(lambda c: '"#{:02x}{:02x}{:02x}"'.format(*map(int, c.groups())), tag)
    disc = _CIRCLE.search(tag) if tag.startswith("<path") else None
    if disc is None or not tag.endswith("/>"):
        return tag
    tag = f'<circle r="{disc[1]}"{tag[5 : disc.start()]}{tag[disc.end() :]}'
    return _PLACE.sub(r' cx="\1" cy="\2"', tag)


def _shared(marks: str) -> str:
    """A group of these marks: attributes that all of them have alike stand at the group, colours at runs of them."""
    elements = [found[0] for found in _ELEMENT.finditer(marks)]
    held, elements = _hoisted(elements, _INHERITED)
    runs = [list(run) for _, run in groupby(elements, key=_colour)]
    if 3 * len(runs) > len(elements):
        return f"<g{held}>{_joined(elements)}</g>"
    inside = (_hoisted(run, ("fill", "stroke")) for run in runs)
    return f"<g{held}>{''.join(f'<g{colour}>{_joined(run)}</g>' for colour, run in inside)}</g>"


def _hoisted(elements: list[str], names: Sequence[str]) -> tuple[str, list[str]]:
    """(attributes that all have alike, the elements without them)."""
    held = ""
    for name in names if len(elements) > 1 else ():
        found = re.search(rf' {name}="[^"]*"', elements[0].partition(">")[0])
        if found and all(found[0] in one.partition(">")[0] for one in elements):
            held += found[0]
            elements = [one.replace(found[0], "", 1) for one in elements]
    return held, elements


def _colour(element: str) -> tuple[str, ...]:
    return tuple(_COLOUR.findall(element.partition(">")[0]))


def _joined(elements: Sequence[str]) -> str:
    """Elements below one another; lines that differ in their places alone as one path."""
    lines = [_LINE.fullmatch(one) for one in elements]
    if len(lines) < 2 or not all(lines):
        return "".join(elements)
    parts = (one.groups() for one in lines if one)
    return f'<path d="{"".join(f"M{x},{y}l{dx},{dy}" for x, y, dx, dy in parts)}"/>'
