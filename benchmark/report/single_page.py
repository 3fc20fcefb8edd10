"""Pages of a report as one HTML file that needs no other: style, script and pictures inside, links as anchors."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
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
    first, texts = paths[0], {path: (folder / path).read_text(encoding="utf-8") for path in paths}
    bodies = {path: found[1] for path, text in texts.items() if (found := _MAIN.search(text))}
    inside = {path: _ATTRIBUTE.sub(partial(_inside, folder, path, keys), body) for path, body in bodies.items()}
    sections = [f'<section class="page" id="{keys[path]}">{body}</section>' for path, body in inside.items()]
    before, after = texts[first].split(bodies[first])
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("site.css", "site.js"))
    before = before.replace('<link rel="stylesheet" href="site.css">', f"<style>{style}</style>")
    before = before.replace('<script src="site.js" defer></script>\n', "")
    digests = (b64encode(sha256(text.encode()).digest()).decode() for text in (style, script))
    policy = "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'"
    before = _POLICY.sub(lambda found: found[1] + policy.format(*digests), before)
    head, bar = before.split("<body>")
    shell = f"{head}<body>{_ATTRIBUTE.sub(partial(_inside, folder, first, keys), bar)}"
    return "".join([shell, *sections, after.replace("</body>", f"<script>{script}</script>\n</body>")])


def _inside(folder: Path, path: str, keys: Mapping[str, str], found: re.Match[str]) -> str:
    """Return an attribute with its picture inside it, a link as an anchor of the file (none to a page that it does not
    have), or the name of a place that no other page has."""
    name, value = found.groups()
    if value in ("main", "#main") or value.startswith(("http:", "https:", "data:")):
        return found[0]
    if name in ("id", "aria-labelledby"):
        return f' {name}="{keys[path]}-{value}"'
    if name == "href":
        target, _, place = value.partition("#")
        key = keys.get(normpath(join(dirname(path), target)) if target else path)
        return f' href="#{key}{"-" * bool(place)}{place}"' if key else ""
    file = folder / normpath(join(dirname(path), value))
    return f' {name}="data:{guess_type(file)[0]};base64,{b64encode(file.read_bytes()).decode()}"'
