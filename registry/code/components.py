"""The program's own code in components, each with a version that outlives refactorings.

`components.json` holds, for each component, a version and the digest of its code at the last check. Code that is as it
was checked stands in a key by its version: a release that changes no number keeps it, and with it every stored trial.
Code that differs from what was checked, an edit or a fork, stands there by its own digest, so nothing old is served.
`python -m benchmarks.versions` checks: it computes the golden outputs of every component again, and raises the version
of those whose outputs differ.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from registry.code.closure import ALL, closure_digest
from registry.code.files import BUILT_IN, Files
from registry.code.syntax import stamp_of

LOCK = Path(__file__).with_name("components.json")
Stamp = tuple[tuple[int, ...], ...]
#: What makes keys decides no number.
IDENTITY = ("benchmark.identity", "registry.code")
#: Component -> its modules and packages; a module belongs to the first component that names it.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    # from pixels to a decision: decoding, presentation, preprocessing, loading, the decision rule, near-ties, seeds
    "answers": (
        "benchmark.engine.decoding",
        "benchmark.engine.device",
        "benchmark.engine.tuning",
        "benchmark.engine.model_view",
        "benchmark.engine.inference",
        "benchmark.engine.jobs",
        "benchmark.engine.pace",
        "benchmark.engine.keeping",
        "benchmark.stimuli.generated",
        "benchmark.stimuli.pixels",
        "registry.checkpoints",
        "registry.convert",
        "registry.exported",
        "registry.families",
        "registry.fold",
        "registry.geometry",
        "registry.ideal",
        "registry.load",
        "registry.model",
        "registry.weight_files",
    ),
    "scoring": (
        "benchmark.engine.scoring",
        "benchmark.engine.answers",
        "benchmark.engine.imported_trials",
        "benchmark.engine.pooling",
    ),
    "imagenet-c": ("benchmark.transforms.imagenet_c",),
    "human-degradations": ("benchmark.transforms.geirhos",),
    "transforms": ("benchmark.transforms",),
    "statistics": ("benchmark.stats",),
    "stimuli": ("benchmark.stimuli",),
    "library": (
        "benchmark.contracts",
        "benchmark.errors",
        "benchmark.stack_columns",
        "benchmark.testing",
        "registry.digests",
        "registry.errors",
        "registry.labels",
        "registry.spaces",
    ),
    "tiny-networks": ("registry.tiny",),
    "template-readers": ("registry.readers",),
    "adversarial.observe": (
        "suites.adversarial.variants",
        "suites.adversarial.plan",
        "suites.adversarial.observe",
    ),
    "adversarial.score": ("suites.adversarial",),
    "corruption.observe": (
        "suites.corruption.stylised",
        "suites.corruption.plan",
        "suites.corruption.observe",
    ),
    "corruption.score": ("suites.corruption",),
    "cue-conflict.observe": (
        "suites.cue_conflict.plan",
        "suites.cue_conflict.observe",
    ),
    "cue-conflict.score": ("suites.cue_conflict",),
    "human-comparison.observe": (
        "suites.human_comparison.plan",
        "suites.human_comparison.observe",
    ),
    "human-comparison.score": ("suites.human_comparison",),
    "saliency.observe": (
        "suites.saliency.observe",
        "suites.saliency.plan",
    ),
    "saliency.score": ("suites.saliency",),
}


@dataclass(frozen=True)
class Locked:
    """A component as it was checked. digest: of its code then; since: of the code that first had this version."""

    version: int
    since: str
    digest: str


@cache
def component_of(module: str) -> str | None:
    """The component that a module of the program belongs to; None where it is in none."""
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    for name in names:  # the closest package wins
        for label, modules in COMPONENTS.items():
            if name in modules:
                return label
    return None


def members(label: str) -> Iterator[str]:
    """The modules of a component that are on this disk."""
    files = Files(frozenset())
    for name in COMPONENTS[label]:
        path = files.place(name)
        if path is None:
            continue
        if path.stem != "__init__":
            yield name
            continue
        for inside in sorted(path.parent.rglob("*.py")):
            parts = inside.relative_to(path.parent).with_suffix("").parts
            module = ".".join([name, *parts]).removesuffix(".__init__")
            if component_of(module) == label:
                yield module


@lru_cache(maxsize=128)
def component_digest(label: str, _stamp: Stamp) -> str:
    """Digest of a component's code as it is on this disk, with everything that it reaches, while the stamp lasts."""
    return closure_digest(((module, ALL) for module in members(label)), identity)


def tree_stamp() -> Stamp:
    """What changes whenever any file of the program is another one, is written to, comes or goes."""
    files = Files(frozenset())
    folders = [path.parent for top in sorted(BUILT_IN) if (path := files.place(top)) is not None]
    stamps = []
    for file in sorted(_files_under(folders)):
        with suppress(FileNotFoundError):  # an editor's lock, a link to nothing
            stamps.append(stamp_of(file))
    return tuple(stamps)


def _files_under(folders: Iterable[Path]) -> Iterator[str]:
    """Paths as text, but of what is compiled: every run asks, and this takes a quarter of `rglob`'s time."""
    for folder in folders:
        for place, _, names in os.walk(folder):
            yield from (f"{place}/{name}" for name in names if not name.endswith(".pyc"))


def identity(module: str) -> str | None:
    """The boundary of every closure: what makes keys."""
    return "identity" if module.startswith(IDENTITY) else None


def read_lock(path: Path = LOCK) -> dict[str, Locked]:
    """The components as they were checked; none where there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {label: Locked(**fields) for label, fields in found.items()}
    except (OSError, ValueError, TypeError):
        return {}
