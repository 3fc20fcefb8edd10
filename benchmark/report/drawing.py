"""Figures as values, and five ways to draw one: rows of dots, curves, differences, a matrix, a scatter plot.

A drawer takes records (one mark each) and gives a Vega-Lite specification; vl-convert makes SVG, PDF and PNG of it
without a browser and without the network. Colours and shapes are told apart by every eye, on white and on black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from benchmark.display import printable
from benchmark.errors import BenchError, unknown_name
from benchmark.report.writing import NEEDS

Spec = dict[str, Any]
Records = Sequence[dict[str, Any]]

FORMATS = ("svg", "pdf", "png")
VERSION = "5.20"  # of Vega-Lite
SCALE = 3.0  # pixels of a PNG per point
#: Okabe & Ito (2008), without black and yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#5e4fa2")
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left",
)  # fmt: skip
INK, QUIET, LINE = "#1b1f24", "#59626d", "#dde1e6"
DARK = {INK: "#e7e9ec", QUIET: "#a4adb8", LINE: "#30363d", "#ffffff": "#14171b"}
PEOPLE = "people"
#: What an observer's mark says that it is; what others report is a grey diamond wherever it stands.
GROUPS = (
    "network", "published network", "people", "simulated person", "ideal observer", "reported score", "reference",
)  # fmt: skip
REPORTED = GROUPS[5]
#: Values of a scatter plot's families that a legend has room for.
NAMED = 24
_SVG = "http://www.w3.org/2000/svg"
CONFIG: Mapping[str, Any] = {
    "aria": False,
    "background": "#ffffff",
    "font": "Helvetica Neue, Arial, DejaVu Sans, sans-serif",
    "padding": 8,
    "view": {"stroke": None},
    "axis": {
        "labelColor": QUIET, "titleColor": INK, "titleFontWeight": "normal", "titleFontSize": 12, "labelFontSize": 11,
        "gridColor": LINE, "domainColor": QUIET, "tickColor": QUIET,
    },
    "header": {"labelColor": INK, "titleColor": INK, "labelFontWeight": "bold", "labelFontSize": 12},
    "legend": {
        "labelColor": INK, "titleColor": INK, "titleFontWeight": "normal", "labelFontSize": 11, "labelLimit": 260,
        "symbolOpacity": 1,
    },
    "title": {"color": INK, "fontSize": 13, "anchor": "start"},
    "text": {"color": INK, "fontSize": 11},
}  # fmt: skip


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


def draw(figure: Figure, form: str) -> bytes:
    """The figure as "svg", "pdf" or "png" (another `form`: UnknownName)."""
    if form not in FORMATS:
        raise unknown_name("figure format", form, FORMATS, "The ending of --out says which.")
    try:
        import vl_convert
    except ImportError as error:
        raise BenchError(NEEDS) from error
    spec = {**figure.spec, "config": {**CONFIG, **figure.spec.get("config", {})}}
    convert = getattr(vl_convert, f"vegalite_to_{form}")
    more = {"scale": SCALE} if form == "png" else {}
    drawn = convert(_printable(spec), vl_version=VERSION, allowed_base_urls=[], **more)
    return drawn.encode() if isinstance(drawn, str) else bytes(drawn)


def svg(figure: Figure) -> tuple[str, str, int, int]:
    """(as a file, whose greys follow the reader's preference for dark or light pages; as an element of a page, whose
    marks show their names under the pointer; width; height)."""
    drawn = draw(figure, "svg").decode()
    rules = (f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items())
    style = f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    file = drawn.replace(">", f">{style}", 1)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - drawn here, a line above
    width, height = (round(float(root.get(side, "0"))) for side in ("width", "height"))
    for mark in list(root.iter(f"{{{_SVG}}}path")):
        if name := mark.get("aria-label"):
            ElementTree.SubElement(mark, f"{{{_SVG}}}title").text = name
    ElementTree.register_namespace("", _SVG)
    return file, ElementTree.tostring(root, encoding="unicode"), width, height


def _printable(data: Any) -> Any:
    """The same data, its texts without control characters: XML knows none of them."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, dict):
        return {key: _printable(value) for key, value in data.items()}
    return [_printable(value) for value in data] if isinstance(data, (list, tuple)) else data


