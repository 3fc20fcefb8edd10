"""Jobs of an array: submitted once, known again by a later driver while they run, cancelled with all they started."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.api.array_task import ArrayTask, held, holder
from benchmark.errors import BenchError
from registry.files import locked

#: States of a Slurm job that has not ended.
_AT_WORK = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "COMPLETING"}
_PATIENCE = 10.0  # s that cancelled tasks of this machine have to end


@contextmanager
def only_driver(folder: Path) -> Iterator[None]:
    """While this process drives the array of a folder, nobody else does: tasks are submitted once, and their
    leaderboards are merged once. Raises BenchError where another one does."""
    mark = folder / "driver"
    with ExitStack() as until_done:
        with locked(folder):
            if other := holder(mark):
                number, host = other
                raise BenchError(
                    f"process {number} on {host} drives this array already: wait for it, or end it and run the "
                    f"command again, which goes on where that one stopped. If it is gone, delete {mark}."
                )
            until_done.enter_context(held(mark))
        yield


@dataclass(frozen=True)
class Submitted:
    """One task's job. local: whether it is a process of this machine."""

    part: ArrayTask
    job: Any
    local: bool

    def done(self) -> bool:
        """Whether it has ended, one way or another. Of a process that another driver started its lock tells."""
        return bool(self.job.done()) and not (self.local and self.part.process())

    def reason(self) -> str | None:
        """What stopped it, "" for nothing; None where it left no word (killed, cancelled, requeued for good)."""
        utils = import_module("submitit.core.utils")
        try:
            return str(self.job.result())
        except utils.FailedJobError as error:
            return str(error).strip().splitlines()[-1]
        except utils.UncompletedJobError:
            return None


def submit(executor: Any, parts: Sequence[ArrayTask], *, local: bool) -> list[Submitted]:
    """A job for each task, as one array."""
    with executor.batch():
        jobs = [executor.submit(part) for part in parts]
    for part, job in zip(parts, jobs, strict=True):
        _note(part).write_text(str(job.job_id), encoding="utf-8")
    return [Submitted(part, job, local) for part, job in zip(parts, jobs, strict=True)]


def at_work(part: ArrayTask, logs: Path, *, local: bool) -> Submitted | None:
    """The job of a driver that is gone, where it still runs."""
    with suppress(OSError):
        number = _note(part).read_text(encoding="utf-8").strip()
        kind = getattr(import_module("submitit"), "LocalJob" if local else "SlurmJob")
        job = kind(logs, number, [0])
        if part.process() if local else job.watcher.get_state(number, mode="force") in _AT_WORK:
            return Submitted(part, job, local)
    return None


def cancel(running: Iterable[Submitted]) -> int:
    """End the jobs and the processes that they started; how many they are."""
    jobs = list(running)
    for one in jobs:
        one.job.cancel(check=False)
        if one.local:
            one.part.interrupt()
    until = time.monotonic() + _PATIENCE
    while any(one.local and one.part.process() for one in jobs) and time.monotonic() < until:
        time.sleep(0.05)
    return len(jobs)


def _note(part: ArrayTask) -> Path:
    return Path(f"{part.settings.db}.job")
