"""Every file that the tour of one stimulus names is there, at its place; a long module has its reason on a page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_tour_exists():
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.\w+)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