def palette(values: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and shape scales for up to eight values; more begin again with another pairing of the two."""
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
    shapes = [SHAPES[(i + i // len(SHAPES)) % len(SHAPES)] for i in range(len(values))]
    names = list(values)
    return {"domain": names, "range": colours}, {"domain": names, "range": shapes}


def axis(title: str, **more: Any) -> Spec:
    """An axis with its unit."""
    return {"title": title, **more}


def _number(field: str, look: Spec, **scale: Any) -> Spec:
    return {"field": field, "type": "quantitative", "axis": look, **({"scale": scale} if scale else {})}


def _look(field: str, values: Sequence[str], **legend: Any) -> tuple[Spec, Spec]:
    """Colour and shape of a field's values, with one legend for both (none where nothing is said of it). Among
    observers people are drawn in ink, reported scores among groups as grey diamonds."""
    colour, shape = palette(values)
    for special, look in ((PEOPLE, (INK, "circle")), (REPORTED, (QUIET, "diamond"))):
        if special in values and (special == REPORTED or field == "observer"):
            at = list(values).index(special)
            colour["range"][at], shape["range"][at] = look
    known = {"field": field, "type": "nominal", "legend": {"title": None, **legend} if legend else None}
    return {**known, "scale": colour}, {**known, "scale": shape}


def _rule(side: str, value: float | None) -> list[Spec]:
    """A dashed line, drawn once and not once for each record."""
    if value is None:
        return []
    mark = {"type": "rule", "strokeDash": [3, 3], "color": QUIET}
    return [{"data": {"values": [{}]}, "mark": mark, "encoding": {side: {"datum": value}}}]


def _point(size: int, opacity: float = 1, **more: Any) -> Spec:
    return {"type": "point", "filled": True, "size": size, "opacity": opacity, **more}


def _present(order: Sequence[str], records: Records, field: str) -> list[str]:
    inside = {record[field] for record in records}
    return [name for name in order if name in inside]


def dots(records: Records, order: Sequence[str], panels: Sequence[tuple[str, float | None]]) -> Spec:
    """Rows of dots with intervals: one panel for each metric (title, chance), a row for each observer, their names at
    the first. records: fields observer, group, metric, value, low, high."""
    groups = _present(GROUPS, records, "group")
    names = _present(order, records, "observer")
    hue, form = _look("group", groups, **({"orient": "bottom"} if len(groups) > 1 else {}))
    drawn = []
    for place, (title, chance) in enumerate(panels):
        look = {"labels": False, "ticks": False} if place else {"labelLimit": 260}
        rows: Spec = {"field": "observer", "type": "nominal", "scale": {"domain": names}}
        y = {**rows, "axis": axis("", grid=True, **look)}
        x = _number("value", axis(title, tickCount=3), zero=True)
        bar = {"type": "rule", "strokeWidth": 2, "strokeOpacity": 0.5}
        ends = {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": hue}
        drawn.append(
            {
                "data": {"values": [record for record in records if record["metric"] == title]},
                "width": 140,
                "height": {"step": 15},
                "layer": [
                    *_rule("x", chance),
                    {"mark": bar, "encoding": ends},
                    {"mark": _point(34), "encoding": {"y": y, "x": x, "color": hue, "shape": form}},
                ],
            }
        )
    return {"hconcat": drawn, "spacing": 14, "resolve": {"scale": {"y": "shared"}}}


def curves(records: Records, order: Sequence[str], x: Spec, y_title: str, line: float | None = None) -> Spec:
    """Values with intervals against levels: a line for each observer, people as a band. x: channel of the levels."""
    y = _number("value", axis(y_title, tickCount=5), domain=[0, 1])
    hue, form = _look("observer", _present(order, records, "observer"), orient="bottom", columns=2)
    ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    return {
        "data": {"values": list(records)},
        "width": 320,
        "height": 210,
        "layer": [
            *_rule("y", line),
            {
                "transform": [{"filter": f"datum.observer === '{PEOPLE}'"}],
                "mark": {"type": "area", "opacity": 0.16, "color": INK},
                "encoding": ends,
            },
            {
                "transform": [{"filter": f"datum.observer !== '{PEOPLE}'"}],
                "mark": {"type": "rule", "strokeOpacity": 0.45},
                "encoding": {**ends, "color": hue},
            },
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, "color": hue}},
            {"mark": _point(30), "encoding": {"x": x, "y": y, "color": hue, "shape": form}},
        ],
    }


def strip(
    records: Records, order: Sequence[str], rows: Spec, x_title: str, whole: Records, line: float | None = None
) -> Spec:
    """A row for each condition, in it a mark for each observer; tall lines: `whole`, their values over all. rows: the
    channel of the conditions."""
    hue, form = _look("observer", _present(order, records, "observer"), orient="right")
    x = _number("value", axis(x_title, tickCount=5), domain=[0, 1])
    tall = {"type": "rule", "opacity": 0.55, "strokeWidth": 1.5}
    marks = {"x": x, "y": rows, "color": hue, "shape": form}
    return {
        "data": {"values": list(records)},
        "width": 420,
        "height": {"step": 21},
        "layer": [
            *_rule("x", line),
            {"data": {"values": list(whole)}, "mark": tall, "encoding": {"x": x, "color": hue}},
            {"mark": _point(55, 0.9), "encoding": marks},
        ],
    }


def matrix(
    records: Records, x: Spec, y: Spec, value: str, title: str, domain: Sequence[float], step: Sequence[int]
) -> Spec:
    """A coloured cell for each record. value: the field that is coloured; step: width and height of a cell."""
    colour = {
        "field": value,
        "type": "quantitative",
        "scale": {"scheme": "viridis", "domain": list(domain)},
        "legend": {"title": title, "gradientLength": 140},
    }
    return {
        "data": {"values": list(records)},
        "width": {"step": step[0]},
        "height": {"step": step[1]},
        "mark": {"type": "rect"},
        "encoding": {"x": x, "y": y, "color": colour},
    }


def panels(spec: Spec, field: str, order: Sequence[str]) -> Spec:
    """The same drawing once for each value of a field, three side by side."""
    header = {"labelLimit": 170, "labelFontSize": 11}
    facet = {"field": field, "sort": list(order), "title": None, "header": header}
    inside = {name: value for name, value in spec.items() if name != "data"}
    return {"data": spec["data"], "facet": facet, "columns": 3, "spec": inside}


def forest(records: Records, label: str, value: str, title: str) -> Spec:
    """Differences with their intervals, a row for each `label`, against none."""
    order = [record[label] for record in records]
    y = {"field": label, "type": "nominal", "sort": order, "axis": axis("", labelLimit=300, grid=True)}
    x = _number(value, axis(title))
    bar = {"type": "rule", "strokeWidth": 3, "opacity": 0.5, "color": COLOURS[0]}
    return {
        "data": {"values": list(records)},
        "width": 380,
        "height": {"step": 26},
        "layer": [
            *_rule("x", 0),
            {"mark": bar, "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}}},
            {"mark": _point(60, color=COLOURS[0]), "encoding": {"y": y, "x": x}},
        ],
    }


def scatter(records: Records, titles: Sequence[str], *, filled: bool = True) -> Spec:
    """A point for each observer at (x, y), coloured by family; its name is in the mark's label."""
    families = list(dict.fromkeys(str(record["family"]) for record in records))
    legend = {"orient": "right", "labelLimit": 160} if len(families) <= NAMED else {}
    hue, form = _look("family", families, **legend)
    x, y = (
        _number(name, axis(title, grid=True, tickCount=5), zero=False, nice=True)
        for name, title in zip("xy", titles, strict=True)
    )
    return {
        "data": {"values": list(records)},
        "width": 250,
        "height": 220,
        "config": {"aria": True},
        "mark": {"type": "point", "filled": filled, "size": 50, "fillOpacity": 0.85 if filled else 0},
        "encoding": {"x": x, "y": y, "color": hue, "shape": form, "description": {"field": "observer"}},
    }


def training_panel(
    number: int, title: str | Spec, unit: str, steps: Sequence[int], runs: Sequence[str], chance: float | None
) -> Spec:
    """The records of panel `number`: values over steps, a line and a band for each run."""
    legend = {"orient": "bottom", "columns": 2} if len(runs) > 1 else {}
    hue, form = _look("run", runs, **legend)
    x = _number("step", axis(unit, tickCount=5), domain=list(steps))
    y = _number("value", axis("", tickCount=5), zero=False, nice=True)
    ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": hue}
    dashed = {"mark": {"type": "rule", "strokeDash": [3, 3], "color": QUIET}}
    return {
        "title": title,
        "width": 260,
        "height": 150,
        "transform": [{"filter": f"datum.panel === {number}"}],
        "layer": [
            *([] if chance is None else [{**dashed, "encoding": {"y": {"datum": chance}}}]),
            {"mark": {"type": "area", "opacity": 0.16}, "encoding": ends},
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, "color": hue}},
            {"mark": _point(25), "encoding": {"x": x, "y": y, "color": hue, "shape": form}},
        ],
    }
