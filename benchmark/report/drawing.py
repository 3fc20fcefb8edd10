"""Figures as values, and the ways to draw one: rows of dots, curves, strips, a matrix, a scatter plot, differences.

A drawer takes records (one mark each) and a width and gives a Vega-Lite specification; vl-convert draws it without a
browser and without the network. Colours and shapes are distinct for colour-blind readers, on white and on black."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree

from benchmark.display import printable
from benchmark.errors import BenchError, unknown_name
from benchmark.report.writing import NEEDS
from registry.files import write_whole

Spec = dict[str, Any]
Records = Sequence[dict[str, Any]]
#: x of a value that people have, of one panel: fields metric (or facet), value, low, high.
Band = Mapping[str, Any]

FORMATS = ("svg", "pdf", "png")
VERSION = "5.20"  # of Vega-Lite
#: px that a drawing is made for: a column of a paper (and a phone), two columns, half a page of the report, all of it.
WIDTHS: Mapping[str, int] = {"single": 380, "double": 800, "half": 600, "page": 1200}
#: Points on paper of a column and of two: 85 and 180 mm. Type of 11 px is then 7 points high.
COLUMNS: Mapping[str, float] = {"single": 240.9, "double": 510.2}
DPI = 300  # of a PNG
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
SVG = "http://www.w3.org/2000/svg"
CONFIG: Mapping[str, Any] = {
    "aria": False,
    "background": "#ffffff",
    "font": "Helvetica Neue, Arial, DejaVu Sans, sans-serif",
    "padding": 6,
    "view": {"stroke": None},
    "axis": {
        "labelColor": QUIET, "titleColor": INK, "titleFontWeight": "normal", "titleFontSize": 12, "labelFontSize": 11,
        "gridColor": LINE, "domainColor": QUIET, "tickColor": QUIET,
        "labelFlush": False,  # the labels of the end ticks stand under them
    },
    "header": {"labelColor": INK, "titleColor": INK, "labelFontWeight": "bold", "labelFontSize": 12},
    "legend": {
        "labelColor": INK, "titleColor": INK, "titleFontWeight": "normal", "labelFontSize": 11, "symbolOpacity": 1,
        "orient": "top",
    },
    "title": {"color": INK, "fontSize": 12, "anchor": "start"},
    "text": {"color": INK, "fontSize": 11},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Figure:
    """name: of its files; caption: stimuli, n, interval, units; drawn: makes the specification for a width in px;
    records: the data, one mark each, with the fields `names` in the CSV; half: two fit side by side on a wide page;
    panels: names of the figures that it combines."""

    name: str
    title: str
    caption: str
    drawn: Callable[..., Spec]
    records: Records
    names: Sequence[str]
    half: bool = False
    panels: tuple[str, ...] = ()

    def save(self, path: str | Path, column: str = "double") -> None:
        """Write it as .svg, .pdf or .png, as wide as a "single" column of a paper or "double"."""
        write_whole(Path(path), draw(self, Path(path).suffix.removeprefix(".").lower(), column))

    def __repr__(self) -> str:
        return f"<figure {self.name}: {self.title}; .save('FILE.pdf'), .caption>"

    def _repr_svg_(self) -> str:
        return draw(self, "svg").decode()


def draw(figure: Figure, form: str, column: str = "double") -> bytes:
    """Return the figure as "svg", "pdf" or "png" (another `form`: UnknownName), as wide as one column of a paper or
    two."""
    return on_paper(_svg(figure, WIDTHS[column]), form, column)


def on_paper(text: str, form: str, column: str = "double") -> bytes:
    """Return an SVG at the width of a column of a paper, in another form. A PNG has and records `DPI` dots per inch."""
    if form not in FORMATS:
        raise unknown_name("figure format", form, FORMATS, "The ending of --out says which.")
    root = ElementTree.fromstring(text)  # noqa: S314 - drawn here
    width, height = (float(root.get(side, "1")) for side in ("width", "height"))
    size = {"width": COLUMNS[column], "height": COLUMNS[column] * height / width}
    for side, points in size.items():
        root.set(side, f"{points:.1f}{'pt' if form == 'svg' else ''}")
    ElementTree.register_namespace("", SVG)
    scaled = ElementTree.tostring(root, encoding="unicode")
    if form == "svg":
        return scaled.encode()
    vl_convert = _converter()
    return bytes(vl_convert.svg_to_pdf(scaled) if form == "pdf" else vl_convert.svg_to_png(scaled, ppi=DPI))


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise BenchError(NEEDS) from error
    return vl_convert


def _svg(figure: Figure, width: int) -> str:
    spec = figure.drawn(width)
    spec = {**spec, "config": {**CONFIG, **spec.get("config", {})}}
    return str(_converter().vegalite_to_svg(_printable(spec), vl_version=VERSION, allowed_base_urls=[]))


def svg(figure: Figure, width: int) -> tuple[str, str, int, int]:
    """(as a file, whose greys follow the reader's preference for dark or light pages; as an element of a page, whose
    marks show their names under the pointer; width; height)."""
    drawn = _svg(figure, width)
    rules = (f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items())
    style = f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    file = drawn.replace(">", f">{style}", 1)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - drawn here, a line above
    wide, high = (round(float(root.get(side, "0"))) for side in ("width", "height"))
    for mark in list(root.iter(f"{{{SVG}}}path")):
        if name := mark.get("aria-label"):
            ElementTree.SubElement(mark, f"{{{SVG}}}title").text = name
    ElementTree.register_namespace("", SVG)
    return file, ElementTree.tostring(root, encoding="unicode"), wide, high


def _printable(data: Any) -> Any:
    """The same data, its texts without control characters: XML knows none of them."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, dict):
        return {key: _printable(value) for key, value in data.items()}
    return [_printable(value) for value in data] if isinstance(data, (list, tuple)) else data


