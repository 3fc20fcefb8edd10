"""Evaluate a network every so many steps of its training: a loop's own watch, and what the callbacks share."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from benchmark import api
from benchmark.api.options import Names
from benchmark.api.process_group import Ranks, ranks
from benchmark.api.running import RunPlan, RunRequest, require_possible
from benchmark.engine.score_shards import RunReport
from benchmark.failures import FAILURES, BenchError, failure_line
from benchmark.store import ScoreRow
from benchmark.variables import read_settings
from gestaltbench.evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from benchmark.engine.inference import Reporter

#: A failure is logged, not raised and not warned of: `-W error` would turn a warning into the end of a training.
LOG = logging.getLogger("gestaltbench")


@dataclass(kw_only=True)
class Budget:
    """The time that evaluations may take, and the time that each suite took last."""

    seconds: float = math.inf  # of each evaluation
    share: float | None = None  # of the time since the training began
    started: float = field(default_factory=monotonic)
    spent: float = 0.0
    _costs: dict[str, tuple[float, float]] = field(default_factory=dict)  # suite -> seconds, forward passes

    @classmethod
    def of(cls, stated: float | str | None) -> Budget:
        """Read seconds, a share such as "5%", or None for no limit. Raise BenchError for anything else."""
        if stated is None:
            return cls()
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", stated) if isinstance(stated, str) else None
        if match and 0 < float(match[1]) <= 100:
            return cls(share=float(match[1]) / 100)
        if isinstance(stated, (int, float)) and 0 < stated < math.inf:
            return cls(seconds=stated)
        raise BenchError(f'budget={stated!r}: expected seconds of each evaluation, or a share such as "5%".')

    @property
    def left(self) -> float:
        """Seconds of the share that past evaluations have left; negative if they took more."""
        return math.inf if self.share is None else self.share * (monotonic() - self.started) - self.spent

    def fits(self, part: RunPlan, begun: float) -> bool:
        """Return whether a suite fits into what is left of the evaluation that began at `begun`. A suite without a
        measured time is estimated from the others by its forward passes; the first one of a training always fits."""
        passes = sum(task.passes for task in part.tasks)
        pace = max((seconds / many for seconds, many in self._costs.values() if many), default=0.0)
        seconds, _ = self._costs.get(part.only[0], (passes * pace, passes))
        return not self._costs or monotonic() - begun + seconds <= min(self.seconds, self.left)

    def note(self, part: RunPlan, seconds: float) -> None:
        """Keep how long a suite took."""
        self._costs[part.only[0]] = seconds, sum(task.passes for task in part.tasks)


class Watch:
    """Evaluate a network while it trains, on the same images each time, and draw its curves.

        watch = Watch(net, name="my-run", every=500, suites="cue-conflict", preprocess=transform, log=writer)
        for step, batch in enumerate(loader):
            ...
            watch(step)

    Each evaluated step is an observer NAME-STEP of the leaderboard and a point of the training run NAME, as a
    checkpoint of `bench sweep` is. A failure is logged under "gestaltbench" and never ends the training. In a
    distributed training all ranks call the watch: each answers its shard, and the first one scores and logs.

    net: what `gestaltbench.evaluate` takes; the training around it is left as it was.
    name: names the training run.
    every: evaluate at multiples of this step; None: only when `evaluate` is called.
    suites: names, or "all"; the cheapest runs first.
    limit: show at most this many images of each set.
    budget: seconds of each evaluation, or a share such as "5%" of the time since the watch was made. Suites that do not
    fit are left out until they do.
    log: receives gestaltbench/SUITE/METRIC, .../low and .../high: a SummaryWriter, a run of W&B, the module mlflow, a
    logger of Lightning, or a function of (values, step).
    db: the leaderboard.
    how: preprocess, labels, output, seed, batch, device, save of `gestaltbench.evaluate`.

    Raises BenchError for an unknown suite, a budget or a leaderboard that cannot be used, before the training."""

    def __init__(
        self,
        net: Any,
        *,
        name: str,
        every: int | None,
        suites: Names = "all",
        limit: int | None = None,
        budget: float | str | None = None,
        log: Any = None,
        db: str | Path | None = None,
        **how: Any,
    ) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise BenchError(f"every={every!r}: expected a number of steps, at least 1.")
        # Photographs say nothing about a network that is not trained yet: none are shown unless asked for.
        self._how = {"suites": suites, "limit": limit, "db": db, "check": False, "progress": False, **how}
        signature(evaluate).bind(net, **self._how)
        require_possible(RunRequest(suites=suites), read_settings(None if db is None else str(db)))
        self.net, self.name, self.every = net, api.run_name("", name), every
        self._log = None if log is None else writer_of(log)
        self.budget = Budget.of(budget)
        self._last: int | None = None  # step
        self._told: set[str] = set()

    def __call__(self, step: int) -> Evaluation | None:
        """Evaluate the network if the step is a multiple of `every`."""
        return self.evaluate(step) if self.every and step % self.every == 0 else None

    def evaluate(self, step: int) -> Evaluation | None:
        """Evaluate the network now, once for each step; return None on other ranks, without time or on a failure."""
        if step == self._last:
            return None
        self._last, group, begun, what = step, ranks(), monotonic(), "evaluated"
        try:
            with group.together():
                if not group.exchange(self.budget.left >= 0)[0]:
                    return None
                done = self._evaluated(group, step, begun)
            if group.rank == 0:
                what = "logged"
                for suite, why in done.failed.items():
                    LOG.warning("%s: %s failed: %s", done.name, suite, why)
                for suite, why in done.skipped.items():
                    self._tell(f"{self.name}: {suite} does not apply: {why}")
                self._write(done.headlines(), step)
                return done
        except FAILURES as error:  # the boundary of one evaluation: the training goes on
            LOG.warning("%s: step %d was not %s: %s", self.name, step, what, failure_line(error))
        finally:
            self.budget.spent += monotonic() - begun
        return None

    def _evaluated(self, group: Ranks, step: int, begun: float) -> Evaluation:
        def carry_out(part: RunPlan, reporter: Reporter, command: str) -> RunReport:
            if not group.exchange(self.budget.fits(part, begun))[0]:
                self._tell(f"{self.name}: {part.only[0]} is left out as long as it does not fit the budget")
                return RunReport()
            start = monotonic()
            report = group.execute(part, reporter, command)
            self.budget.note(part, monotonic() - start)
            return report

        net = group.replica(self.net)
        return evaluate(net, name=self.name, step=step, carry_out=carry_out, **self._how)

    def _tell(self, line: str) -> None:
        """Log a line once."""
        if line not in self._told:
            self._told.add(line)
            LOG.warning("%s", line)

    def _write(self, headlines: Mapping[str, ScoreRow], step: int) -> None:
        values: dict[str, float] = {}
        for suite, row in headlines.items():
            name = f"gestaltbench/{suite.replace(':', '-')}/{row.metric}"  # MLflow and TensorBoard refuse a colon
            numbers = {name: row.value, f"{name}/low": row.low, f"{name}/high": row.high}
            values |= {key: number for key, number in numbers.items() if number is not None}
        if values and self._log is not None:
            self._log(values, step)


def writer_of(log: Any) -> Callable[[Mapping[str, float], int], Any]:
    """Return a function of values by name and a step that writes to a logger."""
    if hasattr(log, "add_scalar"):  # SummaryWriter of TensorBoard
        return lambda values, step: [log.add_scalar(name, value, step) for name, value in values.items()]
    if hasattr(log, "log_metrics"):  # MLflow, loggers of Lightning
        return lambda values, step: log.log_metrics(dict(values), step=step)
    if hasattr(log, "log"):  # W&B
        return lambda values, step: log.log(dict(values), step=step)
    if callable(log):
        return lambda values, step: log(dict(values), step)
    raise BenchError(f"log={type(log).__name__}: expected a logger of values, or a function of (values, step).")
