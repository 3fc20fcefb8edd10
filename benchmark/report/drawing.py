"""Figures as values, and their shared charts as Vega-Lite specifications, which vl-convert draws without a browser."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree

from benchmark.contracts.declarations import package_data
from benchmark.display import printable
from benchmark.failures import BenchError, unknown_name
from benchmark.report.contents import PeopleScore
from registry.files import write_whole
from registry.user_errors import library

Spec = dict[str, Any]
Records = Sequence[dict[str, Any]]
Box = tuple[float, float, float, float]  # left, top, right, bottom in px

FORMATS = ("svg", "pdf", "png")
VERSION = "5.20"  # of Vega-Lite
#: px that a drawing is made for: a column of a paper (and a phone), two columns, half a page of the report, all of it.
WIDTHS: Mapping[str, int] = {"single": 380, "double": 800, "half": 600, "page": 1200}
#: Points on paper of a column and of two: 85 and 180 mm. Type of 11 px is then 7 points high.
COLUMNS: Mapping[str, float] = {"single": 240.9, "double": 510.2}
DPI = 300  # of a PNG
# Colours and shapes are distinct for colour-blind readers, on white and on black.
#: Okabe & Ito (2008), without black and yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#5e4fa2")
SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left",
)  # fmt: skip
INK, QUIET, LINE = "#1b1f24", "#59626d", "#dde1e6"
DARK = {INK: "#e7e9ec", QUIET: "#a4adb8", LINE: "#30363d", "#ffffff": "#14171b"}
PEOPLE = "people"
#: What an observer's mark says that it is; what others report is a grey diamond wherever it appears.
GROUPS = (
    "network", "published network", "people", "simulated person", "ideal observer", "reported score", "reference",
)  # fmt: skip
REPORTED = GROUPS[5]
#: Values of a scatter plot's families that a legend has room for, and points that have a label without being asked for.
NAMED = 24
#: px of a letter and a line of text, and half of a point; the share of a drawing that a legend beside it may take.
LETTER, TEXT, POINT, BESIDE = 6.4, 12, 5, 0.36
SVG = "http://www.w3.org/2000/svg"
CONFIG: Mapping[str, Any] = package_data("benchmark.report", "theme")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with its data and its caption."""

    name: str
    title: str
    caption: str  # stimuli, n, intervals, units
    drawn: Callable[..., Spec]  # the specification for a width in px
    records: Records  # one mark each, all with the same fields: the columns of the CSV
    half: bool = False  # two fit side by side on a wide page

    def save(self, path: str | Path, column: str = "double") -> None:
        """Write it as .svg, .pdf or .png, as wide as a "single" column of a paper or "double"."""
        drawn, form = svg(self, WIDTHS[column]), Path(path).suffix.removeprefix(".").lower()
        write_whole(Path(path), on_paper(drawn, form, column))

    def __repr__(self) -> str:
        return f"<figure {self.name}: {self.title}; .save('FILE.pdf'), .caption>"

    def _repr_svg_(self) -> str:
        return on_paper(svg(self, WIDTHS["double"]), "svg").decode()


def on_paper(text: str, form: str, column: str = "double") -> bytes:
    """Return an SVG at the width of a column of a paper, in another form. A PNG has and records `DPI` dots per inch."""
    if form not in FORMATS:
        raise unknown_name("figure format", form, FORMATS, "The ending of --out decides.")
    root = ElementTree.fromstring(text)  # noqa: S314 - drawn here
    width, height = (float(root.get(side, "1")) for side in ("width", "height"))
    size = {"width": COLUMNS[column], "height": COLUMNS[column] * height / width}
    for side, points in size.items():
        root.set(side, f"{points:.1f}{'pt' if form == 'svg' else ''}")
    ElementTree.register_namespace("", SVG)
    scaled = ElementTree.tostring(root, encoding="unicode")
    if form == "svg":
        return scaled.encode()
    converter = library("vl_convert", "report", "a figure", BenchError)
    return bytes(converter.svg_to_pdf(scaled) if form == "pdf" else converter.svg_to_png(scaled, ppi=DPI))


