"""One file for a colleague: the page of some networks, their scores with trials, their cards."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from benchmark import api
from benchmark.api.leaderboards import Selection
from benchmark.api.submissions import scored_again
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import BUNDLED, Document
from benchmark.report.single_page import one_page
from benchmark.report.site import build
from benchmark.report.writing import slug, templates
from registry.files import replacing


def bundle(leaderboard: Selection, path: Path, suite: str | None = None) -> Document:
    """Write a zip of the chosen observers: a page made of the document alone, the document of scores and trials, cards.
    Raises BenchError if there are no scores, or if they are not what the trials give."""
    document = api.document(leaderboard, suite)
    if not document.scores:
        raise BenchError("no observer with scores is chosen: `bench rank` lists them.")
    plain = document.model_dump(mode="json")
    with scored_again(Path(BUNDLED), document) as (db, _), TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        site = build(Selection(db).settings, Path(folder, "site"))
        pages = [*site.kept, *(f"observers/{slug(row.name)}.html" for row in document.observers)]
        pages = [page for page in dict.fromkeys(pages) if (site.folder / page).is_file()]
        members = {"index.html": one_page(site.folder, pages)}
    members["README.txt"] = templates().get_template("bundle.txt").render()
    members[BUNDLED] = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    for row in plain["observers"]:
        members |= {f"cards/{slug(row['name'])}.json": json.dumps(row["card"], indent=1) + "\n"} if row["card"] else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED) as packed:
        for name, text in members.items():
            entry = ZipInfo(name)  # of 1980: the same members give the same bytes
            entry.external_attr, entry.compress_type = 0o644 << 16, ZIP_DEFLATED  # may be read where it is unpacked
            packed.writestr(entry, text.encode())
    return document
