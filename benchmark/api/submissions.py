"""Submit a network's scores, with its trials, to a board: a folder in git that many share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from benchmark.api.exports import document
from benchmark.api.leaderboard_import import LeaderboardReport, import_document
from benchmark.api.leaderboards import Selection
from benchmark.api.options import Option
from benchmark.api.verdicts import verdict
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.leaderboard.leaderboard_document import Document, ExportedObserver, ExportedStimuli, checked_document
from benchmark.leaderboard.submission_files import (
    LARGEST,
    RETRACTED,
    RUN,
    Submission,
    plain_json,
    read_parts,
    read_stimuli_file,
    read_submission,
    sha256,
    submission_files,
)
from benchmark.leaderboard.verdict import OF_MACHINE
from benchmark.stimuli.datasets import sample, subset
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.world.sets import WORLD_SETS
from benchmark.store import open_store
from registry.files import write_whole

RESULTS, REFERENCES, SETS = "results", "references", "sets"
#: Names in a path of the board; "__" parts the owner from the network.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,38}")
NETWORK = re.compile(r"(?!.*__)[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")


def place_of(owner: str, who: ExportedObserver) -> str:
    """Return the path of an observer's submission on a board: its last part is the digest of the weights, or of the
    code where it has none. Raises UsageError for what has no place there."""
    if not OWNER.fullmatch(owner) or not NETWORK.fullmatch(who.name):
        raise UsageError(
            f"'{owner}' and '{who.name}' name a folder: letters, digits, '.', '-' (--owner NAME; "
            "`bench models rename` renames a network)."
        )
    if who.kind not in ("network", "ideal"):
        raise UsageError(f"'{who.name}' is no network that was run here: `bench rank` lists them.")
    return f"{RESULTS}/{owner}__{who.name}/{who.card.get('sha256') or who.identity}"


@cache
def _drawn(name: str, n: int) -> dict[str, ExportedStimuli]:
    """Return digest -> the built-in world's set of that name, and its samples of n images."""
    if name not in WORLD_SETS or not 0 < n <= len(whole := generated_set(name)):
        return {}
    return {
        stimuli.digest: ExportedStimuli(
            **{fact: getattr(stimuli, fact) for fact in ("digest", "name", "space", "whole", "origin", "ids")},
            n=len(stimuli),
            labels={name: tuple(map(str, values)) for name, values in stimuli.labels.items()},
        )
        for stimuli in (sample(whole, n), subset(whole, n))
    }


@dataclass(frozen=True)
class BoardFolder:
    """A board: a folder with submissions, the stimulus sets that they may be on, and answers of reference observers."""

    folder: Path

    @cached_property
    def stated_sets(self) -> dict[str, ExportedStimuli]:
        """Digest -> stimulus set of the board's own files."""
        return {path.stem: read_stimuli_file(path) for path in sorted((self.folder / SETS).glob("*.json"))}

    def known(self, row: ExportedStimuli) -> ExportedStimuli | None:
        """Return a stated stimulus set as the board's files have it, or as this program draws it."""
        return self.stated_sets.get(row.digest) or _drawn(row.name, row.n).get(row.digest)

    def submissions(self) -> Iterator[Path]:
        """Yield the folders of all submissions in the order of their names."""
        yield from sorted(path.parent for path in (self.folder / RESULTS).glob(f"*/*/{RUN}"))

    def document(self, path: Path, stated: Submission, observer: ExportedObserver) -> Document:
        """Return a submission and the trials that its scores rest on as a document. Raises ScoresError."""
        plain: dict[str, Any] = {"program": stated.program, **self._parts(path, stated, observer)}
        for digest in stated.references:
            place = self.folder / REFERENCES / digest
            if not (place / RUN).is_file() or sha256((place / RUN).read_bytes()) != digest:
                raise ScoresError(f"it rests on answers that {REFERENCES}/ lacks, or has otherwise: {digest[:12]}.")
            theirs = self._parts(place, *read_submission(place))
            for name in ("observers", "observations", "chunks", "stimuli"):
                plain[name] += theirs[name]
        plain["stimuli"] = tuple({row.digest: row for row in plain["stimuli"]}.values())
        return checked_document(path, plain)

    def _parts(self, path: Path, stated: Submission, observer: ExportedObserver) -> dict[str, Any]:
        sets = {row.digest: known for row in stated.stimuli if (known := self.known(row))}
        if other := next((row for row in stated.stimuli if row.digest not in sets), None):
            raise ScoresError(
                f"'{other.name}' ({other.digest[:12]}, {other.n} images) is not the stimulus set of that name here, or "
                "another one under a known name."
            )
        return read_parts(path, stated, observer, sets)


