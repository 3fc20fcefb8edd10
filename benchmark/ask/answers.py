"""Answers from browsers: each stored once, checked against the plan, and written to disk before the browser is told."""

import csv
import hashlib
import io
import json
import os
import secrets
import threading
from collections import ChainMap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.ask.session import Session
from benchmark.failures import BenchError
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.stimuli.trial_tables import AGAIN, IN_TIME, LATE, REDUCED
from registry.files import lock, write_whole
from registry.user_errors import foreign

MOST_PEOPLE = 10_000
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Measure = Annotated[float, Field(ge=0, le=60_000)]
Row = dict[str, str]
Form = TypeVar("Form", bound=BaseModel)


class Refused(BenchError):
    """A request that is refused, with the reason."""


class SentAnswer(BaseModel):
    """A trial in the request of a page, by the columns of the table."""

    model_config = STRICT
    trial: str
    object_response: str
    rt: Annotated[float, Field(ge=0, le=86_400)] | None  # up to a day, for a page left open
    frame_ms: Measure
    fixation_ms: Measure
    stimulus_ms: Measure
    mask_ms: Measure
    frames: Annotated[str, Field(pattern=r"^[0-9]{1,5}(/[0-9]{1,5}){0,2}$")]
    late_frames: Annotated[int, Field(ge=0, le=60_000)]
    degrees: Measure
    distance_cm: Measure
    distance_by: Literal["blind spot", "stated"]
    screen: Literal["full", "window"]
    reduced: bool  # shown without a mask, for less motion


class Begun(BaseModel):
    """The request of a page whose person begins."""

    model_config = STRICT
    #: The id in the page's address.
    participant: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""


class Sent(BaseModel):
    """The request of a page."""

    model_config = STRICT
    plan: str
    person: int
    key: str
    #: The person's answers to questions, as numbers.
    about: dict[str, Annotated[str, Field(pattern=r"^(1?[0-9]{1,2})?$")]]
    misunderstood: Annotated[int, Field(ge=0, le=999)]  # wrong answers to the question on the instructions
    answers: list[SentAnswer]


