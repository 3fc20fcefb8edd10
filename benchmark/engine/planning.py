"""Cards x suites -> tasks: what each observer is shown, or why a suite does not apply to it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Block, Plan, Shelf, Stimuli, Suite
from benchmark.errors import MissingStimuli
from benchmark.settings import Settings
from benchmark.stimuli.roles import Resolver
from registry.cards import ModelCard
from registry.labels import label_space


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
        found = self._plans[key]
        if isinstance(found, MissingStimuli):
            raise found
        return found

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
                _require_classes(card, plan)
            planned.append(Task(card, suite, space, plan))
        except MissingStimuli as error:
            missing.append(str(error))
    yield from planned or [
        Task(card, suite, (spaces or suite.spaces)[0], Plan(()), reason or "; ".join(missing))
    ]


def _require_classes(card: ModelCard, plan: Plan) -> None:
    """Raise MissingStimuli where a set in the model's own space has classes that the model has not."""
    known = set(label_space(card.labels).classes)
    for stimuli in {block.stimuli.digest: block.stimuli for block in plan.blocks}.values():
        strange = sorted(set(map(str, stimuli.labels["category"])) - known)
        if strange:
            raise MissingStimuli(
                f"the set '{stimuli.name}' has {len(strange)} classes that the labels of '{card.name}' lack: "
                f"{', '.join(strange[:5])}. Give the same names to both (--labels FOLDER takes a set's)"
            )


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
