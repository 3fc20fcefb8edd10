"""`bench board build`: the report over all submissions of a board, with their tiers, tries and retractions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from benchmark.api.imports import recorded
from benchmark.api.leaderboard_import import (
    import_document,
    score_documented,
    scored_together,
    with_trials,
    write_trials,
)
from benchmark.api.options import Option
from benchmark.api.submissions import BoardFolder
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import RETRACTED, SURE, read_attestations, read_submission
from benchmark.report.site import build
from benchmark.report.writing import Site
from benchmark.store import Observation, open_store
from benchmark.variables import read_settings
from registry.documents import read_json

BUILD = "bench board build"


def read_entries(board: BoardFolder) -> list[dict[str, Any]]:
    """Return the rows of the page of submissions, in the order of their runs. Raises ScoresError."""
    read = [(path, read_submission(path)) for path in board.submissions()]
    moments = {path: max((run.ended or run.started for run in stated.runs), default="") for path, stated in read}
    read.sort(key=lambda each: (moments[each[0]], each[0]))
    entries, owners = list[dict[str, Any]](), [stated.owner for _, stated in read]
    for i, (path, stated) in enumerate(read, 1):
        place, who = path.relative_to(board.folder).as_posix(), stated.observers[0]
        sure = bool(stated.observations) and any(each.low >= SURE for each in read_attestations(path, stated))
        note = read_json(path / RETRACTED, "retraction", BenchError) if (path / RETRACTED).exists() else {}
        row: dict[str, Any] = {
            "place": place,
            "title": who.name,
            "owner": stated.owner,
            "moment": moments[path],
            "nth": owners[:i].count(stated.owner),
            "tries": owners.count(stated.owner),
            "again": f"bench reproduce --submission {place}",
            "tier": "reported" if not stated.observations else "re-run" if sure else "rescored",
            "retracted": str(note.get("reason", ""))[:300] if isinstance(note, dict) else "",
        }
        told = "{tier}; try {nth} of {tries} by {owner}; again: {again}; ".format_map(row)
        card = {**who.card, "description": (told + str(who.card.get("description", ""))[:500]).removesuffix("; ")}
        named = {"observer": f"{who.name} ({stated.owner}, {path.name[:8]})"}
        changed: dict[str, Any] = {"observers": (who.model_copy(update={"name": named["observer"], "card": card}),)}
        for part in ("scores", "observations"):
            changed[part] = tuple(each.model_copy(update=named) for each in getattr(stated, part))
        entries.append(row | {"stated": stated.model_copy(update=changed)})
    return entries


def build_board(
    folder: Annotated[Path, Option("A board.", kind="folder")] = Path(),
    *,
    out: Annotated[Path, Option("Write to this folder.", "--out", "-o", metavar="SITE", kind="new folder")],
) -> Site:
    """Build the pages of a board.

    Every network is scored from its trials. Retracted submissions are listed with their reasons and are on no table.
    The same board gives the same bytes."""
    board = BoardFolder(Path(folder))
    entries = read_entries(board)
    shown = [entry for entry in entries if not entry["retracted"]]
    if not shown:
        raise BenchError(f"{folder} has no submissions: `bench submit NAME --to FOLDER` writes one.")
    moment = max(entry["moment"] for entry in entries)
    more = {"place": board.folder.resolve().name, "moment": moment[:16].replace("T", " ") + " UTC"}
    parts: list[tuple[str, list[Observation]]] = []
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        settings = replace(read_settings(), db=str(Path(scratch) / "board.db"))
        with open_store(settings.db) as store:
            store.clock = lambda: moment  # the same pages whenever they are built
            with store.together(), recorded(store, BUILD) as run:
                for entry in shown:
                    path, stated = board.folder / entry["place"], entry["stated"]
                    document, name = board.document(path, stated), stated.observers[0].name
                    if sets := with_trials(document):
                        ids = write_trials(store, run, document, sets, "board")
                        parts += scored_together(document, sets, {name: ids[name]})
                    else:
                        import_document(store, path, document, "board", f"{BUILD} {entry['place']}")
                score_documented(store, run, parts)
        site = build(settings, Path(out), shared={**more, "more": [("submissions.html", "Submissions")]})
    site.page("submissions.html", "submissions.html", title="Submissions", entries=entries)
    return site
