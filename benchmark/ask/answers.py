"""Answers as they arrive: each once, checked against the plan, on the disk before the browser is told so."""

import csv
import hashlib
import io
import json
import math
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.ask.session import Session
from benchmark.errors import BenchError
from benchmark.stimuli.catalogue import GEIRHOS16, NO_ANSWER
from benchmark.stimuli.trials import AGAIN, IN_TIME, LATE, REDUCED
from registry.files import lock, write_whole
from registry.foreign import foreign

#: Measures of a trial -> the column that has it, and the largest value; the least is 0.
MEASURES = {
    "frame": ("frame_ms", 1000.0), "fixation": ("fixation_ms", 60_000.0), "stimulus": ("stimulus_ms", 60_000.0),
    "mask": ("mask_ms", 60_000.0), "late": ("late_frames", 60_000.0), "degrees": ("degrees", 180.0),
    "distance": ("distance_cm", 1000.0),
}  # fmt: skip
#: Seconds that an answer may have taken: a day, for who comes back to an open page.
LONGEST = 86_400.0
#: People of one experiment, and years of a person.
MOST_PEOPLE, OLDEST = 10_000, 120
FIELDS = frozenset({"trial", "answer", "rt", "frames", "reduced", *MEASURES})


class Refused(BenchError):
    """What a browser sent and is not taken, with the reason."""


