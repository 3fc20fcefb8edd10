"""Servers that stall, drip, send too much, or lead elsewhere."""

import logging
import threading
import traceback
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest

from registry.download import TransferError, download, fetch_weights, fetch_whole
from registry.files import WeightSources
from registry.register import register
from registry.user_errors import BenchError

WHOLE, LONG = b"weights" * 1000, bytes(range(250)) * 300


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
        self.head(len(WHOLE))
        self.wfile.write(WHOLE[:3000])
        self.wfile.flush()
        self.server.released.wait(30)

    def torn(self):
        """Half of it and the end, unless the rest is asked for: a server that continues."""
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.head(len(LONG) - start, 206)
            self.wfile.write(LONG[start:])
        else:
            self.head(len(LONG))
            self.wfile.write(LONG[:40_000])
            self.close_connection = True

    def endless(self):
        self.head(10**12)
        try:
            while not self.server.released.is_set():
                self.wfile.write(WHOLE)
        except OSError:
            return

    def dripping(self):
        """A byte now and then: of the body, or (in /dripping/head) before there is one."""
        start = b"HTTP/1.1 200 OK\r\n" + (b"X-" if self.path.endswith("head") else b"Content-Length: 99999\r\n\r\n")
        with suppress(OSError):
            while not self.server.released.wait(0.02):
                self.wfile.write(start)
                start = b"x"

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
    for path, error in (("round", "TooManyRedirects"), ("local", "InvalidSchema")):
        with pytest.raises(TransferError, match=error):
            download(f"{server}/{path}", tmp_path / "file")


def test_an_interrupted_download_is_continued(server, tmp_path):
    target, seen = tmp_path / "file", []
    for sha256 in ("", "00"):  # what is continued to something else is not kept
        with pytest.raises(TransferError, match="cut short"):
            fetch_whole(iter([f"{server}/torn"]), target)
        assert [path.name for path in tmp_path.glob(".file.part/*")] == ["file"] and not target.exists()
        if sha256:
            with pytest.raises(TransferError, match="expected SHA-256 00"):
                fetch_whole(iter([f"{server}/torn"]), target, sha256)
        else:
            fetch_whole(iter([f"{server}/torn"]), target, tick=lambda *counts: seen.append(counts))
            assert target.read_bytes() == LONG and seen[-1] == (len(LONG), len(LONG)) and seen[0][0] > 2 * 2**14
            target.unlink()
        assert list(tmp_path.iterdir()) == []
    (tmp_path / ".file.part").mkdir()
    (tmp_path / ".file.part" / "file").write_bytes(b"of a server that continues nothing")
    fetch_whole(iter([f"{server}/whole"]), target)
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize(("path", "limits", "message"), [
    ("stalled", {"silence": 0.2}, "no answer in time"),
    ("endless", {"most": 100_000}, "more than 100000 bytes"),
    ("endless", {"seconds": 0.2}, "timed out, not done after 0.2 s"),
    ("dripping", {"seconds": 0.2}, "timed out, not done after 0.2 s"),
    ("dripping/head", {"seconds": 0.2}, "timed out, not done after 0.2 s"),
])  # fmt: skip
def test_a_server_that_stalls_drips_or_never_ends_is_given_up(path, limits, message, server, tmp_path):
    with pytest.raises(TransferError, match=message):
        download(f"{server}/{path}", tmp_path / "file", **limits)
    assert "most" not in limits or (tmp_path / "file").stat().st_size <= 100_000


#: Seven ways to write an address with secrets, and one that leads from there to another.
ADDRESSES = (
    "http://me:hunter2@HOST/gone/net.pt?sig=s3cret", "HTTP://me:hunter2@HOST/gone/net.pt?sig=s3cret",
    "http://me:hun/ter2@HOST/net.pt?sig=s3cret", "http://me:hun#ter2@HOST/net.pt", "http://me:hunter2@127.0.0.1:x/net.pt",
    "ftp://me:hunter2@HOST/net.pt?sig=s3cret", "http://me:hunter2@127.0.0.1:9/net.pt?sig=s3cret",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_message_log_or_traceback_tells_a_login_or_a_token(address, server, tmp_path, monkeypatch):
    handler = logging.StreamHandler(logs := StringIO())
    monkeypatch.setattr(logging.root, "handlers", [handler])
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    logging.root.manager._clear_cache()
    weights, place = address.replace("HOST", server.partition("://")[2]), WeightSources(weights_folder=tmp_path)
    told = ""
    for attempt in (
        lambda: fetch_weights(weights, tmp_path),
        lambda: fetch_weights("http://127.0.0.1:9/net.pt", tmp_path, mirror=weights),
        lambda: register("net", "timm:test_resnet", Path(weights), size=32, cards_folder=tmp_path, place=place),
    ):
        with pytest.raises((BenchError, ValueError)) as caught:
            attempt()
        told += "".join(traceback.format_exception(caught.value))
    told += logs.getvalue()
    assert not [secret for secret in ("hunter2", "hun", "ter2", "s3cret") if secret in told], told
