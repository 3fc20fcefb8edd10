"""`bench board build`: the report over all submissions of a board, with their tiers, tries and retractions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.attestations import read_attestations
from benchmark.api.document_trials import put_owed, with_trials, write_trials
from benchmark.api.imports import recorded, score_again
from benchmark.api.leaderboard_import import foreign_card, import_document
from benchmark.api.options import Option
from benchmark.api.submissions import BoardFolder
from benchmark.contracts import Suite
from benchmark.engine.score_shards import complete_parts
from benchmark.failures import BenchError
from benchmark.identity import Codes
from benchmark.leaderboard.leaderboard_document import ExportedObserver
from benchmark.leaderboard.submission_files import RETRACTED, RUN, Submission, read_submission, sha256
from benchmark.report.site import build
from benchmark.report.writing import Site, slug
from benchmark.store import Store, open_store
from benchmark.store.sql import later
from benchmark.variables import read_settings
from registry.documents import read_json
from registry.files import digest_data

BUILD = "bench board build"


@dataclass(frozen=True, kw_only=True)
class SubmissionEntry:
    """A submission on the site. tier: "reported", "rescored" or "re-run"; nth, tries: of its owner."""

    place: str
    stated: Submission
    observer: ExportedObserver
    name: str
    retracted: str
    tier: str
    moment: str
    nth: int = 0
    tries: int = 0

    @property
    def page(self) -> str:
        """Return the page of its network; "" where it is retracted, or has numbers alone."""
        return "" if self.retracted or self.tier == "reported" else f"observers/{slug(self.name)}.html"

    @property
    def again(self) -> str:
        """Return the command that answers a sample of its trials again."""
        return f"bench reproduce --submission {self.place}"


def read_entries(board: BoardFolder) -> list[SubmissionEntry]:
    """Return all submissions in the order of their runs. Raises ScoresError for one that cannot be read."""
    entries, seen = [], Counter[str]()
    for path in board.submissions():
        stated, observer = read_submission(path)
        place = path.relative_to(board.folder).as_posix()
        again = bool(stated.trials) and any(each.is_sure for each in read_attestations(path, stated))
        note = read_json(path / RETRACTED, "retraction", BenchError) if (path / RETRACTED).exists() else {}
        entries.append(
            SubmissionEntry(
                place=place,
                stated=stated,
                observer=observer,
                name=f"{observer.name} ({stated.owner}, {path.name[:8]})",
                retracted=str(note.get("reason", ""))[:300] if isinstance(note, dict) else "",
                tier="reported" if not stated.trials else "re-run" if again else "rescored",
                moment=max((run.ended or run.started for run in stated.runs), default=""),
            )
        )
    tries, counted = Counter(entry.stated.owner for entry in entries), []
    for entry in sorted(entries, key=lambda entry: (entry.moment, entry.place)):
        owner = entry.stated.owner
        seen[owner] += 1
        counted.append(replace(entry, nth=seen[owner], tries=tries[owner]))
    return counted


def _card(observer: ExportedObserver, entry: SubmissionEntry) -> dict[str, Any]:
    card = foreign_card(observer, entry.stated.program, "board")
    if observer.name == entry.name:
        facts = f"{entry.tier}; try {entry.nth} of {entry.tries} by {entry.stated.owner}; again: {entry.again}"
        card["description"] = "; ".join(filter(None, [facts, str(card.get("description", ""))[:500]]))
    return card


def _bring(
    store: Store, board: BoardFolder, entry: SubmissionEntry, command: str, codes: Codes, suites: Mapping[str, Suite]
) -> None:
    """Write a submission's trials into the board's leaderboard and score them, at the time of its run."""
    last = [entry.moment]

    def clock() -> str:
        last[0] = later(entry.moment, last[0])
        return last[0]

    store.clock = clock
    path = board.folder / entry.place
    document = board.document(path, entry.stated, entry.observer, entry.name)
    sets = with_trials(document)
    if not sets:
        import_document(store, path, document, "board", command)
        return
    origin = {"source": entry.stated.owner, "program": document.program}
    runs = [run.model_dump(mode="json") for run in document.runs]
    with recorded(store, command, imported={**origin, "runs": runs}) as run:
        write_trials(store, run, document, sets, partial(_card, entry=entry))
        ids = {row.name: row.id for row in store.observers(names={entry.name})}
        put_owed(store, run, document, sets, ids)
        asked = [suites[name] for name in {scored.suite for scored in sets.values()} if name in suites]
        complete_parts(store, run, asked, codes, entry.name)


def build_board(
    folder: Annotated[Path, Option("A board.", kind="folder")] = Path(),
    *,
    out: Annotated[Path, Option("Write to this folder.", "--out", "-o", metavar="SITE", kind="new folder")],
) -> Site:
    """Build the pages of a board.

    Every network is scored from its trials; the scores are kept in BENCH_HOME, so that the next build scores only what
    is new. Retracted submissions are listed with their reasons and are on no table. The same board gives the same
    bytes."""
    board = BoardFolder(Path(folder))
    entries = read_entries(board)
    shown = [entry for entry in entries if not entry.retracted]
    if not shown:
        raise BenchError(f"{folder} has no submissions: `bench submit NAME --to FOLDER` writes one.")
    settings = read_settings()
    place = settings.home / "boards" / digest_data(str(board.folder.resolve()))[:16] / "board.db"
    commands = {
        f"{BUILD} {e.place} {sha256((board.folder / e.place / RUN).read_bytes())[:16]} {e.tier}": e for e in shown
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not _done(place) <= commands.keys():  # something was retracted or replaced
        place.unlink()
    with open_store(str(place)) as store:
        done, codes, suites = _done(place), Codes(), plugins.find_suites().suites
        for command, entry in commands.items():
            if command not in done:
                with store.together():
                    _bring(store, board, entry, command, codes, suites)
        with store.together(), recorded(store, BUILD) as run:
            score_again(store, run)
    latest = max(entry.moment for entry in entries)
    more = {"place": board.folder.resolve().name, "moment": latest[:16].replace("T", " ") + " UTC"}
    menu = [{"path": "submissions.html", "title": "Submissions"}]
    site = build(replace(settings, db=str(place)), Path(out), shared={**more, "more": menu})
    site.page("submissions.html", "submissions.html", title="Submissions", entries=entries)
    return site


def _done(place: Path) -> set[str]:
    with open_store(str(place)) as store:
        runs: Mapping[str, Any] = store.runs()
        return {row["command"] for row in runs.values()} - {BUILD}
