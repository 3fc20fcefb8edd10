"""`--executor slurm`: a plan as a job array. Each task has a leaderboard of its own, and all are merged in the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.array_options import (
    ArrayOptions,
    Cluster,
    for_cluster,
    gpus,
    on_node,
    parse_options,
)
from benchmark.api.array_task import ArrayTask, tasks
from benchmark.api.databases import MergeReport, merge
from benchmark.api.submitted_tasks import Submitted, at_work, cancel, only_driver, submit
from benchmark.engine.own_process import PROGRAM
from benchmark.errors import BenchError
from benchmark.store import require_usable

if TYPE_CHECKING:
    from benchmark.api.running import Prepared, RunRequest
    from benchmark.engine.outcomes import RunReport
    from benchmark.engine.running import RunReporter

#: A task that is gone without a word is submitted so many times in all.
SUBMISSIONS = 3
#: Requeues of a task whose time was up or whose node was wanted, as submitit counts them.
REQUEUES = 100
_EVERY: Mapping[Cluster, float] = {"slurm": 10.0, "local": 0.5}  # s between two looks at the jobs


def run_array(prepared: Prepared, reporter: RunReporter) -> RunReport:
    """Submit a task for each part, wait for all of them, merge and score. The same call goes on where one broke off."""
    options = parse_options(prepared.request.slurm)
    request = for_cluster(prepared.request, options)
    require_usable(prepared.settings.db)
    folder = _folder(prepared, options)
    logs = folder / "logs"
    executor = _executor(request, options, logs)
    with only_driver(folder):
        parts = tasks(on_node(request), prepared.settings, folder, options.tasks)
        reporter.note(f"{options.tasks} tasks; their leaderboards and logs are in {folder}")
        stopped = _wait(executor, parts, reporter, options.cluster, logs)
        made = [part.settings.db for part in parts if Path(part.settings.db).exists()]
        if stopped and not made:
            shard, reason = next(iter(stopped.items()))
            why = reason.rstrip(".")
            raise BenchError(f"no task has stored anything; task {shard}: {why}. Logs: {logs}")
        merged = merge(made, prepared.settings.db)
        if not merged.exit_code and not stopped:
            for shard in made:
                for file in Path(shard).parent.glob(f"{Path(shard).name}*"):
                    file.unlink()
    return _report(prepared, merged, stopped)


def _wait(
    executor: Any, parts: Sequence[ArrayTask], reporter: RunReporter, cluster: Cluster, logs: Path
) -> dict[str, str]:
    """Until no task is left: shard -> what stopped it. Ctrl-C cancels the tasks; what they have stored stays."""
    stopped: dict[str, str] = {}
    submitted = dict.fromkeys(range(len(parts)), 1)
    running: dict[int, Submitted] = {}
    try:
        _start(executor, parts, reporter, running, logs, local=cluster == "local")
        while running:
            for at, job in [(at, job) for at, job in running.items() if job.done()]:
                del running[at]
                shard, reason = parts[at].request.shard, job.reason()
                if reason is None and submitted[at] < SUBMISSIONS:
                    submitted[at] += 1
                    reporter.note(f"task {shard} is gone without a word: submitted again")
                    (running[at],) = submit(executor, [parts[at]], local=job.local)
                    continue
                if reason != "":
                    stopped[shard] = (
                        reason or f"gone without a word {SUBMISSIONS} times; see its log"
                    )
                left = len(running)
                reporter.note(
                    f"task {shard} is done, {left} to go"
                    if not reason
                    else f"task {shard}: {reason}"
                )
            if running:
                time.sleep(_EVERY[cluster])
    except BaseException:
        count = cancel(running.values())
        reporter.note(f"{count} tasks cancelled; what they have stored stays")
        raise
    return stopped


def _start(
    executor: Any,
    parts: Sequence[ArrayTask],
    reporter: RunReporter,
    running: dict[int, Submitted],
    logs: Path,
    *,
    local: bool,
) -> None:
    """Submit the tasks, but those that a driver before submitted and that still run."""
    for at, part in enumerate(parts):
        if found := at_work(part, logs, local=local):
            running[at] = found
            reporter.note(f"task {part.request.shard} still runs since before: waited for")
    new = [at for at in range(len(parts)) if at not in running]
    if new:
        jobs = submit(executor, [parts[at] for at in new], local=local)
        running |= dict(zip(new, jobs, strict=True))


def _executor(request: RunRequest, options: ArrayOptions, logs: Path) -> Any:
    """Raises BenchError where submitit is not installed, Slurm is not here, or an option is none."""
    if find_spec("submitit") is None:
        raise BenchError(
            "--executor slurm needs the package submitit, which is not installed: pip install 'gestaltbench[slurm]'"
        )
    submitit = import_module("submitit")
    with _stated(options):
        executor = submitit.AutoExecutor(
            logs,
            cluster=options.cluster,
            slurm_max_num_timeout=REQUEUES,
            local_max_num_timeout=REQUEUES,
        )
        executor.update_parameters(
            name="bench", timeout_min=24 * 60, gpus_per_node=gpus(request),
            slurm_setup=_setup(), local_setup=_setup(), slurm_wckey="",
            **{f"slurm_{key}": value for key, value in options.settings.items()},
        )  # fmt: skip
    return executor


def _setup() -> list[str]:
    """Before a task starts: it is of this very program, whatever else is installed or lies in the working folder."""
    home = shlex.quote(PROGRAM)
    return ["export PYTHONSAFEPATH=1", f"export PYTHONPATH={home}${{PYTHONPATH:+:$PYTHONPATH}}"]


@contextmanager
def _stated(options: ArrayOptions) -> Iterator[None]:
    try:
        yield
    except (NameError, TypeError, ValueError, AssertionError) as error:
        words = " ".join(f"--slurm {key}={value}" for key, value in options.settings.items())
        raise BenchError(f"{words}: {str(error).splitlines()[0]}") from error
    except RuntimeError as error:  # no srun
        raise BenchError(
            "--executor slurm: there is no Slurm on this machine (no srun). Start it on a node from which jobs are "
            "submitted, or try it here with --slurm cluster=local."
        ) from error


def _folder(prepared: Prepared, options: ArrayOptions) -> Path:
    """Beside the leaderboard, another one for each plan and size of array: a shard of one is none of another."""
    from registry.files import digest_data

    request, db = prepared.request, prepared.settings.db
    apart = ("executor", "address", "gpus_per_task", "slurm")
    asked = {
        one.name: getattr(request, one.name) for one in fields(request) if one.name not in apart
    }
    cards = [card.model_dump(mode="json") for card in prepared.recipe.cards]
    plan = digest_data([asked, cards, options.tasks])[:12]
    beside = Path("bench-tasks") if "://" in db else Path(f"{db}-tasks")
    folder = (beside / plan).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _report(prepared: Prepared, merged: MergeReport, stopped: Mapping[str, str]) -> RunReport:
    """What became of every task of the plan, as the merged leaderboard has it."""
    from benchmark.engine.outcomes import RunReport
    from benchmark.store import open_store

    report = RunReport()
    with open_store(prepared.settings.db, write=False) as store:
        latest = {(one.observer_name, one.suite, one.space): one for one in store.outcomes()}
    for task in prepared.tasks:
        name = f"{task.card.name} under {task.suite.name}"
        outcome = latest.get((task.card.name, task.suite.name, task.space))
        status = outcome.status if outcome else "failed"
        if status == "partial" or outcome is None:
            status, reason = "failed", merged.waiting.get(name, "no task has answered it")
        else:
            reason = outcome.reason
        report.counts[status] += 1
        if status == "failed":
            report.failed[name] = reason
        elif status == "not applicable":
            report.skipped[name] = reason
    report.failed |= {f"task {shard}": reason for shard, reason in stopped.items()}
    report.failed |= {f"merging ({at + 1})": line for at, line in enumerate(merged.conflicts)}
    return report
