"""The server of `bench ask`: who is answered, what is refused, and that nothing of fifty people at once is lost."""

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from ask.browsing import table
from ask.conftest import said, sent

from benchmark import api
from benchmark.ask.answers import open_answers
from benchmark.ask.serving import AskHandler, Flood, milliseconds, presentation_times
from benchmark.failures import BenchError, StimuliError, UsageError
from benchmark.loopback import open_server
from benchmark.stimuli.experiments import experiment_from
from benchmark.stimuli.image_names import GEIRHOS16


@pytest.fixture
def serve():
    """serve(answers, token): the port of a running server."""
    running = []

    def start(answers, token="", host="127.0.0.1"):
        own = {"html": b"<!doctype html>", "answers": answers, "flood": Flood(), "token": token, "completion": "C-1"}
        handler = partial(AskHandler, **own)
        server = open_server(host, 0, handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return server.server_address[1]

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def request(port, path="/answers", body=None, method="POST", **headers):
    """(status, what came back) of one request."""
    data = body if isinstance(body, bytes | None) else json.dumps(body)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, data, {"Host": "127.0.0.1", "X-Ask": "", **headers})
        reply = connection.getresponse()
        text = reply.read().decode()
        return reply.status, json.loads(text) if text.startswith("{") else text


def test_a_whole_exchange_and_browsers_that_go_away_without_an_error(answers, serve, capfd):
    port = serve(answers)
    status, begun = request(port, "/start", {})
    assert status == 200 and begun["number"] == 1
    assert request(port, body=sent(answers, 1, begun["key"], said())) == (200, {"stored": ["1"], "refused": {}})
    with pytest.raises(BenchError, match="--port"):
        open_server("127.0.0.1", port, AskHandler)
    for text in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"POST /answers HTTP/1.1\r\nContent-Length: 99\r\n"):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset at once
                client.sendall(text)
    assert request(port, "/", method="GET")[0] == 200
    time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_other_pages_and_other_hosts_are_refused(answers, serve):
    port = serve(answers)
    for status, method, path, headers in (
        (403, "GET", "/", {"Host": "evil.example"}), (403, "POST", "/start", {"Host": "evil.example"}),
        (403, "POST", "/start", {"Origin": "http://evil.example"}), (501, "OPTIONS", "/", {}),
        (200, "POST", "/start", {"Origin": f"http://127.0.0.1:{port}", "Host": f"127.0.0.1:{port}"}),
        *((403, "GET", path, {}) for path in ("/plan-session-1.json", "/../people.jsonl", "/answers-session-1.csv")),
    ):  # fmt: skip
        assert request(port, path, {}, method, **headers)[0] == status, (path, headers)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/start", "{}", {"Host": "127.0.0.1"})  # as a form of another page would
    assert connection.getresponse().status == 403


@pytest.mark.slow
def test_the_experimenters_page_names_who_guesses_or_is_late_and_shows_names_as_text(session, tmp_path, serve):
    with open_answers(tmp_path / "asked", session()) as kept:
        port = serve(kept, kept.token)
        head, words = {"X-Ask": kept.token}, (f"/people?token={kept.token}", "/people", "/people?token=")
        assert [request(port, place, method="GET")[0] for place in words] == [403] * 3
        assert request(port, "/start", {"participant": "<b>"}, **head)[0] == 403
        for name in ("5f0c", "x", ""):
            status, begun = request(port, "/start", {"participant": name}, **head)
            right = [kept.session.row(begun["number"], str(trial))["category"] for trial in range(1, 17)]
            if name:
                given = [said(str(at + 1), word if name == "5f0c" else "dog") for at, word in enumerate(right)]
                given[0]["late_frames"] = given[1]["late_frames"] = 1 if name == "x" else 0
                body = sent(kept, begun["number"], begun["key"], *given[: 16 if name == "5f0c" else 12])
                status, reply = request(port, body=body, **head)
                assert status == 200 and reply.get("completion") == ("C-1" if name == "5f0c" else None)
        kept.begun[2]["participant"] = "<script>alert(1)</script>"  # as of a file that somebody has edited
        status, page = request(port, f"/people?token={kept.watch}", method="GET")
    rows = [re.findall("<td>(.*?)</td>", line) for line in page.splitlines() if line.startswith("<tr><td>")]
    assert status == 200 and "3 people have begun, 1 have answered all 16 trials" in page and "<script" not in page
    assert [(row[1], row[3], row[4], row[2]) for row in rows] == [
        ("5f0c", "16 of 16", "100%", ""),
        ("x", "12 of 16", "8%", "incomplete: 4 left, at chance, late frames"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "0 of 16", "", "incomplete: 16 left"),
    ]


def test_malformed_and_huge_bodies_and_those_without_a_token_are_refused(answers, serve):
    port = serve(answers)
    for body in (b"", b"{", b"[" * 50_000, b"\xff\xfe", b"null", b"[]", b'{"plan": 1}'):
        assert request(port, body=body)[0] == 403
    for length in ("65537", "99999999999999", "-1", "x", ""):
        assert request(port, body=b"", **{"Content-Length": length})[0] == 403
    token = answers.token  # asked for where others can reach the server
    assert len(token) > 20 and (answers.folder / "plan-session-1.json").stat().st_mode & 0o077 == 0
    port = serve(answers, token)
    for status, address in ((403, "/"), (403, "/?token=x"), (200, f"/?token={token}")):
        assert request(port, address, method="GET")[0] == status
    for status, given in ((403, {}), (200, {"X-Ask": token})):
        assert request(port, "/start", {}, **given)[0] == status


