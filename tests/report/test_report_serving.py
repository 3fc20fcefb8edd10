"""`bench report --live`: the newest report over HTTP, to this machine alone."""

import http.client
import threading
from functools import partial
from types import SimpleNamespace

import pytest

from benchmark.failures import BenchError
from benchmark.loopback import GuardedHandler, open_server
from benchmark.report import site
from benchmark.report.site import Live, watch


@pytest.fixture
def live(settings, tmp_path, monkeypatch):
    """A live report that says how often it was made; the leaderboard is a file that the test writes."""
    made = []

    def build(settings, folder, live):
        assert live
        made.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(f"report {len(made)}")

    (tmp_path / "results.db").write_text("1")
    monkeypatch.setattr(site, "build", build)
    live = Live(settings)
    yield live
    live.close()


@pytest.fixture
def ask(live):
    """ask(path, host): status, headers and text."""
    live.refresh()
    server = open_server("127.0.0.1", 0, partial(GuardedHandler, directory=str(live.folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def get(path, host="localhost"):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    yield get
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_changed_leaderboard_is_shown(live, ask, tmp_path):
    assert ask("/")[2] == "report 1"
    assert not live.refresh()
    (tmp_path / "results.db").write_text("1 and more")
    assert live.refresh()
    assert ask("/")[2] == "report 2"


def test_a_leaderboard_that_cannot_be_read_now_leaves_the_report(live, ask, tmp_path, monkeypatch):
    def fail(settings, folder, live):
        raise BenchError("locked")

    monkeypatch.setattr(site, "build", fail)
    (tmp_path / "results.db").write_text("22")
    assert not live.refresh()
    assert ask("/")[2] == "report 1"


def test_answers_have_the_policy_and_other_hosts_and_malformed_requests_are_refused(ask):
    headers = ask("/")[1]
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
    assert ask("/", "evil.example")[0] == 403
    assert ask("/", "127.0.0.1:8000")[0] == 200
    for path, host in (("/", "["), ("http://[", "localhost"), ("/", "a]b:x")):
        assert ask(path, host)[0] in (400, 403)


def test_nothing_outside_the_report_is_served(ask, tmp_path):
    (tmp_path / "secret").write_text("secret")
    for path in ("/../secret", "/%2e%2e/secret", "/..%2fsecret", "/compare/"):
        status, _, text = ask(path)
        assert status == 404 and "secret" not in text.replace(path, "")


def test_the_watch_refreshes_until_it_is_stopped():
    stop, seen = threading.Event(), []
    once = SimpleNamespace(refresh=lambda: stop.set() if seen else seen.append(1))
    watch(once, stop, every=0.001)
    assert seen and stop.is_set()