def palette(values: Sequence[str], places: Mapping[str, int] | None = None) -> tuple[Spec, Spec]:
    """Colour and shape scales; more than eight values repeat them in another pairing. places: value -> its place in the
    scale, so that a value looks the same in every figure."""
    at = [(places or {}).get(value, i) for i, value in enumerate(values)]
    colours = [COLOURS[i % len(COLOURS)] for i in at]
    shapes = [SHAPES[(i + i // len(SHAPES)) % len(SHAPES)] for i in at]
    names = list(values)
    return {"domain": names, "range": colours}, {"domain": names, "range": shapes}


def axis(title: str | list[str], **more: Any) -> Spec:
    """Return an axis with its unit."""
    return {"title": title, **more}


def _number(field: str, look: Spec, **scale: Any) -> Spec:
    return {"field": field, "type": "quantitative", "axis": look, **({"scale": scale} if scale else {})}


def _look(
    field: str, values: Sequence[str], width: int = 0, places: Mapping[str, int] | None = None
) -> tuple[Spec, Spec]:
    """Return the colour and shape of a field's values, with one legend for both (width 0: none). Among observers people
    are drawn in ink, reported scores among groups as grey diamonds."""
    colour, shape = palette(values, places)
    for special, look in ((PEOPLE, (INK, "circle")), (REPORTED, (QUIET, "diamond"))):
        if special in values and (special == REPORTED or field == "observer"):
            at = list(values).index(special)
            colour["range"][at], shape["range"][at] = look
    # The legend is above the drawing, in as many columns as fit: in sight where a phone shows the left part alone.
    longest = min(34, max(map(len, values), default=1))
    columns = min(max(1, int((width - 20) // (30 + 6 * longest))), len(values))
    above = {"title": None, "orient": "top", "columns": columns, "labelLimit": 6 * longest + 10, "columnPadding": 12}
    legend = above if width else None
    known = {"field": field, "type": "nominal", "legend": legend}
    return {**known, "scale": colour}, {**known, "scale": shape}


def _rule(side: str, value: float | None) -> list[Spec]:
    """Return a dashed line, drawn once and not once for each record."""
    if value is None:
        return []
    mark = {"type": "rule", "strokeDash": [3, 3], "color": QUIET}
    return [{"data": {"values": [{}]}, "mark": mark, "encoding": {side: {"datum": value}}}]


def band(side: str, people: Band | None) -> list[Spec]:
    """What people have along an axis: a line with their name, and their interval as a band. people: fields value, low,
    high, called."""
    if people is None:
        return []
    data: Spec = {"data": {"values": [{}]}}
    at = {"datum": people["value"]}
    line = {"type": "rule", "strokeWidth": 1.5, "color": INK, "opacity": 0.7, "aria": False}
    across, nudge = ({"x": {"value": 4}}, {"dy": -6}) if side == "y" else ({"y": {"value": -6}}, {"align": "center"})
    text = {"type": "text", "align": "left", "fontStyle": "italic", "text": people["called"], "aria": False, **nudge}
    layers: list[Spec] = [
        {**data, "mark": line, "encoding": {side: at}},
        {**data, "mark": text, "encoding": {side: at, **across}},
    ]
    if people["low"] is not None and people["high"] is not None:
        ends = {side: {"datum": people["low"]}, f"{side}2": {"datum": people["high"]}}
        layers.insert(
            0, {**data, "mark": {"type": "rect", "color": INK, "opacity": 0.12, "aria": False}, "encoding": ends}
        )
    return layers


def _point(size: int, opacity: float = 1, **more: Any) -> Spec:
    return {"type": "point", "filled": True, "size": size, "opacity": opacity, **more}


def _present(order: Sequence[str], records: Records, field: str) -> list[str]:
    inside = {record[field] for record in records}
    return [name for name in order if name in inside]


def dots(
    records: Records, order: Sequence[str], panels: Sequence[tuple[str, float | None]],
    people: Mapping[str, Band] | None = None, width: int = WIDTHS["page"],
) -> Spec:  # fmt: skip
    """Return the rows of dots with intervals: one panel for each metric (title, chance), a row for each observer, their
    names at the first of each row of panels. records: fields observer, group, metric, value, low, high; people: by
    metric."""
    groups = _present(GROUPS, records, "group")
    names = _present(order, records, "observer")
    hue, form = _look("group", groups, width if len(groups) > 1 else 0)
    # px for names at the left of a drawing.
    left = int(min(0.34 * width, 280, 24 + 6.2 * max(map(len, names), default=1)))
    beside = max(1, min(len(panels), (width - left) // 100))
    each = (width - left) // beside - 16
    drawn = []
    for place, (title, chance) in enumerate(panels):
        look = {"labels": False, "ticks": False} if place % beside else {"labelLimit": left}
        y = {"field": "observer", "type": "nominal", "scale": {"domain": names}, "axis": axis("", grid=True, **look)}
        x = _number("value", axis(_wrapped(title, each), tickCount=max(2, each // 60)), zero=True)
        bar = {"type": "rule", "strokeWidth": 2, "strokeOpacity": 0.5}
        ends = {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": hue}
        drawn.append(
            {
                "data": {"values": [record for record in records if record["metric"] == title]},
                "width": each,
                "height": {"step": 15},
                "layer": [
                    *band("x", (people or {}).get(title)),
                    *_rule("x", chance),
                    {"mark": bar, "encoding": ends},
                    {"mark": _point(34), "encoding": {"y": y, "x": x, "color": hue, "shape": form}},
                ],
            }
        )
    rows = [{"hconcat": drawn[at : at + beside], "spacing": 14} for at in range(0, len(drawn), beside)]
    return {"vconcat": rows, "spacing": 12}


def _wrapped(text: str, width: int) -> list[str]:
    """Return a title in lines of at most so many px."""
    return wrap(text, max(8, int(width / 6.2)))


def curves(
    records: Records, order: Sequence[str], x: Spec, y_title: str, line: float | None = None,
    width: int = WIDTHS["single"], places: Mapping[str, int] | None = None, legend: int = 0,
) -> Spec:  # fmt: skip
    """Values with intervals against levels: a line for each observer, people as a band. x: channel of the levels;
    legend: its width, if it is above several drawings."""
    y = _number("value", axis(y_title, tickCount=5), domain=[0, 1])
    hue, form = _look("observer", order, legend or width, places)
    ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    return {
        "data": {"values": list(records)},
        "width": width - 70,
        "height": min(300, int(0.55 * width)),
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


def paths(
    records: Records, outer: Records, titles: Sequence[str], along: str, width: int, places: Mapping[str, int]
) -> Spec:
    """Return a line for each observer through its points (x, y) in the order of `along`, the first one larger; outer:
    points of a grey line around them."""
    x, y = (
        _number(name, axis(title, grid=True, tickCount=5), zero=False, nice=True)
        for name, title in zip("xy", titles, strict=True)
    )
    hue, form = _look("observer", list(dict.fromkeys(record["observer"] for record in records)), width, places)
    line = {"x": x, "y": y, "order": {"field": along, "type": "quantitative"}}
    size = {"condition": {"test": f"datum['{along}'] === 0", "value": 90}, "value": 25}
    return {
        "data": {"values": list(records)},
        "width": width - 80,
        "height": min(380, int(0.7 * width)),
        "layer": [
            {
                "data": {"values": list(outer)},
                "mark": {"type": "line", "color": QUIET, "strokeWidth": 2},
                "encoding": line,
            },
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {**line, "color": hue}},
            {"mark": _point(25), "encoding": {"x": x, "y": y, "color": hue, "shape": form, "size": size}},
        ],
    }


def beside(
    drawn: Sequence[tuple[str, Callable[[int], Spec]]], width: int, columns: int = 0, *, titled: bool = True
) -> Spec:
    """Several drawings of the same observers, by title, as panels with one legend above them. columns 0: as many as
    fit."""
    columns = columns or max(1, min(len(drawn), width // 290))
    each = width // columns - 12
    parts = [{**draw(each), **({"title": title} if titled else {})} for title, draw in drawn]
    config = parts[0].get("config", {})
    for part in parts:
        part.pop("config", None)
    return {"concat": parts, "columns": columns, "spacing": 16, "config": config}


def strip(
    records: Records, order: Sequence[str], rows: Spec, x_title: str, whole: Records, line: float | None = None,
    width: int = WIDTHS["page"], places: Mapping[str, int] | None = None,
) -> Spec:  # fmt: skip
    """Return a row for each condition, in it a mark for each observer; tall lines: `whole`, their values over all.
    rows: the channel of the conditions."""
    hue, form = _look("observer", _present(order, records, "observer"), width, places)
    x = _number("value", axis(_wrapped(x_title, width - 120), tickCount=5), domain=[0, 1])
    tall = {"type": "rule", "opacity": 0.55, "strokeWidth": 1.5}
    marks = {"x": x, "y": rows, "color": hue, "shape": form}
    return {
        "data": {"values": list(records)},
        "width": width - 110,
        "height": {"step": 19},
        "layer": [
            *_rule("x", line),
            {"data": {"values": list(whole)}, "mark": tall, "encoding": {"x": x, "color": hue}},
            {"mark": _point(55, 0.9), "encoding": marks},
        ],
    }


def matrix(
    records: Records, x: Spec, y: Spec, value: str, title: str, domain: Sequence[float], step: Sequence[int]
) -> Spec:
    """Return a coloured cell for each record. value: the field that is coloured; step: width and height of a cell."""
    colour = {
        "field": value,
        "type": "quantitative",
        "scale": {"scheme": "viridis", "domain": list(domain), "clamp": True},
        "legend": {"title": title, "gradientLength": 140, "orient": "top"},
    }
    return {
        "data": {"values": list(records)},
        "width": {"step": step[0]},
        "height": {"step": step[1]},
        "mark": {"type": "rect"},
        "encoding": {"x": x, "y": y, "color": colour},
    }


def scatter(
    records: Records, titles: Sequence[str], hue: str, people: Sequence[Band | None] = (None, None), *,
    filled: bool = True, width: int = WIDTHS["half"], named: Sequence[str] = (), values: Sequence[str] = (),
    legend: int = 0,
) -> Spec:  # fmt: skip
    """A point for each observer at (x, y), with its intervals, if any (x_low, x_high, y_low, y_high), coloured by the
    field `hue` (values: all its values); the mark's label has the name. people: their values along x and y; named:
    observers whose names appear beside their marks; legend: as for `curves`."""
    values = values or list(dict.fromkeys(str(record[hue]) for record in records))
    colour, form = _look(hue, values, (legend or width) if len(values) <= NAMED else 0)
    x, y = (
        _number(name, axis(_wrapped(title, width - 80), grid=True, tickCount=5), zero=False, nice=True)
        for name, title in zip("xy", titles, strict=True)
    )
    at = {"x": x, "y": y, "color": colour}
    bars = [
        {
            "mark": {"type": "rule", "opacity": 0.35, "aria": False},
            "encoding": {**at, side: {**own, "field": f"{side}_low"}, f"{side}2": {"field": f"{side}_high"}},
        }
        for side, own in (("x", x), ("y", y))
        if any(record.get(f"{side}_low") is not None for record in records)
    ]
    mark = {"type": "point", "filled": filled, "size": 60, "fillOpacity": 0.9 if filled else 0}
    points = {"mark": mark, "encoding": {**at, "shape": form, "description": {"field": "observer"}}}
    ends = sorted(record["x"] for record in records)
    middle = (ends[0] + ends[-1]) / 2
    labels = [
        {
            "transform": [
                {"filter": {"field": "observer", "oneOf": list(named)}},
                {"filter": f"datum.x {side} {middle}"},
            ],
            "mark": {"type": "text", "align": align, "dx": dx, "dy": -7, "limit": int(width * 0.45), "aria": False},
            "encoding": {"x": x, "y": y, "text": {"field": "observer"}},
        }
        for side, align, dx in (("<=", "left", 7), (">", "right", -7))
        if named
    ]
    return {
        "data": {"values": list(records)},
        "width": width - 80,
        "height": min(430, int(0.75 * width)),
        "config": {"aria": True},
        "layer": [*band("x", people[0]), *band("y", people[1]), *bars, points, *labels],
    }


def training_panel(
    number: int, title: str | Spec, unit: str, steps: Sequence[int], runs: Sequence[str], chance: float | None,
    people: Band | None, width: int,
) -> Spec:  # fmt: skip
    """Return the records of panel `number`: values over steps, a line and a band for each run, and what people have."""
    hue, form = _look("run", runs, width if len(runs) > 1 else 0)
    x = _number("step", axis(unit, tickCount=5), domain=list(steps))
    y = _number("value", axis("", tickCount=5), zero=False, nice=True)
    ends = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": hue}
    return {
        "title": title,
        "width": width - 50,
        "height": 150,
        "transform": [{"filter": f"datum.panel === {number}"}],
        "layer": [
            *band("y", people),
            *_rule("y", chance),
            {"mark": {"type": "area", "opacity": 0.16}, "encoding": ends},
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y, "color": hue}},
            {"mark": _point(25), "encoding": {"x": x, "y": y, "color": hue, "shape": form}},
        ],
    }
