"""A plan in parts that several machines carry out: `bench run --shard 2/3`.

Every machine makes the same plan and cuts it the same way, so that nobody has to tell them who does what. Nothing that
differs between machines decides a cut: no measured speed, no stored answer, no cache. Parts are stretches of the plan,
so that a part loads few networks.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.contracts import Block, Policy
from benchmark.engine.planning import Task, chunk_count
from benchmark.errors import BenchError
from registry.cards import ModelCard
from registry.files import digest_data
from registry.loading import forward_flops

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
    """ "2/3" -> the second of three. Raises BenchError on anything else."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found:
        shard = Shard(int(found[1]), int(found[2]))
        if 1 <= shard.index <= shard.of:
            return shard
    raise BenchError(
        f"shard '{text}': expected I/N, part I of N with I from 1 to N, such as 1/3, 2/3 and 3/3."
    )


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
    found, plans = _parts(there), _parts(wanted)
    return [
        part_name(Shard(index, of), plan)
        for of, plan in plans
        if (1, plan) not in found
        for index in sorted(set(range(1, of + 1)) - found.get((of, plan), set()))
    ]


def _parts(notes: Iterable[str]) -> dict[tuple[int, str], set[int]]:
    """(number of parts, plan) -> the parts that are named."""
    named: dict[tuple[int, str], set[int]] = {}
    for note in notes:
        if found := re.fullmatch(r"shard (\d+)/(\d+) of plan (\w+)", note):
            named.setdefault((int(found[2]), found[3]), set()).add(int(found[1]))
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
    asked = [
        [task.card.name, task.suite.name, task.suite.version, task.space, *_asked(task, cost)]
        for task in tasks
    ]
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