@contextmanager
def open_answers(folder: Path, session: Session) -> Iterator["Answers"]:
    """Open the answers in a folder, new or to be continued. Raises BenchError if it is of another plan or server."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as opened:
        holder = os.open(folder, os.O_RDONLY)
        opened.callback(os.close, holder)
        if not lock(holder):
            raise BenchError(f"{folder}: another server stores answers in it. Use another folder: --answers.")
        plan = folder / f"plan-session-{session.number}.json"
        if not plan.is_file():
            own = {name: secrets.token_urlsafe(16) for name in ("token", "watch")}
            write_whole(plan, json.dumps({**session.plan, **own}))
            plan.chmod(0o600)
        with foreign("answers", folder, BenchError):
            planned = json.loads(plan.read_text(encoding="utf-8"))
            if planned["id"] != session.plan["id"]:
                raise BenchError(f"{plan}: another plan (set, trials, seed, times). Name another folder: --answers.")
            token, watch = planned["token"], planned["watch"]
            table, rows = _grown(folder / f"answers-session-{session.number}.csv", opened)
            people, lines = _grown(folder / "people.jsonl", opened)
            known = {(row["subj"], row["trial"]): row for row in csv.DictReader(rows)}
            begun = [{"participant": "", **json.loads(line)} for line in lines]
        if not rows:
            _append(table, ",".join(session.plan["columns"]) + "\n")
        os.fsync(holder)  # so that the names of the files are on the disk as well
        yield Answers(
            folder=folder, session=session, token=token, watch=watch, table=table, people=people, known=known,
            begun=begun,
        )  # fmt: skip


@dataclass(kw_only=True)
class Answers:
    """The answers of a session in a folder: `answers-session-N.csv`, a table for `bench import trials`, and
    `people.jsonl` with a digest of each person's key and the id in their address. Both only grow."""

    folder: Path
    session: Session
    token: str = field(repr=False)  # the secret in the address for other machines; kept over restarts
    watch: str = field(repr=False)  # the secret of the experimenter's page
    table: int  # open file of the answers
    people: int  # open file of the people
    known: dict[tuple[str, str], Row] = field(repr=False)  # person and trial -> row
    #: By person: "key", the digest of theirs, and "participant", the id in their address ("" if it had none).
    begun: list[dict[str, str]] = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, data: bytes = b"{}") -> tuple[int, str]:
        """Register the next person (a `Begun` as JSON): their number, from 1, and a key that proves it."""
        participant = _checked(Begun, data).participant
        key = secrets.token_urlsafe(16)
        with self._lock:
            if len(self.begun) >= MOST_PEOPLE:
                raise Refused(f"{MOST_PEOPLE} people have begun, which is the limit.")
            person = {"key": _digest(key), "participant": participant}
            _append(self.people, json.dumps(person) + "\n")
            self.begun.append(person)
            return len(self.begun), key

    def add(self, data: bytes) -> tuple[list[str], dict[str, str]]:
        """Store the answers in a request (a `Sent` as JSON); return the stored trials, and refused trial -> reason.
        Raises Refused on another form or person's key, and OSError, storing nothing, if the disk is full."""
        sent = _checked(Sent, data)
        if sent.plan != self.session.plan["id"]:
            raise Refused("another plan: load the page again.")
        known = 1 <= sent.person <= len(self.begun)
        if not (known and secrets.compare_digest(self.begun[sent.person - 1]["key"], _digest(sent.key))):
            raise Refused("no such person, or another's key.")
        if sent.about.keys() != {*self.session.procedure.about}:
            raise Refused("not a question that a person was asked.")
        if {answer.object_response for answer in sent.answers} - {*self.session.categories, NO_ANSWER}:
            raise Refused("object_response: not an answer that the page offers.")
        with self._lock:
            fresh: dict[tuple[str, str], Row] = {}
            held, stored, refused = ChainMap(fresh, self.known), [], {}
            for answer in sent.answers:
                row = self._row(sent, answer)
                at = row.get("subj", ""), answer.trial
                first = held.get((at[0], answer.trial.removesuffix(AGAIN)), {})
                if not at[0] or (answer.trial.endswith(AGAIN) and first.get("status") != LATE):
                    refused[answer.trial[:16]] = "no such trial."
                elif any(held.setdefault(at, row)[name] != row[name] for name in ("object_response", "rt", "frames")):
                    refused[answer.trial] = "answered otherwise before."
                else:
                    stored.append(answer.trial)
            lines = io.StringIO(newline="")
            csv.DictWriter(lines, self.session.plan["columns"], lineterminator="\n").writerows(fresh.values())
            _append(self.table, lines.getvalue())
            self.known.update(fresh)
            return stored, refused

    def is_complete(self, person: int) -> bool:
        """Return whether a person has answered every trial."""
        return all((f"subject-{person:02d}", str(trial + 1)) in self.known for trial in range(self.session.trials))

    def _row(self, sent: Sent, answer: SentAnswer) -> Row:
        """Build a row of the table; empty if there is no such trial."""
        if (row := self.session.row(sent.person, answer.trial)) is None:
            return {}
        measured = answer.model_dump(exclude={"trial", "reduced"})
        row |= {
            name: value if isinstance(value, str) else f"{value:.10g}"
            for name, value in measured.items()
            if value is not None
        }
        mask = REDUCED if answer.reduced and row["mask"] != "none" else row["mask"]
        status = LATE if answer.late_frames else IN_TIME
        participant = self.begun[sent.person - 1]["participant"]
        more = {"mask": mask, "misunderstood": str(sent.misunderstood), "participant": participant}
        return {"rt": "NaN", "status": status, **row, **more, **sent.about}


def _checked(form: type[Form], data: bytes) -> Form:
    """Return a request of this form. Raises Refused with the first fault."""
    try:
        return form.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused(f"{'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}.") from None


def _append(number: int, text: str) -> None:
    """Append lines to a file and flush them to disk, all or none."""
    size, data = os.fstat(number).st_size, text.encode()
    try:
        while data:
            data = data[os.write(number, data) :]
        os.fsync(number)
    except OSError:
        os.ftruncate(number, size)
        raise


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _grown(path: Path, opened: ExitStack) -> tuple[int, list[str]]:
    """Open a file that only grows and return its complete lines; a partial last line is removed."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, number)
    whole, end, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        os.ftruncate(number, len(whole) + len(end))
        os.fsync(number)
    return number, whole.decode().splitlines()
