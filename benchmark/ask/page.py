"""The page of an experiment: one HTML file with its pictures, texts and programs, which asks no other host."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.ask.session import MASKS, Session, noise, picture, practice
from benchmark.errors import BenchError
from registry.foreign import read_document

LANGUAGES = ("en", "de", "ar")
LIBRARY = "jspsych-8.3.0.min.js"
_ROOM = files("benchmark.ask")


def page(session: Session, language: str, consent: Path | None = None, *, served: bool = False) -> str:
    """The page as HTML. consent: Markdown, in place of the language's own text; served: by `bench ask --serve`, which
    collects the answers; else they are kept in the browser and saved as a file."""
    text = read_language(language)
    examples, answers = practice()
    plan = {
        **session.plan, "text": {**text, "consent": markdown(text["consent"], consent)}, "served": served,
        "pictures": [_address(data) for data in session.pictures()],
        "noise": [_address(picture(noise(session.seed + at))) for at in range(MASKS)],
        "practice": [[_address(data), category] for data, category in zip(examples, answers, strict=True)],
    }  # fmt: skip
    style = (_ROOM / "static" / "ask.css").read_text(encoding="utf-8")
    library = (_ROOM / "vendor" / LIBRARY).read_text(encoding="utf-8")
    licence = (_ROOM / "vendor" / "LICENSE").read_text(encoding="utf-8")
    scripts = (library, (_ROOM / "static" / "ask.js").read_text(encoding="utf-8"))
    title, code = html.escape(text["title"]), html.escape(text["code"])
    # "<" as an escape: no text of a label or a consent form leaves its element.
    data = json.dumps(plan, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return "\n".join(
        [
            f'<!doctype html>\n<html lang="{code}" dir="{text["direction"]}">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(style, scripts, served=served)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">',
            f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>",
            f'<main id="ask"></main>\n<noscript>{html.escape(text["noScript"])}</noscript>',
            f"<!-- {LIBRARY}:\n{licence}-->",
            f'<script type="application/json" id="plan">{data}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        ]
    )


def policy(style: str, scripts: tuple[str, ...], *, served: bool) -> str:
    """The page's content security policy: these very programs, pictures of its own, and no other host."""
    connect = "'self'" if served else "'none'"
    return (
        f"default-src 'none'; img-src data:; script-src {' '.join(map(_source, scripts))}; style-src {_source(style)}; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _address(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def markdown(text: str, path: Path | None = None) -> str:
    """Markdown (of a file where there is one) as HTML; HTML in it is shown as text, and pictures are left out. Raises
    BenchError where the file cannot be read."""
    from markdown_it import MarkdownIt

    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{path}: cannot be read as text in UTF-8 ({error}). Name a Markdown file.") from error
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
    for key in form.keys() - {"code"}:
        own: Any = text.get(key) if isinstance(text, dict) else None
        if type(own) is not type(form[key]) or (key in _SIZED and len(own) != len(form[key])):
            raise BenchError(f"{path}: '{key}' is missing, or not as in {LANGUAGES[0]}.yaml.")
    if text["direction"] not in ("ltr", "rtl"):
        raise BenchError(f"{path}: direction is '{text['direction']}'; expected ltr or rtl.")
    return {**{key: text[key] for key in form if key in text}, "code": path.stem}


_SIZED = ("keys", "categories", "eyesights")
