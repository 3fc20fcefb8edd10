"""Cards x suites -> tasks: what each observer is shown, or why a suite does not apply; and the shards of a plan.

Every machine makes the same plan and cuts it the same way, so that nobody has to tell them who does what. Nothing that
differs between machines decides a cut: no measured speed, no stored answer, no cache. Shards are stretches of the plan,
so that a shard loads few networks.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Block, Plan, Policy, Shelf, Stimuli, Suite
from benchmark.errors import MissingStimuli, UsageError
from benchmark.settings import Settings
from benchmark.stimuli.roles import Resolver
from registry.cards import ModelCard
from registry.files import digest_data
from registry.labels import label_space
from registry.loading import forward_flops


def chunk_index(stimuli: Stimuli, chunk: int) -> NDArray[np.int64]:
    """Positions of a chunk on the fixed grid."""
    return np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(stimuli)), dtype=np.int64)


def chunk_count(stimuli: Stimuli) -> int:
    """How many chunks the grid has for a set."""
    return -(-len(stimuli) // CHUNK)


@dataclass(frozen=True)
class Task:
    """One observer under one suite in one decision space. `reason`: why it does not apply; else `plan` is there.

    only: place in `plan.blocks` -> the chunks of that block that are shown here; None: everything. The rest is another
    process's.
    """

    card: ModelCard
    suite: Suite
    space: str
    plan: Plan
    reason: str = ""
    only: Mapping[int, frozenset[int]] | None = None

    @property
    def shown(self) -> dict[int, Block]:
        """Place in the plan -> block, of those that are shown here."""
        blocks = enumerate(self.plan.blocks)
        return {i: block for i, block in blocks if self.only is None or i in self.only}

    def chunks(self, place: int) -> frozenset[int]:
        """Chunks that are shown here of the block at a place."""
        if self.only is not None:
            return self.only[place]
        return frozenset(range(chunk_count(self.plan.blocks[place].stimuli)))

    @property
    def trials(self) -> int:
        """How many stimuli are shown."""
        if self.only is None:
            return sum(len(block.stimuli) for block in self.plan.blocks)
        return sum(
            len(chunk_index(block.stimuli, chunk))
            for place, block in self.shown.items()
            for chunk in self.chunks(place)
        )


def plan_tasks(
    cards: Iterable[ModelCard],
    suites: Sequence[Suite],
    settings: Settings,
    limit: int | None,
    wanted: Collection[str] = (),
) -> list[Task]:
    """Every card under every suite. Plans of one suite and space are made once and shared by all cards.

    wanted: names of stimulus sets that play their roles before all others.
    """
    plans = _Plans(settings, limit, wanted)
    return [task for card in cards for suite in suites for task in _tasks(card, suite, plans)]


def suites_of(tasks: Sequence[Task]) -> list[Suite]:
    """The suites of a plan, each once."""
    return list({task.suite.name: task.suite for task in tasks}.values())


class _Plans:
    """Plans by suite and space: opening a set reads every file's digest, so it happens once per run."""

    def __init__(self, settings: Settings, limit: int | None, wanted: Collection[str]) -> None:
        self._settings, self._limit, self._wanted = settings, limit, wanted
        self._shelves: dict[str, Shelf] = {}
        self._plans: dict[tuple[str, str], Plan | MissingStimuli] = {}

    def get(self, suite: Suite, space: str) -> Plan:
        """The plan. Raises MissingStimuli where the suite's main set is not on disk."""
        key = (suite.name, space)
        if key not in self._plans:
            self._plans[key] = self._make(suite, space)
        plan = self._plans[key]
        if isinstance(plan, MissingStimuli):
            raise plan
        return plan

    def _make(self, suite: Suite, space: str) -> Plan | MissingStimuli:
        if space not in self._shelves:
            self._shelves[space] = Resolver(space, self._settings, self._limit, self._wanted)
        shelf = self._shelves[space]
        try:
            return suite.plan(suite.config, shelf)
        except MissingStimuli as missing:
            return missing


