"""Requests to other machines, for downloads and endpoints: each ends within its limits, and errors and logs never show
its address, login or headers.

requests does the transfer (proxies, redirects, logins). Its timeouts are of single reads: a server that sends a byte
now and then is stopped by a thread that closes the connection."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from socket import SHUT_RDWR, socket
from typing import Any, BinaryIO

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError


@dataclass(frozen=True, kw_only=True)
class TransferLimits:
    """What one request may take, redirects included. seconds: in all; bytes: of the answer; rate: bytes per second that
    it must keep, on average, once `patience` seconds have passed; silence: seconds without a byte."""

    seconds: float = 6 * 3600
    bytes: int = 64 * 2**30
    rate: float = 10_000
    patience: float = 120
    silence: float = 60


class TransferError(OSError):
    """A request without a whole answer, or beyond its limits, and why."""


class _Watch:
    def __init__(self, limits: TransferLimits) -> None:
        self.limits, self.start, self.received, self.fault = limits, time.monotonic(), 0, ""
        self.connections: list[socket] = []
        self._over = threading.Event()

    def check(self) -> str:
        """Which limit the request has gone beyond; "" for none."""
        seconds, limits = time.monotonic() - self.start, self.limits
        if self.received > limits.bytes:
            self.fault = f"more than {limits.bytes} bytes: given up"
        elif seconds > limits.seconds:
            self.fault = f"timed out, not done after {limits.seconds:g} s: given up"
        elif seconds > limits.patience and self.received < limits.rate * seconds:
            pace = f"{self.received} bytes in {seconds:.0f} s"
            self.fault = f"{pace}, less than {limits.rate:.0f} a second: given up"
        return self.fault

    def run(self) -> None:
        """Until the request is over: close its connections once it is beyond a limit, so that no read of it waits."""
        while not self._over.wait(min(1, self.limits.seconds / 10, self.limits.patience / 2)):
            for connection in self.connections if self.check() else ():
                with suppress(OSError):
                    socket.shutdown(connection, SHUT_RDWR)  # not TLS's own, which may wait for the other side

    @contextmanager
    def watching(self) -> Iterator[requests.Session]:
        """A session whose connections are watched."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _Adapter(self))
                yield session
        finally:
            self._over.set()
            thread.join()


class _Adapter(HTTPAdapter):
    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self._watched(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
        return self._watched(super().proxy_manager_for(*args, **more))

    def _watched(self, manager: Any) -> Any:
        """The pool manager, whose connections are noted once they are made."""

        def watched(pool: Any) -> Any:
            def connect(connection: Any) -> None:
                pool.ConnectionCls.connect(connection)
                self._watch.connections.append(connection.sock)

            kind = type("Watched", (pool.ConnectionCls,), {"connect": connect})
            return type(pool.__name__, (pool,), {"ConnectionCls": kind})

        kinds = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {scheme: watched(pool) for scheme, pool in kinds}
        return manager


@contextmanager
def _unlogged() -> Iterator[None]:
    """urllib3 logs addresses, queries among them: within the block it logs nothing of this thread."""
    thread = threading.get_ident()

    def is_other(record: logging.LogRecord) -> bool:
        return record.thread != thread

    rooms = ("connection", "connectionpool", "poolmanager", "response", "util.retry")
    logs = [logging.getLogger(f"urllib3.{room}") for room in rooms]
    for log in logs:
        log.addFilter(is_other)
    try:
        yield
    finally:
        for log in logs:
            log.removeFilter(is_other)


def transfer(method: str, url: str, target: BinaryIO, limits: TransferLimits, **request: Any) -> int:
    """Send a request, write the body of its answer to `target`, and return its status. request: as requests has it
    (json, headers, auth, allow_redirects). Raises TransferError; errors of `target` pass."""
    watch, problem = _Watch(limits), ""
    silence = min(limits.silence, limits.seconds)
    with _unlogged(), watch.watching() as session:
        try:
            with session.request(method, url, timeout=silence, stream=True, **request) as answer:
                for block in _blocks(answer, watch):
                    target.write(block)
        except (requests.RequestException, HTTPError) as error:
            problem = _why(error)
    # Raised here, it brings none of the library's errors along, which name addresses.
    if problem := watch.fault or problem:
        raise TransferError(problem)
    return answer.status_code


def _blocks(answer: requests.Response, watch: _Watch) -> Iterator[bytes]:
    """Yield the body, piece by piece, until it is beyond a limit."""
    for block in answer.iter_content(1 << 14):
        watch.received += len(block)
        if watch.check():
            return
        yield block


def _why(error: Exception) -> str:
    """Return the reason in words of gestaltbench and the system: messages of libraries contain addresses."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or "Incomplete" in str(error):
        return "cut short on the way"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time: timed out"
    cause: BaseException | None = error
    while cause is not None and (isinstance(cause, requests.RequestException) or not getattr(cause, "strerror", None)):
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, requests.ConnectionError):
        return f"no connection to that host: {getattr(cause, 'strerror', None) or 'it ended without an answer'}"
    return type(error).__name__


def status_text(status: int) -> str:
    """Return a status in words: "HTTP status 404 (Not Found)"."""
    known = status in set(HTTPStatus)
    return f"HTTP status {status}" + (f" ({HTTPStatus(status).phrase})" if known else "")
