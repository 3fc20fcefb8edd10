"""Servers that stall, drip, send too much, or lead elsewhere."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from registry.download import TooMuch, TransferLimits, download

WHOLE = b"weights" * 1000


class Unkind(BaseHTTPRequestHandler):
    """What each path does is in its name."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        getattr(self, self.path.strip("/").split("/")[0])()

    def head(self, length, code=200, **more):
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()

    def whole(self):
        self.head(len(WHOLE))
        self.wfile.write(WHOLE)

    def stalled(self):
        """Half of it, then nothing."""
        self.head(len(WHOLE))
        self.wfile.write(WHOLE[:3000])
        self.wfile.flush()
        self.server.released.wait(30)

    def endless(self):
        self.head(10**12)
        try:
            while not self.server.released.is_set():
                self.wfile.write(WHOLE)
        except OSError:
            return

    def moved(self):
        self.head(0, 302, Location="/whole")

    def round(self):
        self.head(0, 302, Location="/round")

    def local(self):
        self.head(0, 302, Location="file:///etc/hostname")


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unkind)
    server.daemon_threads, server.released = True, threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()
    server.shutdown()
    server.server_close()


def test_a_redirect_is_followed_but_in_no_circle_and_to_no_file_of_this_machine(server, tmp_path):
    download(f"{server}/moved", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WHOLE
    for path, error in (("round", requests.TooManyRedirects), ("local", requests.exceptions.InvalidSchema)):
        with pytest.raises(error):
            download(f"{server}/{path}", tmp_path / "file")


def test_a_server_that_falls_silent_is_given_up(server, tmp_path):
    with pytest.raises(OSError, match=r"[Tt]imed out"):
        download(f"{server}/stalled", tmp_path / "file", TransferLimits(silence=0.2))


def test_a_file_without_an_end_is_given_up(server, tmp_path):
    with pytest.raises(TooMuch, match="more than 100000 bytes"):
        download(f"{server}/endless", tmp_path / "file", TransferLimits(bytes=100_000))
    assert (tmp_path / "file").stat().st_size <= 100_000


@pytest.mark.parametrize(
    ("seconds", "message"), [(121, "less than 10000 a second"), (7 * 3600, "not done after 21600 s")]
)
def test_a_server_that_drips_is_given_up(server, tmp_path, seconds, message):
    """By a clock of its own, which jumps."""
    ticks = iter([0.0, seconds, seconds])
    with pytest.raises(TooMuch, match=message):
        download(f"{server}/endless", tmp_path / "file", clock=lambda: next(ticks))
