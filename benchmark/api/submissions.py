"""Submit a network's scores, with its trials, to a board: a folder in git that many share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from benchmark.api.exports import document
from benchmark.api.leaderboard_import import LeaderboardReport, import_document
from benchmark.api.leaderboards import Selection
from benchmark.api.options import Option
from benchmark.api.verdicts import verdict
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.leaderboard.leaderboard_document import Document, ExportedObserver, ExportedStimuli
from benchmark.leaderboard.submission_files import (
    LARGEST,
    RETRACTED,
    RUN,
    VERDICT,
    Submission,
    document_parts,
    joined_document,
    plain_json,
    read_stimuli_file,
    read_submission,
    sealed_files,
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
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
#: Kinds of observers that a board takes.
ENTRANTS = ("network", "ideal")


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

    def sets(self, stated: Iterable[ExportedStimuli]) -> dict[str, ExportedStimuli]:
        """Return digest -> the set as it is known: from the board's files, or drawn by this program."""
        known = {row.digest: self.stated_sets | _drawn(row.name, row.n) for row in stated}
        return {digest: sets[digest] for digest, sets in known.items() if digest in sets}

    def submissions(self) -> Iterator[Path]:
        """Yield the folders of all submissions in the order of their names."""
        yield from sorted(path.parent for path in (self.folder / RESULTS).glob(f"*/*/{RUN}"))

    def document(self, path: Path, stated: Submission, observer: ExportedObserver, named: str = "") -> Document:
        """Return a submission and the references that its scores rest on as a document. named: another name for its
        observer. Raises ScoresError."""
        parts = [document_parts(path, stated, observer, self.sets(stated.stimuli))]
        for row in (*parts[0]["observers"], *parts[0]["scores"], *parts[0]["observations"]) if named else ():
            row["name" if "name" in row else "observer"] = named
        for digest in stated.references:
            place = self.folder / REFERENCES / digest
            if not (place / RUN).is_file() or sha256((place / RUN).read_bytes()) != digest:
                raise ScoresError(f"it rests on answers that {REFERENCES}/ lacks, or has otherwise: {digest[:12]}.")
            run, card = read_submission(place)
            parts.append(document_parts(place, run, card, self.sets(run.stimuli)))
        return joined_document(path, stated.program, parts)


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
    if not OWNER.fullmatch(owner) or not NETWORK.fullmatch(observer) or "__" in observer:
        raise UsageError(
            f"'{owner}' and '{observer}' name a folder: letters, digits, '.', '-' (--owner NAME; "
            "`bench models rename` renames a network)."
        )
    held = document(leaderboard.where(models=observer))
    who = next((row for row in held.observers if row.name == observer), None)
    if who is None or who.kind not in ENTRANTS:
        raise BenchError(f"'{observer}' is no network that was run here: `bench rank` lists them.")
    path = to / RESULTS / f"{owner}__{observer}" / weights_of(who)
    if retract is not None:
        if not (path / RUN).is_file():
            raise BenchError(f"{path} has no submission to retract.")
        note = plain_json({"reason": retract.strip() or "no reason given"})
        write_whole(path / RETRACTED, note)
        return Submitted(path=path, files=1, size=len(note))
    files = _drafted(held, who, owner, BoardFolder(to))
    for stale in path.glob("trials/*.parquet"):
        stale.unlink()
    for name, content in files.items():
        write_whole(to / name, content)
    sizes = [len(content) for name, content in files.items() if name.startswith(RESULTS)]
    new = [name for name in files if not name.startswith(RESULTS)]
    return Submitted(path=path, files=len(sizes), size=sum(sizes), new=new)


def _drafted(held: Document, who: ExportedObserver, owner: str, board: BoardFolder) -> dict[str, bytes]:
    """Return path on the board -> content of a submission and of what it rests on that the board lacks, after its
    scores were made again from these files. Raises BenchError if they differ."""
    answering = {row.observer for row in held.observations} - {who.name}
    parts = [submission_files(held, row.name, "") for row in held.observers if row.name in answering]
    others = {sha256(files[RUN]): files for files in parts}
    files = submission_files(held, who.name, owner, others)
    known = board.sets(held.stimuli)
    more = {
        f"{SETS}/{each.digest}.json": plain_json(each.model_dump(mode="json"))
        for each in held.stimuli
        if each.ids and each.digest not in known
    }
    more |= {f"{REFERENCES}/{digest}/{name}": part[name] for digest, part in others.items() for name in part}
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        for name, content in (*more.items(), *((f"draft/{name}", content) for name, content in files.items())):
            write_whole(Path(scratch) / name, content)
        draft, trial, db = Path(scratch) / "draft", BoardFolder(Path(scratch)), str(Path(scratch) / "again.db")
        trial.stated_sets.update(board.stated_sets)
        stated, card = read_submission(draft)
        if wrong := rescored(draft, trial.document(draft, stated, card), db).different:
            raise BenchError(f"{wrong[0]}. `bench db rescore` makes them again; nothing was written.")
        words = verdict_of_scores(db, who)
    files = sealed_files(stated, {**{name: files[name] for name in files if name != RUN}, VERDICT: words.encode()})
    if (size := sum(map(len, files.values()))) > LARGEST:
        raise BenchError(f"the submission has {size / 1e6:.1f} MB, a board takes {LARGEST / 1e6:.1f} MB.")
    place = f"{RESULTS}/{owner}__{who.name}/{weights_of(who)}"
    return {**more, **{f"{place}/{name}": content for name, content in files.items()}}


def verdict_of_scores(db: str, who: ExportedObserver) -> str:
    """Return what the scores say, without what is said of this machine: its cards and what it has not measured."""
    if who.kind != "network":
        return ""
    found = verdict(Selection(db), who.name)
    sentences = tuple(each for each in found.sentences if each.about not in OF_MACHINE)
    return replace(found, sentences=sentences).to("markdown")


def weights_of(who: ExportedObserver) -> str:
    """Return the digest under which a board has an observer: of its weights, or of its code where it has none."""
    return str(who.card.get("sha256") or who.identity)


def git_user() -> str:
    """Return git's user.name as a name on a board; "" without one, or without git."""
    words = ["git", "config", "user.name"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", done.stdout.strip()).strip("-.")
