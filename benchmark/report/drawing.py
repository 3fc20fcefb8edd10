"""Figures as SVG, PDF and PNG, drawn by vl-convert without a browser and without the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmark.display import printable
from benchmark.errors import BenchError, unknown_name
from benchmark.report.figures.figure import INK, LINE, QUIET, Figure, Spec
from benchmark.report.lean_svg import lean
from benchmark.report.writing import NEEDS

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS = ("svg", "pdf", "png")
VERSION = "5.20"  # of Vega-Lite
SCALE = 3.0  # pixels of a PNG per point
DARK = {INK: "#e7e9ec", QUIET: "#a4adb8", LINE: "#30363d", "#ffffff": "#14171b"}
FONT = "Helvetica Neue, Arial, DejaVu Sans, sans-serif"
_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"')
CONFIG: Mapping[str, Any] = {
    "aria": False,
    "background": "#ffffff",
    "font": FONT,
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


def svg(figure: Figure, *, themed: bool = False) -> str:
    """The figure as SVG. themed: its greys follow the reader's preference for dark or light pages."""
    drawn: str = _converter().vegalite_to_svg(
        _complete(figure), vl_version=VERSION, allowed_base_urls=[]
    )
    drawn = lean(drawn)
    return drawn.replace(">", f">{_style()}", 1) if themed else drawn


def without_style(drawn: str) -> str:
    """A themed drawing for the inside of a page, whose own style sheet gives it its greys."""
    return drawn.replace(_style(), "", 1)


def size(drawn: str) -> tuple[int, int]:
    """Width and height of an SVG in pixels."""
    found = _SIZE.match(drawn)
    return (round(float(found[1])), round(float(found[2]))) if found else (600, 400)


def draw(figure: Figure, form: str) -> bytes:
    """The figure as "svg", "pdf" or "png" (another `form`: UnknownName)."""
    if form not in FORMATS:
        raise unknown_name("figure format", form, FORMATS, "The ending of --out says which.")
    if form == "svg":
        return svg(figure).encode()
    drawn: bytes
    if form == "pdf":
        drawn = _converter().vegalite_to_pdf(
            _complete(figure), vl_version=VERSION, allowed_base_urls=[]
        )
    else:
        drawn = _converter().vegalite_to_png(
            _complete(figure), vl_version=VERSION, scale=SCALE, allowed_base_urls=[]
        )
    return drawn


def _complete(figure: Figure) -> Spec:
    spec: Spec = _texts({**figure.spec, "config": {**CONFIG, **figure.spec.get("config", {})}})
    return spec


def _texts(data: Any) -> Any:
    """The same data, its texts without control characters: XML knows none of them."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, dict):
        return {key: _texts(value) for key, value in data.items()}
    return [_texts(value) for value in data] if isinstance(data, (list, tuple)) else data


def _style() -> str:
    rules = (
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}'
        for light, dark in DARK.items()
    )
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise BenchError(NEEDS) from error
    return vl_convert