@dataclass(kw_only=True)
class Submitted:
    """A written submission."""

    path: Path
    files: int
    size: int  # bytes
    new: list[str] = field(default_factory=list)  # stimuli and reference answers beside it


def rescored(path: Path, held: Document, db: str) -> LeaderboardReport:
    """Score a submission's document from its trials in a new leaderboard at `db`."""
    with open_store(db) as store:
        return import_document(store, path, held, "board", "bench board check")


def submit(
    leaderboard: Selection,
    observer: Annotated[str, Option("A network with scores.", metavar="NAME")],
    *,
    to: Annotated[Path, Option("Write into this folder of a board.", "--to", metavar="FOLDER", kind="new folder")],
    owner: Annotated[str | None, Option("Submit as this owner (default: git's user.name).")] = None,
    retract: Annotated[str | None, Option("Retract the submission for this reason.", metavar="REASON")] = None,
) -> Submitted:
    """Write a network's submission to a board: card, trials, scores, run and verdict.

    The folder is results/OWNER__NAME/WEIGHTS. It holds no path, host or secret of this machine, and the same
    leaderboard gives the same bytes. The scores are first made again from the trials; if they differ, nothing is
    written. --retract adds a note to a submission, which stays visible."""
    owner, to = owner or git_user(), Path(to)
    held = document(leaderboard.where(models=observer))
    if not (found := [row for row in held.observers if row.name == observer]):
        raise BenchError(f"'{observer}' has no scores here: `bench rank` lists who has.")
    path = to / place_of(owner, found[0])
    if retract is not None:
        if not (path / RUN).is_file():
            raise BenchError(f"{path} has no submission to retract.")
        note = plain_json({"reason": retract.strip() or "no reason given"})
        write_whole(path / RETRACTED, note)
        return Submitted(path=path, files=1, size=len(note))
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        db = str(Path(scratch) / "again.db")
        if wrong := rescored(path, held, db).different:
            raise BenchError(f"{wrong[0]}. `bench db rescore` makes them again; nothing was written.")
        words = verdict_of_scores(db, found[0])
    answering = {row.observer for row in held.observations} - {observer}
    parts = [submission_files(held, row.name) for row in held.observers if row.name in answering]
    others = {sha256(files[RUN]): files for files in parts}
    files = submission_files(held, observer, owner, others, words)
    if (size := sum(map(len, files.values()))) > LARGEST:
        raise BenchError(f"the submission has {size / 1e6:.1f} MB, a board takes {LARGEST / 1e6:.1f} MB.")
    board = BoardFolder(to)
    new = {
        f"{SETS}/{each.digest}.json": plain_json(each.model_dump(mode="json"))
        for each in held.stimuli
        if each.ids and not board.known(each)
    }
    new |= {f"{REFERENCES}/{digest}/{name}": part[name] for digest, part in others.items() for name in part}
    for stale in path.glob("trials/*.parquet"):
        stale.unlink()
    for place, content in (*((path / name, files[name]) for name in files), *((to / name, new[name]) for name in new)):
        write_whole(place, content)
    return Submitted(path=path, files=len(files), size=size, new=list(new))


def verdict_of_scores(db: str, who: ExportedObserver) -> str:
    """Return what the scores say, without what is said of this machine: its cards and what it has not measured."""
    if who.kind != "network":
        return ""
    found = verdict(Selection(db), who.name)
    sentences = tuple(each for each in found.sentences if each.about not in OF_MACHINE)
    return replace(found, sentences=sentences).to("markdown")


def git_user() -> str:
    """Return git's user.name as a name on a board; "" without one, or without git."""
    words = ["git", "config", "user.name"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", done.stdout.strip()).strip("-.")
