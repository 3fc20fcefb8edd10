"""Asking before a long run, the line a minute in a log, and bars in a terminal."""

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.cli.progress import Heartbeat, _Bars
from benchmark.display import duration
from benchmark.engine import costs


def beats(planned):
    """A heartbeat, its clock (seconds that the test sets) and its lines."""
    clock, lines = SimpleNamespace(now=1000.0), []
    return Heartbeat(note=lines.append, left=planned, clock=lambda: clock.now), clock, lines


def test_a_line_comes_when_a_minute_has_passed():
    beat, clock, lines = beats({"net": 400.0})
    beat.expect("net", 40, 400.0)
    clock.now += 59
    beat.work("net", 50)
    beat.advance("net", 5)
    assert lines == []
    clock.now += 1
    beat.work("net", 50)
    assert lines == ["after 60 s: 25% of the work, 5 trials stored, 1.67 passes/s, about 3 min left"]
    clock.now += 59
    beat.work("net", 100)
    assert len(lines) == 1
    clock.now += 61
    beat.work("net", 80)
    assert lines[1] == ("after 3 min: 70% of the work, 5 trials stored, 1.5 passes/s, about 77 s left")
    # of a whole plan
    beat, clock, lines = beats({"first": 100.0, "second": 300.0, "stored": 500.0})
    beat.expect("stored", 0, 0)
    beat.expect("first", 10, 100.0)
    clock.now += 60
    beat.work("first", 100)
    assert "25% of the work" in lines[0] and "about 3 min left" in lines[0]
    beat.done("second")  # it failed: nothing of it is left
    clock.now += 60
    beat.work("first", 0)
    assert "100% of the work" in lines[1] and "about 0 s left" in lines[1]


def test_bars_move_with_work_or_pieces_and_count_trials():
    bars = _Bars(Console(file=io.StringIO(), force_terminal=True, width=80))

    def shown():
        return [(task.description, task.completed, task.fields["n"]) for task in bars.progress.tasks]

    bars.tuning("net")
    assert shown() == [("tuning net", 0, "")]
    bars.expect("net", 40, 400.0)
    bars.work("net", 100)
    bars.advance("net", 40)
    assert shown() == [("net", 100, "40/40")]
    bars.expect("net", 8, 8.0)  # under the next suite
    bars.expect("files", 4)
    bars.advance("files", 1)
    bars.advance("others", 1)
    assert shown() == [("net", 0, "0/8"), ("files", 1, "1/4")]
    bars.done("net")
    bars.progress.stop()
    assert shown() == [("files", 1, "1/4")]


def test_durations_are_in_words():
    seconds = (0.4, 89, 90, 3569, 3571, 200_000)
    assert [duration(s) for s in seconds] == ["0 s", "89 s", "2 min", "59 min", "1 h 0 min", "2 days 7 h"]


RUN = ["run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "4", "-q"]


@pytest.fixture
def long_from_nothing(monkeypatch):
    monkeypatch.setattr(costs, "LONG", 0.0)


def at_terminal(monkeypatch, answer):
    """stdin and stderr as a terminal where somebody types."""
    typed = io.StringIO(answer)
    typed.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


@pytest.mark.slow
def test_a_pipe_is_told_what_a_long_run_costs_and_it_starts(bench, long_from_nothing):
    ended = bench(*RUN)
    assert ended.code == 0 and "Start?" not in ended.err and "this run takes long" not in ended.out
    for said in ("1 done", "this run takes long", "about 1 s of computing", "ideal-shape"):
        assert said in ended.err


@pytest.mark.parametrize(("answer", "code"), [("\n", 1), ("y\n", 0)])
def test_a_terminal_is_asked(bench, monkeypatch, tmp_path, long_from_nothing, answer, code):
    at_terminal(monkeypatch, answer)
    ended = bench(*RUN)
    assert ended.code == code
    assert ("not started" in ended.err) == bool(code)
    assert (tmp_path / "results.db").exists() == (not code)
