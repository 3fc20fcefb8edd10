"""Carrying out a plan wherever its request says: here, by a process for each of several devices, or by Ray's tasks.

There is one way to be parallel: shards. Each process carries out `--shard I/N` of the plan and stores its trials; what
all of them have stored is scored once, as one run would have. Schedulers get a script that does the same."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, ParamSpec

import benchmark
from benchmark.api.options import command_line, joined
from benchmark.api.running import Prepared, RunRequest, Silent, devices_and_policy, parts_of, prepare, run_here
from benchmark.engine.plan import whole_name
from benchmark.engine.score_shards import RunReport, score_shards
from benchmark.errors import BenchError
from benchmark.store import open_store
from benchmark.store.location import parse_location
from benchmark.variables import outside_the_working_folder, read_settings
from registry.files import digest_data

if TYPE_CHECKING:
    from benchmark.contracts import Policy
    from benchmark.engine.plan import Task
    from benchmark.engine.run import RunReporter
    from benchmark.store.rows import Work

P = ParamSpec("P")
Context = SpawnContext | ForkServerContext
ATTEMPTS = 3  # of a shard whose process is killed
PATIENCE = 10.0  # s that a process has to end in when it is asked to
#: What the processes of a processor would each import.
PRELOADED = [
    "benchmark.engine.run", "benchmark.cli.running", "benchmark.transforms.corruptions", "benchmark.transforms.human",
    "scipy.linalg", "suites.adversarial.attack_images", "suites.corruption", "suites.cue_conflict",
    "suites.human_comparison", "suites.saliency.saliency_columns",
]  # fmt: skip
INTERVAL = 0.2  # s between two words of a shard about its work
#: The folder that this very program is imported from.
PROGRAM = str(Path(benchmark.__file__).parents[1])


def execute(prepared: Prepared, reporter: RunReporter, command: str = "bench run") -> RunReport:
    """Carry out a plan. Raises BenchError if its devices or its cluster are not there."""
    if prepared.request.executor == "ray":
        from benchmark.api.ray_shards import run_on_ray

        return run_on_ray(prepared, reporter, command)
    devices, policy = devices_and_policy(prepared.request)
    if len(devices) == 1:
        return run_here(prepared, reporter, command)
    return _run_processes(prepared, devices, policy, reporter, command)


def _runs(make: Callable[P, RunRequest]) -> Callable[P, RunReport]:
    """The verb `run`, which takes what a request takes."""

    @wraps(make)
    def run(*args: P.args, **stated: P.kwargs) -> RunReport:
        request = make(*args, **stated)
        reporter = request.reporter or Silent()
        prepared = prepare(replace(request, reporter=None), read_settings(request.db))
        return execute(prepared, reporter, "gestaltbench.run")

    return run


run = _runs(RunRequest)


def _run_processes(
    prepared: Prepared, devices: Sequence[str], policy: Policy, reporter: RunReporter, command: str
) -> RunReport:
    """A process for each device. Ctrl-C ends them all; what they have stored stays."""
    with open_store(prepared.settings.db):  # made before several processes open it
        pass
    context, tell = _context(devices[0]), _told_as_one(reporter)  # its server starts while the plan is cut
    parts = parts_of(prepared, policy, len(devices))
    shards = list(_shards(parts, devices, context, command, tell))
    lost: list[str] = []
    reports: dict[int, RunReport] = {}
    sys.path.insert(0, PROGRAM)  # a new process gets this path: what else is called `benchmark` does not count
    with ThreadPoolExecutor(len(shards)) as pool:
        try:
            running = {pool.submit(shard.run): at for at, shard in enumerate(shards)}
            for future in as_completed(running):
                try:
                    reports[running[future]] = future.result()
                except BenchError as error:
                    lost.append(str(error))
                    tell("", "note", str(error))
        except BaseException:
            for shard in shards:
                shard.end()
            raise
        finally:
            sys.path.remove(PROGRAM)
    if not reports:
        raise BenchError(f"no process came to its end; {lost[0]}")
    with open_store(prepared.settings.db) as store:
        whole, ended = whole_name(parts[0].part), [reports[at] for at in sorted(reports)]
        report = score_shards(prepared.tasks, ended, store, command, whole)
    report.failed |= {f"process {at}": why for at, why in enumerate(lost, 1)}
    return report


def _told_as_one(reporter: RunReporter) -> Callable[..., None]:
    """What hands the words of shards on: their work on an observer is told as one."""
    lock, owed = Lock(), dict[str, dict[str, Sequence[float]]]()

    def tell(shard: str, method: str, subject: str, *numbers: float) -> None:
        with lock:
            parts = owed.setdefault(subject, {})
            if method == "expect":
                parts[shard] = numbers
                numbers = tuple(map(sum, zip(*parts.values(), strict=True)))
            elif method == "done":
                parts.pop(shard, ())
                if parts:
                    return
            elif method == "note" and shard:
                subject = f"{shard}: {subject}"
            getattr(reporter, method)(subject, *numbers)

    return tell


def _shards(
    parts: Sequence[Prepared], devices: Sequence[str], context: Context, command: str, tell: Callable[..., None]
) -> Iterator[_Process]:
    """One for each device: they share threads and processors evenly."""
    import torch

    from benchmark.engine.devices import processors

    n = len(devices)
    threads, share = max(1, torch.get_num_threads() // n), max(1, processors() // n)
    for index, (device, part) in enumerate(zip(devices, parts, strict=True), 1):
        name = device if devices.count(device) == 1 else f"{device} ({index} of {n})"
        plain = part.without_plan(device=device, decoders=part.request.decoders or share)
        shown = {_named(task): task.only for task in part.tasks}
        yield _Process(
            name=name, context=context, work=(plain, shown, threads, f"{command} (shard {index}/{n})"), tell=tell
        )


def _context(device: str) -> Context:
    """How a device's process is started: as a new one; on the processor, where the system can, as the fork of one that
    has imported this program and waits."""
    if device != "cpu" or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with outside_the_working_folder():  # what is called `benchmark` there does not count
        forkserver.ensure_running()
    return context


@dataclass(kw_only=True)
class _Process:
    """One shard's process, started again if it is killed. work: arguments of `carry_out_shard`; tell: hands the shard's
    progress to the run's reporter."""

    name: str
    context: Context
    work: tuple[Any, ...]
    tell: Callable[..., None]
    _process: BaseProcess | None = None
    _ended: Event = field(default_factory=Event)

    def run(self) -> RunReport:
        """What became of the shard. Raises BenchError with what stopped it."""
        for _ in range(ATTEMPTS):
            ours, theirs = self.context.Pipe(duplex=False)
            given = (theirs, dict(os.environ), *self.work)
            self._process = process = self.context.Process(target=carry_out_shard, args=given, daemon=True)
            process.start()
            theirs.close()
            if self._ended.is_set():  # meanwhile
                process.terminate()
            with suppress(EOFError):  # it is gone
                while True:
                    kind, *words = ours.recv()
                    if kind == "error":
                        raise BenchError(f"{self.name}: {words[0]}")
                    if kind == "report":
                        report: RunReport = words[0]
                        return report
                    self.tell(self.name, kind, *words)
            process.join()
            code = process.exitcode or 0
            if self._ended.is_set() or code >= 0:
                raise BenchError(f"the process on {self.name} ended with code {code}")
            how = signal.Signals(-code).name
            self.tell(self.name, "note", f"the process was killed ({how})")
        raise BenchError(
            f"the process on {self.name} was killed ({how}) {ATTEMPTS} times. What was answered is stored: the same "
            "command goes on."
        )

    def end(self) -> None:
        """End the process: it is asked to, and killed if it does not."""
        self._ended.set()
        if self._process is not None and self._process.pid is not None:
            self._process.terminate()
            self._process.join(PATIENCE)
            self._process.kill()


