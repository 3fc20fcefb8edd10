"""Every file that the tour of one stimulus names is there, at its place; a long module has its reason on a page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_of_the_tour_exists():
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.\w+)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_long_module_has_its_reason():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (reasons,) = re.findall(r"Modules stay below 250 lines.*?\n\n", text, re.DOTALL)
    named = set(re.findall(r"`([\w/]+\w)`", reasons))
    paths = [
        p
        for room in ("gestaltbench", "benchmark", "registry", "suites")
        for p in (ROOT / room).rglob("*.py")
    ]
    long = {
        path.relative_to(ROOT).with_suffix("").as_posix().removeprefix("benchmark/")
        for path in paths
        if len(path.read_text(encoding="utf-8").splitlines()) > 250
    }
    assert long - named == set(), "cut it at a seam, or give the reason in docs/architecture.md"
