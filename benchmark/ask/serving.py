"""`bench ask`: the page as a file, or a server for several people that stores their answers in a folder."""

import base64
import hashlib
import html
import json
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from benchmark.api.options import Option
from benchmark.ask.answers import Answers, Refused
from benchmark.ask.session import MASKS, Procedure, Session, mask_noise, open_session, picture, practice
from benchmark.display import counted
from benchmark.failures import BenchError, UsageError
from benchmark.loopback import GuardedHandler
from benchmark.plugins import find_suites
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.generated import PREFIX, is_generated
from benchmark.variables import read_settings
from registry.documents import read_document
from registry.files import write_whole
from registry.user_errors import foreign

#: Limits of a request: bytes, and seconds to arrive.
LARGEST, PATIENCE = 65_536, 10.0
#: Requests of one address in this many seconds; a class behind one address sends 25 answers a second.
MOST, WINDOW = 600, 10.0
#: A new person counts as this many requests.
START = 5
#: Default of --trials, about ten minutes.
TRIALS = 240
ABOUT = ("age", "eyesight")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A page to open."""

    session: Session
    html: str = field(repr=False)  # the page
    boards: tuple[str, ...]  # suites that score the answers

    def __repr__(self) -> str:
        procedure, n = self.session.procedure, len(self.session.images)
        # 0.9 s for an answer, half a minute for a break.
        minutes = n * (procedure.fixation + procedure.presentation + procedure.mask_time + 900) / 60_000 + n / 160
        return f"{n} images of {self.session.stimuli.name} in {counted(math.ceil(minutes), 'minute')}"


def ask(
    stimuli: Annotated[str, Option("A set of the 16 categories: world-cue-conflict, edges, your own.", metavar="SET")],
    *,
    trials: Annotated[int, Option("Show this many images: the same as `bench run --limit`.", least=1)] = TRIALS,
    session: Annotated[
        int, Option("Set the session; 2 shows the images after those of session 1.", least=1, most=1000)
    ] = 1,
    presentation: Annotated[str, Option("Show an image for this time.", metavar="TIME")] = "200ms",
    answer_time: Annotated[str, Option("Wait this time for an answer, or without limit.", metavar="TIME")] = "1.5s",
    mask: Annotated[Literal["noise", "none"], Option("Show this mask for 200 ms after the image.")] = "noise",
    degrees: Annotated[float, Option("Set the visual angle of an image's side.", above=0, most=60)] = 3.0,
    seed: Annotated[int, Option("Set the seed of orders and masks.", least=0)] = 0,
    about: Annotated[Sequence[str], Option("Also ask for age or eyesight (repeatable).", metavar="WHAT")] = (),
    consent: Annotated[Path | None, Option("Show this consent form, in Markdown.", metavar="FILE", kind="file")] = None,
    language: Annotated[str, Option("Use en, de, ar, or a file of the same form.")] = "en",
    out: Annotated[Path | None, Option("Write the page to this file.", "--out", "-o", kind="new file")] = None,
    served: Annotated[bool, Option("Serve the page and collect the answers of several people.", "--serve")] = False,
) -> Experiment:
    """Run a browser experiment and collect people's answers.

    People name the images of SET. The page is one file that contacts no other host. It measures when each image was on
    the screen. `bench import trials` reads its answers."""
    if unknown := [name for name in about if name not in ABOUT]:
        raise UsageError(f"--about '{unknown[0]}': expected {' or '.join(ABOUT)}.")
    limit = 0 if answer_time == "unlimited" else milliseconds("--answer-time", answer_time)
    shown, questions = milliseconds("--presentation", presentation), tuple(dict.fromkeys(about))
    procedure = Procedure(presentation=shown, mask=mask, answer=limit, degrees=degrees, about=questions)
    settings = read_settings()
    role = stimuli.removeprefix(PREFIX) if is_generated(stimuli) else find_entry(stimuli, settings).role
    suites = [suite for suite in find_suites().suites.values() if role in suite.experiments.values()]
    named = [name for suite in suites for name, own in suite.experiments.items() if own == role]
    experiment = role if role in named or not named else named[0]
    opened = open_session(open_set(stimuli, settings), experiment, procedure, trials, session, seed)
    html_page, boards = page(opened, language, consent, served=served), tuple(suite.name for suite in suites)
    done = Experiment(session=opened, html=html_page, boards=boards)
    if out is not None:
        write_whole(out, done.html)
    return done


def milliseconds(option: str, text: str) -> int:
    """Convert a time such as 200ms or 1.5s to milliseconds, from 1 to 60,000. Raises UsageError."""
    import pandas as pd

    try:
        value = round(pd.Timedelta(text) / pd.Timedelta("1ms"))
    except ValueError:
        value = 0
    if not 1 <= value <= 60_000:
        raise UsageError(f"{option} '{text}': expected a time like 200ms or 1.5s, up to 60s.")
    return value


@dataclass(kw_only=True)
class Flood:
    """Requests of each address in the current window of time."""

    _window: int = 0
    _asked: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allow(self, address: str, cost: int = 1) -> bool:
        """Count a request and return whether it may be answered. cost: more than 1 for a new person."""
        with self._lock:
            if (window := int(time.monotonic() / WINDOW)) != self._window:
                self._window, self._asked = window, Counter()
            self._asked[address] += cost
            return self._asked[address] <= MOST


class AskHandler(GuardedHandler):
    """Serves the page, numbers for people, and the storage of answers. token: secret of a request, "" on loopback."""

    timeout = PATIENCE
    policy = "frame-ancestors 'none'"  # the page itself contains the rest of the policy

    def __init__(self, *args: Any, html: bytes, answers: Answers, flood: Flood, token: str, **more: Any) -> None:
        self._html, self._answers, self._flood, self._token = html, answers, flood, token
        super().__init__(*args, **more)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        """Serve the page."""
        if parts := self.asked():
            token = parse_qs(parts.query).get("token", [""])[0]
            self._answer(lambda: self._page(parts.path, token), "text/html; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:  # noqa: N802
        """Register a new person, or store answers."""
        if parts := self.asked():
            self._answer(lambda: self._taken(parts.path), "application/json")

    def _answer(self, make: Callable[[], bytes], kind: str) -> None:
        status = HTTPStatus.OK
        try:
            if not self._flood.allow(self.client_address[0], START if self.path.startswith("/start") else 1):
                status = HTTPStatus.TOO_MANY_REQUESTS
                raise Refused("too many requests.")
            data = make()
        except (Refused, OSError) as error:
            full = isinstance(error, OSError)
            status = HTTPStatus.INSUFFICIENT_STORAGE if full else max(status, HTTPStatus.FORBIDDEN)
            data, kind = json.dumps({"error": str(error)}).encode(), "application/json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _page(self, path: str, token: str) -> bytes:
        if self._token and not secrets.compare_digest(token.encode(), self._token.encode()):
            raise Refused("the address lacks its token.")
        if path not in ("/", "/start", "/answers"):
            raise Refused("no such page.")
        return self._html

    def _taken(self, path: str) -> bytes:
        """Handle a POST; a page of another origin cannot send the header X-Ask without a preflight request."""
        origin, length, token = (self.headers.get(name) for name in ("Origin", "Content-Length", "X-Ask"))
        if token is None or (origin and origin.partition("//")[2] != self.headers.get("Host")):
            raise Refused("sent by another page.")
        self._page(path, token)
        if not (length and length.isdecimal() and int(length) <= LARGEST):
            raise Refused(f"expected at most {LARGEST} bytes.")
        if path == "/start":
            return json.dumps(dict(zip(("number", "key"), self._answers.begin(), strict=True))).encode()
        stored, refused = self._answers.add(self.rfile.read(int(length)))
        return json.dumps({"stored": stored, "refused": refused}).encode()


LANGUAGES = ("en", "de", "ar")
LIBRARY = "jspsych-8.3.0.min.js"
_ROOM = files("benchmark.ask")


def page(session: Session, language: str, consent: Path | None = None, *, served: bool = False) -> str:
    """Build the page as HTML.

    consent: Markdown that replaces the language's own text; served: the page sends answers to `bench ask --serve`;
    otherwise the browser saves them as a file."""
    text, decode = read_language(language), session.stimuli.decode
    plan = {
        **session.plan, "text": {**text, "consent": render_markdown(text["consent"], consent)}, "served": served,
        "pictures": [_address(picture(decode(at))) for at in range(len(session.images))],
        "noise": [_address(picture(mask_noise(session.seed + at))) for at in range(MASKS)],
        "practice": [(_address(data), category) for data, category in practice()],
    }  # fmt: skip
    names = ("static/ask.css", f"vendor/{LIBRARY}", "static/ask.js", "vendor/LICENSE", "static/ask.html")
    style, library, script, licence, form = ((_ROOM / name).read_text(encoding="utf-8") for name in names)
    # The page may run only these programs, show only its own images, and load nothing from another host.
    own = f"script-src {_source(library)} {_source(script)}; style-src {_source(style)}"
    connect = "self" if served else "none"
    policy = f"default-src 'none'; img-src data:; {own}; connect-src '{connect}'; base-uri 'none'; form-action 'none'"
    # Escaping "<" keeps labels and consent forms inside their element.
    data = json.dumps(plan, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    texts = {"title": text["titles"]["main"], "code": text["code"], "none": text["noScript"], "policy": policy}
    shown = {name: html.escape(value, quote=False) for name, value in texts.items()}
    parts = {"style": style, "library": library, "script": script, "licence": licence, "data": data}
    return Template(form).substitute(shown, direction=text["direction"], **parts)


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _address(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def render_markdown(text: str, path: Path | None = None) -> str:
    """Render Markdown (from a file if there is one) as HTML. HTML in the text is escaped, and images are removed.
    Raises BenchError if the file is not readable."""
    from markdown_it import MarkdownIt

    if path is not None:
        with foreign("consent form", path, BenchError, "Expected Markdown in UTF-8."):
            text = path.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text))


def read_language(name: str) -> Mapping[str, Any]:
    """Read the texts of a built-in language, or of a YAML file of the same form (`benchmark/ask/languages`), with its
    "code". Raises BenchError with the missing text."""
    built_in = name in LANGUAGES
    path = Path(str(_ROOM / "languages" / f"{name}.yaml")) if built_in else Path(name)
    if not built_in and not path.is_file():
        raise BenchError(f"no language '{name}': expected one of {', '.join(LANGUAGES)}, or a file like theirs.")
    text = read_document(path, "texts of a language", BenchError)
    if built_in and name == LANGUAGES[0]:
        return {**text, "code": name}
    form = read_language(LANGUAGES[0])
    if wrong := [key for key in form if key != "code" and _form(text, key) != _form(form, key)]:
        raise BenchError(f"{path}: '{wrong[0]}' is missing, or not as in {LANGUAGES[0]}.yaml.")
    if text["direction"] not in ("ltr", "rtl"):
        raise BenchError(f"{path}: direction is '{text['direction']}'; expected ltr or rtl.")
    return {**text, "code": "".join(filter(str.isalnum, path.stem))}


def _form(text: Any, key: str) -> object:
    """Return the structure of a text: its parts, or their number."""
    value = text.get(key) if isinstance(text, dict) else None
    if isinstance(value, dict):
        return {part: type(own) for part, own in value.items()}
    return [type(own) for own in value] if isinstance(value, list) or (value and key == "keys") else type(value)
