"""Is the new one worse? Two networks on images in random order, looked at chunk by chunk until the answer is clear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmark.contracts import EarlyStop, Metric, Plan, Shelf, Suite, Trials
from benchmark.engine.comparing import Both, alike, discordant_of
from benchmark.engine.planning import Task
from benchmark.leaderboard.comparison import Change, Diff, Margin, seen_so_far
from benchmark.leaderboard.repeating import PAIRED
from benchmark.stats.bootstrap import Floats
from benchmark.stats.comparisons import Comparison
from benchmark.stats.families import DiscordantTrial, SuiteComparison
from benchmark.stats.paired import FEWEST
from benchmark.stats.ratios import ratio_arrays
from benchmark.stats.sequences import difference_sequence
from benchmark.stimuli.datasets import shuffled
from benchmark.store import Store

LEVEL = 0.95
#: Of the variant that brings the images in random order; no block is settled by itself here.
ANY_WIDTH = 0.01
METHOD = "confidence sequence of paired differences, by image"


def paired_variant(suite: Suite) -> Suite | None:
    """The suite on images in random order, none of its blocks stopped by itself; None where it has no such order."""
    stopping, name = suite.stopping, f"{suite.name}{PAIRED}"
    if stopping.within is not None:
        return replace(stopping.within(ANY_WIDTH), name=name, stopping=EarlyStop())
    if stopping.shuffle:
        return replace(suite, name=name, plan=InRandomOrder(suite.plan), stopping=EarlyStop())
    return None


@dataclass(frozen=True)
class InRandomOrder:
    """A suite's plan with the images of each block in an order that has nothing to do with what they show."""

    plan: Callable[[Any, Shelf], Plan]

    def __call__(self, config: Any, shelf: Shelf) -> Plan:
        """The plan."""
        made = self.plan(config, shelf)
        blocks = (replace(block, stimuli=shuffled(block.stimuli)) for block in made.blocks)
        return replace(made, blocks=tuple(blocks))


@dataclass(frozen=True)
class Question:
    """Base and new under the suites of `tasks`. margin: what is asked (None: whether a change is shown); target: half
    the width at which an answer that is not clear by then is left open."""

    base: str
    new: str
    tasks: Sequence[Task]
    margin: Margin | None
    target: float

    def clear(self, store: Store) -> bool:
        """Whether every suite has its answer, or is known well enough."""
        return all(self._is_clear(one) for one in self.changes(store))

    def changes(self, store: Store) -> list[Change]:
        """What the trials that are stored say, suite by suite."""
        pairs = self._pairs()
        level = 1 - (1 - LEVEL) / len(pairs)
        return [self._change(store, task, level) for task in pairs]

    def answer(self, store: Store, remarks: Sequence[str] = ()) -> Diff:
        """The verdict, with the images that flipped."""
        changes = self.changes(store)
        flipped = [row for task in self._pairs() for row in self._flipped(store, task)]
        told = [
            *remarks,
            *(self._told(one, task) for one, task in zip(changes, self._pairs(), strict=True)),
        ]
        return Diff(
            self.base,
            self.new,
            self.margin,
            tuple(changes),
            tuple(flipped),
            tuple(told),
            looked=True,
        )

    def _pairs(self) -> list[Task]:
        """The new one's tasks; the base has each of them, too."""
        return [task for task in self.tasks if task.card.name == self.new]

    def _is_clear(self, change: Change) -> bool:
        if change.verdict not in ("inconclusive", "no change shown"):
            return True
        low, high = change.low, change.high
        return low is not None and high is not None and (high - low) / 2 <= self.target

    def _change(self, store: Store, task: Task, level: float) -> Change:
        metric = task.suite.headline
        new, base = self._whole(store, task)
        values = [per_image(metric, trials) for trials in (new, base)]
        n = len(values[0])
        low, high = difference_sequence(values[0] - values[1], level)
        means = [float(one.mean()) if n else None for one in values]
        difference = None if means[0] is None or means[1] is None else means[0] - means[1]
        start = Comparison(metric.name, a=means[0], b=means[1], difference=difference, n=n)
        same = n >= FEWEST and np.array_equal(values[0], values[1]) and alike(new, base)
        row = SuiteComparison(
            task.suite.name.removesuffix(PAIRED),
            metric,
            replace(start, low=low, high=high, level=level, method=METHOD, same=same),
        )
        whole = n == len(task.plan.blocks[0].stimuli)
        return seen_so_far(row, low, high, self.margin, whole)

    def _whole(self, store: Store, task: Task) -> tuple[Trials, Trials]:
        """Trials of both on the images that both have answered in every block."""
        found = [self._trials(store, task, name) for name in (self.new, self.base)]
        blocks = len(task.plan.blocks)
        held = []
        for trials in found:
            names, counts = (
                np.unique(trials["stimulus"], return_counts=True) if len(trials) else ([], 0)
            )
            held.append(set(np.asarray(names)[np.asarray(counts) == blocks].tolist()))
        common = sorted(held[0] & held[1])
        new, base = (
            trials.where(np.isin(trials["stimulus"], common)) if len(trials) else trials
            for trials in found
        )
        return new, base

    def _trials(self, store: Store, task: Task, name: str) -> Trials:
        wanted = {(b.stimuli.digest, b.condition, b.role) for b in task.plan.blocks}
        keys = {
            (o.stimuli, o.condition, o.role): o.key
            for o in store.observations(observer=name, suite=task.suite.name)
            if o.space == task.space and (o.stimuli, o.condition, o.role) in wanted
        }
        return store.trials(tuple(keys.values())) if keys else Trials({})

    def _flipped(self, store: Store, task: Task) -> list[DiscordantTrial]:
        new, base = self._whole(store, task)
        return list(discordant_of(Both(task.suite, new, base, {}))) if len(new) else []

    def _told(self, change: Change, task: Task) -> str:
        n, of = change.row.comparison.n, len(task.plan.blocks[0].stimuli)
        end = "all of them" if n == of else f"stopped at {n} of {of} images"
        if n < of or self._is_clear(change):
            return f"{change.row.suite}: {end}"
        return f"{change.row.suite}: {end}, and they do not make it clear"


def per_image(metric: Metric, trials: Trials) -> Floats:
    """[images] what each image adds to a ratio, by name; every image has the same share of the denominator.

    ValueError where it has not: then the ratio is no mean over images.
    """
    num, den, stimulus = ratio_arrays(metric, trials)
    if not len(num):
        return np.zeros(0)
    _, at = np.unique(stimulus, return_inverse=True)
    above, below = np.bincount(at, num), np.bincount(at, den)
    if below.min() <= 0 or not np.allclose(below, below[0]):
        raise ValueError(f"metric '{metric.name}' is no mean over images")
    return above / below