@contextmanager
def open_answers(folder: Path, session: Session) -> Iterator["Answers"]:
    """The answers in a folder, new or to be gone on with. A line that a killed server left half written was never
    confirmed, and is cut off. Raises BenchError where the folder belongs to another plan or another server, or cannot
    be read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as opened:
        holder = os.open(folder, os.O_RDONLY)
        opened.callback(os.close, holder)
        if not lock(holder):
            raise BenchError(f"{folder}: another server keeps its answers there. Name another folder with --answers.")
        plan = folder / f"plan-session-{session.number}.json"
        if plan.is_file():
            with foreign("plan", plan, BenchError):
                known = json.loads(plan.read_text(encoding="utf-8"))["id"]
            if known != session.plan["id"]:
                raise BenchError(f"{plan}: of another plan (set, trials, seed, times). Name another folder: --answers.")
        else:
            write_whole(plan, json.dumps(session.plan))
        table, rows = _grown(folder / f"answers-session-{session.number}.csv", opened)
        people, lines = _grown(folder / "people.jsonl", opened)
        with foreign("answers", folder, BenchError):
            stored = {(int(row["subj"].removeprefix("subject-")), row["trial"]): row for row in csv.DictReader(rows)}
            keys = [json.loads(line)["key"] for line in lines]
        if not rows:
            _append(table, _line(session.columns))
        os.fsync(holder)  # the files' names, too, are on the disk
        yield Answers(folder, session, table, people, stored, keys)


@dataclass
class Answers:
    """The answers of a session in a folder: `answers-session-N.csv`, a table that `bench import trials` takes as it is,
    and `people.jsonl`, with a digest of each person's key. Both only grow. table, people: where they are open; known:
    person and trial -> row; keys: digests by person."""

    folder: Path
    session: Session
    table: int
    people: int
    known: dict[tuple[int, str], dict[str, str]] = field(repr=False)
    keys: list[str] = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def token(self) -> str:
        """What other machines must know to be answered: kept, so that a server that is started again knows it."""
        place = self.folder / "token"
        if not place.is_file():
            write_whole(place, secrets.token_urlsafe(16))
            place.chmod(0o600)
        return place.read_text(encoding="utf-8")

    def begin(self) -> tuple[int, str]:
        """The next person's number, from 1, and the key that proves it."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            if len(self.keys) >= MOST_PEOPLE:
                raise Refused(f"{MOST_PEOPLE} people have begun: no more are taken.")
            _append(self.people, json.dumps({"key": _digest(key)}) + "\n")
            self.keys.append(_digest(key))
            return len(self.keys), key

    def add(self, sent: Any) -> tuple[list[str], dict[str, str]]:
        """(trials that are on the disk now, trial -> why it is not taken) of what a browser sent: {"plan", "person",
        "key", "about", "answers": [{"trial", "answer", "rt", ...}]}. Raises Refused where it is nobody's, and OSError
        where the disk is full: then nothing of it is kept."""
        names = {"plan", "person", "key", "about", "answers"}
        if not (isinstance(sent, dict) and sent.keys() == names and isinstance(sent["answers"], list)):
            raise Refused(f"expected an object with {', '.join(sorted(names))}.")
        if sent["plan"] != self.session.plan["id"]:
            raise Refused("another plan: load the page again.")
        person, key = sent["person"], sent["key"]
        known = type(person) is int and 1 <= person <= len(self.keys) and isinstance(key, str)
        if not (known and secrets.compare_digest(self.keys[person - 1], _digest(key))):
            raise Refused("no such person, or another's key.")
        about = self._about(sent["about"])
        stored: list[str] = []
        refused: dict[str, str] = {}
        with self._lock:
            fresh: dict[str, dict[str, str]] = {}
            for answer in sent["answers"]:
                trial = str(answer.get("trial"))[:16] if isinstance(answer, dict) else "?"
                try:
                    row = {**self._row(person, answer, fresh), **about}
                    before = self.known.get((person, trial)) or fresh.setdefault(trial, row)
                    if any(before[name] != row[name] for name in ("object_response", "rt", "frames")):
                        raise Refused("answered otherwise before.")
                    stored.append(trial)
                except Refused as error:
                    refused[trial] = str(error)
            _append(self.table, "".join(_line([row[x] for x in self.session.columns]) for row in fresh.values()))
            self.known |= {(person, trial): row for trial, row in fresh.items()}
        return stored, refused

    def _row(self, person: int, answer: Any, fresh: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """A row of the table. Raises Refused."""
        if not (isinstance(answer, dict) and answer.keys() == FIELDS and isinstance(answer["trial"], str)):
            raise Refused(f"expected an object with {', '.join(sorted(FIELDS))}.")
        trial = answer["trial"]
        row, first = self.session.row(person, trial), trial.removesuffix(AGAIN)
        before = self.known.get((person, first)) or fresh.get(first, {})
        if row is None or (first != trial and before.get("status") != LATE):
            raise Refused("no such trial.")
        if answer["answer"] not in (*GEIRHOS16, NO_ANSWER):
            raise Refused("no such answer.")
        row["object_response"] = answer["answer"]
        row["rt"] = "NaN" if answer["rt"] is None else _number(answer["rt"], LONGEST)
        row |= {column: _number(answer[name], most) for name, (column, most) in MEASURES.items()}
        frames = answer["frames"]
        if not (isinstance(frames, str) and len(frames) < 32 and all(part.isdecimal() for part in frames.split("/"))):
            raise Refused("expected frames as in '18/12/12'.")
        if type(answer["reduced"]) is not bool:
            raise Refused("expected true or false for reduced.")
        if answer["reduced"] and row["mask"] != "none":
            row["mask"] = REDUCED
        return {"status": LATE if answer["late"] > 0 else IN_TIME, **row, "frames": frames}

    def _about(self, about: Any) -> dict[str, str]:
        """What was asked of a person, and nothing else. Raises Refused."""
        wanted = self.session.procedure.about
        if not (
            isinstance(about, dict) and about.keys() == {*wanted} and all(isinstance(x, str) for x in about.values())
        ):
            raise Refused(f"expected what was asked of a person: {', '.join(wanted) or 'nothing'}.")
        for text in about.values():
            if text and not (text.isascii() and text.isdigit() and int(text[:4]) <= OLDEST):
                raise Refused("expected whole numbers of a person, or nothing.")
        return dict(about)


def _append(number: int, text: str) -> None:
    """Put lines at the end of a file, on the disk; all of them or none."""
    size, data = os.fstat(number).st_size, text.encode()
    try:
        while data:
            data = data[os.write(number, data) :]
        os.fsync(number)
    except OSError:
        os.ftruncate(number, size)
        raise


def _number(value: Any, most: float) -> str:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= most:
        raise Refused(f"expected a number from 0 to {most:g}.")
    return f"{value:.10g}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _line(values: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()


def _grown(path: Path, opened: ExitStack) -> tuple[int, list[str]]:
    """A file that only grows, open, and its whole lines; what is behind them is cut off."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, number)
    whole, end, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        os.ftruncate(number, len(whole) + len(end))
        os.fsync(number)
    with foreign("answers", path, BenchError):
        return number, whole.decode().splitlines()
