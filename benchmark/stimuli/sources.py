"""Where published trials come from: an observer is (source, name). What is known of each source is `sources.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import TrialsError

#: The decision space in which people answered.
PUBLISHED_SPACE = "geirhos16"
#: What may follow a source's name in the name of a folder: the version or the commit of its archive.
_VERSION = r"(?:-(?:v?\d[\w.]*|[0-9a-f]{7,40}|main|master))?"
_ALL = "all"


class Named(NamedTuple):
    """Who answered: a source, and a name that is unique there."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True)
class Source:
    """A published collection. folders, holds: how it is recognised; names: what its tables call an observer -> what
    that is; people: experiment (or "all") -> the source whose people these are; experiment: whose images all of its
    tables show, where their names do not tell; files: patterns of file names that say who answered, and how; prompts:
    what a file name calls a way of asking -> that way in words, the usual one first; others: patterns of files that
    are no tables of trials -> what they are; apart: why its own people are no group to compare with, "" where they are.
    """

    folders: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    experiment: str = ""
    files: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    apart: str = ""


@cache
def known_sources() -> Mapping[str, Source]:
    """The published collections by name."""
    import yaml

    text = (files("benchmark.stimuli") / "sources.yaml").read_text(encoding="utf-8")
    return {name: _source(row) for name, row in yaml.safe_load(text).items()}


def _source(row: Mapping[str, Any]) -> Source:
    lists = {key: tuple(row[key]) for key in ("folders", "holds", "files") if key in row}
    names = {old: new["name"] for old, new in row.get("names", {}).items()}
    return Source(**{**row, **lists, "names": names})


class Known(NamedTuple):
    """What is known of a published network."""

    training: tuple[str, ...] = ()
    family: str = ""


@cache
def _published_observers() -> Mapping[Named, Known]:
    import yaml

    text = (files("benchmark.stimuli") / "published_observers.yaml").read_text(encoding="utf-8")
    return {
        Named(source, name): Known(tuple(group["training"]), family)
        for source, groups in yaml.safe_load(text).items()
        for group in groups
        for name, family in group["observers"].items()
    }


def known_of(observer: Named) -> Known:
    """Recipe and family of a published network; empty where nothing is known."""
    return _published_observers().get(observer, Known())


def sources_of(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """The source of each table below `root` (a folder, or a table itself).

    The nearest folder that is called like a published collection tells; else what one collection alone holds; else
    the source is called like `root`.
    """
    held = {name for name, one in known_sources().items() if _holds(one, paths, root)}
    rest = held.pop() if len(held) == 1 else _plain(root)
    return {path: _in_folder(path) or rest for path in paths}


def _in_folder(path: Path) -> str | None:
    for folder in path.resolve().parents:
        for name, one in known_sources().items():
            if any(_called(folder.name, known) for known in one.folders):
                return name
    return None


def _called(folder: str, known: str) -> bool:
    return re.fullmatch(re.escape(known) + _VERSION, folder, re.IGNORECASE) is not None


def _holds(source: Source, paths: Sequence[Path], root: Path) -> bool:
    places = (path.relative_to(root).parts if path != root else (path.name,) for path in paths)
    return any(part.startswith(source.holds) for parts in places for part in parts)


def _plain(root: Path) -> str:
    """What a file or folder is called, in printable letters."""
    place = root.resolve()
    name = place.name if place.is_dir() else place.stem
    return "".join(letter if letter.isprintable() else "?" for letter in name) or "tables"


def check_source(name: str) -> str:
    """A source that a user states. Raises TrialsError where it is empty or not printable."""
    name = name.strip()
    if not name or not name.isprintable() or set(name) & set("()"):
        raise TrialsError(
            f"--source {name!r}: expected a name without brackets, such as 'my-laboratory'."
        )
    return name


def named(source: str, observer: str, experiment: str, *, human: bool) -> Named:
    """Who an observer of a table is: under the name that is true of its source, and people under theirs."""
    known = known_sources().get(source)
    if known is None:
        return Named(source, observer)
    if human:
        return Named(known.people.get(experiment) or known.people.get(_ALL) or source, observer)
    return Named(source, known.names.get(observer, observer))


class Told(NamedTuple):
    """What the place of a table says: who answered, and under which prompt (in words)."""

    observer: str | None = None
    prompt: str = ""


def told_by_place(source: str, path: Path) -> Told:
    """What the name of a file and of the two folders above it say in this source."""
    known = known_sources().get(source)
    place = "/".join(path.absolute().with_suffix("").parts[-3:])
    for pattern in known.files if known else ():
        found = re.search(f"(?:^|/){pattern}$", place)
        if found and known:
            asked = found.groupdict().get("prompt") or ""
            return Told(found["observer"], known.prompts.get(asked, asked.replace("_", " ")))
    return Told()


def compares(source: str) -> bool:
    """Whether a source's own people are a group that observers are compared with."""
    known = known_sources().get(source)
    return known is None or not known.apart


def is_no_table(source: str, path: Path) -> str:
    """What a file of this source is that holds no trials; "" where it should hold some."""
    known = known_sources().get(source)
    place = path.absolute().as_posix()
    patterns = known.others if known else {}
    return next((what for one, what in patterns.items() if re.search(f"/{one}$", place)), "")


def prompt_order(source: str, prompt: str) -> tuple[int, str]:
    """By this the prompts of one observer are ordered: the one that its scores are made of comes first."""
    known = known_sources().get(source)
    usual = list(known.prompts.values()) if known else []
    return (usual.index(prompt) if prompt in usual else len(usual), prompt)
