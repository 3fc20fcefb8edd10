"""Published collections of trials: how each is recognised, and which observers it names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmark.contracts.declarations import package_data
from benchmark.failures import TrialsError
from registry.documents import validated

#: The label space in which people answered.
PUBLISHED_SPACE = "geirhos16"
#: A presentation time, which takes the place of a prompt.
TIME_UNIT = " ms"
_TIME = re.compile(rf"(\d+){TIME_UNIT}")
#: Suffix of a folder after its source's name: the version or the commit of an archive.
_VERSION = r"(?:-(?:v?\d[\w.]*|[0-9a-f]{7,40}|main|master))?"


class ObserverName(NamedTuple):
    """Who answered: a source, and a name that is unique in that source."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published collection; the fields are those of `sources.yaml`."""

    folders: tuple[str, ...] = ()  # names of folders by which it is recognised
    holds: tuple[str, ...] = ()  # names of files by which it is recognised
    names: Mapping[str, str] = field(default_factory=dict)  # observer's name in its tables -> correct name
    people: Mapping[str, str] = field(default_factory=dict)  # experiment (or "all") -> the source of its people
    experiment: str = ""  # the experiment of all its tables, if their names do not identify it
    files: tuple[str, ...] = ()  # patterns of file names that name the observer and the prompt
    #: Prompt in a file name -> the prompt in words, the usual one first.
    prompts: Mapping[str, str] = field(default_factory=dict)
    #: Pattern of files that are not tables of trials -> their content.
    others: Mapping[str, str] = field(default_factory=dict)
    citation: str = ""  # if the catalogue has no entry of it
    apart: str = ""  # why its people are not a comparison group; "" if they are


@cache
def known_sources() -> Mapping[str, Source]:
    """Return published collections by name."""
    return {
        source: validated(Source, row, TrialsError)
        for source, row in package_data("benchmark.stimuli", "sources").items()
    }


def known_source(name: str) -> Source:
    """Find a published collection; an unknown name has an empty one."""
    return known_sources().get(name, Source())


def published_network(observer: ObserverName) -> tuple[tuple[str, ...], str]:
    """Look up the recipe and family of a published network; both are empty if nothing is known."""
    for group in package_data("benchmark.stimuli", "published_observers").get(observer.source, ()):
        if observer.name in group["observers"]:
            return tuple(group["training"]), group["observers"][observer.name]
    return (), ""


def sources_of(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """Name the source of each table below `root` (a folder, or a table itself). It is the nearest folder named like a
    published collection, otherwise the one collection whose contents `root` has, otherwise the name of `root`."""
    parts = {part for path in paths for part in (path.relative_to(root).parts if path != root else (path.name,))}
    held = [name for name, known in known_sources().items() if any(part.startswith(known.holds) for part in parts)]
    place = root.resolve()
    plain = "".join(c if c.isprintable() else "?" for c in (place.name if place.is_dir() else place.stem))
    rest = held[0] if len(held) == 1 else plain or "tables"
    called = [(re.escape(text) + _VERSION, name) for name, known in known_sources().items() for text in known.folders]
    sources = {}
    for path in paths:
        folders = (folder.name for folder in path.resolve().parents)
        names = (name for text in folders for form, name in called if re.fullmatch(form, text, re.IGNORECASE))
        sources[path] = next(names, rest)
    return sources


def check_source(name: str) -> str:
    """Check the name of a source that a user gives. Raises TrialsError if it is empty or not printable."""
    name = name.strip()
    if not name or not name.isprintable() or set(name) & set("()"):
        raise TrialsError(f"--source {name!r}: expected a name without brackets, such as 'my-laboratory'.")
    return name


def resolve_observer(source: str, observer: str, experiment: str, *, human: bool) -> ObserverName:
    """Name an observer of a table: a network as its source names it, a person by the source of the experiment."""
    known = known_source(source)
    if human:
        return ObserverName(known.people.get(experiment) or known.people.get("all") or source, observer)
    return ObserverName(source, known.names.get(observer, observer))


def observer_of_path(source: str, path: Path) -> tuple[str | None, str]:
    """Read observer and prompt (in words) from the names of a file and of the two folders above it."""
    known = known_source(source)
    place = "/".join(path.absolute().with_suffix("").parts[-3:])
    for pattern in known.files:
        if match := re.search(f"(?:^|/){pattern}$", place):
            prompt = match.groupdict().get("prompt") or ""
            return match["observer"], known.prompts.get(prompt, prompt.replace("_", " "))
    return None, ""


def other_content(source: str, path: Path) -> str:
    """Describe a file of this source that is known to hold no trials; "" for any other."""
    place = path.absolute().as_posix()
    others = known_source(source).others.items()
    return next((what for pattern, what in others if re.search(f"/{pattern}$", place)), "")


def way_of_asking(prompt: str) -> str:
    """Return how a prompt, or the time for which images were shown, is written beside scores."""
    return f"shown for {prompt}" if _TIME.fullmatch(prompt) else f"prompt: {prompt}"


def prompt_order(source: str, prompt: str) -> tuple[int, str]:
    """Return the sort key of an observer's prompts: the prompt that scores use is first; of times, the longest."""
    if time := _TIME.fullmatch(prompt):
        return -int(time[1]), prompt
    usual = list(known_source(source).prompts.values())
    return (usual.index(prompt) if prompt in usual else len(usual), prompt)
