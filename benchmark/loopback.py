"""Run a local server, by default on loopback, under a policy that keeps pages from contacting other hosts."""

import socket
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, urlsplit

from benchmark.failures import BenchError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class GuardedHandler(SimpleHTTPRequestHandler):
    """Serves known host names only (`hosts`, () for all), as a page elsewhere could use a name that leads here."""

    policy = POLICY

    def __init__(self, *args: Any, hosts: tuple[str, ...], **more: Any) -> None:
        self._hosts = hosts
        super().__init__(*args, **more)

    def asked(self) -> SplitResult | None:
        """Return the requested address; None if the request was refused and answered."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            parts = urlsplit(self.path)
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, "no request", str(error))
            return None
        if self._hosts and name not in self._hosts:
            self.send_error(HTTPStatus.FORBIDDEN, "unknown host name")
            return None
        return parts

    def send_head(self) -> Any:
        """Return the file that was asked for; None if the request was refused."""
        return None if self.asked() is None else super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002
        """Refuse to list a folder."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Send the policy with every answer, and forbid caches, as the content changes."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class LocalServer(ThreadingHTTPServer):
    """Serves each request in a thread, with room for a class of people who begin at once."""

    request_queue_size = socket.SOMAXCONN

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that are gone; print the traceback of any other error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def open_server(host: str, port: int, handler: Callable[..., GuardedHandler]) -> ThreadingHTTPServer:
    """Return a bound server that is not yet running. Raises BenchError if the address is not available."""
    hosts = LOOPBACK if host in LOOPBACK else ()
    try:
        return LocalServer((host, port), partial(handler, hosts=hosts))
    except OSError as error:
        raise BenchError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.") from error
