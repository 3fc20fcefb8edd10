"""A verdict as text, Markdown, JSON and an HTML page."""

import textwrap
from html import escape

from benchmark.display import printable
from benchmark.leaderboard.forms import json_text, markdown_code, markdown_text
from benchmark.leaderboard.verdict import Verdict

FORMS = ("text", "markdown", "json", "html")
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "dt{font-weight:600}dd{margin:0 0 .6rem}"
)


def verdict_text(verdict: Verdict, width: int = 80) -> str:
    """Return a line for each sentence, wrapped beside what it is about."""
    left = max((len(each.about) for each in verdict.sentences), default=0) + 2
    lines = [printable(verdict.observer)]
    for each in verdict.sentences:
        lines += textwrap.wrap(
            printable(each.text), max(width, left + 20), initial_indent=each.about.ljust(left),
            subsequent_indent=" " * left, break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def verdict_markdown(verdict: Verdict) -> str:
    """Return a heading and a list."""
    items = (f"- **{markdown_text(each.about)}**: {markdown_text(each.text)}" for each in verdict.sentences)
    return "\n".join([f"### {markdown_code(verdict.observer)}", "", *items]) + "\n"


def verdict_fragment(verdict: Verdict) -> str:
    """Return the sentences as a list of HTML, for a page."""
    rows = (f"<dt>{escape(each.about)}</dt><dd>{escape(printable(each.text))}</dd>" for each in verdict.sentences)
    return f'<dl class="verdict">{"".join(rows)}</dl>'


def verdict_page(verdict: Verdict) -> str:
    """Return a page of its own."""
    name = escape(printable(verdict.observer))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><h1>{name}</h1>{verdict_fragment(verdict)}</html>\n"
    )


def written_verdict(verdict: Verdict, form: str, width: int = 80) -> str:
    """Return the verdict in one of `FORMS`."""
    if form == "json":
        return json_text(verdict.record)
    if form == "text":
        return verdict_text(verdict, width)
    return verdict_markdown(verdict) if form == "markdown" else verdict_page(verdict)
