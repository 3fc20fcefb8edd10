"""The page of an experiment: one HTML file with its pictures, texts and programs, which asks no other host."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from benchmark.ask.session import MASKS, Session, noise, picture, practice
from benchmark.errors import BenchError
from registry.foreign import foreign, read_document

LANGUAGES = ("en", "de", "ar")
LIBRARY = "jspsych-8.3.0.min.js"
_ROOM = files("benchmark.ask")


def page(session: Session, language: str, consent: Path | None = None, *, served: bool = False) -> str:
    """The page as HTML. consent: Markdown, in place of the language's own text; served: by `bench ask --serve`, which
    collects the answers; else they are kept in the browser and saved as a file."""
    text, decode = read_language(language), session.stimuli.decode
    plan = {
        **session.plan, "text": {**text, "consent": markdown(text["consent"], consent)}, "served": served,
        "pictures": [_address(picture(decode(at))) for at in range(len(session.images))],
        "noise": [_address(picture(noise(session.seed + at))) for at in range(MASKS)],
        "practice": [(_address(data), category) for data, category in practice()],
    }  # fmt: skip
    names = ("static/ask.css", f"vendor/{LIBRARY}", "static/ask.js", "vendor/LICENSE", "static/ask.html")
    style, library, script, licence, form = ((_ROOM / name).read_text(encoding="utf-8") for name in names)
    # What the page may load: these very programs, pictures of its own, nothing of another host.
    own = f"script-src {_source(library)} {_source(script)}; style-src {_source(style)}"
    connect = "self" if served else "none"
    policy = f"default-src 'none'; img-src data:; {own}; connect-src '{connect}'; base-uri 'none'; form-action 'none'"
    # "<" as an escape: no text of a label or a consent form leaves its element.
    data = json.dumps(plan, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    texts = {"title": text["titles"]["main"], "code": text["code"], "none": text["noScript"], "policy": policy}
    shown = {name: html.escape(value, quote=False) for name, value in texts.items()}
    parts = {"style": style, "library": library, "script": script, "licence": licence, "data": data}
    return Template(form).substitute(shown, direction=text["direction"], **parts)


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _address(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def markdown(text: str, path: Path | None = None) -> str:
    """Markdown (of a file where there is one) as HTML; HTML in it is shown as text, and pictures are left out. Raises
    BenchError where the file cannot be read."""
    from markdown_it import MarkdownIt

    if path is not None:
        with foreign("consent form", path, BenchError, "Expected Markdown in UTF-8."):
            text = path.read_text(encoding="utf-8")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(text))


def read_language(name: str) -> Mapping[str, Any]:
    """The texts of a language that is built in, or of a YAML file laid out like those (`benchmark/ask/languages`), with
    its "code". Raises BenchError naming what is missing."""
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
    """How a text is built: of which parts, or of how many."""
    value = text.get(key) if isinstance(text, dict) else None
    if isinstance(value, dict):
        return {part: type(own) for part, own in value.items()}
    return [type(own) for own in value] if isinstance(value, list) or (value and key == "keys") else type(value)
