"""One task of a job array: a part of a plan, run in a process of its own that may be killed and started again."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Any

from benchmark.api.running import RunRequest, Silent, execute, prepare
from benchmark.engine.own_process import PROGRAM, own_output, start
from benchmark.errors import BenchError
from benchmark.settings import Settings
from registry.files import lock

ATTEMPTS = 3


@dataclass(frozen=True)
class ArrayTask:
    """What submitit carries to a node. request: with its shard; settings: with the shard's own leaderboard; known: the
    leaderboard whose answers are not made again; path: where the run finds modules.
    """

    request: RunRequest
    settings: Settings
    known: str
    path: tuple[str, ...]

    def __call__(self) -> str:
        """Run the part to its end. "" or what stopped it, in words. A killed process goes on where it was."""
        ended = 0
        # A shell that puts us into the background has us ignore this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with held(self._mark, wait=True):
            for _ in range(ATTEMPTS):
                ended, said = self._run()
                if ended >= 0:
                    return said if ended == 0 else f"ended with code {ended}"
        return f"was killed ({signal.Signals(-ended).name}) {ATTEMPTS} times"

    def process(self) -> int:
        """The process of this machine that runs the part now; 0 where none does."""
        return running_process(self._mark)

    def interrupt(self) -> None:
        """End the process of this machine that runs the part, with all that it started."""
        if process := self.process():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGINT)

    @property
    def _mark(self) -> Path:
        return Path(f"{self.settings.db}.running")

    def checkpoint(self, *_: Any, **__: Any) -> Any:
        """Called by submitit when the node is wanted by others or time is up: all that is answered is stored."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _run(self) -> tuple[int, str]:
        process = start(work)
        message = pickle.dumps(list(self.path)) + pickle.dumps(self)
        try:  # ended by submitit's SystemExit, too
            said, _ = process.communicate(message)
        finally:
            process.kill()
            process.wait()
        return process.returncode, said.decode()


def tasks(request: RunRequest, settings: Settings, folder: Path, n: int) -> list[ArrayTask]:
    """A task for each of `n` parts, with leaderboards in a folder."""
    from dataclasses import replace

    path = (PROGRAM, *sys.path)
    return [
        ArrayTask(
            replace(request, shard=f"{i}/{n}"),
            replace(settings, db=str(folder / f"shard-{i}-of-{n}.db")),
            settings.db,
            path,
        )
        for i in range(1, n + 1)
    ]


@contextmanager
def held(mark: Path, *, wait: bool = False) -> Iterator[None]:
    """A file that is locked and names this process as long as it lives: `holder` finds out so."""
    with mark.open("ab") as file:
        lock(file.fileno(), wait=wait)
        file.truncate(0)
        file.write(f"{os.getpid()} {gethostname()}".encode())
        file.flush()
        yield
        file.truncate(0)


def holder(mark: Path) -> tuple[int, str] | None:
    """The process that holds a mark, and its machine; None where none does."""
    try:
        with mark.open("rb") as file:
            if lock(file.fileno()):
                return None
            number, host = file.read().decode().split()
            if host == gethostname():
                os.kill(int(number), 0)  # on a disk without locks: whether it lives
            return int(number), host
    except (OSError, ValueError):
        return None


def running_process(mark: Path) -> int:
    """The process of this machine that holds a mark, 0 where none does."""
    number, host = holder(mark) or (0, "")
    return number if host == gethostname() else 0


def work() -> None:
    """The process: what stopped it goes to standard output, and nothing else does."""
    with own_output() as replies:
        task: ArrayTask = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the task that started us
        try:
            execute(
                prepare(task.request, task.settings), Silent(), _command(task), known=task.known
            )
        except BenchError as error:
            replies.write(str(error).encode(errors="backslashreplace"))


def _command(task: ArrayTask) -> str:
    return f"bench run --executor slurm (shard {task.request.shard})"
