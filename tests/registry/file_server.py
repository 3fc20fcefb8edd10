"""A server on this machine for tests of downloads."""

from http.server import SimpleHTTPRequestHandler
from typing import ClassVar

CONTENT = b"weights" * 1000


class Server(SimpleHTTPRequestHandler):
    """Serves a folder, and remembers what it was asked and with which login."""

    asked: ClassVar[list[str]] = []
    logins: ClassVar[list[str | None]] = []

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        self.logins += [text for text in [self.headers.get("Authorization")] if text]
        super().do_GET()
