"""Suites are found through the entry-point group `bench.suites`: ours and a third party's the same way."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from benchmark.contracts import Suite
from benchmark.errors import PluginError, unknown_name

GROUP = "bench.suites"


@dataclass(frozen=True)
class SuiteShelf:
    """The suites that loaded, and for those that did not: name -> what went wrong."""

    suites: dict[str, Suite]
    broken: dict[str, str]


def suite_entries() -> dict[str, EntryPoint]:
    """Entry points by name, without loading any of them."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def find_suites() -> SuiteShelf:
    """Load every suite. One that does not load is named with its error instead of vanishing."""
    suites: dict[str, Suite] = {}
    broken: dict[str, str] = {}
    for name, entry in sorted(suite_entries().items()):
        try:
            suites[name] = _load(entry)
        except Exception as error:  # noqa: BLE001 - the boundary of a plugin: recorded by name
            broken[name] = f"{entry.value} does not load: {type(error).__name__}: {error}"
    return SuiteShelf(suites, broken)


def select_suites(pattern: str, shelf: SuiteShelf) -> list[Suite]:
    """`all`, or names separated by commas. A broken suite that is asked for by name is an error."""
    if pattern == "all":
        return list(shelf.suites.values())
    return [_named(name.strip(), shelf) for name in pattern.split(",") if name.strip()]


def _named(name: str, shelf: SuiteShelf) -> Suite:
    if name in shelf.broken:
        raise PluginError(f"suite '{name}': {shelf.broken[name]}")
    if name not in shelf.suites:
        raise unknown_name("suite", name, shelf.suites, "`bench suites` lists them.")
    return shelf.suites[name]


def _load(entry: EntryPoint) -> Suite:
    suite = entry.load()
    if not isinstance(suite, Suite):
        raise PluginError(f"expected a benchmark.contracts.Suite, got {type(suite).__name__}")
    if suite.name != entry.name:
        raise PluginError(f"the suite calls itself '{suite.name}', its entry point '{entry.name}'")
    return suite
