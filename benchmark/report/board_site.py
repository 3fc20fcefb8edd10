"""`bench board build`: the report over all submissions of a board, with their tiers, tries and retractions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from benchmark.api.attestations import read_attestations
from benchmark.api.document_trials import score_documented, scored_together, with_trials, write_trials
from benchmark.api.imports import recorded
from benchmark.api.leaderboard_import import foreign_card, import_document
from benchmark.api.options import Option
from benchmark.api.submissions import BoardFolder
from benchmark.failures import BenchError
from benchmark.leaderboard.leaderboard_document import ExportedObserver
from benchmark.leaderboard.submission_files import RETRACTED, Submission, read_submission
from benchmark.report.site import build
from benchmark.report.writing import Site, slug
from benchmark.store import Observation, Store, open_store
from benchmark.store.sql import later
from benchmark.variables import read_settings
from registry.documents import read_json

BUILD = "bench board build"


@dataclass(kw_only=True)
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

    @property
    def shown(self) -> ExportedObserver:
        """Return its network under the name that it has on the site, with the facts of the submission on its card."""
        facts = f"{self.tier}; try {self.nth} of {self.tries} by {self.stated.owner}; again: {self.again}"
        told = "; ".join(filter(None, [facts, str(self.observer.card.get("description", ""))[:500]]))
        card = {**self.observer.card, "description": told}
        return self.observer.model_copy(update={"name": self.name, "card": card})


def read_entries(board: BoardFolder) -> list[SubmissionEntry]:
    """Return all submissions in the order of their runs. Raises ScoresError for one that cannot be read."""
    entries, tries = [], Counter[str]()
    for path in board.submissions():
        stated, observer = read_submission(path)
        again = bool(stated.trials) and any(each.is_sure for each in read_attestations(path, stated))
        note = read_json(path / RETRACTED, "retraction", BenchError) if (path / RETRACTED).exists() else {}
        entries.append(
            SubmissionEntry(
                place=path.relative_to(board.folder).as_posix(),
                stated=stated,
                observer=observer,
                name=f"{observer.name} ({stated.owner}, {path.name[:8]})",
                retracted=str(note.get("reason", ""))[:300] if isinstance(note, dict) else "",
                tier="reported" if not stated.trials else "re-run" if again else "rescored",
                moment=max((run.ended or run.started for run in stated.runs), default=""),
            )
        )
    entries.sort(key=lambda entry: (entry.moment, entry.place))
    for entry in entries:
        tries[entry.stated.owner] += 1
        entry.nth = tries[entry.stated.owner]
    for entry in entries:
        entry.tries = tries[entry.stated.owner]
    return entries


def _score(store: Store, board: BoardFolder, entries: list[SubmissionEntry]) -> None:
    """Write the trials of submissions into the board's leaderboard, and score all of them."""
    parts: list[tuple[str, list[Observation]]] = []
    with store.together(), recorded(store, BUILD) as run:
        for entry in entries:
            path, shown = board.folder / entry.place, entry.shown
            document = board.document(path, entry.stated, shown)
            if sets := with_trials(document):
                card_of = partial(foreign_card, program=document.program, source="board")
                ids = write_trials(store, run, document, sets, card_of)
                parts += scored_together(document, sets, {shown.name: ids[shown.name]})
            else:
                import_document(store, path, document, "board", f"{BUILD} {entry.place}")
        score_documented(store, run, parts)


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
    shown = [entry for entry in entries if not entry.retracted]
    if not shown:
        raise BenchError(f"{folder} has no submissions: `bench submit NAME --to FOLDER` writes one.")
    moments = [max(entry.moment for entry in entries)]

    def clock() -> str:
        moments.append(later(moments[0], moments[-1]))
        return moments[-1]

    more = {"place": board.folder.resolve().name, "moment": moments[0][:16].replace("T", " ") + " UTC"}
    menu = [{"path": "submissions.html", "title": "Submissions"}]
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        settings = replace(read_settings(), db=str(Path(scratch) / "board.db"))
        with open_store(settings.db) as store:
            store.clock = clock
            _score(store, board, shown)
        site = build(settings, Path(out), shared={**more, "more": menu})
    site.page("submissions.html", "submissions.html", title="Submissions", entries=entries)
    return site
