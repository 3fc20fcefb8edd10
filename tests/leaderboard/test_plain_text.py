"""Tables in files and pipes are what rich prints, or rich prints them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmark.leaderboard.grid import Detail, Field, Grid, at_width
from benchmark.leaderboard.plain_text import plain_text
from benchmark.leaderboard.render import render_details

WIDTH = 400


def by_rich(details):
    file = io.StringIO()
    options = {"markup": False, "emoji": False, "highlight": False, "color_system": None}
    Console(file=file, width=WIDTH, **options).print(render_details(details))
    return file.getvalue()


WORDS = st.text("abz09.,[]()/*+-äß±", min_size=1, max_size=9)
LINES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@st.composite
def details(draw):
    height = draw(st.integers(0, 3))
    texts = st.lists(LINES | st.just(""), min_size=height, max_size=height).map(tuple)
    fields = st.builds(Field, LINES, texts, st.booleans()).map(at_width)
    breaks = draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    grid = Grid(tuple(draw(st.lists(fields, max_size=3))), breaks)
    return Detail(
        draw(LINES), draw(LINES | st.just("")), grid, tuple(draw(st.lists(LINES, max_size=2)))
    )


@given(st.lists(details(), min_size=1, max_size=2))
def test_as_rich_prints_them(found):
    assert plain_text(found, WIDTH) == by_rich(found)


def test_a_table_as_text():
    fields = (
        Field("rank", ("1 (1-2)", "2", "")),
        Field("shape bias", ("0.5", "0.25", "-"), right=True),
    )
    table = Detail("a suite", "its images", Grid(tuple(map(at_width, fields)), (2,)), ("a note",))
    assert plain_text([table, Detail("another", "", Grid(()))], WIDTH) == (
        "a suite\n"
        "its images\n"
        "         shape\n"
        "rank      bias\n"
        "──────────────\n"
        "1 (1-2)    0.5\n"
        "2         0.25\n"
        "              \n"
        "             -\n"
        "a note\n"
        "\n"
        "another\n"
    )


@pytest.mark.parametrize(
    ("title", "text", "width"),
    [
        ("observer", "too long for it", 9),
        ("observer", "網絡", 9),
        ("observer", "e\u0301", 9),
        ("twice  spaced", "x", 20),
        ("observer", "x", 500),
    ],
)
def test_what_has_to_be_folded_or_measured_is_left_to_rich(title, text, width):
    table = Detail("a suite", "", Grid((Field(title, (text,), width=width),)))
    assert plain_text([table], WIDTH) is None
    assert plain_text([Detail("a suite", "", Grid(()), ("long " * 100,))], WIDTH) is None
