"""Submit a network's scores, with its trials, to a board: a folder in git that many share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from benchmark.api.exports import document
from benchmark.api.leaderboard_import import LeaderboardReport, import_document
from benchmark.api.leaderboards import Selection
from benchmark.api.options import Option
from benchmark.api.verdicts import verdict
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.leaderboard import submission_files as form
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedObserver,
    ExportedStimuli,
    checked_document,
    checked_part,
)
from benchmark.leaderboard.verdict import OF_MACHINE
from benchmark.stimuli.datasets import sample, subset
from benchmark.stimuli.generated import generated_set
from benchmark.stimuli.world.sets import WORLD_SETS
from benchmark.store import open_store
from benchmark.templates import BOARD
from registry.documents import read_json
from registry.files import digest_file, write_whole

RESULTS, REFERENCES, SETS = "results", "references", "sets"
#: Names in a path of the board; "__" parts the owner from the network.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,38}")
NETWORK = re.compile(r"(?!.*__)[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")


def place_of(owner: str, who: ExportedObserver) -> str:
    """Return the path of an observer's submission on a board: its last part is the digest of the weights, or of the
    code where it has none. Raises UsageError for what has no place there."""
    if who.kind != "network":
        raise UsageError(f"'{who.name}' is no network that was run here: `bench rank` lists them.")
    if not OWNER.fullmatch(owner) or not NETWORK.fullmatch(who.name):
        raise UsageError(f"'{owner}__{who.name}' cannot name a folder: expected letters, digits, '.' and '-'.")
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
        read = partial(read_json, what="stimulus set", error=ScoresError, most=form.INFLATED)
        files = sorted((self.folder / SETS).glob("*.json"))
        stated = ((path.stem, checked_part(ExportedStimuli, path, read(path))) for path in files)
        return {name: stimuli for name, stimuli in stated if name == stimuli.digest}

    def known(self, row: ExportedStimuli) -> ExportedStimuli | None:
        """Return a stated stimulus set as the board's files have it, or as this program draws it."""
        return self.stated_sets.get(row.digest) or _drawn(row.name, row.n).get(row.digest)

    def submissions(self) -> Iterator[Path]:
        """Yield the folders of all submissions in the order of their names."""
        yield from sorted(path.parent for path in (self.folder / RESULTS).glob(f"*/*/{form.RUN}"))

    def document(self, path: Path, stated: form.Submission) -> Document:
        """Return a submission and the trials that its scores rest on as a document. Raises ScoresError."""
        parts = [(path, stated)]
        for digest in stated.references:
            place = self.folder / REFERENCES / digest
            if not (place / form.RUN).is_file() or digest_file(place / form.RUN) != digest:
                raise ScoresError(f"it rests on answers that {REFERENCES}/ lacks, or has otherwise: {digest[:12]}.")
            parts.append((place, form.read_submission(place)))
        sets = {row.digest: known for _, part in parts for row in part.stimuli if (known := self.known(row))}
        if other := next((row for _, part in parts for row in part.stimuli if row.digest not in sets), None):
            raise ScoresError(
                f"'{other.name}' ({other.digest[:12]}, {other.n} images) is not the stimulus set of that name here, or "
                "another one under a known name."
            )
        plain = {
            **{name: getattr(stated, name) for name in ("program", "runs", "score_sets", "scores")},
            "stimuli": tuple(sets.values()),
            "observers": tuple(part.observers[0] for _, part in parts),
            "observations": tuple(row for _, part in parts for row in part.observations),
            "chunks": tuple(chunk for place, part in parts for chunk in form.read_chunks(place, part, sets)),
        }
        return checked_document(path, plain)


@contextmanager
def scored_again(path: Path, held: Document, *, strict: bool = True) -> Iterator[tuple[str, LeaderboardReport]]:
    """Yield a temporary leaderboard with a document's scores made again from its trials, and how they differ. Raises
    BenchError if they do, and `strict`."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        db = str(Path(scratch) / "again.db")
        with open_store(db) as store:
            made = import_document(store, path, held, "board", "bench board check")
        wrong = (*made.different, *made.refused)
        if strict and wrong:
            raise BenchError(f"these scores are not what their trials give here; `bench db rescore` first: {wrong[0]}")
        yield db, made


def write_board(
    folder: Annotated[Path, Option("A new folder, or one of a git repository.", kind="new folder")] = Path(),
) -> list[Path]:
    """Write the files of a new board into a folder.

    They are a check of pull requests, pages after each change, a weekly re-run, a form for those without a fork, and
    the rules.

    Returns them, relative to the folder. Raises BenchError where one is there already."""
    files = sorted(path.relative_to(BOARD) for path in BOARD.rglob("*") if path.is_file())
    if there := [path for path in files if (folder / path).exists()]:
        raise BenchError(f"{folder} has a file {there[0]} already, and nothing was written. Name a new folder.")
    for path in files:
        write_whole(folder / path, (BOARD / path).read_bytes())
    return files


def submit(
    leaderboard: Selection,
    observer: Annotated[str, Option("A network with scores.", metavar="NAME")],
    *,
    to: Annotated[Path, Option("Write into this folder of a board.", "--to", metavar="FOLDER", kind="new folder")],
    owner: Annotated[str, Option("Submit as this owner.")],
    retract: Annotated[str | None, Option("Retract the submission for this reason.", metavar="REASON")] = None,
) -> Path:
    """Write a network's submission to a board: card, trials, scores, run and verdict.

    The folder is results/OWNER__NAME/WEIGHTS. It holds no path, host or secret of this machine, and the same
    leaderboard gives the same bytes. The scores are first made again from the trials; if they differ, nothing is
    written. --retract adds a note to a submission, which stays visible.

    Returns the folder."""
    to = Path(to)
    held = document(leaderboard.where(models=observer))
    if not (found := [row for row in held.observers if row.name == observer]):
        raise BenchError(f"'{observer}' has no scores here: `bench rank` lists who has.")
    path = to / place_of(owner, found[0])
    if retract is not None:
        if not (path / form.RUN).is_file():
            raise BenchError(f"{path} has no submission to retract.")
        write_whole(path / form.RETRACTED, form.plain_json({"reason": retract.strip() or "no reason given"}))
        return path
    with scored_again(path, held) as (db, _):
        words = verdict_of_scores(db, found[0])
    answering = {row.observer for row in held.observations} - {observer}
    parts = [form.files_of(held, row.name) for row in held.observers if row.name in answering]
    others = {sha256(files[form.RUN]).hexdigest(): files for files in parts}
    files = form.files_of(held, observer, owner, others, words)
    if (size := sum(map(len, files.values()))) > form.LARGEST:
        raise BenchError(f"the submission has {size / 1e6:.1f} MB, a board takes {form.LARGEST / 1e6:.1f} MB.")
    board = BoardFolder(to)
    new = {
        f"{SETS}/{each.digest}.json": form.plain_json(each.model_dump(mode="json"))
        for each in held.stimuli
        if each.ids and not board.known(each)
    }
    new |= {f"{REFERENCES}/{digest}/{name}": part[name] for digest, part in others.items() for name in part}
    for stale in path.glob("trials/*.parquet"):
        stale.unlink()
    for place, content in (*((path / name, files[name]) for name in files), *((to / name, new[name]) for name in new)):
        write_whole(place, content)
    return path


def verdict_of_scores(db: str, who: ExportedObserver) -> str:
    """Return what the scores say, without what is said of this machine: its cards and what it has not measured."""
    found = verdict(Selection(db), who.name)
    sentences = tuple(each for each in found.sentences if each.about not in OF_MACHINE)
    return replace(found, sentences=sentences).to("markdown")
