"""Plans: a task for each card and suite, with its images or why the suite does not apply; and their shards. These are
stretches of the plan, each of few networks; nothing that differs between machines decides where it is cut."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Block, Plan, Policy, Stimuli, Suite
from benchmark.failures import MissingStimuli, UsageError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.resolver import Resolver
from registry.cards import ModelCard
from registry.files import digest_data
from registry.labels import label_space
from registry.user_errors import LabelError


def chunk_index(stimuli: Stimuli, chunk: int) -> NDArray[np.int64]:
    """Return the positions of a chunk on the fixed grid."""
    return np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(stimuli)), dtype=np.int64)


def is_look(chunks: int) -> bool:
    """Return whether to ask after so many chunks if they are enough: after each one at first, then each eighth more."""
    return chunks > 0 and chunks % max(1, chunks // 8) == 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One observer under one suite in one label space."""

    card: ModelCard
    suite: Suite
    space: str
    plan: Plan  # empty if the suite does not apply
    reason: str = ""  # why the suite does not apply
    #: How a task without a plan ends. It waits if the suite would apply with stimuli that are not installed.
    unplanned: Literal["waiting for data", "not applicable"] = "not applicable"
    lacking: tuple[Entry, ...] = ()  # known sets that it asks for and that are not installed
    #: Index in `plan.blocks` -> the chunks of that block that this process shows; None: all. Others show the rest.
    only: Mapping[int, frozenset[int]] | None = None

    @property
    def work(self) -> tuple[str, str, str]:
        """Names of the observer, the suite and the space."""
        return self.card.name, self.suite.name, self.space

    @property
    def shown(self) -> dict[int, Block]:
        """Index in the plan -> block, of the blocks that this process shows."""
        blocks = enumerate(self.plan.blocks)
        return {i: block for i, block in blocks if self.only is None or i in self.only}

    def chunks(self, i: int) -> frozenset[int]:
        """Return the chunks of a block that this process shows."""
        if self.only is not None:
            return self.only[i]
        return frozenset(range(-(-len(self.plan.blocks[i].stimuli) // CHUNK)))

    @property
    def trials(self) -> int:
        """The number of stimuli that are shown."""
        shown = ((block.stimuli, chunk) for i, block in self.shown.items() for chunk in self.chunks(i))
        return sum(min(CHUNK, len(stimuli) - chunk * CHUNK) for stimuli, chunk in shown)

    @property
    def passes(self) -> float:
        """About how many forward passes its trials cost."""
        return self.suite.passes * self.trials


def plan_tasks(
    cards: Iterable[ModelCard],
    suites: Sequence[Suite],
    settings: Settings,
    limit: int | None,
    wanted: Collection[str] = (),
) -> list[Task]:
    """Plan every card under every suite: one task per label space in which the card can answer and whose stimuli are
    installed, or one with the reason if there is none. wanted: stimulus sets that are preferred in their roles."""
    # Plans of one suite and space are made once, because opening a set reads every file's digest.
    shelves = cache(lambda space: Resolver(space, settings, limit, wanted))

    @cache
    def planned(number: int, space: str) -> tuple[Plan | MissingStimuli, tuple[Entry, ...]]:
        suite, shelf = suites[number], shelves(space)
        shelf.lacking.clear()
        try:
            return suite.plan(suite.config, shelf), tuple(shelf.lacking.values())
        except MissingStimuli as error:
            return error, tuple(shelf.lacking.values())

    tasks: list[Task] = []
    for card, (number, suite) in product(cards, enumerate(suites)):
        spaces, reason = _spaces(card, suite)
        nothing = Task(card=card, suite=suite, space=(spaces or suite.spaces)[0], plan=Plan(()), reason=reason)
        own, missing, absent = list[Task](), list[str](), dict[str, Entry]()
        for space in spaces:
            plan, asked = planned(number, space)
            why = str(plan) if isinstance(plan, MissingStimuli) else _lacking_classes(card, suite, space, plan)
            if isinstance(plan, Plan) and not why:
                own.append(replace(nothing, space=space, plan=plan, reason="", lacking=asked))
            elif isinstance(plan, MissingStimuli):
                nothing = replace(nothing, unplanned="waiting for data")
            absent |= {entry.name: entry for entry in asked}
            missing.append(why.removesuffix("."))
        lacking = tuple(absent.values())
        tasks += own or [replace(nothing, reason="; ".join(missing) or reason, lacking=lacking)]
    return tasks


def suites_of(tasks: Sequence[Task]) -> list[Suite]:
    """Return the suites of a plan, each once."""
    return list({task.suite.name: task.suite for task in tasks}.values())


def _lacking_classes(card: ModelCard, suite: Suite, space: str, plan: Plan) -> str:
    """Return why a set in the model's own space cannot be shown: it has classes that the model lacks. "" if it can."""
    known = set() if space in suite.spaces else set(label_space(card.labels).classes)
    for stimuli in {block.stimuli.digest: block.stimuli for block in plan.blocks}.values() if known else ():
        if strange := sorted(set(map(str, stimuli.labels["category"])) - known):
            return (
                f"the set '{stimuli.name}' has {len(strange)} classes that '{card.name}' lacks: "
                f"{', '.join(strange[:5])}. Give the same names to both (--labels FOLDER takes a set's)"
            )
    return ""


def _spaces(card: ModelCard, suite: Suite) -> tuple[tuple[str, ...], str]:
    """Return the label spaces that a card and a suite share; or why there is none."""
    if card.source == "ideal":
        if suite.needs == "decisions":
            return suite.spaces, ""
        return (), f"an ideal observer answers from labels: it has no {suite.needs}"
    if card.simulated and not suite.experiments:
        return (), "a simulated person takes part where people do: in suites of experiments"
    if suite.needs == "gradients" and not card.gradients:
        why = "makes its input by its own transform" if card.own_transform else "answers without a network at hand"
        return (), f"not for it: '{card.name}' {why}, and no gradient reaches its input"
    labels = label_space(card.labels)
    answers = labels.answers
    shared = tuple(space for space in suite.spaces if space in answers)
    if suite.categories and not shared:
        with suppress(LabelError):
            labels.grouping(suite.spaces[0], suite.categories)
            return suite.spaces, ""
    if suite.own_space and labels.name not in suite.spaces:
        shared += (labels.name,)
    return shared, (
        f"its labels '{labels.name}' answer in {', '.join(answers)}; the suite's stimuli are labelled in "
        f"{', '.join(suite.spaces)}. A mapping file (--labels FILE.yaml) with `groups:` says which class is which"
    )


#: One block of one task -> its cost, in any whole unit.
Cost = Callable[[Task, Block], int]


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/3" -> (2, 3), the second of three. Raises UsageError on anything else."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match and 1 <= int(match[1]) <= int(match[2]):
        return int(match[1]), int(match[2])
    raise UsageError(f"shard '{text}': expected I/N, part I of N with I from 1 to N, such as 1/3, 2/3 and 3/3.")


def part_name(index: int, of: int, plan: str) -> str:
    """Name a part of a plan, from 1, as the leaderboard's row of its run does. plan: from `plan_digest`."""
    return f"shard {index}/{of} of plan {plan}"


def whole_name(part: str) -> str:
    """Name the whole plan of a part, as its only part. part: from `part_name`."""
    return part_name(1, 1, part.rpartition(" ")[2])


def ended_parts(runs: Iterable[tuple[str, str]]) -> list[tuple[int, int, str]]:
    """Return (index, number of parts, plan) of the parts that were finished. runs: status and note of ended runs."""
    named = (re.fullmatch(r"shard (\d+)/(\d+) of plan (\w+)", note) for status, note in runs if status != "interrupted")
    return [(int(match[1]), int(match[2]), match[3]) for match in named if match]


def lacking_parts(there: Collection[tuple[int, int, str]], wanted: Iterable[tuple[int, int, str]]) -> list[str]:
    """Name the parts that `there` lacks of the plans in `wanted`: "shard 2/3 of plan 0123456789ab". Both are from
    `ended_parts`. A plan that was carried out as a whole lacks none."""
    return [
        part_name(index, of, plan)
        for of, plan in dict.fromkeys((of, plan) for _, of, plan in wanted)
        if (1, 1, plan) not in there
        for index in range(1, of + 1)
        if (index, of, plan) not in there
    ]


def cut_shards(tasks: Sequence[Task], n: int, cost: Cost) -> list[list[Task]]:
    """Cut a plan into `n` stretches of about equal cost; some may be empty. Each chunk of each block is in exactly one
    part: a task that is cut is in several, with the chunks of each in `only`."""
    pieces = list[tuple[Task, int, frozenset[int], int]]()  # index of a block, some of its chunks, their cost
    for task in tasks:
        for i, block in task.shown.items():
            # A block that its suite may settle early is never cut, because the suite is asked chunk by chunk.
            some = [task.chunks(i)]
            if task.suite.stopping.settled is None:
                some = [frozenset([chunk]) for chunk in sorted(some[0])] or some
            pieces += ((task, i, chunks, -(-cost(task, block) // len(some))) for chunks in some)
        if not task.plan.blocks:
            pieces.append((task, 0, frozenset(), 0))
    parts: list[dict[int, tuple[Task, dict[int, frozenset[int]]]]] = [{} for _ in range(n)]
    total, before = max(1, sum(price for *_, price in pieces)), 0
    for task, i, chunks, price in pieces:  # each is in the part that its middle falls into
        _, own = parts[min(n - 1, (2 * before + price) * n // (2 * total))].setdefault(id(task), (task, {}))
        if task.plan.blocks:
            own[i] = own.get(i, frozenset()) | chunks
        before += price
    return [[replace(task, only=chunks) for task, chunks in part.values()] for part in parts]


def plan_digest(tasks: Sequence[Task], policy: Policy, cost: Cost = lambda _task, _block: 0) -> str:
    """Return the digest, in 12 digits, of what machines must agree on to carry out parts of one plan."""
    asked = list[list[object]]()
    for task in tasks:
        row: list[object] = [task.card.name, task.suite.name, task.suite.version, task.space]
        for block in task.plan.blocks:
            what = [block.role, block.condition, block.presentation, block.stimuli.digest]
            transform = block.transform and [block.transform.name, dict(block.transform.params)]
            row.append([*what, transform, cost(task, block)])
        asked.append(row)
    return digest_data([asked, policy])[:12]
