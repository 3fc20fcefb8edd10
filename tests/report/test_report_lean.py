"""A drawing in fewer bytes is the same picture."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.report import drawing
from benchmark.report.contents import read_contents
from benchmark.report.figures.every import every_figure
from benchmark.report.lean_svg import lean, without_names

vl_convert = pytest.importorskip("vl_convert")


def pixels(drawn):
    return np.asarray(Image.open(io.BytesIO(vl_convert.svg_to_png(drawn))).convert("L"), dtype=int)


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", ["overview", "link-cue-conflict-adversarial", "shape-bias", "corruption-by"]
)
def test_the_picture_stays(fill, start, monkeypatch):
    conditions = [("cue-conflict", "shape_bias", name) for name in ("cat", "dog")]
    conditions += [("corruption", "corruption_accuracy", f"fog/{at}") for at in range(1, 6)]
    contents = read_contents(fill([f"net-{i}" for i in range(12)], conditions=conditions))
    names = ("link-adversarial-cue-conflict",) if start.startswith("link") else (start,)
    figure = next(one for _, one in every_figure(contents) if one.name.startswith(names))
    short = drawing.svg(figure)
    monkeypatch.setattr(drawing, "lean", lambda drawn: drawn)
    whole = drawing.svg(figure)
    assert len(short) < 0.8 * len(whole)
    difference = np.abs(pixels(short) - pixels(whole))
    assert difference.mean() < 1  # of 255: a tenth of a pixel at the edges of marks
    assert (difference > 100).mean() < 1e-3


def test_lines_of_one_look_are_one_path_and_colours_stand_at_runs():
    line = '<line transform="translate(0,{})" x2="9.987" y2="0" stroke="#dde1e6" stroke-width="1"/>'
    made = lean(f"<svg><g>{line.format(1)}{line.format(2.449)}</g></svg>")
    assert made == (
        '<svg><g stroke="#dde1e6" stroke-width="1"><path d="M0,1l10,0M0,2.4l10,0"/></g></svg>'
    )
    text = '<text fill="{}" transform="translate(1,2)">a&gt;b 1.23456</text>'
    fills = ["red"] * 3 + ["blue"] * 3
    made = lean(f"<svg><g>{''.join(map(text.format, fills))}</g></svg>")
    bare = '<text transform="translate(1,2)">a&gt;b 1.23456</text>'
    assert made == f'<svg><g><g fill="red">{bare * 3}</g><g fill="blue">{bare * 3}</g></g></svg>'


def test_names_of_marks_are_dropped_where_no_pointer_reaches_them():
    mark = (
        '<path aria-label="net &lt;1&gt;" role="graphics-symbol" aria-roledescription="point" '
        'transform="translate(3,4)" d="M2.911,0A2.911,2.911,0,1,1,-2.911,0A2.911,2.911,0,1,1,2.911,0"/>'
    )
    named = lean(mark)
    assert named == '<circle r="2.9" cx="3" cy="4"><title>net &lt;1&gt;</title></circle>'
    assert without_names(named) == '<circle r="2.9" cx="3" cy="4"/>'
