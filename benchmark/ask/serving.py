"""`bench ask`: the page as a file or a package, or a server that stores the answers of several people in a folder."""

import base64
import hashlib
import html
import io
import json
import math
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from benchmark.api.options import Option
from benchmark.ask.answers import Answers, Refused
from benchmark.ask.people_page import people_page
from benchmark.ask.session import MASKS, Procedure, Session, mask_noise, open_session, picture
from benchmark.display import counted
from benchmark.failures import BenchError, UsageError
from benchmark.loopback import GuardedHandler
from benchmark.plugins import find_suites
from benchmark.stimuli.catalogue import find_entry
from benchmark.stimuli.datasets import open_set
from benchmark.stimuli.experiments import MOST_TIMES, Presentation, added_experiments
from benchmark.stimuli.image_names import GEIRHOS16
from benchmark.stimuli.world.sets import PREFIX, is_generated
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
#: Options of text -> their form, and what a user is told of it.
EXPECTED = {
    "--completion": (r"https://[^\s\"<>]+|[\w-]{1,64}", "a code of letters and digits, or an https link"),
    "--datapipe": (r"[A-Za-z0-9_-]{6,64}", "the id that pipe.jspsych.org shows, such as ABCDEF123456"),
}
#: Where a page of --datapipe sends its table.
PIPE = "https://pipe.jspsych.org"
#: Default of --trials, about ten minutes.
TRIALS = 240
ABOUT = ("age", "eyesight")


@dataclass(frozen=True, kw_only=True)
class AskedExperiment:
    """A page to open."""

    session: Session
    html: str = field(repr=False)  # the page
    boards: tuple[str, ...]  # suites that score the answers

    def __repr__(self) -> str:
        procedure, n, times = self.session.procedure, self.session.trials, self.session.procedure.durations
        # 0.9 s for an answer, half a minute for a break.
        shown = procedure.fixation + sum(times) / len(times) + procedure.mask_time
        minutes = counted(math.ceil(n * (shown + 900) / 60_000 + n / 160), "minute")
        each = " and ".join(f"{time} ms" for time in times)
        return f"{len(self.session.images)} images of {self.session.stimuli.name} in {minutes}, each for {each}"


