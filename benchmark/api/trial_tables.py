"""Stored trials as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
from benchmark.api.leaderboards import reading, require_observer
from benchmark.api.options import Db, Option
from benchmark.api.ranking import check_trials
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


def consistency(
    observers: Annotated[Sequence[str], Option("Two or more; with none, everybody.")] = (),
    *,
    experiment: Annotated[
        str | None,
        Option(
            "Only this experiment (cue-conflict, edges, contrast, ...).",
            "--experiment",
            "-e",
            metavar="NAME",
        ),
    ] = None,
    db: Db = None,
) -> Answered:
    """Error consistency (kappa) of observers on the images that both of a pair answered, with interval and counts.

    Kappa is 1 where two observers are right and wrong on the same images, 0 where they agree as often as their
    accuracies alone would have it, negative where less (Geirhos, Meding & Wichmann 2020).
    """
    from benchmark.leaderboard.consistency import shared

    if isinstance(observers, str):
        observers = [name.strip() for name in observers.split(",") if name.strip()]
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


def trials(
    observer: Annotated[str, Option("An observer.")],
    suite: Annotated[str, Option("One suite.")],
    *,
    db: Db = None,
) -> pd.DataFrame:
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