def _named(task: Task) -> Work:
    return task.card.name, task.suite.name, task.space


def carry_out_shard(
    connection: Connection,
    environ: Mapping[str, str],
    prepared: Prepared,
    shown: Mapping[Work, Any],
    threads: int,
    command: str,
) -> None:
    """The process of a shard: sends each word of progress, then its report. It ends when its parent does.

    environ: of the parent, as it is now; prepared: without its tasks, which are planned again here; shown: what the
    shard has of each, as `Task.only`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends us
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    multiprocessing.current_process().daemon = False  # a network's code may start processes, as it may in one process
    os.environ.clear()
    os.environ.update(environ)
    os.dup2(2, 1)  # what a network's code prints is no output of the command
    code = 130
    with suppress(KeyboardInterrupt):
        Thread(target=_end_with_parent, daemon=True).start()

        def say(*words: object) -> None:
            try:
                connection.send(words)
            except OSError as error:  # the parent is gone: no network's failure
                raise KeyboardInterrupt from error

        import torch

        try:
            torch.set_num_threads(threads)
            if (device := prepared.request.device).startswith("cuda"):
                torch.cuda.set_device(device)
            whole = prepared.planned()
            tasks = [replace(task, only=shown[_named(task)]) for task in whole.tasks if _named(task) in shown]
            part = replace(whole, tasks=tasks)
            reporter: Any = _ShardReporter(say=say)
            say("report", run_here(part, reporter, command))
        except BenchError as error:
            say("error", str(error))
        code = 0
    sys.stderr.flush()
    os._exit(code)  # whatever a library would still do at the end may be interrupted, and says so at length


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(130)


@dataclass(kw_only=True)
class _ShardReporter:
    """Hands every call on to the run's reporter; what work is done, some times a second."""

    say: Callable[..., None]
    _worked: dict[str, float] = field(default_factory=dict)
    _said: float = 0.0

    def work(self, observer: str, passes: float) -> None:
        """As of `Reporter`."""
        self._worked[observer] = self._worked.get(observer, 0.0) + passes
        if time.monotonic() - self._said > INTERVAL:
            self._say_work()

    def _say_work(self) -> None:
        for observer, passes in self._worked.items():
            self.say("work", observer, passes)
        self._worked.clear()
        self._said = time.monotonic()

    def __getattr__(self, method: str) -> Callable[..., None]:
        self._say_work()  # in its order
        return lambda *words: self.say(method, *words)


