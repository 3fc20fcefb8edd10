"""Carry out a plan in this process, in a process for each of several devices, or on Ray. Parallel work is always
shards: each worker stores the trials of its shard, and all are scored once at the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from multiprocessing import forkserver
from pathlib import Path
from threading import Event, Lock, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import benchmark
from benchmark.api import running
from benchmark.api.running import NO_SUITES, Result, RunPlan, RunRequest, ShardWork, cut_plan, devices_and_policy
from benchmark.engine.reporters import Reporter, Silent
from benchmark.engine.score_shards import RunReport, score_shards
from benchmark.engine.tasks import plan_digest, whole_name
from benchmark.failures import BenchError
from benchmark.store import open_store
from benchmark.variables import read_settings, restored

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

    from benchmark.api.ray_cluster import RayCluster
    from benchmark.contracts import Policy

ATTEMPTS = 3  # of a shard whose process is killed
PATIENCE = 10.0  # s that a process has to end in when it is asked to
#: Modules that each new process would otherwise import again, for every suite.
PRELOADED = ["benchmark.engine.run", "benchmark.cli.run_commands", "benchmark.transforms.corruptions", "scipy.linalg"]
#: The folder that gestaltbench is imported from.
PROGRAM = str(Path(benchmark.__file__).parents[1])


def execute(plan: RunPlan, reporter: Reporter, command: str = "bench run") -> RunReport:
    """Carry out a plan. Raise BenchError if its devices or its cluster are missing."""
    if plan.request.executor == "ray":
        from benchmark.api.ray_cluster import ray_cluster

        entered: AbstractContextManager[Processes | RayCluster] = ray_cluster(plan, reporter)
    else:
        devices, policy = devices_and_policy(plan.request)
        if len(devices) == 1:
            return running.run_here(plan, reporter, command)
        entered = nullcontext(Processes(devices=devices, policy=policy, reporter=reporter, plan=plan))
    with entered as executor:
        parts = cut_plan(plan, executor.policy, executor.shards)
        work = []
        for i, part in enumerate(parts):
            threads, changed = executor.share(i)
            shard = ShardWork(  # tasks and suites are not pickled
                plan=replace(part, tasks=(), suites=NO_SUITES, request=replace(part.request, **changed)),
                shown={task.work: task.only for task in part.tasks},
                policy=executor.policy,
                digest=plan_digest(part.tasks, executor.policy),
                command=f"{command} (shard {i + 1}/{len(parts)})",
                threads=threads,
            )
            work.append(shard)
        reports, lost = dict[int, RunReport](), dict[str, str]()
        with closing(executor.results(work, parts)) as results:
            for i, result in results:
                try:
                    reports[i] = result()
                except BenchError as error:
                    lost[parts[i].part] = str(error)
                    reporter.note(str(error))
    if not reports:
        raise BenchError(f"every shard failed; {next(iter(lost.values()), 'the plan is empty')}")
    ended = [reports[i] for i in sorted(reports)]
    with open_store(plan.settings.db) as store:
        report = score_shards(plan.tasks, ended, store, command, whole_name(parts[0].part))
    report.failed |= lost
    return report


@wraps(RunRequest)
def run(*args: Any, **stated: Any) -> RunReport:
    """Carry out a request; the parameters are those of `RunRequest`."""
    request = RunRequest(*args, **stated)
    plan = running.prepare(replace(request, reporter=None), read_settings(request.db))
    return execute(plan, request.reporter or Silent(), "gestaltbench.run")


@dataclass(kw_only=True)
class Processes:
    """A process of this machine for each device; all write to the plan's leaderboard. Ctrl-C ends them all."""

    devices: Sequence[str]
    policy: Policy
    reporter: Reporter
    plan: RunPlan
    _lock: Lock = field(default_factory=Lock)
    _ended: Event = field(default_factory=Event)
    _live: dict[int, BaseProcess] = field(default_factory=dict)  # by shard

    @property
    def shards(self) -> int:
        """Return one for each device."""
        return len(self.devices)

    def share(self, index: int) -> tuple[int, dict[str, Any]]:
        """Return an even share of threads and cores."""
        import torch

        from benchmark.engine.device_choice import cores

        decoders = self.plan.request.decoders or max(1, cores() // self.shards)
        threads = max(1, torch.get_num_threads() // self.shards)
        return threads, {"device": self.devices[index], "decoders": decoders}

    def results(self, work: Sequence[ShardWork], parts: Sequence[RunPlan]) -> Generator[tuple[int, Result]]:  # noqa: ARG002
        """Start all at once; restart a process that was killed."""
        context: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")
        if self.devices[0] == "cpu" and "forkserver" in multiprocessing.get_all_start_methods():
            context = multiprocessing.get_context("forkserver")  # forks of a process that has imported gestaltbench
            context.set_forkserver_preload(PRELOADED)
            with restored("PYTHONSAFEPATH", "1"):  # no imports from the working folder
                forkserver.ensure_running()
        sys.path.insert(0, PROGRAM)  # new processes get this path: a folder `benchmark` elsewhere must not win
        with ThreadPoolExecutor(self.shards) as pool:
            try:
                shards = {pool.submit(self._answered, index, one, context): index for index, one in enumerate(work)}
                for future in as_completed(shards):
                    yield shards[future], future.result
            except BaseException:
                self._ended.set()
                for process in [*self._live.values()]:  # are asked to end, and killed if they do not
                    process.terminate()
                    process.join(PATIENCE)
                    process.kill()
                raise
            finally:
                sys.path.remove(PROGRAM)

    def _answered(self, index: int, work: ShardWork, context: SpawnContext | ForkServerContext) -> RunReport:
        """Return a shard's report. Raise BenchError if its process fails."""
        device = self.devices[index]
        name = f"{device} ({index + 1} of {self.shards})" if self.devices.count(device) > 1 else device
        for _ in range(ATTEMPTS):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=shard_process, args=(theirs, dict(os.environ), work), daemon=True)
            with self._lock:  # `start` reads the exit codes of all: a `join` beside it would miss its own
                process.start()
            self._live[index] = process
            theirs.close()
            if self._ended.is_set():  # while it started
                process.terminate()
            with suppress(EOFError):  # the process is gone
                while True:
                    kind, *words = ours.recv()
                    if kind == "error":
                        raise BenchError(f"{name}: {words[0]}")
                    if kind == "report":
                        report: RunReport = words[0]
                        return report
                    with self._lock:
                        getattr(self.reporter, kind)(f"{name}: {words[0]}", *words[1:])
            with self._lock:
                process.join()
            code = process.exitcode or 0
            if self._ended.is_set() or code >= 0:
                raise BenchError(f"the process on {name} ended with code {code}")
            how = signal.Signals(-code).name
            with self._lock:
                self.reporter.note(f"{name}: the process was killed ({how})")
        raise BenchError(f"the process on {name} was killed ({how}) {ATTEMPTS} times: run its command to resume.")


def shard_process(connection: Connection, environ: Mapping[str, str], work: ShardWork) -> None:
    """Run a shard in this process, with the parent's environment: send its reporter's calls, then its report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C and ends us
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    multiprocessing.current_process().daemon = False  # a network's code may start processes
    os.environ.clear()
    os.environ.update(environ)
    os.dup2(2, 1)  # what a network's code prints is not the command's output
    code = 130
    with suppress(KeyboardInterrupt):

        def end_with_parent() -> None:
            parent = multiprocessing.parent_process()
            assert parent is not None
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PATIENCE)
            os._exit(130)

        Thread(target=end_with_parent, daemon=True).start()

        def send(*words: object) -> None:
            try:
                connection.send(words)
            except OSError as error:  # the parent is gone: not a failure of the network
                raise KeyboardInterrupt from error

        try:
            if (device := work.plan.request.device).startswith("cuda"):
                import torch

                torch.cuda.set_device(device)
            # The methods of a reporter, each as a message.
            methods = [name for name in vars(Silent) if not name.startswith("_")]
            reporter: Any = SimpleNamespace(**{name: partial(send, name) for name in methods})
            send("report", work.carry_out(reporter))
        except BenchError as error:
            send("error", str(error))
        code = 0
    sys.stderr.flush()
    os._exit(code)  # skips libraries' work at exit, which may be interrupted and noisy
