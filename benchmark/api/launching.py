"""Carrying out a plan wherever its request says: here, on a Ray cluster, or as a job array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.api import running
from benchmark.api.running import Prepared, RunRequest, Silent, prepare
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.engine.outcomes import RunReport
    from benchmark.engine.running import RunReporter


def execute(prepared: Prepared, reporter: RunReporter, command: str = "bench run") -> RunReport:
    """Carry out a plan. Raises BenchError where its executor is not there."""
    if prepared.request.executor != "slurm":
        return running.execute(prepared, reporter, command)
    from benchmark.api.array_jobs import run_array

    return run_array(prepared, reporter)


def run(*, db: str | None = None, reporter: RunReporter | None = None, **request: Any) -> RunReport:
    """Run suites on models; keywords are the fields of `RunRequest`. Returns what was done, failed and skipped."""
    prepared = prepare(RunRequest(**request), read_settings(db))
    return execute(prepared, reporter or Silent(), "benchmark.run")
