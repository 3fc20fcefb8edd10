"""Find suites, built-in and third-party ones alike, through the entry-point group `bench.suites`."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points

from benchmark.contracts import Suite
from benchmark.failures import PluginError, StimuliError, UnknownName, load_each, unknown_name
from benchmark.stimuli.experiments import added_experiments
from benchmark.variables import read_settings

GROUP = "bench.suites"
WITHIN = "within-"  # NAME:within-0.01 samples each condition until its interval is at most +-0.01 wide


@dataclass(frozen=True)
class SuiteShelf:
    """Holds the suites that loaded, and for the others name -> what went wrong."""

    suites: dict[str, Suite]
    broken: dict[str, str]


@cache
def suite_entries() -> Mapping[str, EntryPoint]:
    """Return entry points by name without loading them; later installations count for the next process."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def own_entries() -> Mapping[str, EntryPoint]:
    """Return the entry points of this program's own suites. Those of all packages take longer to read than a board."""
    with suppress(PackageNotFoundError):
        return {entry.name: entry for entry in distribution("gestaltbench").entry_points.select(group=GROUP)}
    return {}


def find_suites(pattern: str | None = None, *, scored: Collection[str] | None = None) -> SuiteShelf:
    """Load every suite, and report those that do not load. `pattern` is "all", or names separated by commas, with
    variants as NAME:VARIANT. Only these are loaded, if all exist. Otherwise the names in `scored` limit what is
    loaded."""
    wanted = "" if pattern in (None, "all") else str(pattern)
    asked = {name.partition(":")[0].strip() for name in wanted.split(",") if name.strip()}
    held = None if scored is None else {name.partition(":")[0] for name in scored}
    named, entries = asked or held, own_entries()
    if named is None or not named <= entries.keys():
        entries = suite_entries()
    if named is not None and asked <= entries.keys():
        entries = {name: entry for name, entry in entries.items() if name in named}
    found, broken = load_each(entries.values(), _load)
    able = [suite.of_experiment for suite in found.values() if suite.of_experiment]
    try:
        added = added_experiments(read_settings()).values() if able else ()
        suites = [own for experiment in added for make in able if (own := make(experiment))]
        found |= {suite.name: suite for suite in suites}
    except StimuliError as error:
        broken["human-comparison: added experiments"] = str(error)
    return SuiteShelf(found, broken)


def select_suites(pattern: str, shelf: SuiteShelf) -> list[Suite]:
    """Return the suites of a pattern: "all" (no variants), or names separated by commas, variants as NAME:VARIANT."""
    if pattern == "all":
        return list(shelf.suites.values())
    return [named_suite(name.strip(), shelf) for name in pattern.split(",") if name.strip()]


def named_suite(name: str, shelf: SuiteShelf) -> Suite:
    """Return the suite or the variant of that name. Raises UnknownName with close matches, PluginError."""
    if name in shelf.suites:
        return shelf.suites[name]
    plain, _, variant = name.partition(":")
    if plain in shelf.broken:
        raise PluginError(f"suite '{plain}': {shelf.broken[plain]}")
    if plain not in shelf.suites:
        owner = suite_of_metric(plain)
        hint = f"'{plain}' is a metric of {owner}." if owner else "`bench suites` lists them."
        raise unknown_name("suite", plain, shelf.suites, hint, (owner,) if owner else ())
    suite = shelf.suites[plain]
    if not variant:
        return suite
    if variant in suite.variants:
        return suite.variants[variant]
    if variant.startswith(WITHIN) and suite.stopping.within:
        target = 0.0
        with suppress(ValueError):
            target = float(variant.removeprefix(WITHIN))
        if not 0 < target < 0.5:
            raise PluginError(f"suite '{name}': expected {WITHIN} and a number between 0 and 0.5.")
        return suite.stopping.within(target)
    names = [known for known in shelf.suites if known.startswith(f"{plain}:")]
    names += [f"{plain}:{known}" for known in suite.variants]
    raise unknown_name("suite variant", name, names, f"`bench suites show {plain}` lists them.")


def suite_of_metric(name: str) -> str:
    """Return the first suite with a metric of that name, whatever its dashes; "" if there is none."""
    metric = name.replace("-", "_")
    suites = find_suites().suites.values()
    return next((suite.name for suite in suites if metric in {known.name for known in suite.metrics}), "")


def requested_suites(pattern: str, target: float | None, shelf: SuiteShelf) -> list[Suite]:
    """Return a request's suites. target: some can stop at intervals of +-target. Raises UnknownName, PluginError."""
    suites = select_suites(pattern, shelf)
    if target is None:
        return suites
    if not any(suite.stopping.within for suite in suites):
        names = ", ".join(suite.name for suite in suites)
        raise PluginError(f"--precision-target: none of {names} can stop a condition early.")
    return [suite.stopping.within(target) if suite.stopping.within else suite for suite in suites]


def known_suites(names: Iterable[str], shelf: SuiteShelf | None = None) -> dict[str, Suite]:
    """Return every plain suite, and the variants among these names (of a leaderboard's suites), by name."""
    shelf = shelf or find_suites()
    known = dict(shelf.suites)
    for name in sorted(set(names) - known.keys()):
        with suppress(UnknownName, PluginError):
            known |= {name: named_suite(name, shelf)} if ":" in name else {}
    return known


def _load(entry: EntryPoint) -> Suite:
    suite = entry.load()
    if not isinstance(suite, Suite):
        raise PluginError(f"expected a gestaltbench.contracts.Suite, got {type(suite).__name__}")
    if suite.name != entry.name:
        raise PluginError(f"the suite calls itself '{suite.name}', its entry point '{entry.name}'")
    for name, variant in suite.variants.items():
        if variant.name != f"{suite.name}:{name}":
            raise PluginError(f"its variant '{name}' calls itself '{variant.name}'")
    return suite
