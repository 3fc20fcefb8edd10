"""Stored trials as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark import plugins
from benchmark.api.opening import reading, require_observer
from benchmark.api.published_scores import check_trials
from benchmark.errors import BenchError
from benchmark.plugins import named_suite
from benchmark.variables import read_settings

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.contracts import Array, Suite, Trials
    from benchmark.leaderboard.consistency import Answered
    from benchmark.store import Store


#: Decision spaces whose categories name the columns of probabilities.
NAMED_SPACES = ("geirhos16", "world16")


def observer_trials(store: Store, suite: Suite, observer: str) -> Trials | None:
    """An observer's stored trials under a suite, from its own runs or from imported tables; None without any."""
    from benchmark.engine.reference_trials import suite_trials

    require_observer(store, observer)
    check_trials(store, observer)
    return suite_trials(store, suite, observer)


def answered(
    observers: Sequence[str] = (), *, experiment: str | None = None, db: str | None = None
) -> Answered:
    """Trials by experiment and observer (none named: of everybody), of suites whose stimuli people answered too.

    Only experiments that two or more of them answered; experiment: only this one. Raises UnknownName, BenchError.
    """
    from benchmark.leaderboard.consistency import shared

    suites = [suite for suite in plugins.find_suites().suites.values() if suite.experiments]
    found: dict[str, dict[str, Trials]] = {}
    with reading(read_settings(db)) as store:
        for name in observers or _with_trials(store):
            for suite in suites:
                told = observer_trials(store, suite, name)
                if told is not None:
                    for role in dict.fromkeys(told["role"].tolist()):
                        found.setdefault(role, {}).setdefault(name, told.of(role))
    return shared(found, experiment)


def _with_trials(store: Store) -> Sequence[str]:
    return [note.name for note in store.observer_notes() if note.kind != "reported"]


def trials(observer: str, suite: str, *, db: str | None = None) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels, what the suite kept (columns of vectors are spread)."""
    import pandas as pd

    with reading(read_settings(db)) as store:
        chosen = named_suite(suite.strip(), plugins.find_suites(suite))
        found = observer_trials(store, chosen, observer)
    if found is None:
        raise BenchError(f"'{observer}' has no trials under '{suite}'. `bench run` makes them.")
    return pd.DataFrame(dict(_flat(found.columns)))


def _flat(columns: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Columns of vectors as one column per element: of probabilities by category, of others by number."""
    for name, values in columns.items():
        if values.ndim == 1:
            yield name, values
        else:
            flat = values.reshape(len(values), -1)
            parts = _parts(name, flat.shape[1], columns["category"])
            yield from ((f"{name}_{part}", flat[:, i]) for i, part in enumerate(parts))


def _parts(name: str, count: int, categories: Array) -> Sequence[object]:
    """Names of a vector's elements: the categories of the decision space that has as many and holds these."""
    from registry.labels import label_space

    if name == "probability":
        for space in map(label_space, NAMED_SPACES):
            if len(space.classes) == count and set(categories) <= set(space.classes):
                return space.classes
    return range(count)