def ask(
    stimuli: Annotated[str, Option("A set of the 16 categories: world-cue-conflict, edges, your own.", metavar="SET")],
    *,
    trials: Annotated[int, Option("Show this many images: the same as `bench run --limit`.", least=1)] = TRIALS,
    session: Annotated[
        int, Option("Set the session; 2 shows the images after those of session 1.", least=1, most=1000)
    ] = 1,
    durations: Annotated[
        str,
        Option("Show every image for each of these times in ms (default: the experiment's, or 200).", metavar="MS,..."),
    ] = "",
    answer_time: Annotated[str, Option("Wait this time for an answer, or without limit.", metavar="TIME")] = "1.5s",
    mask: Annotated[
        Literal["noise", "none"] | None,
        Option("Show this mask for 200 ms after the image (default: the experiment's, or noise)."),
    ] = None,
    degrees: Annotated[
        float | None,
        Option("Set the visual angle of an image's side (default: the experiment's, or 3).", above=0, most=60),
    ] = None,
    criterion: Annotated[
        int, Option("Admit people with this many of 8 right in practice, at the second try at most.", least=0, most=8)
    ] = 5,
    seed: Annotated[int, Option("Set the seed of orders and masks.", least=0)] = 0,
    about: Annotated[Sequence[str], Option("Also ask for age or eyesight (repeatable).", metavar="WHAT")] = (),
    consent: Annotated[Path | None, Option("Show this consent form, in Markdown.", kind="file")] = None,
    debrief: Annotated[Path | None, Option("Show this text above one's own result at the end.", kind="file")] = None,
    completion: Annotated[
        str, Option("Show this code or https link to those who have finished.", metavar="CODE|LINK")
    ] = "",
    language: Annotated[str, Option("Use en, de, ar, or a file of the same form.")] = "en",
    datapipe: Annotated[
        str, Option("Send answers to this experiment of pipe.jspsych.org.", metavar="ID", without=("served",))
    ] = "",
    jatos: Annotated[
        Path | None,
        Option("Write a study that JATOS 3 imports (.jzip).", kind="new file", without=("served", "out", "datapipe")),
    ] = None,
    out: Annotated[Path | None, Option("Write the page to this file.", "--out", "-o", kind="new file")] = None,
    served: Annotated[bool, Option("Serve the page and collect the answers of several people.", "--serve")] = False,
) -> AskedExperiment:
    """Run a browser experiment and collect people's answers.

    People name the images of SET. The page is one file that contacts no other host. It measures when each image was on
    the screen. `bench import trials` reads its answers."""
    if unknown := [name for name in about if name not in ABOUT]:
        raise UsageError(f"--about '{unknown[0]}': expected {' or '.join(ABOUT)}.")
    limit = 0 if answer_time == "unlimited" else milliseconds("--answer-time", answer_time)
    times = presentation_times(durations) if durations else ()
    for option, text in (("--completion", completion), ("--datapipe", datapipe)):
        form, expected = EXPECTED[option]
        if text and not re.fullmatch(form, text):
            raise UsageError(f"{option} '{text}': expected {expected}.")
    settings = read_settings()
    role = stimuli.removeprefix(PREFIX) if is_generated(stimuli) else find_entry(stimuli, settings).role
    suites = [suite for suite in find_suites().suites.values() if role in suite.experiments.values()]
    named = [name for suite in suites for name, own in suite.experiments.items() if own == role]
    experiment = role if role in named or not named else named[0]
    added = added_experiments(settings).get(experiment)
    answers = added.answers if added and added.categories else ()
    stated = added.presentation if added else Presentation()
    procedure = Procedure(
        durations=times or stated.duration,
        mask=mask or stated.mask,
        answer=limit,
        degrees=degrees or stated.size,
        background=stated.background,
        about=tuple(dict.fromkeys(about)),
        criterion=criterion,
    )
    opened = open_session(open_set(stimuli, settings), experiment, procedure, trials, session, seed, answers)
    html_page = page(
        opened, language=language, consent=consent, debrief=debrief, completion=completion, served=served,
        datapipe=datapipe, jatos=jatos is not None,
    )  # fmt: skip
    boards = tuple(suite.name for suite in suites)
    done = AskedExperiment(session=opened, html=html_page, boards=boards)
    if out is not None:
        write_whole(out, done.html)
    if jatos is not None:
        write_whole(jatos, jatos_study(opened, html_page, completion))
    return done


def presentation_times(text: str) -> tuple[int, ...]:
    """Parse presentation times in ms, "50,200". Raises UsageError."""
    times = [milliseconds("--durations", f"{part.strip().removesuffix('ms')}ms") for part in text.split(",")]
    if len(set(times)) < len(times) or len(times) > MOST_TIMES:
        raise UsageError(f"--durations '{text}': expected up to {MOST_TIMES} different times, such as 50,200.")
    return tuple(times)


def milliseconds(option: str, text: str) -> int:
    """Convert a time such as 200ms or 1.5s to milliseconds, from 1 to 60,000. Raises UsageError."""
    found = re.fullmatch(r"([0-9]{0,5}\.?[0-9]{1,6}) ?(ms|s)", text.strip())
    value = round(float(found[1]) * (1000 if found[2] == "s" else 1)) if found else 0
    if not 1 <= value <= 60_000:
        raise UsageError(f"{option} '{text}': expected a time like 200ms or 1.5s, up to 60s.")
    return value


class Flood:
    """Requests of each address in the current window of time."""

    def __init__(self) -> None:
        self._window, self._asked, self._lock = 0, Counter[str](), threading.Lock()

    def allow(self, address: str, cost: int = 1) -> bool:
        """Count a request and return whether it may be answered. cost: more than 1 for a new person."""
        with self._lock:
            if (window := int(time.monotonic() / WINDOW)) != self._window:
                self._window, self._asked = window, Counter()
            self._asked[address] += cost
            return self._asked[address] <= MOST