def svg(figure: Figure, width: int, *, named: bool = False) -> str:
    """Return the figure as SVG. named: marks carry their names as labels."""
    spec = {**figure.drawn(width), "config": {**CONFIG, "aria": named}}
    converter = library("vl_convert", "report", "a figure", BenchError)
    return str(converter.vegalite_to_svg(_printable(spec), vl_version=VERSION, allowed_base_urls=[]))


def _printable(data: Any) -> Any:
    """Return the same data, its texts without control characters: they would end the converter's process."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, dict):
        return {key: _printable(value) for key, value in data.items()}
    return [_printable(value) for value in data] if isinstance(data, (list, tuple)) else data


def for_page(drawn: str) -> tuple[str, str, tuple[int, int]]:
    """Return an SVG as a file, whose greys follow the reader's preference for dark or light pages."""
    rules = (f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items())
    drawn = drawn.replace(f' font-family="{CONFIG["font"]}"', "")  # once is enough
    style = f"<style>text{{font-family:{CONFIG['font']}}}@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    root = ElementTree.fromstring(drawn)  # noqa: S314 - drawn here
    for path in list(root.iter(f"{{{SVG}}}path")):
        if name := path.get("aria-label"):
            ElementTree.SubElement(path, f"{{{SVG}}}title").text = name
    ElementTree.register_namespace("", SVG)
    wide, high = (round(float(root.get(side, "0"))) for side in ("width", "height"))
    return drawn.replace(">", f">{style}", 1), ElementTree.tostring(root, encoding="unicode"), (wide, high)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return names without their source, "resnet50" for "resnet50 (lab)", where they stay distinct."""
    cut = {name: re.sub(r" \([^()]*\)$", "", name) for name in dict.fromkeys(names)}
    often = Counter(cut.values())
    return {name: short if often[short] == 1 else name for name, short in cut.items()}


def short_label(names: Iterable[str]) -> str:
    """Return the expression that writes the labels of an axis or a legend as short names."""
    known = {printable(name): printable(short) for name, short in short_names(names).items() if name != short}
    return f"{json.dumps(known)}[datum.label] || datum.label"


def legend_room(names: Sequence[str], width: int) -> int:
    """Return the px that a legend takes beside a drawing; 0 if its names leave too little room: it is above."""
    room = int(34 + LETTER * max(map(len, short_names(names).values()), default=0))
    return room if room <= BESIDE * width else 0


def look(
    field: str, values: Sequence[str], width: int = 0, places: Mapping[str, int] | None = None, *, above: bool = False
) -> tuple[Spec, Spec]:
    """Return the colour and shape of a field's values, with one legend for both (width 0: none). The legend is beside
    the drawing or, without room, above it. `places` are the fixed places of values in the scales, which are repeated in
    other pairings after eight. Among observers people are in ink, reported scores among groups are grey diamonds."""
    special = {REPORTED: (QUIET, "diamond")} | ({PEOPLE: (INK, "circle")} if field == "observer" else {})
    colours, shapes = [], []
    for i, value in enumerate(values):
        at = (places or {}).get(value, i)
        usual = COLOURS[at % len(COLOURS)], SHAPES[(at + at // len(SHAPES)) % len(SHAPES)]
        colour, shape = special.get(value, usual)
        colours.append(colour)
        shapes.append(shape)
    longest = min(34, max(map(len, short_names(values).values()), default=1))
    columns = min(max(1, int((width - 20) // (30 + LETTER * longest))), len(values))
    legend = {"title": None, "labelLimit": LETTER * longest + 10, "columnPadding": 12, "labelExpr": short_label(values)}
    is_beside = not above and legend_room(values, width)
    legend |= {"orient": "right", "columns": 1} if is_beside else {"orient": "top", "columns": columns}
    known, domain = {"field": field, "type": "nominal", "legend": legend if width else None}, {"domain": list(values)}
    return {**known, "scale": {**domain, "range": colours}}, {**known, "scale": {**domain, "range": shapes}}


def chart(name: str, **values: Any) -> Spec:
    """Return a chart of charts.yaml with these values."""
    known = {"ink": INK, "quiet": QUIET, "blue": COLOURS[0], "red": COLOURS[1], **values}

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(value) for key, value in part.items()}
        if isinstance(part, tuple):
            return [filled(each) for each in part]
        return known[part[1:]] if isinstance(part, str) and part.startswith("$") else part

    spec: Spec = filled(package_data("benchmark.report", "charts")[name])
    layers = [each for layer in spec.pop("layer", ()) for each in (layer if isinstance(layer, list) else [layer])]
    if shown := [layer for layer in layers if layer.pop("when", True)]:
        spec["layer"] = shown
    return spec


def wrapped(text: str, width: int) -> list[str]:
    """Return a title in lines of at most so many px."""
    return wrap(text, max(8, int(width / 6.2)))


def guides(
    side: str, line: float | None = None, people: PeopleScore | None = None, scale: Mapping[str, Any] | None = None
) -> list[Spec]:
    """Return people along an axis as a band with a named line, and a dashed line. scale: of the axis, if given."""
    own = {"type": "quantitative", "scale": dict(scale)} if scale else {}
    value, low, high = people.cell[:3] if people else (None, None, None)
    layers: list[Spec] = chart(
        f"guides-{side}", people=people is not None, called=people and people.called, at={"datum": value, **own},
        band=low is not None and high is not None, low={"datum": low, **own}, high={"datum": high},
        dashed=line is not None, line={"datum": line},
    ).get("layer", [])  # fmt: skip
    return layers


def dot_panels(
    records: Records, order: Sequence[str], panels: Sequence[tuple[str, float | None]],
    people: Mapping[str, PeopleScore] | None = None, width: int = WIDTHS["page"],
) -> Spec:  # fmt: skip
    """Return the rows of dots with intervals. Each metric (title, chance) has a panel, each observer a row, and names
    are at the first of each row. The `records` have fields observer, group, metric, value, low and high. `people` are
    values by metric."""
    inside = {record[field] for record in records for field in ("group", "observer")}
    groups, names = ([name for name in known if name in inside] for known in (GROUPS, order))
    hue, form = look("group", groups, width if len(groups) > 1 else 0, above=True)
    longest = max(map(len, short_names(names).values()), default=1)
    left = int(min(0.4 * width, 280, 24 + LETTER * longest))  # px for names
    fitting = max(1, min(len(panels), (width - left) // 100))
    each = (width - left) // fitting - 16
    drawn = []
    for place, (title, chance) in enumerate(panels):
        labels = {"labelLimit": left, "labelExpr": short_label(names)}
        labels = {"labels": False, "ticks": False} if place % fitting else labels
        own, beside = [r for r in records if r["metric"] == title], guides("x", chance, (people or {}).get(title))
        dots = chart(
            "dots", records=own, width=each, guides=beside, title=wrapped(title, each), ticks=max(2, each // 60),
            names=names, axis={"title": "", "grid": True, **labels}, colour=hue, shape=form,
        )  # fmt: skip
        drawn.append(dots)
    rows = [{"hconcat": drawn[i : i + fitting], "spacing": 14} for i in range(0, len(drawn), fitting)]
    return {"vconcat": rows, "spacing": 12}


def round_ends(values: Sequence[float], ticks: int = 5) -> tuple[float, float]:
    """Return round numbers around values: the ends of an axis with so many ticks or a few more."""
    low, high = min(values), max(values)
    rough = (high - low or abs(high) or 1.0) / ticks
    power = 10.0 ** floor(log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
    start = floor(low / step)
    return start * step, max(start + 1, ceil(high / step)) * step


def free_places(
    points: Sequence[tuple[float, float]], texts: Mapping[int, str], size: tuple[int, int], taken: Sequence[Box] = ()
) -> dict[int, tuple[float, float]]:
    """Return index -> left end and height of the label of that point, within the drawing and over no point, other label
    or occupied place. Labels without room are left out. All are in px from the left and the top."""
    taken = [*taken, *((x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points)]
    found: dict[int, tuple[float, float]] = {}
    for i, text in texts.items():
        (x, y), wide = points[i], LETTER * len(text)
        aside, gap = (x + POINT + 2, x - POINT - 2 - wide), POINT + TEXT / 2
        rows, within = (-gap, gap, -2 * gap, 2 * gap), max(0.0, min(x - wide / 2, size[0] - wide))
        below = [(left, y + step) for step in rows for left in (x - wide / 2, *aside, within)]
        for left, middle in (*((left, y) for left in aside), *below):
            box = (left, middle - TEXT / 2, left + wide, middle + TEXT / 2)
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]
            if inside and not any(a < box[2] and box[0] < c and b < box[3] and box[1] < d for a, b, c, d in taken):
                taken.append(box)
                found[i] = round(left), round(middle)
                break
    return found


def point_labels(
    records: Records, named: Collection[str], ends: Sequence[tuple[float, float]], size: tuple[int, int],
    people: Sequence[PeopleScore | None],
) -> list[Spec]:  # fmt: skip
    """Return the points' names and places in px, `named` first, where they have room. ends: of both axes."""

    def px(axis: int, value: float) -> float:
        low, high = ends[axis]
        share = (value - low) / (high - low)
        return size[axis] * (1 - share if axis else share)

    places = [(px(0, record["x"]), px(1, record["y"])) for record in records]
    x, y = (None if who is None else px(axis, who.cell.value or 0.0) for axis, who in enumerate(people))
    lines: list[Box] = [] if x is None else [(x - 2, 0, x + 2, size[1])]
    lines += [] if y is None else [(0, y - 2, size[0], y + 2)]
    short = short_names(str(record["observer"]) for record in records)
    first = [i for i, record in enumerate(records) if record["observer"] in named]
    others = [i for i in range(len(records)) if i not in first] if len(records) <= NAMED else []
    texts = {i: short[records[i]["observer"]] for i in (*first, *others)[:NAMED]}
    free = free_places(places, texts, size, lines)
    return [{"left": left, "middle": middle, "text": texts[i]} for i, (left, middle) in free.items()]