def _tasks(card: ModelCard, suite: Suite, plans: _Plans) -> Iterator[Task]:
    """One task per space in which the card can answer and whose stimuli are here; else one with the reason."""
    spaces, reason = _spaces(card, suite)
    planned, missing = [], []
    for space in spaces:
        try:
            plan = plans.get(suite, space)
            if space not in suite.spaces:
                # Raise MissingStimuli where a set in the model's own space has classes that the model has not.
                known = set(label_space(card.labels).classes)
                for stimuli in {block.stimuli.digest: block.stimuli for block in plan.blocks}.values():
                    strange = sorted(set(map(str, stimuli.labels["category"])) - known)
                    if strange:
                        raise MissingStimuli(
                            f"the set '{stimuli.name}' has {len(strange)} classes that '{card.name}' lacks: "
                            f"{', '.join(strange[:5])}. Give the same names to both (--labels FOLDER takes a set's)"
                        )
            planned.append(Task(card, suite, space, plan))
        except MissingStimuli as error:
            missing.append(str(error))
    yield from planned or [Task(card, suite, (spaces or suite.spaces)[0], Plan(()), reason or "; ".join(missing))]


def _spaces(card: ModelCard, suite: Suite) -> tuple[tuple[str, ...], str]:
    if card.source == "ideal":
        if suite.needs == "decisions":
            return suite.spaces, ""
        return (), f"an ideal observer answers from labels: it has no {suite.needs}"
    if card.simulated and not suite.experiments:
        return (), "a simulated person takes part where people do: in suites of experiments"
    labels = label_space(card.labels)
    answers = labels.answers
    shared = tuple(space for space in suite.spaces if space in answers)
    if suite.own_space and labels.name not in suite.spaces:
        shared += (labels.name,)
    return shared, "" if shared else (
        f"its labels '{labels.name}' answer in {', '.join(answers)}; the suite's stimuli are labelled in "
        f"{', '.join(suite.spaces)}"
    )


#: One block of one task -> what it costs, in any whole unit.
Cost = Callable[[Task, Block], int]
_SHOWING = 100_000_000  # operations: about what decoding and transforming one image costs
_GUESSING = 1_000_000  # an ideal observer's answer


@dataclass(frozen=True)
class Shard:
    """The part `index` (from 1) of a plan that is cut into `of` parts."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def parse_shard(text: str) -> Shard:
    """ "2/3" -> the second of three. Raises UsageError on anything else."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match:
        shard = Shard(int(match[1]), int(match[2]))
        if 1 <= shard.index <= shard.of:
            return shard
    raise UsageError(f"shard '{text}': expected I/N, part I of N with I from 1 to N, such as 1/3, 2/3 and 3/3.")


def part_name(shard: Shard, plan: str) -> str:
    """A part of a plan in words, as its run is noted in the leaderboard. plan: as `plan_digest` names it."""
    return f"shard {shard} of plan {plan}"


def ended_parts(runs: Iterable[tuple[str, str]]) -> list[str]:
    """Which parts of plans came to their end. runs: status and note of each that has ended."""
    return [note for status, note in runs if _parts([note]) and status != "interrupted"]


