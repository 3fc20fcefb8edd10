"""One file for a colleague: the page of some networks, their scores with trials, their cards."""

import json
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from benchmark import api
from benchmark.api.leaderboards import Selection
from benchmark.display import published
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import BUNDLED, Document
from benchmark.report.single_page import one_page
from benchmark.report.site import build
from benchmark.report.writing import slug
from registry.files import replacing

LIKE_A_FILE = 0o644 << 16  # of a member, for programs that unpack


def bundle(leaderboard: Selection, path: Path, suite: str | None = None) -> Document:
    """Write a zip with the chosen observers' page (index.html), document of scores and trials, cards and commands; the
    same scores give the same document. The page is made of the document alone, imported as a colleague imports it.
    Raises BenchError if there are no scores, or if they are not what the trials give."""
    document = api.document(leaderboard, suite)
    if not document.scores:
        raise BenchError("no observer with scores is chosen: `bench rank` lists them.")
    plain = document.model_dump(mode="json")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Path(folder, BUNDLED)
        place.write_text(json.dumps(plain, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        db = str(Path(folder, "bundle.db"))
        report = api.import_leaderboard(place, source="bundle", db=db)
        if faults := (*report.different, *report.conflicts, *report.refused):
            raise BenchError(f"these scores are not what their trials give here; `bench db rescore` first: {faults[0]}")
        site = build(Selection(db).settings, Path(folder, "site"))
        pages = [*site.kept, *(f"observers/{slug(row.name)}.html" for row in document.observers)]
        pages = [page for page in dict.fromkeys(pages) if (site.folder / page).is_file()]
        members = {"index.html": one_page(site.folder, pages), BUNDLED: place.read_text(encoding="utf-8")}
    for observer in plain["observers"]:
        if observer["card"]:
            members[f"cards/{slug(observer['name'])}.json"] = json.dumps(observer["card"], indent=1) + "\n"
    members["README.txt"] = _commands(leaderboard, document, path.name)
    with replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED) as packed:
        for name, text in members.items():
            entry = ZipInfo(name)
            entry.external_attr, entry.compress_type = LIKE_A_FILE, ZIP_DEFLATED
            packed.writestr(entry, text.encode())
    return document


def _commands(leaderboard: Selection, document: Document, name: str) -> str:
    """Return what to do with the bundle, as text."""
    lines = [
        f"index.html          scores of {', '.join(observer.name for observer in document.observers)}",
        f"{BUNDLED}    the same with every answer behind them; gestaltbench {document.program}",
        "",
        "Import it; every score is computed again from its answers:",
        f"    bench import leaderboard {shlex.quote(name)}",
    ]
    scored = dict.fromkeys((score.observer, score.suite) for score in document.scores)
    for (observer, suite), origins in ((pair, api.provenance(leaderboard, *pair)) for pair in scored):
        if rerun := next((origin.rerun for origin in origins if origin.rerun.command), None):
            lines += ["", f"{observer} under {suite}, with its weights:", *(f"    {line}" for line in rerun.before)]
            lines.append(f"    {shlex.join(['bench', 'reproduce', observer, suite])}")
    return str(published("\n".join(lines) + "\n"))  # no folders of this machine