_SCRIPT = """\
#!/bin/bash
# {tasks} shards of one plan, then the merge of their leaderboards. Submit both with
#     bash THIS_FILE --partition=gpu --time=4:00:00      (options of sbatch, as your cluster wants them)
# Shards that were killed or ran out of time go on where they were by the same command.
#SBATCH --job-name=bench
set -euo pipefail
{places}
if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
{shard}
elif [ "${{1:-}}" = merge ]; then
{merge}
else
    array=$(sbatch --parsable --array=1-{tasks} --requeue{gpus} "$@" "$0")
    sbatch --dependency="afterany:$array" "$@" "$0" merge
fi
"""


def array_script(request: RunRequest, db: str, tasks: int) -> str:
    """A bash script that submits a plan to Slurm as an array of shards, with a job after it that merges and scores.

    Each shard has a leaderboard of its own beside `db`, which begins with what `db` has; a server takes all."""
    if request.device not in ("auto", "cpu", "cuda"):
        raise BenchError(f"each shard has a device of its own: --device is auto, cpu or cuda, not '{request.device}'.")
    device = "cpu" if request.device == "cpu" else "cuda"  # never the processor by accident
    listed = {name: joined(getattr(request, name)) for name in ("models", "suites", "stimuli")}
    asked = {**vars(request), **listed, "device": device, "db": None, "reporter": None}
    run_words = command_line(RunRequest, "bench run", **asked)
    part = f'--shard "$SLURM_ARRAY_TASK_ID/{tasks}" --quiet'
    path = parse_location(db).path
    if path is None:
        places = f"leaderboard={shlex.quote(db)}"
        shard = f'    exec {run_words} {part} --db "$leaderboard"'
        merge = '    exec bench db merge --into "$leaderboard"'
    else:
        whole = path.absolute()
        folder = f"{whole}-shards-{digest_data([run_words, tasks])[:8]}"
        places = f'leaderboard={shlex.quote(str(whole))}\nfolder={shlex.quote(folder)}\nmkdir -p "$folder"'
        shard = (
            '    own="$folder/shard-$SLURM_ARRAY_TASK_ID.db"\n'
            '    if [ -e "$leaderboard" ] && [ ! -e "$own" ]; then  # what is there is not made again\n'
            '        bench db merge "$leaderboard" --into "$own" || [ $? = 3 ]\n'
            "    fi\n"
            f'    exec {run_words} {part} --db "$own"'
        )
        merge = '    bench db merge "$folder"/shard-*.db --into "$leaderboard"\n    rm -r "$folder"'
    gpus = "" if device == "cpu" else " --gpus=1"
    return _SCRIPT.format(tasks=tasks, places=places, shard=shard, merge=merge, gpus=gpus)