def lacking_parts(there: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Of the plans that `wanted` names, the parts that `there` does not name: "shard 2/3 of plan 0123456789ab".

    Both are notes of runs; what names no part is passed over. A plan that was carried out whole lacks none.
    """
    present, plans = _parts(there), _parts(wanted)
    return [
        part_name(Shard(index, of), plan)
        for of, plan in plans
        if (1, plan) not in present
        for index in sorted(set(range(1, of + 1)) - present.get((of, plan), set()))
    ]


def _parts(notes: Iterable[str]) -> dict[tuple[int, str], set[int]]:
    """(number of parts, plan) -> the parts that are named."""
    named: dict[tuple[int, str], set[int]] = {}
    for note in notes:
        if match := re.fullmatch(r"shard (\d+)/(\d+) of plan (\w+)", note):
            named.setdefault((int(match[2]), match[3]), set()).add(int(match[1]))
    return named


def split(tasks: Sequence[Task], n: int, cost: Cost | None = None) -> list[list[Task]]:
    """The plan in `n` stretches, of which the dearest is as cheap as stretches can be; some may be empty.

    Each chunk of each block of each task is in exactly one part; a task of which several parts have something is in
    each of them, with `only` saying what is meant. A block that may be settled is never cut: whether it is, is asked
    chunk by chunk. cost: `stated_cost` unless given.
    """
    cost = cost or stated_cost(tasks)
    items = list(_items(tasks))
    stretches = cut([_price(task, place, cost) for task, place in items], n)
    parts: list[dict[int, tuple[Task, dict[int, frozenset[int]]]]] = [{} for _ in range(n)]
    for (task, place), shares in zip(items, stretches, strict=True):
        for part, pieces in shares:
            _, chunks = parts[part].setdefault(id(task), (task, {}))
            if place is not None:
                uncut = task.suite.stopping.settled is not None
                chunks[place] = task.chunks(place) if uncut else frozenset(pieces)
    return [[replace(task, only=chunks) for task, chunks in part.values()] for part in parts]


def _price(task: Task, place: int | None, cost: Cost) -> tuple[int, int]:
    """What a piece of an item costs, and how many pieces it has: chunks, or the whole where it may be settled."""
    if place is None:
        return 0, 1
    block = task.plan.blocks[place]
    pieces = 1 if task.suite.stopping.settled is not None else max(1, chunk_count(block.stimuli))
    return -(-cost(task, block) // pieces), pieces


#: Parts (from 0) that have something of an item, each with the pieces that it has.
Shares = list[tuple[int, range]]


def cut(items: Sequence[tuple[int, int]], n: int) -> list[Shares]:
    """`n` stretches of a list of (cost of a piece, number of pieces); the dearest of them is as cheap as can be."""
    low = max((cost for cost, _ in items), default=0)
    high = sum(cost * pieces for cost, pieces in items)
    while low < high:
        room = (low + high) // 2
        low, high = (low, room) if _filled(items, room)[-1][-1][0] < n else (room + 1, high)
    return _filled(items, low) if items else []


def _filled(items: Sequence[tuple[int, int]], room: int) -> list[Shares]:
    """Parts filled in turn, none with more than `room`."""
    filled: list[Shares] = []
    part = used = 0
    for cost, pieces in items:
        shares: Shares = []
        first = 0
        while first < pieces:
            fit = (room - used) // cost if cost else pieces
            if fit < 1:
                part, used = part + 1, 0
                continue
            last = min(pieces, first + fit)
            shares.append((part, range(first, last)))
            used += cost * (last - first)
            first = last
        filled.append(shares)
    return filled


def stated_cost(tasks: Sequence[Task]) -> Cost:
    """What a block costs by what is stated of it: trials x passes of the suite x operations of the architecture."""
    cards = {task.card.name: task.card for task in tasks}.values()
    archs = {_arch(card): card for card in cards}  # checkpoints of one architecture cost the same
    known = {arch: forward_flops(card) for arch, card in archs.items()}
    flops = {card.name: known[_arch(card)] for card in cards}

    def cost(task: Task, block: Block) -> int:
        if task.card.source == "ideal":
            return len(block.stimuli) * _GUESSING
        per_trial = _SHOWING + round(task.suite.passes * flops[task.card.name])
        return len(block.stimuli) * per_trial

    return cost


def plan_digest(tasks: Sequence[Task], policy: Policy, cost: Cost) -> str:
    """What machines must agree on to carry out parts of one plan: all that is asked, and what it costs. 12 digits."""
    asked = [[task.card.name, task.suite.name, task.suite.version, task.space, *_asked(task, cost)] for task in tasks]
    return digest_data([asked, policy])[:12]


def _asked(task: Task, cost: Cost) -> Iterator[list[object]]:
    for block in task.plan.blocks:
        transform = block.transform and [block.transform.name, dict(block.transform.params)]
        what = (block.role, block.condition, block.presentation, block.stimuli.digest)
        yield [*what, transform, cost(task, block)]


def _items(tasks: Sequence[Task]) -> Iterator[tuple[Task, int | None]]:
    """(task, place of a block in its plan); place None where a suite does not apply."""
    for task in tasks:
        yield from ((task, place) for place in task.shown)
        if not task.plan.blocks:
            yield task, None


def _arch(card: ModelCard) -> str:
    size = card.preprocess.size if card.preprocess else 0
    return digest_data([card.source, card.arch, card.options.get("kwargs"), size])
