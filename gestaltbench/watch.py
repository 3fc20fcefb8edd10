"""Evaluate a network every so many steps of its training: a loop's own watch, and what the callbacks share."""

import logging
import math
from contextlib import suppress
from inspect import signature
from time import monotonic
from typing import Any

from benchmark import api
from benchmark.api.options import Names
from benchmark.api.process_group import Ranks
from benchmark.api.running import RunPlan, RunRequest, require_possible
from benchmark.engine.reporters import Reporter
from benchmark.engine.score_shards import RunReport, Status
from benchmark.failures import FAILURES, BenchError, failure_line
from benchmark.variables import read_settings
from gestaltbench.evaluation import Evaluation, evaluate

#: A failure is logged, not raised and not warned of: `-W error` would turn a warning into the end of a training.
LOG = logging.getLogger("gestaltbench")


class Watch:
    """Evaluate a network while it trains, on the same images each time, and draw its curves.

        watch = Watch(net, name="my-run", every=500, suites="cue-conflict", preprocess=transform, log=writer)
        for step, batch in enumerate(loader):
            ...
            watch(step)

    Each evaluated step is an observer NAME-STEP and a point of the training run NAME, as of `bench sweep`. A failure is
    logged under "gestaltbench" and never ends the training. In a distributed training all ranks call the watch: each
    answers its shard, and the first one scores and logs.

    net, how: what `gestaltbench.evaluate` takes: preprocess, labels, limit, db, ...
    every: evaluate at multiples of this step; None: after epochs in a callback, otherwise when `evaluate` is called.
    suites: names, or "all"; the cheapest runs first.
    budget: seconds of each evaluation, or a share such as "5%" of the time since the watch was made. Suites that do not
    fit are left out until they do.
    log: receives gestaltbench/SUITE/METRIC, .../low and .../high: a SummaryWriter, a run of W&B, the module mlflow, a
    logger of Lightning, or a function of (values, step).

    Raises BenchError for an unknown suite, a budget or a leaderboard that cannot be used, before the training."""

    def __init__(
        self,
        net: Any,
        *,
        name: str,
        every: int | None = None,
        suites: Names = "all",
        budget: float | str | None = None,
        log: Any = None,
        **how: Any,
    ) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise BenchError(f"every={every!r}: expected a number of steps, at least 1.")
        # Photographs say nothing about a network that is not trained yet: none are shown unless asked for.
        self._how = {"suites": suites, "check": False, "progress": False, **how}
        signature(evaluate).bind(net, **self._how)
        require_possible(RunRequest(suites=suites), read_settings(how.get("db")))
        self.net, self.name, self.every = net, api.run_name("", name), every
        self.log = writer_of(log) if log is not None else None
        self._seconds, self._share = budget_of(budget)
        self._started, self.spent, self._last = monotonic(), 0.0, -1  # the last step
        self._paces: dict[str, float] = {}  # suite -> seconds of a forward pass, when it last ran
        self._told: set[str] = set()

    def __call__(self, step: int, *, ends_epoch: bool = False) -> Evaluation | None:
        """Evaluate the network if the step is a multiple of `every`, or at the end of an epoch if `every` is None."""
        due = ends_epoch if self.every is None else step % self.every == 0
        return self.evaluate(step) if due else None

    def evaluate(self, step: int) -> Evaluation | None:
        """Evaluate the network now, once for each step; return None on other ranks, without time or on a failure."""
        if step == self._last:
            return None
        self._last, group, begun = step, Ranks(), monotonic()

        def carry_out(part: RunPlan, reporter: Reporter, command: str) -> RunReport:
            suite, passes, start = part.only[0], sum(task.passes for task in part.tasks), monotonic()
            if not group.exchange(self._fits(begun, suite, passes))[0]:
                why: tuple[Status, str] = "not applicable", "left out as long as it does not fit the budget"
                return RunReport(tasks={task.work: why for task in part.tasks})
            report = group.execute(part, reporter, command)
            self._paces[suite] = (monotonic() - start) / (passes or 1)
            return report

        try:
            with group.together():
                if not group.exchange(self._fits(begun))[0]:
                    return None
                done = evaluate(group.replica(self.net), name=self.name, step=step, carry_out=carry_out, **self._how)
            if group.rank == 0:
                for (_, suite, _), (status, why) in done.report.tasks.items():
                    line = f"{self.name}: {suite}: {status}: {why}"
                    if status not in ("done", "cached") and line not in self._told:
                        self._told.add(line)
                        LOG.warning("%s", line)
                values: dict[str, float | None] = {}
                for suite, row in done.headlines.items():
                    name = f"gestaltbench/{suite.replace(':', '-')}/{row.metric}"  # loggers refuse a colon
                    values |= {name: row.value, f"{name}/low": row.low, f"{name}/high": row.high}
                known = {name: value for name, value in values.items() if value is not None}
                if known and self.log is not None:
                    self.log(known, step)
                return done
        except FAILURES as error:  # the boundary of one evaluation: the training goes on
            LOG.warning("%s: step %d was not evaluated: %s", self.name, step, failure_line(error))
        finally:
            self.spent += monotonic() - begun
        return None

    def _fits(self, begun: float, suite: str = "", passes: float = 0.0) -> bool:
        """Return whether forward passes fit into what is left of the evaluation that began at `begun`, at the suite's
        pace, or at the slowest of the others. The first suite of a training always fits."""
        now, pace = monotonic(), self._paces.get(suite, max(self._paces.values(), default=0.0))
        left = self._share * (now - self._started) - self.spent
        return not self._paces or now - begun + pace * passes <= min(self._seconds, left)


def budget_of(stated: float | str | None) -> tuple[float, float]:
    """Return seconds of each evaluation, and the share of the training's time. Raise BenchError for anything else."""
    with suppress(ValueError):
        number = math.inf if stated is None else float(str(stated).rstrip("%"))
        if str(stated).endswith("%") and 0 < number < 100:
            return math.inf, number / 100
        if number > 0 and not str(stated).endswith("%"):
            return number, math.inf
    raise BenchError(f'budget={stated!r}: expected seconds of each evaluation, or a share such as "5%".')


def writer_of(log: Any) -> Any:
    """Return a function of values by name and a step that writes to a logger."""
    if hasattr(log, "add_scalar"):  # SummaryWriter of TensorBoard
        return lambda values, step: [log.add_scalar(name, value, step) for name, value in values.items()]
    # MLflow and loggers of Lightning, W&B
    if write := getattr(log, "log_metrics", getattr(log, "log", None)):
        return lambda values, step: write(values, step=step)
    if callable(log):
        return log
    raise BenchError(f"log={type(log).__name__}: expected a logger of values, or a function of (values, step).")