class AskHandler(GuardedHandler):
    """Serves the page, numbers for people, the storage of answers, and the experimenter's page. token: secret of a
    request, "" on loopback; completion: what those who have finished are shown."""

    timeout = PATIENCE
    policy = "frame-ancestors 'none'"  # the page itself contains the rest of the policy

    def __init__(
        self, *args: Any, html: bytes, answers: Answers, flood: Flood, token: str, completion: str = "", **more: Any
    ) -> None:
        self._html, self._answers, self._flood, self._token, self._completion = html, answers, flood, token, completion
        super().__init__(*args, **more)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        """Serve the page, or the experimenter's; register a new person, or store answers (POST)."""
        if (parts := self.asked()) is None:
            return
        status, kind = HTTPStatus.OK, "application/json" if self.command == "POST" else "text/html; charset=utf-8"
        try:
            if not self._flood.allow(self.client_address[0], START if self.path.startswith("/start") else 1):
                status = HTTPStatus.TOO_MANY_REQUESTS
                raise Refused("too many requests.")
            token = parse_qs(parts.query).get("token", [""])[0]
            data = self._taken(parts.path) if self.command == "POST" else self._page(parts.path, token)
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

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _page(self, path: str, token: str) -> bytes:
        if path == "/people":
            if not secrets.compare_digest(token.encode(), self._answers.watch.encode()):
                raise Refused("the address lacks the experimenter's token.")
            return people_page(self._answers).encode()
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
        data = self.rfile.read(int(length))
        if path == "/start":
            return json.dumps(dict(zip(("number", "key"), self._answers.begin(data), strict=True))).encode()
        stored, refused = self._answers.add(data)
        done = {"completion": self._completion} if self._answers.is_complete(json.loads(data)["person"]) else {}
        return json.dumps({"stored": stored, "refused": refused, **done}).encode()


LANGUAGES = ("en", "de", "ar")
LIBRARY = "jspsych-8.3.0.min.js"
_ROOM = files("benchmark.ask")


def page(
    session: Session, *, language: str = "en", consent: Path | None = None, debrief: Path | None = None,
    completion: str = "", served: bool = False, datapipe: str = "", jatos: bool = False,
) -> str:  # fmt: skip
    """Build the page as HTML. By default people save their answers as a file. `consent` and `debrief` are Markdown in
    place of the language's texts, `completion` is for those who have finished. The answers go to `bench ask --serve`
    (`served`), to an experiment of DataPipe (`datapipe`) or to JATOS, which then serves the page (`jatos`)."""
    text, decode = read_language(language), session.stimuli.decode
    practised = [_address(picture(session.practice.decode(at))) for at in range(len(session.practice))]
    if session.categories != GEIRHOS16:  # which every language translates
        text = {**text, "categories": session.categories}
    text = {**text, "consent": text["consent"].replace("{categories}", str(len(session.categories)))}
    forms = {"consent": render_markdown(text["consent"], consent), "debrief": render_markdown(text["debrief"], debrief)}
    plan = {
        **session.plan, "text": {**text, **forms}, "served": served, "jatos": jatos,
        "pipe": datapipe and f"{PIPE}/api/data/", "pipeId": datapipe,
        "completion": "" if served else completion,  # a server tells it to those who have finished
        "textures": session.stimuli.labels["texture"].tolist() if "texture" in session.stimuli.labels else [],
        "pictures": [_address(picture(decode(at))) for at in range(len(session.images))],
        "noise": [_address(picture(mask_noise(session.seed + at))) for at in range(MASKS)],
        "practice": list(zip(practised, session.plan["practice"], strict=True)),
    }  # fmt: skip
    names = ("static/ask.css", f"vendor/{LIBRARY}", "static/ask.js", "vendor/LICENSE", "static/ask.html")
    style, library, script, licence, form = ((_ROOM / name).read_text(encoding="utf-8") for name in names)
    # The page may run only these programs, show only its own images, and contact no host but its own or DataPipe.
    own = f"script-src {_source(library)} {_source(script)}; style-src {_source(style)}"
    connect = "'self'" if served else PIPE if datapipe else "'none'"
    policy = f"default-src 'none'; img-src data:; {own}; connect-src {connect}; base-uri 'none'; form-action 'none'"
    if jatos:  # whose own program loads others from its server, and styles what it shows
        policy = policy.replace("script-src", "script-src 'self'").replace(_source(style), "'self' 'unsafe-inline'")
        policy = policy.replace(connect, "'self'").replace("img-src", "worker-src 'self'; img-src 'self'")
    # Escaping "<" keeps labels and consent forms inside their element.
    data = json.dumps(plan, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    texts = {"title": text["titles"]["main"], "code": text["code"], "none": text["noScript"], "policy": policy}
    shown = {name: html.escape(value, quote=False) for name, value in texts.items()}
    parts = {"style": style, "library": library, "script": script, "licence": licence, "data": data}
    program = '<script src="jatos.js"></script>\n' if jatos else ""
    return Template(form).substitute(shown, direction=text["direction"], jatos=program, **parts)


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _address(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def render_markdown(text: str, path: Path | None = None) -> str:
    """Render Markdown (from a file if there is one) as HTML, without its HTML and images. Raises BenchError."""
    from markdown_it import MarkdownIt

    if path is not None:
        with foreign("text", path, BenchError, "Expected Markdown in UTF-8."):
            text = path.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text))


