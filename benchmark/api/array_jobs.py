"""`--executor slurm`: a plan as a job array. Each task has a leaderboard of its own, and all are merged in the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.array_task import ArrayTask, tasks
from benchmark.api.databases import MergeReport, merge
from benchmark.api.submitted_tasks import Submitted, at_work, cancel, only_driver, submit
from benchmark.engine.own_process import PROGRAM
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.api.running import Prepared, RunRequest
    from benchmark.engine.outcomes import RunReport
    from benchmark.engine.running import RunReporter

#: A task that is gone without a word is submitted so many times in all.
SUBMISSIONS = 3
#: Requeues of a task whose time was up or whose node was wanted, as submitit counts them.
REQUEUES = 100
_EVERY = {"slurm": 10.0, "local": 0.5}  # s between two looks at the jobs


@dataclass(frozen=True)
class ArrayOptions:
    """How an array is submitted. tasks: its size; cluster: "slurm", or "local" for processes of this machine;
    settings: what else sbatch is told (partition, time in minutes, account, qos, mem, ...), as submitit names it.
    """

    tasks: int = 8
    cluster: str = "slurm"
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse_options(words: Sequence[str]) -> ArrayOptions:
    """KEY=VALUE each; "tasks" and "cluster" are ours. Raises BenchError."""
    stated: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key.isidentifier() and value):
            raise BenchError(
                f"--slurm {word}: expected KEY=VALUE, such as partition=gpu or time=240."
            )
        stated[key] = int(value) if value.isascii() and value.isdigit() else value
    size, cluster = stated.pop("tasks", ArrayOptions.tasks), stated.pop("cluster", "slurm")
    if not isinstance(size, int) or not 1 <= size <= 10_000:
        raise BenchError(f"--slurm tasks={size}: expected the size of the array, 1 to 10000.")
    if cluster not in _EVERY:
        raise BenchError(f"--slurm cluster={cluster}: expected slurm, or local to try it here.")
    return ArrayOptions(size, cluster, stated)


def run_array(prepared: Prepared, reporter: RunReporter) -> RunReport:
    """Submit a task for each part, wait for all of them, merge and score. The same call goes on where one broke off."""
    request, options = prepared.request, parse_options(prepared.request.slurm)
    folder = _folder(prepared, options)
    logs = folder / "logs"
    executor = _executor(request, options, logs)
    with only_driver(folder):
        parts = tasks(_on_node(request), prepared.settings, folder, options.tasks)
        reporter.note(f"{options.tasks} tasks; their leaderboards and logs are in {folder}")
        stopped = _wait(executor, parts, reporter, options.cluster, logs)
        made = [part.settings.db for part in parts if Path(part.settings.db).exists()]
        if stopped and not made:
            shard, reason = next(iter(stopped.items()))
            raise BenchError(f"no task has stored anything; task {shard}: {reason}. Logs: {logs}")
        merged = merge(made, prepared.settings.db)
        if not merged.exit_code and not stopped:
            for shard in made:
                for file in Path(shard).parent.glob(f"{Path(shard).name}*"):
                    file.unlink()
    return _report(prepared, merged, stopped)


def _wait(
    executor: Any, parts: Sequence[ArrayTask], reporter: RunReporter, cluster: str, logs: Path
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
            name="bench", timeout_min=24 * 60, gpus_per_node=_gpus(request),
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


def _gpus(request: RunRequest) -> int:
    """GPUs of each task."""
    if request.device == "cpu":
        return 0
    if request.gpus_per_task != int(request.gpus_per_task):
        raise BenchError(
            f"--gpus-per-task {request.gpus_per_task:g}: Slurm gives whole GPUs; expected a whole number."
        )
    return int(request.gpus_per_task)


def _on_node(request: RunRequest) -> RunRequest:
    """The request as a task makes it: on the GPUs that it is given, never on the processor by accident."""
    from dataclasses import replace

    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(
            "--executor slurm gives each task devices of its own: --device is auto, cpu or cuda, not "
            f"'{request.device}'."
        )
    gpus = _gpus(request)
    return replace(
        request, device="cpu" if not gpus else "cuda:all" if gpus > 1 else "cuda", slurm=()
    )


def _folder(prepared: Prepared, options: ArrayOptions) -> Path:
    """Beside the leaderboard, another one for each plan and size of array: a shard of one is none of another."""
    from registry.digests import digest_data

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
