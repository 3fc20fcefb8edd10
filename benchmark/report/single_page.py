"""Pages of a report as one HTML file that needs no other: style, script and pictures inside, links as anchors."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from posixpath import dirname, join, normpath

# Text has no quotation mark in it (it is escaped), so attributes can be found without a parser.
_ATTRIBUTE = re.compile(r' (href|src|srcset|id|aria-labelledby)="([^"]*)"')
_MAIN = re.compile(r'<main id="main">(.*)</main>', re.DOTALL)
_POLICY = re.compile(r'(http-equiv="Content-Security-Policy" content=")[^"]*')


def one_page(folder: Path, paths: Sequence[str]) -> str:
    """Return the pages at these paths of a report as one, the first one's header on top."""
    keys = {path: "page-" + re.sub(r"[^a-z0-9-]", "-", path.removesuffix(".html")) for path in paths}
    texts = {path: (folder / path).read_text(encoding="utf-8") for path in paths}
    sections = [
        f'<section class="page" id="{keys[path]}">{_inside(folder, path, _body(text), keys)}</section>'
        for path, text in texts.items()
    ]
    first = paths[0]
    before, after = texts[first].split(_body(texts[first]))
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("site.css", "site.js"))
    before = before.replace('<link rel="stylesheet" href="site.css">', f"<style>{style}</style>")
    before = before.replace('<script src="site.js" defer></script>\n', "")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'"
    )
    before = _POLICY.sub(lambda found: found[1] + policy, before)
    head, bar = before.split("<body>")
    shell = f"{head}<body>{_ATTRIBUTE.sub(lambda found: _link(first, found, keys), bar)}"
    return "".join([shell, *sections, after.replace("</body>", f"<script>{script}</script>\n</body>")])


def _body(text: str) -> str:
    found = _MAIN.search(text)
    return found[1] if found else ""


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _inside(folder: Path, path: str, body: str, keys: Mapping[str, str]) -> str:
    """Return a page's content with pictures inside it and names of places that no other page has."""

    def changed(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name in ("id", "aria-labelledby"):
            return f' {name}="{keys[path]}-{value}"'
        if name == "href":
            return _link(path, found, keys)
        file = folder / normpath(join(dirname(path), value))
        return f' {name}="data:{guess_type(file)[0]};base64,{b64encode(file.read_bytes()).decode()}"'

    return _ATTRIBUTE.sub(changed, body)


def _link(path: str, found: re.Match[str], keys: Mapping[str, str]) -> str:
    """Return a link as an anchor of the file, or nothing for a page that it does not have."""
    name, value = found.groups()
    if name != "href" or value.startswith(("http:", "https:", "data:")) or value == "#main":
        return found[0]
    target, _, place = value.partition("#")
    key = keys.get(normpath(join(dirname(path), target)) if target else path)
    return f' href="#{key}{"-" * bool(place)}{place}"' if key else ""
