"""What a plan would cost: for `bench run --dry-run`, and for the question before a run that takes long.

The run's own keys say what is stored. A model is loaded for its identity only where the leaderboard has answers of its
name: weights or code may have changed since."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from benchmark.contracts import Policy
from benchmark.display import duration
from benchmark.engine import devices
from benchmark.engine.plan import Task, chunk_index
from benchmark.errors import FAILURES
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import open_store
from benchmark.store.versions import is_there
from registry.loading import availability, load_observer
from registry.model import LoadedModel

IDEAL_SECONDS = 1.0  # at most, for any suite
LONG = 300.0  # seconds of computing from which a run is announced before it starts
#: Seconds per image at an unknown speed, and forward passes under which no speed is measured.
USUAL, FEW_PASSES = 0.003, 3_000


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """One line of the dry run. cached: trials already stored; seconds: for the others, None where the speed is not
    known."""

    model: str
    suite: str
    space: str
    trials: int
    cached: int
    note: str
    seconds: float | None


def estimates(tasks: Sequence[Task], settings: Settings, device: str, policy: Policy) -> Iterator[CostEstimate]:
    """One line per task that applies. Speeds are those that tuning measured on this device."""
    with ExitStack() as open_until_here:
        opened = open_store(settings.db, write=False) if is_there(settings.db) else None
        store = open_until_here.enter_context(opened) if opened is not None else None
        codes, identities = Codes(), dict[str, str]()
        known = {row.name for row in store.observers(latest=False)} if store is not None else set()
        for name, card in {task.card.name: task.card for task in tasks}.items():
            if name in known and availability(card, settings.place).on_disk:
                with suppress(*FAILURES):  # the run will say why it does not load
                    identities[name] = load_observer(card, settings.place).identity
        speeds = _speeds(tasks, settings, device)
        for task in tasks:
            name, cached = task.card.name, 0
            if store is not None and name in identities:
                for place, block in task.shown.items():
                    key = observation_key(identities[name], block, task.suite, policy, codes)
                    # whole chunks need no computing, or none where fewer trials settled the block
                    chunks = task.chunks(place)
                    stored = chunks if store.complete(key) else chunks & store.chunks(key)
                    cached += sum(len(chunk_index(block.stimuli, chunk)) for chunk in stored)
            there, seconds = availability(task.card, settings.place), _seconds(task, speeds, task.trials - cached)
            if cached >= task.trials:
                note, seconds = "stored", 0.0
            elif not there.on_disk:
                note, seconds = there.note, None
            elif task.card.source == "ideal":
                note = "< 1 s"
            elif task.card.source == "api":
                note = f"at most {task.trials - cached:,} requests"
            elif seconds is None:
                note = "not timed yet: its first run tunes it"
            else:
                note = f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
            yield CostEstimate(
                model=name,
                suite=task.suite.name,
                space=task.space,
                trials=task.trials,
                cached=cached,
                note=note,
                seconds=seconds,
            )


def long_plan(
    tasks: Sequence[Task], settings: Settings, device: str, policy: Policy, least: float
) -> list[CostEstimate]:
    """The estimates of a plan whose rest takes so many seconds; [] where it takes less."""
    if expected_seconds(tasks, settings, device) < least:
        return []  # no model was loaded for it
    lines = list(estimates(tasks, settings, device, policy))
    owed = [line.trials - line.cached for line in lines]
    return lines if expected_seconds(tasks, settings, device, owed) >= least else []


def expected_seconds(
    tasks: Sequence[Task], settings: Settings, device: str, owed: Sequence[int] | None = None
) -> float:
    """About what a plan takes, by the trials that each task owes (None: all). If no speed is known, that of the network
    with most to do is measured; one of unknown speed counts as the others do on average, or as `USUAL`."""
    speeds, trials = _speeds(tasks, settings, device), owed or [task.trials for task in tasks]
    passes = [(t.suite.passes * n, t.card) for t, n in zip(tasks, trials, strict=True) if t.card.source != "ideal"]
    most, card = max(passes, key=lambda each: each[0], default=(0.0, None))
    if card and most > FEW_PASSES and not speeds and availability(card, settings.place).on_disk:
        with suppress(*FAILURES):  # the run will say why it does not load
            observer = load_observer(card, settings.place, device=device)
            if isinstance(observer, LoadedModel):
                devices.tune(observer, device, settings.tuning)
                speeds = _speeds(tasks, settings, device)
    usual = sum(speeds.values()) / len(speeds) if speeds else USUAL
    return sum(speeds.get(card.name, usual) * count for count, card in passes)


def _seconds(task: Task, speeds: Mapping[str, float], owed: int) -> float | None:
    if task.card.source == "ideal":
        return IDEAL_SECONDS if owed else 0.0
    speed = speeds.get(task.card.name)
    return None if speed is None else speed * task.suite.passes * owed


def passes_of(task: Task) -> float:
    """Forward passes that a task costs with nothing stored, roughly."""
    return task.suite.passes * task.trials


def _speeds(tasks: Sequence[Task], settings: Settings, device: str) -> dict[str, float]:
    cards = {task.card.name: task.card for task in tasks}
    return devices.remembered_seconds(cards.values(), device, settings.tuning)


def total(lines: Sequence[CostEstimate]) -> str:
    """The last line of the dry run: what all of it would cost, as far as that is known."""
    owed = [line for line in lines if line.cached < line.trials]
    timed = [line.seconds for line in owed if line.seconds is not None]
    if not owed:
        return "nothing to compute: every trial is stored"
    if not timed:
        return "no speed is known yet: the first run measures it"
    rows = "" if len(timed) == len(owed) else f" for the {len(timed)} of {len(owed)} rows whose speed is known"
    return f"about {duration(sum(timed))} of computing{rows}"