def read_language(name: str) -> Mapping[str, Any]:
    """Read the texts of a built-in language, or of a YAML file of the same form, with its "code". Raises BenchError."""
    built_in = name in LANGUAGES
    path = Path(str(_ROOM / "languages" / f"{name}.yaml")) if built_in else Path(name)
    if not built_in and not path.is_file():
        raise BenchError(f"no language '{name}': expected one of {', '.join(LANGUAGES)}, or a file like theirs.")
    text = read_document(path, "texts of a language", BenchError)
    if built_in and name == LANGUAGES[0]:
        return {**text, "code": name}
    form = {key: own for key, own in read_language(LANGUAGES[0]).items() if key != "code"}
    text = text if isinstance(text, dict) else {}
    if wrong := [key for key in form if _parts(text, key) != _parts(form, key)]:
        raise BenchError(f"{path}: '{wrong[0]}' is missing, or not as in {LANGUAGES[0]}.yaml.")
    if text["direction"] not in ("ltr", "rtl"):
        raise BenchError(f"{path}: direction is '{text['direction']}'; expected ltr or rtl.")
    return {**text, "code": "".join(filter(str.isalnum, path.stem))}


def _parts(texts: Mapping[str, Any], key: str) -> object:
    """Return the names of a text's parts, or their number; keys are as many letters."""
    value = texts.get(key)
    sized = isinstance(value, list) or (key == "keys" and isinstance(value, str))
    return {*value} if isinstance(value, dict) else len(value) if value and sized else type(value)


def jatos_study(session: Session, built: str, completion: str) -> bytes:
    """Return a page as a study that JATOS 3 imports: an archive of its folder and of its description (.jas). The same
    plan is the same study. completion: a link at which JATOS ends, or a code."""
    name = f"{session.stimuli.name} session {session.number}"
    folder = re.sub(r"[^\w-]+", "-", name)
    study, component = (str(uuid5(NAMESPACE_URL, f"ask:{session.plan['id']}:{part}")) for part in ("study", "page"))
    described = json.loads((_ROOM / "static" / "jatos.json").read_text(encoding="utf-8"))
    end = completion if completion.startswith("https://") else ""
    about = f"People name the images of {session.stimuli.name}."
    described["data"] |= {"uuid": study, "title": name, "description": about, "dirName": folder, "endRedirectUrl": end}
    described["data"]["componentList"][0]["uuid"] = component
    archive = io.BytesIO()
    with ZipFile(archive, "w") as packed:
        for place, text in ((f"{folder}/index.html", built), (f"{folder}.jas", json.dumps(described))):
            packed.writestr(ZipInfo(place), text, ZIP_DEFLATED)  # with the date of 1980: equal plans, equal bytes
    return archive.getvalue()
