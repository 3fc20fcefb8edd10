"""A verdict on a network as a value, and as text, Markdown, JSON and an HTML page."""

import textwrap
from dataclasses import asdict, dataclass
from html import escape
from typing import Literal

from benchmark.display import printable
from benchmark.leaderboard.forms import json_text, markdown_code, markdown_text

VerdictForm = Literal["text", "markdown", "json", "html"]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "dt{font-weight:600}dd{margin:0 0 .6rem}"
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A number behind a sentence, with its test if it is of a comparison."""

    suite: str = ""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    against: str = ""  # the other observer; the number is then own minus other
    test: str = ""  # its method
    p: float | None = None  # adjusted


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One statement. about: a suite, or "input", "nearest", "trust", "twin", "not measured"."""

    about: str
    text: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """Everything that is said of one network, the most important first."""

    observer: str
    sentences: tuple[Sentence, ...]

    def to(self, form: VerdictForm, width: int = 80) -> str:
        """Return the verdict as "text" of that width, "markdown", "json" with the evidence, or an "html" page."""
        if form == "json":
            return json_text(asdict(self))
        if form == "markdown":
            items = (f"- **{markdown_text(each.about)}**: {markdown_text(each.text)}" for each in self.sentences)
            return "\n".join([f"### {markdown_code(self.observer)}", "", *items]) + "\n"
        name = printable(self.observer)
        if form == "html":
            return (
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title>'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<style>{_STYLE}</style><h1>{escape(name)}</h1>{self._repr_html_()}</html>\n"
            )
        left = max((len(each.about) for each in self.sentences), default=0) + 2
        lines = [name]
        for each in self.sentences:
            lines += textwrap.wrap(
                printable(each.text), max(width, left + 20), initial_indent=each.about.ljust(left),
                subsequent_indent=" " * left, break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return self.to("text")

    def _repr_html_(self) -> str:
        rows = (f"<dt>{escape(each.about)}</dt><dd>{escape(printable(each.text))}</dd>" for each in self.sentences)
        return f'<dl class="verdict">{"".join(rows)}</dl>'
