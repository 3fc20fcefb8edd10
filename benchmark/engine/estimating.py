"""What a plan would cost: for `bench run --dry-run`.

The run's own keys say what is stored. A model is loaded for its identity only where the leaderboard has answers
of its name: weights or code may have changed since.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmark.contracts import Block, Policy
from benchmark.engine.decoding import chunk_index
from benchmark.engine.planning import Task
from benchmark.engine.tuning import remembered_seconds
from benchmark.errors import FAILURES
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import Store, open_store
from registry.availability import availability
from registry.cards import ModelCard
from registry.load import load_observer

IDEAL_SECONDS = 1.0  # at most, for any suite


@dataclass(frozen=True)
class Estimate:
    """One line of the dry run. cached: trials already stored; seconds: for the others, None where the speed is not
    known.
    """

    model: str
    suite: str
    space: str
    trials: int
    cached: int
    note: str
    seconds: float | None


def estimates(
    tasks: Sequence[Task], settings: Settings, device: str, policy: Policy
) -> Iterator[Estimate]:
    """One line per task that applies. Speeds are those that tuning measured on this device."""
    with ExitStack() as open_until_here:
        store = _store(settings, open_until_here)
        codes = Codes()
        known = {} if store is None else _identities(tasks, settings, store)
        for task in tasks:
            cached = 0
            if store is not None and task.card.name in known:
                keys = _keys(task, known[task.card.name], policy, codes)
                cached = sum(_stored(store, key, block) for key, block in keys.items())
            note, seconds = _cost(task, settings, device, task.trials - cached)
            names = task.card.name, task.suite.name, task.space
            yield Estimate(*names, task.trials, cached, note, seconds)


def total(lines: Sequence[Estimate]) -> str:
    """The last line of the dry run: what all of it would cost, as far as that is known."""
    owed = [line for line in lines if line.cached < line.trials]
    timed = [line.seconds for line in owed if line.seconds is not None]
    if not owed:
        return "nothing to compute: every trial is stored"
    if not timed:
        return "no speed is known yet: the first run measures it"
    return f"about {sum(timed):.0f} s of computing for the {len(timed)} of {len(owed)} rows whose speed is known"


def _store(settings: Settings, until: ExitStack) -> Store | None:
    if "://" not in settings.db and not Path(settings.db).exists():
        return None
    return until.enter_context(open_store(settings.db, write=False))


def _identities(tasks: Sequence[Task], settings: Settings, store: Store) -> Mapping[str, str]:
    """Name -> identity now, of the models that the leaderboard knows by name and that load without a download."""
    seen = {row.name for row in store.observers(latest=False)}
    cards = {task.card.name: task.card for task in tasks if task.card.name in seen}
    found = {name: _identity(card, settings) for name, card in cards.items()}
    return {name: identity for name, identity in found.items() if identity}


def _identity(card: ModelCard, settings: Settings) -> str:
    if not availability(card, settings.weights, settings.caches).on_disk:
        return ""
    try:
        return load_observer(card, weights_folder=settings.weights, caches=settings.caches).identity
    except FAILURES:  # the run will say why it does not load
        return ""


def _keys(task: Task, identity: str, policy: Policy, codes: Codes) -> dict[str, Block]:
    return {
        observation_key(identity, block, task.suite, policy, codes): block
        for block in task.shown.values()
    }


def _stored(store: Store, key: str, block: Block) -> int:
    """Trials of a block that need no computing: whole chunks, or all where fewer settled it."""
    if store.complete(key):
        return len(block.stimuli)
    return sum(len(chunk_index(block.stimuli, chunk)) for chunk in store.chunks(key))


def _cost(task: Task, settings: Settings, device: str, owed: int) -> tuple[str, float | None]:
    """In words, and seconds where they are known."""
    there = availability(task.card, settings.weights, settings.caches)
    if owed <= 0:
        return "stored", 0.0
    if not there.on_disk:
        return there.note, None
    if task.card.source == "ideal":
        return "< 1 s", IDEAL_SECONDS
    per_image = remembered_seconds(task.card, device, settings.tuning)
    if per_image is None:
        return "not timed yet: its first run tunes it", None
    seconds = per_image * task.suite.passes * owed
    return f"{seconds:.1f} s", seconds
