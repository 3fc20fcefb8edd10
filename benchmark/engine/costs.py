"""What a plan costs. Operations are the same on every machine and decide where a plan is cut into shards; seconds are
measured on this device and shown before a run. A dry run imports torch only if a network is loaded."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from benchmark.contracts import Block, Policy
from benchmark.display import duration
from benchmark.engine.device_choice import remembered
from benchmark.engine.tasks import Cost, Task, chunk_index
from benchmark.failures import FAILURES
from benchmark.identity import Codes, observation_key
from benchmark.settings import Settings
from benchmark.store import PAIRED, Store, open_store
from benchmark.store.versions import is_there
from registry.cards import ModelCard
from registry.download import missing_weights
from registry.files import digest_data

IDEAL_SECONDS = 1.0  # at most, for any suite
LONG = 300.0  # seconds of computing from which a run is announced before it starts
#: Seconds of a forward pass at an unknown speed, and forward passes under which no speed is measured.
USUAL, FEW_PASSES = 0.003, 100
TIMED = 40  # tasks with most to do whose networks are timed
SCORING = 1.0  # seconds to load, check and score for one task
SHOWING, SHOWN = 100_000_000, 0.005  # operations, and seconds, of decoding and transforming one photograph, roughly
PHOTOGRAPH = 224  # pixels of its side
GUESSING = 1_000_000  # operations of an ideal observer's answer


def operations(tasks: Sequence[Task]) -> Cost:
    """Return a function that counts the operations of a block: trials x passes of the suite x those of the network."""
    kinds, cards = dict[str, str](), dict[str, ModelCard]()
    for card in {task.card.name: task.card for task in tasks}.values():
        size = card.preprocess.size if card.preprocess else 0
        kind = kinds[card.name] = digest_data([card.source, card.arch, card.options.get("kwargs"), size])
        cards[kind] = card  # checkpoints of one architecture cost the same

    @cache  # only networks that are shown something are counted, and each architecture once
    def flops(kind: str) -> int:
        from registry.loading import forward_flops

        return forward_flops(cards[kind])

    def cost(task: Task, block: Block) -> int:
        if task.card.source == "ideal":
            return len(block.stimuli) * GUESSING
        return len(block.stimuli) * (SHOWING + round(task.suite.passes * flops(kinds[task.card.name])))

    return cost


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """One line of the dry run."""

    task: Task
    cached: int  # trials that are stored already
    note: str
    seconds: float | None  # for the other trials; None: the speed is not known


def cost_estimates(
    tasks: Sequence[Task], settings: Settings, device: str, policy: Policy, least: float = 0.0
) -> list[CostEstimate]:
    """Return one line per task that applies; [] if the missing trials take less than `least` seconds."""
    if least and expected_seconds(tasks, settings, device) < least:
        return []  # before any model is loaded to find out what is stored
    cached = _stored_trials(tasks, settings, policy)
    owed = [task.trials - stored for task, stored in zip(tasks, cached, strict=True)]
    if least and expected_seconds(tasks, settings, device, owed) < least:
        return []
    speeds, lines = _speeds(tasks, settings, device), list[CostEstimate]()
    for task, n in zip(tasks, owed, strict=True):
        speed, absence = speeds.get(task.card.name), missing_weights(task.card, settings.place)
        seconds = None if speed is None else speed * task.suite.passes * n
        if not n:
            note, seconds = "stored", 0.0
        elif absence:
            note, seconds = absence, None
        elif task.card.source == "ideal":
            note, seconds = "< 1 s", IDEAL_SECONDS
        elif task.card.source == "api":
            note = f"at most {n:,} requests"
        elif seconds is None:
            note = "not timed yet: its first run tunes it"
        else:
            note = f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
        lines.append(CostEstimate(task=task, cached=task.trials - n, note=note, seconds=seconds))
    return lines


def complete_observations(store: Store, observers: Iterable[str]) -> set[str]:
    """Return the keys of the complete observations of observers, except those of paired suites."""
    rows = (row for name in observers for row in store.observations(observer=name))
    return {row.key for row in rows if not row.suite.endswith(PAIRED)} - store.incomplete().keys()


def _stored_trials(tasks: Sequence[Task], settings: Settings, policy: Policy) -> list[int]:
    """Count the trials of each task that the leaderboard has, by the keys that a run would use. A model is loaded for
    its identity only if the leaderboard has answers of its name: weights or code may have changed since."""
    if not is_there(settings.db):
        return [0] * len(tasks)
    codes, identities, counts = Codes(), dict[str, str](), list[int]()
    cards = {task.card.name: task.card for task in tasks}
    with open_store(settings.db, write=False) as store:
        known, complete = {row.name for row in store.observers(latest=False)}, complete_observations(store, cards)
        for name, card in cards.items():
            if name in known and not missing_weights(card, settings.place):
                from registry.loading import load_observer

                with suppress(*FAILURES):  # the run will report why the model does not load
                    identities[name] = load_observer(card, settings.place).identity
        for task in tasks:
            count = 0
            for i, block in task.shown.items() if task.card.name in identities else ():
                key = observation_key(identities[task.card.name], block, task.suite, policy, codes)
                # Complete chunks need no computing, and none does if fewer trials settled the block.
                chunks = task.chunks(i)
                stored = chunks if key in complete else chunks & store.chunks(key)
                count += sum(len(chunk_index(block.stimuli, chunk)) for chunk in stored)
            counts.append(count)
    return counts


def expected_seconds(
    tasks: Sequence[Task], settings: Settings, device: str, owed: Sequence[int] | None = None, processes: int = 1
) -> float:
    """Return about how long a plan takes, by the trials that each task owes (None: all). Architectures with most to do
    are timed; an unknown speed counts as the mean of the known ones. processes: that share the work."""
    trials = owed or [task.trials for task in tasks]
    passes = [(t.suite.passes * n, t.card) for t, n in zip(tasks, trials, strict=True) if t.card.source != "ideal"]
    speeds = _speeds(tasks, settings, device)
    for count, card in sorted(passes, key=lambda row: -row[0])[:TIMED]:
        if count > FEW_PASSES and card.name not in speeds and not missing_weights(card, settings.place):
            with suppress(*FAILURES):  # the run will report why the model does not load
                from benchmark.engine import devices
                from registry.loading import load_observer
                from registry.model import LoadedModel

                observer = load_observer(card, settings.place, device=device)
                if isinstance(observer, LoadedModel) and card.source != "api":
                    devices.rough_seconds(observer, device, settings.tuning)
                    speeds = _speeds(tasks, settings, device)
    usual = sum(speeds.values()) / len(speeds) if speeds else USUAL
    answering = sum(speeds.get(card.name, usual) * count for count, card in passes)
    # Equal blocks are shown once for all networks.
    blocks = {
        (block.stimuli.digest, block.condition, block.presentation): len(block.stimuli)
        for task in tasks
        if task.card.source != "ideal"
        for block in task.plan.blocks
    }
    share = sum(trials) / max(1, sum(task.trials for task in tasks))
    scoring = SCORING * sum(n > 0 for n in trials)
    # A small image takes its share of a photograph's pixels.
    size = max((card.preprocess.size for _, card in passes if card.preprocess), default=PHOTOGRAPH)
    showing = share * SHOWN * min(1.0, (size / PHOTOGRAPH) ** 2) * sum(blocks.values())
    return (answering + showing) / processes + scoring


def _speeds(tasks: Sequence[Task], settings: Settings, device: str) -> dict[str, float]:
    """Return observer -> its seconds per image, of those that were timed."""
    cards = {task.card.name: task.card for task in tasks}
    known = {name: remembered(card, device, settings.tuning) for name, card in cards.items()}
    return {name: speed[1] for name, speed in known.items() if speed}


def total_line(lines: Sequence[CostEstimate]) -> str:
    """Return the last line of the dry run: the cost of the whole plan, as far as it is known."""
    owed = [line for line in lines if line.cached < line.task.trials]
    timed = [line.seconds for line in owed if line.seconds is not None]
    if not owed:
        return "nothing to compute: every trial is stored"
    if not timed:
        return "no speed is known yet: the first run measures it"
    rows = "" if len(timed) == len(owed) else f" for the {len(timed)} of {len(owed)} rows whose speed is known"
    return f"about {duration(sum(timed))} of computing{rows}"
