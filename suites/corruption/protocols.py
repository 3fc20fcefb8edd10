"""The conditions of each protocol, as data (`protocols.yaml`), and the version that follows from them."""

from dataclasses import replace
from functools import cache
from importlib.resources import files

from benchmark.contracts import Suite
from benchmark.contracts.declarations import package_data
from benchmark.failures import unknown_name
from benchmark.transforms.listing import Entries, own_list, parse
from registry.files import digest_data
from suites.corruption.config import WORLD, CorruptionConfig

COMMON = "common"
PROTOCOLS = package_data("suites.corruption", "protocols")


@cache
def world_list() -> Entries:
    """Return the corruptions of the built-in world's sweep."""
    return parse(
        files("suites.corruption").joinpath("world.yaml").read_text(encoding="utf-8"), "suites/corruption/world.yaml"
    )


def groups_of(corruption: str) -> set[str]:
    """Return the names by which a protocol may include this corruption: its name, "all", or a list that holds it."""
    return {corruption, "all", *(name for name, members in PROTOCOLS["lists"].items() if corruption in members)}


def shown_corruptions(config: CorruptionConfig, space: str) -> Entries:
    """Return the corruptions of a sweep in a label space. Raises UnknownName."""
    if space == WORLD and config.source == "imagenet-c":
        return world_list()
    entries = own_list(config.source)
    known = list(dict.fromkeys([*entries, *(group for name in entries for group in groups_of(name))]))
    for name in config.corruptions:
        if name not in known:
            raise unknown_name("corruption", name, known)
    return {name: entry for name, entry in entries.items() if groups_of(name) & set(config.corruptions)}


def versioned(suite: Suite) -> Suite:
    """Return the suite at the version of its list: its own, and one more for each time that its conditions changed."""
    if not isinstance(suite.config, CorruptionConfig) or suite.config.source == "plugins":
        return suite
    past, digest = PROTOCOLS["digests"].get(suite.name, []), conditions_digest(suite)
    changed = past.index(digest) if digest in past else len(past)
    return replace(suite, version=suite.version + changed) if changed else suite


def conditions_digest(suite: Suite) -> str:
    """Return the digest of all conditions that a sweep shows, in any space, whatever their order."""
    config, listings = suite.config, [shown_corruptions(suite.config, space) for space in suite.spaces]
    levels = ((entry, level) for entries in listings for entry in entries.values() for level in entry.levels)
    chosen = {e.condition(level) for e, level in levels if not config.severities or str(level) in config.severities}
    return digest_data(sorted(chosen))[:12]