@pytest.mark.slow
def test_a_flood_is_answered_with_too_many(answers, serve):
    port = serve(answers)
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(lambda _: request(port, "/start", {})[0], range(400)))
    assert statuses[429] > 50 and statuses[200] + statuses[429] == 400


@pytest.mark.release
def test_ten_thousand_trials_of_fifty_people_at_once(session, tmp_path, serve):
    """None lost, none doubled, though half is sent twice: as a browser does whose connection was lost."""
    with open_answers(tmp_path / "asked", session("world-natural", 200)) as kept:
        port = serve(kept)

        def post(person, key, batch):
            body = sent(kept, person, key, *batch)
            while True:
                try:
                    status, reply = request(port, body=body)
                except OSError:
                    continue
                if status == 200:
                    assert len(reply["stored"]) == len(batch) and not reply["refused"]
                    return
                assert status == 429
                time.sleep(0.2)

        jobs = []
        for person, key in [kept.begin() for _ in range(50)]:
            given = [said(str(trial), GEIRHOS16[(person + trial) % 16], rt=trial / 1000) for trial in range(1, 201)]
            batches = [given[at : at + 25] for at in range(0, 200, 25)]
            jobs += [(person, key, batch) for batch in (*batches, *batches[::2])]
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(lambda job: post(*job), jobs))
    rows = table(kept.folder / "answers-session-1.csv")
    assert len(rows) == len({(row["subj"], row["trial"]) for row in rows}) == 10_000
    for row in rows:
        person, trial = int(row["subj"].removeprefix("subject-")), int(row["trial"])
        assert row["object_response"] == GEIRHOS16[(person + trial) % 16] and row["rt"] == f"{trial / 1000:.10g}"
    assert api.import_trials(kept.folder, db=str(tmp_path / "results.db")).trials == 10_000


COMMAND = "from benchmark.cli import main; main()"


def started(folder, port=0, trials=16, more=()):
    """`bench ask --serve` as a process of its own, and its port."""
    command = [sys.executable, "-c", COMMAND, "ask", "world-edges", "--trials", str(trials), "--serve"]
    words = [*command, "--answers", folder, "--port", str(port), *more]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ)
    for line in process.stdout:
        if line.startswith("http://"):
            return process, int(line.split(":")[2].split("/")[0])
    raise AssertionError("no address")


def test_times_are_said_with_their_unit():
    assert [milliseconds("", text) for text in ("200ms", "1.5s", "60s")] == [200, 1500, 60_000]
    for text in ("0.1ms", "61s", "5", "infs", "nanms", "s"):
        with pytest.raises(UsageError, match=r"expected a time like 200ms or 1\.5s"):
            milliseconds("--answer-time", text)
    assert presentation_times("50, 200ms,1000") == (50, 200, 1000)


def test_an_experiments_yaml_says_how_its_images_are_shown(tmp_path):
    (tmp_path / "x.yaml").write_text("name: x\npresentation: {mask: , duration: , colour: }\n")
    white = {"size": 5, "background": "#ffffff", "duration": [8, 200], "mask": "none"}
    for stated, found in (({}, (3.0, "#808080", (200,), "noise")), (white, (5, "#ffffff", (8, 200), "none"))):
        done = experiment_from("x", {"presentation": stated}, str(tmp_path / "x.yaml")).presentation
        assert (done.size, done.background, done.duration, done.mask) == found
    for name, value in {"mask": "fog", "duration": "soon", "background": "red; }", "colour": "red"}.items():
        with pytest.raises(StimuliError, match=f"line 2 .*{name}" + "': expected: no such field" * (name == "colour")):
            experiment_from("x", {"presentation": {name: value}}, str(tmp_path / "x.yaml"))


@pytest.mark.slow
def test_mistakes_are_one_line_each_and_what_comes_after_a_page_is_said(bench, tmp_path):
    for arguments, said_ in (
        (("world-edges", "--about", "name"), "expected age or eyesight"),
        (("world-edges", "--out", "x.html", "--serve"), "give one"),
        (("world-edges", "--answers", "x"), "--answers is for --serve"),
        (("world-nothing",), "no stimulus set is called"),
        (("world-edges", "--durations", "50,50"), "up to 8 different times"),
        (("world-edges", "--durations", "-5"), "expected a time like 200ms"),
        (("world-edges", "--completion", "javascript:alert(1)"), "an https link"),
        (("world-edges", "--datapipe", "https://x.example"), "the id that pipe.jspsych.org shows"),
        (("world-edges", "--jatos", "x.jzip", "--serve"), "give one of the two"),
        (("world-edges", "--debrief", "nothing.md"), "does not exist"),
        (("world-edges", "--language", "xx"), "no language 'xx'"),
        (("world-edges", "--out", str(tmp_path / "no" / ("x" * 300))), ""),
    ):
        ended = bench("ask", *arguments)
        assert ended.code in (1, 2) and said_ in ended.err and len(ended.err.strip().splitlines()) <= 2
    words = ("--trials", "16", "--out", tmp_path / "ask.html")
    ended = bench("ask", "world-cue-conflict", *words, "--answer-time", "unlimited")
    assert ended.code == 0 and "16 images of world-cue-conflict" in ended.out and "bench import trials" in ended.out
    assert "--consent" in ended.err and "no suite" not in ended.err
    assert "no suite shows the role 'textures'" in bench("ask", "world-textures", *words).err
