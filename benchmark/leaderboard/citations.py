"""The publications that a table rests on: its stimuli, trials, suites and networks, as BibTeX and in a line."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import metadata

from benchmark.contracts import Suite
from benchmark.display import printable
from benchmark.leaderboard.board_model import Board
from benchmark.leaderboard.forms import latex_text
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.stimuli.catalogue import find_built_in
from benchmark.stimuli.published_sources import known_source
from benchmark.stimuli.world.sets import SPACE
from benchmark.store import ObserverRow
from benchmark.version import __version__

#: "Authors (year). Title. Venue. arXiv:1811.12231"
_CITED = re.compile(r"(?P<authors>.+?) \((?P<year>\d{4})\)\. (?P<title>.+?(?:\?|(?=\. )|(?=\.?$)))\.? ?(?P<rest>.*)")
_ARXIV = re.compile(r"arxiv(?:\.org/abs/|:)(\d{4}\.\d{4,5})", re.IGNORECASE)
_DOI = re.compile(r"\bdoi:(\S+)|doi\.org/(\S+)")
_JOURNAL = re.compile(r"(.+) (\d+)")

NETWORK = "network "
#: A citation in a line -> what rests on it.
Works = dict[str, list[str]]


def works_of(boards: Iterable[Board], observers: Mapping[str, ObserverRow], suites: Sequence[Suite]) -> Works:
    """Return the publications behind boards: of their suites, stimuli, published answers, and networks."""
    works: Works = {}

    def cite(text: str, what: str) -> None:
        if text and what not in works.setdefault(text, []):
            works[text].append(what)

    known = {suite.name: suite for suite in suites}
    for board in boards:
        base = known.get(board.suite.partition(":")[0])
        own = known.get(board.suite, base)
        for text in (own and own.citations) or (base.citations if base else ()):
            cite(text, f"suite {board.suite}")
        for role, shown in board.sets.items() if board.space != SPACE else ():
            name = shown.partition(" ")[0]  # a number of sets, if there are several under that role
            if entry := find_built_in(role if name.isdigit() else name):
                cite(entry.citation, f"stimuli {entry.name}")
        for row in (*board.rows, *board.references):
            card = observers[row.observer].card if row.observer in observers else {}
            source = str(card.get("source", ""))
            if row.kind != "network":
                published = known_source(source)
                entries = filter(None, map(find_built_in, (source, *published.folders)))
                found = published.citation or next((each.citation for each in entries if each.citation), "")
                cite(found, f"answers of {source}")
            if row.kind in NETWORKS:
                cite(str(card.get("paper") or ""), f"{NETWORK}{row.observer}")
    return works


def short_citations(works: Works) -> str:
    """Return "Geirhos et al. (2019), Recht et al. (2019)": the publications of more than networks."""
    texts = [text for text, rests in works.items() if not all(what.startswith(NETWORK) for what in rests)]
    found = ((text, _CITED.fullmatch(text)) for text in texts)
    return ", ".join(dict.fromkeys(f"{m['authors']} ({m['year']})" if m else text for text, m in found))


def bibliography(works: Works) -> str:
    """Return BibTeX, an entry for each publication below a comment on what rests on it, the program's own first."""
    own = f"@software{{gestaltbench,\n  title = {{{{gestaltbench: {metadata('gestaltbench')['Summary']}}}}},\n"
    entries = [f"% the program\n{own}  version = {{{__version__}}},\n}}\n"]
    keys: dict[str, int] = {}  # how often each was given
    for text, rests in works.items():
        plain = re.sub(r"[{}\\]", "", printable(text))
        arxiv, doi = _ARXIV.search(plain), _DOI.search(plain)
        found = _CITED.fullmatch(latex_text(plain))
        kind, key, fields = "misc", "work", {"note": latex_text(plain)}
        if found:
            authors = re.split(r", | and ", found["authors"].replace(" et al.", " and others"))
            venue = re.sub(r"(?i)\.? ?(arxiv|doi):\S+", "", found["rest"]).rstrip(". ")
            journal = _JOURNAL.fullmatch(venue)
            kind = "article" if journal else "inproceedings" if venue else "misc"
            where = {"journal": journal[1], "volume": journal[2]} if journal else {"booktitle": venue} if venue else {}
            # Braces keep an institution whole, and capitals in a title.
            names = [f"{{{name}}}" if " " in name else name for name in authors]
            fields = {"author": " and ".join(names), "title": f"{{{found['title']}}}", **where, "year": found["year"]}
            words = re.findall(r"[a-z]{4,}", found["title"].lower())
            key = re.sub("[^a-z]", "", authors[0].lower().split()[0]) + found["year"] + (words or [""])[0]
        fields |= {"eprint": arxiv[1], "archiveprefix": "arXiv"} if arxiv else {}
        fields |= {"doi": doi[1] or doi[2]} if doi else {}
        keys[key] = keys.get(key, 0) + 1
        key += "abcdefghijklmnopqrstuvwxyz"[(keys[key] - 1) % 26] * (keys[key] > 1)
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        about = f"% {printable('; '.join(rests))}"
        entries.append("\n".join([about, f"@{kind}{{{key},", *lines, "}"]) + "\n")
    return "\n".join(entries)
