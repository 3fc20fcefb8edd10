"""Pages and tables as files. Names, cards and imports are always text, in HTML and in CSV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.contracts import distrust_flags
from benchmark.display import counted, printable_lines
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard.forms import csv_lines
from benchmark.leaderboard.table import rank_text, short_number
from registry.files import write_whole
from registry.user_errors import library

if TYPE_CHECKING:
    from jinja2 import Environment

    from benchmark.settings import Settings

#: Written into every report: a folder without it is somebody else's and is not written over.
MARK = "report.txt"
#: What names a paper -> the address before it.
PAPERS = {
    r"(https?://[^\s<>\"]+)": "",
    r"arxiv[:/ ]*(?:abs/)?(\d{4}\.\d{4,5})": "https://arxiv.org/abs/",
    r"\b(10\.\d{4,}/[^\s<>\"]+)": "https://doi.org/",
}
_PLAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(kw_only=True)
class Site:
    """A report being written, as files under `folder`."""

    settings: Settings  # they give leaderboard, stimuli and gallery
    folder: Path
    shared: Mapping[str, Any] = field(default_factory=dict)  # the context of every page
    written: int = 0  # bytes
    pages: int = 0
    kept: list[str] = field(default_factory=list)  # the pages of a single file

    @property
    def start(self) -> Path:
        """The page to open."""
        return self.folder if self.folder.is_file() else self.folder / "index.html"

    @property
    def size(self) -> str:
        """Pages and bytes in words."""
        return f"{counted(self.pages, 'page')}, {self.written / 1e6:.1f} MB"

    def __repr__(self) -> str:
        return f"<report in {self.start}: {self.size}>"

    def page(self, path: str, template: str, **context: Any) -> None:
        """Write a page from a template; `root` leads from it to the report's own folder."""
        self.pages += 1
        context = {**self.shared, **context, "root": "../" * path.count("/"), "path": path}
        self.file(path, templates().get_template(template).render(context))

    def table(self, path: str, records: Iterable[Mapping[str, Any]], names: Sequence[str] = ()) -> None:
        """Write records as CSV, without formulas; numbers to six significant digits."""
        shorter = (
            {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in record.items()}
            for record in records
        )
        self.file(path, "".join(csv_lines(shorter, names)))

    def file(self, path: str, content: str | bytes) -> None:
        """Write a file, whole or not at all."""
        data = content.encode() if isinstance(content, str) else content
        write_whole(self.folder / path, data)
        self.written += len(data)


def open_site(settings: Settings, folder: Path, shared: Mapping[str, Any]) -> Site:
    """Return a new report, or an old one to be written over. Raises UsageError where the folder holds other things."""
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / MARK).is_file():
        what = "is a file or has files that are not of a report, and nothing was written"
        raise UsageError(f"{folder} {what}: name a new or an empty folder with --out.")
    site = Site(settings=settings, folder=folder, shared=shared)
    site.file(MARK, "made by bench report; written over by the next one\n")
    for name in ("site.css", "site.js"):
        site.file(name, (files("benchmark.report") / "static" / name).read_text(encoding="utf-8"))
    return site


def slug(name: str) -> str:
    """Return a file name for any name: the name if it is plain, otherwise its plain characters and a digest."""
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return f"{plain or 'x'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def address(paper: str) -> str:
    """Return the web address of a card's paper, from an address, an arXiv number or a DOI; "" without one."""
    matches = ((re.search(pattern, paper, re.IGNORECASE), to) for pattern, to in PAPERS.items())
    return next((to + match[1] for match, to in matches if match), "")


@cache
def templates() -> Environment:
    """Return the templates. Raises BenchError that names the extra if jinja2 is missing."""
    jinja2 = library("jinja2", "report", "the report", BenchError)

    def shown(value: Any) -> Any:
        if isinstance(value, str) and not value.isprintable() and not hasattr(value, "__html__"):
            return printable_lines(value)
        return "" if value is None else value

    environment: Environment = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmark.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
        auto_reload=False,  # a file that is looked at for changes before each of 10,000 pages
    )
    environment.filters |= {
        "ranked": lambda rank: rank_text(*rank),
        "distrust": distrust_flags,
        "slug": slug,
        "address": address,
        "number": short_number,
        "percent": lambda share: f"{100 * share:.3g}%",
        "share": lambda value: "" if value is None else short_number(value),
    }
    return environment
