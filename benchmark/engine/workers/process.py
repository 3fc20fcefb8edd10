"""A worker in a process of this machine. Requests and replies are pickles through its standard input and output.

The process is started afresh instead of forked, for CUDA does not survive a fork, and by its own command instead of
`multiprocessing`, which would run the user's script a second time.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from benchmark.engine.jobs import failure_line
from benchmark.engine.own_process import PROGRAM, own_output, start
from benchmark.engine.workers.device_worker import DeviceWorker
from benchmark.engine.workers.messages import (
    Assignment,
    Raised,
    Ready,
    Reply,
    Request,
    WorkerLost,
)
from benchmark.errors import FAILURES, BenchError

_GONE = (EOFError, OSError, ValueError, pickle.UnpicklingError)


class ProcessWorker:
    """Starts the process, and waits until it is ready."""

    def __init__(self, assignment: Assignment) -> None:
        self.name = assignment.device
        self._process = start(work)
        try:
            self._send([PROGRAM, *sys.path])
            self._send(assignment)
            ready = self._receive()
        except BaseException:
            self.close()
            raise
        if not isinstance(ready, Ready):
            self.close()
            raise BenchError(f"no worker could be started on {self.name}: {ready.reason}")
        self.ready: Ready = ready

    def submit(self, request: Request) -> Iterator[Reply]:
        """The replies as they come; the process waits until they are taken. Raises WorkerLost."""
        self._send(request)
        while (reply := self._receive()) is not None:
            yield reply

    def close(self) -> None:
        """Kill the process: whatever it was asked is not wanted any more."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was not yet written has no reader
                    continue

    def _send(self, message: object) -> None:
        stream = self._process.stdin
        assert stream is not None
        try:
            pickle.dump(message, stream, pickle.HIGHEST_PROTOCOL)
            stream.flush()
        except _GONE as error:
            raise self._lost() from error

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)  # noqa: S301 - our own process
        except _GONE as error:
            raise self._lost() from error

    def _lost(self) -> WorkerLost:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return WorkerLost(f"the worker on {self.name} does not answer")
        how = (
            f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
        )
        return WorkerLost(f"the worker on {self.name} {how}")


def work() -> None:
    """The worker's process: one request after the other, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's, which ends its workers
    requests, replies = sys.stdin.buffer, own_output()
    try:
        assignment: Assignment = pickle.load(requests)  # noqa: S301 - from the run that started us
        try:
            worker = DeviceWorker(assignment, partial(_write, replies))
            _write(replies, worker.ready())
        except FAILURES as error:  # the boundary of a device: told to the run
            _write(replies, Raised(failure_line(error)))
            return
        while True:
            for reply in worker.serve(pickle.load(requests)):  # noqa: S301 - as above
                _write(replies, reply)
            _write(replies, None)
    except (EOFError, BrokenPipeError):
        return


def _write(stream: IO[bytes], message: object) -> None:
    pickle.dump(message, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()