def scatter(
    records: Records, titles: Sequence[str], looks: tuple[Spec, Spec],
    people: Sequence[PeopleScore | None] = (None, None), *, filled: bool = True, width: int = WIDTHS["half"],
    named: Collection[str] = (), joined: bool = False,
) -> Spec:  # fmt: skip
    """Return a point for each observer at (x, y), with its intervals, if any (x_low, x_high, y_low, y_high). `looks`
    come from `look`, `people` are their values along x and y. `named` observers are labelled first; `joined` draws a
    line for each colour through the means."""
    colour, form = looks
    families = colour["scale"]["domain"]
    across = width - 80 - (legend_room(families, width) if colour["legend"] else 0)
    size = (across, min(430, int(0.75 * width)))
    held = [[r.get(name + end) for r in records for end in ("", "_low", "_high")] for name in "xy"]
    held = [[*values, *(who.cell[:3] if who else ())] for values, who in zip(held, people, strict=True)]
    ends = [round_ends([value for value in values if value is not None]) for values in held]
    x_title, y_title = (wrapped(title, side) for title, side in zip(titles, size, strict=True))
    scales = [{"domain": list(end)} for end in ends]
    bands = [guides(side, people=who, scale=scale) for side, who, scale in zip("xy", people, scales, strict=True)]
    bounded = [any(record.get(f"{side}_low") is not None for record in records) for side in "xy"]
    return chart(
        "scatter", records=records, width=size[0], height=size[1], guides=[*bands[0], *bands[1]], x_title=x_title,
        y_title=y_title, x_scale=scales[0], y_scale=scales[1], x_intervals=bounded[0], y_intervals=bounded[1],
        joined=joined, filled=filled, opacity=0.9 if filled else 0, colour=colour, shape=form,
        labels=point_labels(records, named, ends, size, people),
    )  # fmt: skip
