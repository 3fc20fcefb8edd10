"""A report of a live leaderboard over HTTP: made anew while a run goes on, on loopback unless told otherwise."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from benchmark.errors import BenchError
from registry.foreign import foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
#: Seconds between looks at the leaderboard.
EVERY = 10.0

Build = Callable[[Path], Any]
MakePair = Callable[[Path, str, str], str]


class Live:
    """The newest report. `refresh` makes another one where the leaderboard has changed, and drops the one before the
    last: a page that is being read keeps its files."""

    def __init__(self, settings: Settings, build: Build, pair: MakePair) -> None:
        self._settings, self._build, self._pair = settings, build, pair
        self._home = Path(tempfile.mkdtemp(prefix="bench-serve-"))
        self._seen: Mapping[str, float] | None = None
        self._folders: list[Path] = []
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the newest report is."""
        return self._folders[-1]

    def refresh(self) -> bool:
        """Whether there was something new. Raises BenchError where the first report cannot be made."""
        stamp = _stamp(self._settings.db)
        if self._folders and stamp == self._seen and stamp:
            return False
        made = Path(tempfile.mkdtemp(dir=self._home)) / "report"
        try:
            self._build(made)
        except BenchError:
            if not self._folders:
                raise
            return False  # locked, or being written: the report that is there stays
        self._seen = stamp
        self._folders.append(made)
        while len(self._folders) > 2:
            shutil.rmtree(self._folders.pop(0).parent, ignore_errors=True)
        return True

    def compare(self, a: str, b: str) -> str:
        """The page of a pair, made where it is not there. Raises BenchError where the two cannot be compared."""
        with self._lock:
            return self._pair(self.folder, a, b)

    def close(self) -> None:
        """Removes everything."""
        shutil.rmtree(self._home, ignore_errors=True)


class Handler(SimpleHTTPRequestHandler):
    """Files of the newest report, and pairs to compare. Answers no other host's name: a page elsewhere cannot read it
    through a name that leads here."""

    def __init__(self, *args: Any, live: Live, hosts: tuple[str, ...], **more: Any) -> None:
        self._live, self._hosts = live, hosts
        super().__init__(*args, directory=str(live.folder), **more)

    def do_GET(self) -> None:
        """A file, or a comparison."""
        try:
            with foreign("request", "", BenchError):
                name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
                parts = urlsplit(self.path)
                asked = parse_qs(parts.query)
        except BenchError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, "no request", str(error))
            return
        if self._hosts and name not in self._hosts:
            self.send_error(HTTPStatus.FORBIDDEN, "unknown host name")
        elif self.command == "HEAD":
            super().do_HEAD()
        elif parts.path == "/compare":
            self._compare(asked)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for

    def list_directory(self, path: Any) -> None:  # noqa: ARG002
        """No listings."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """The policy goes with every answer, and nothing is kept: the report changes."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _compare(self, asked: dict[str, list[str]]) -> None:
        a, b = (asked.get(name, [""])[0] for name in ("a", "b"))
        try:
            page = self._live.compare(a, b)
        except BenchError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, "cannot compare", str(error))
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{quote(page)}")
        self.send_header("Content-Length", "0")
        self.end_headers()


def open_server(live: Live, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound and not yet running. BenchError where the address cannot be had."""
    hosts = LOOPBACK if host in LOOPBACK else ()
    try:
        server = ThreadingHTTPServer((host, port), partial(Handler, live=live, hosts=hosts))
    except OSError as error:
        raise BenchError(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port."
        ) from error
    server.daemon_threads = True
    return server


def watch(live: Live, stop: threading.Event, every: float = EVERY) -> None:
    """Refresh until told to stop."""
    while not stop.wait(every):
        live.refresh()


def _stamp(db: str) -> dict[str, float]:
    """Times and sizes of a leaderboard's files; nothing for a data base elsewhere, which is then read each time."""
    path = Path(db.removeprefix("sqlite:///"))
    files = [path, path.with_name(path.name + "-wal")]
    return {str(one): one.stat().st_mtime + one.stat().st_size for one in files if one.is_file()}
