"""Check a change of a board from its files alone: without a model, a GPU or code of the submission."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np

from benchmark import plugins
from benchmark.api.attestations import read_attestations
from benchmark.api.options import Option
from benchmark.api.submissions import REFERENCES, RESULTS, SETS, BoardFolder, place_of, rescored, verdict_of_scores
from benchmark.contracts import Array, Suite
from benchmark.display import counted, printable
from benchmark.failures import BenchError, MissingStimuli, ScoresError, UnknownName, failure_line
from benchmark.leaderboard.forms import markdown_code, markdown_text
from benchmark.leaderboard.leaderboard_document import Document, ExportedObserver
from benchmark.leaderboard.submission_files import (
    ATTESTATIONS,
    RETRACTED,
    RUN,
    SCORES,
    VERDICT,
    Submission,
    read_submission,
    read_trials,
)
from benchmark.leaderboard.table import format_interval
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings
from benchmark.version import __version__
from registry.documents import read_json
from registry.user_errors import some_of

#: refused: something is false; person: nothing is false, but a maintainer decides; note: nothing to do.
Weight = Literal["refused", "person", "note"]
#: Two networks with equal answers: trials that tell, wrong ones among them, the share at which a person looks.
ENOUGH, WRONG, ALIKE = 20, 5, 0.98
_PLACE = re.compile(rf"({RESULTS}/([^/]+?)__[^/]+/[^/]+)(/.*)?")
Block = tuple[str, str, str]  # digest of the stimulus set, role, condition


@dataclass(frozen=True, kw_only=True)
class BoardFinding:
    """What the check found at a path of the board."""

    path: str
    weight: Weight
    text: str


@dataclass(kw_only=True)
class BoardReport:
    """The outcome of a check. placed: network, suite, metric, value and rank of each headline."""

    submissions: list[str] = field(default_factory=list)
    findings: list[BoardFinding] = field(default_factory=list)
    placed: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 1 if something is refused, 3 if a person decides, otherwise 0."""
        weights = {finding.weight for finding in self.findings}
        return 1 if "refused" in weights else 3 if "person" in weights else 0

    def markdown(self) -> str:
        """Return the report for the page of a change. A submission's texts cannot format, link or mention there."""
        said = {0: "sound", 1: "refused", 3: "a maintainer decides"}[self.exit_code]
        lines = [f"### Board check: {said}", "", f"{counted(len(self.submissions), 'submission')} checked.", ""]
        for weight in ("refused", "person", "note"):
            found = [each for each in self.findings if each.weight == weight]
            lines += [f"- **{weight}** {markdown_code(each.path)}: {markdown_text(each.text)}" for each in found]
        if self.placed:
            lines += ["", "| network | suite | metric | value | rank |", "|---|---|---|---|---|"]
            lines += [f"| {' | '.join(map(markdown_text, row))} |" for row in self.placed]
        return "\n".join(lines) + "\n"


def _git(folder: Path, *words: str) -> bytes:
    """Run git in a folder, without hooks or drivers that a change could bring."""
    safe = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    done = subprocess.run(safe, capture_output=True, check=False, env={**os.environ, "GIT_PAGER": ""})  # noqa: S603
    if done.returncode:
        raise BenchError(f"git {words[0]}: {printable(done.stderr.decode(errors='replace').strip())[:300]}")
    return done.stdout


def _changed(folder: Path, commit: str) -> list[str]:
    """Return the paths that differ from a commit, new ones among them."""
    plain = ("--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z")
    listed = _git(folder, "diff", *plain, commit, "--", ".")
    listed += _git(folder, "ls-files", "--others", "--exclude-standard", "-z", ".")
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


class _Shelf(Resolver):
    """Stimuli of this machine, without networks: nothing is loaded."""

    def networks(self, names: Sequence[str]) -> tuple[()]:  # noqa: ARG002
        return ()


def _planned(suite: Suite | None, space: str) -> set[tuple[str, str]]:
    """Return role and condition of the blocks that a suite shows, as far as its stimuli are on this machine."""
    with suppress(MissingStimuli, UnknownName):
        blocks = suite.plan(suite.config, _Shelf(space, read_settings())).blocks if suite else ()
        return {(block.role, block.condition) for block in blocks}
    return set()


@dataclass(kw_only=True)
class _Checker:
    board: BoardFolder
    before: BoardFolder | None  # the board as it was accepted
    report: BoardReport

    def found(self, path: str, weight: Weight, *texts: str) -> None:
        self.report.findings += [BoardFinding(path=path, weight=weight, text=printable(text)[:1000]) for text in texts]

    def had(self, path: str) -> bool:
        """Return whether the board had a file before the change."""
        return self.before is not None and (self.before.folder / path).is_file()

    @cached_property
    def others(self) -> dict[str, tuple[Submission, ExportedObserver]]:
        """Path -> run and card of every submission that can be read; another one is named where it is checked."""
        known = {}
        for path in self.board.submissions():
            try:
                known[path.relative_to(self.board.folder).as_posix()] = read_submission(path)
            except ScoresError:
                continue
        return known

    @cached_property
    def stated(self) -> list[tuple[str, dict[str, Any]]]:
        """The scores over all conditions that the submissions state, with their paths."""
        read = ((path, read_json(self.board.folder / path / SCORES, "scores", ScoresError)) for path in self.others)
        return [
            (path, row) for path, rows in read for row in rows if row["condition"] == "" and row["value"] is not None
        ]

    def submission(self, place: str) -> None:
        """Check one submission."""
        folder = self.board.folder / place
        self.report.submissions.append(place)
        if self.had(f"{place}/{RUN}") and not (folder / RUN).is_file():
            self.found(place, "refused", "it is removed: `bench submit --retract REASON` retracts it")
            return
        try:
            stated, observer = read_submission(folder)
            if (own := place_of(stated.owner, observer)) != place:
                self.found(place, "refused", f"its files are of {own}")
            document = self.board.document(folder, stated, observer)
            self._complete(place, stated, document)
            with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
                made = rescored(folder, document, db := str(Path(scratch) / "board.db"))
                # Another program, or one with other suites, may say other things of the same scores.
                same = stated.program == __version__ and document.observations and not made.left_out
                words = (folder / VERDICT).read_bytes() if same and VERDICT in stated.seals else None
                if words is not None and verdict_of_scores(db, observer).encode() != words:
                    self.found(place, "refused", "its verdict is not what the scores give")
            self.found(place, "refused", *made.different, *made.refused, *made.conflicts)
            self.found(place, "person", *made.left_out)
            self.found(place, "note", *made.notes)
            read_attestations(folder, stated)
            self._earlier(place, document)
            self._elsewhere(place, observer)
            self._place(place, document)
        except Exception as error:  # noqa: BLE001 - whatever foreign data lead to
            self.found(place, "refused", failure_line(error))

    def _complete(self, place: str, stated: Submission, document: Document) -> None:
        """Find missing trials: of a block, or whole blocks that the suite shows or that others answered."""
        counts, sizes = Counter[str](), {each.digest: each.n for each in document.stimuli}
        for chunk in document.chunks:
            counts[chunk.observation] += chunk.n
        for name, space in sorted({(row.suite, row.space) for row in stated.observations}):
            own = [row for row in stated.observations if (row.suite, row.space) == (name, space)]
            suite = plugins.find_suites().suites.get(name)
            wanted = _planned(suite, space) | {
                (row.role, row.condition)
                for path, (other, _) in self.others.items()
                for row in other.observations
                if (row.suite, row.version, row.space) == (name, own[0].version, space) and path != place
            }
            if suite is None or suite.stopping.settled is None:  # else a block may end early
                whole = [row for row in own if counts[row.key] == sizes[row.stimuli]]
            else:
                whole = own
            excused = {role for row in own for role in row.details.get("missing") or ()}
            lost = sorted(
                (wanted | {(row.role, row.condition) for row in own}) - {(r.role, r.condition) for r in whole}
            )
            for told in (True, False):
                if blocks := [" ".join(block).strip() for block in lost if (block[0] in excused) == told]:
                    self.found(
                        place, "person" if told else "refused", f"{name}: trials are missing: {some_of(blocks, 3)}"
                    )
        keys = {row.key for row in document.observations}
        if any(not keys.issuperset(row.observations) for row in document.score_sets):
            self.found(place, "refused", "scores rest on trials that are missing")
        if alone := sum(not row.observations for row in document.score_sets):
            self.found(place, "person", f"{counted(alone, 'score set')} without trials would be shown as reported")

    def _elsewhere(self, place: str, observer: ExportedObserver) -> None:
        """Find the same network, or the same answers, under another name."""
        own = {block: answers for block, answers, _ in self._answers(place)}
        for path, (_, theirs) in self.others.items():
            if path == place:
                continue
            if theirs.identity == observer.identity or PurePosixPath(path).name == PurePosixPath(place).name:
                gone = ", retracted" * (self.board.folder / path / RETRACTED).exists()
                self.found(place, "refused", f"these weights are on the board already{gone}: {path}")
                continue
            equal, n, wrong = 0, 0, 0
            for block, answers, truth in self._answers(path):
                mine = own.get(block, np.empty(0, dtype=str))
                m = min(len(mine), len(answers), len(truth))
                equal, n = equal + int((mine[:m] == answers[:m]).sum()), n + m
                wrong += int((mine[:m] != truth[:m]).sum())
                if n >= ENOUGH and equal < ALIKE * n:
                    break  # most networks differ in their first block: nothing more of them is read
            if n >= ENOUGH and wrong >= WRONG and equal >= ALIKE * n:
                weight: Weight = "refused" if equal == n else "person"
                self.found(place, weight, f"{equal} of {n} answers, {wrong} of them wrong, are those of {path}")

    def _answers(self, place: str) -> Iterator[tuple[Block, Array, Array]]:
        """Yield each block of a submission with its answers [n] and the right ones."""
        stated, _ = self.others[place]
        for row in stated.stimuli:
            known = self.board.known(row)
            if known is None or row.digest not in stated.trials:
                continue
            shown = {each.key: each for each in stated.observations if each.stimuli == row.digest}
            truth = np.array(known.labels.get("category", ()), dtype=str)
            file = self.board.folder / place / stated.trials[row.digest]
            for each, columns in read_trials(file, shown, known.ids):
                if "response" in columns:
                    yield (row.digest, each.role, each.condition), columns["response"], truth

    def _earlier(self, place: str, document: Document) -> None:
        """Find what a change undoes of a submission that was accepted: a retraction, trials."""
        if self.had(f"{place}/{RETRACTED}") and not (self.board.folder / place / RETRACTED).is_file():
            self.found(place, "refused", "its retraction is undone")
        if self.before is None or not self.had(f"{place}/{RUN}"):
            return
        try:
            folder = self.before.folder / place
            was = self.before.document(folder, *read_submission(folder))
        except ScoresError:
            return  # what was not sound has nothing to keep
        now = {(chunk.observation, chunk.index): chunk.payload for chunk in document.chunks}
        if any(now.get((chunk.observation, chunk.index)) != chunk.payload for chunk in was.chunks):
            self.found(place, "refused", "trials that were accepted are altered or removed")

    def _place(self, place: str, document: Document) -> None:
        """Place its headlines among those of the board on the same stimuli."""
        heads = {suite.name: suite.headline for suite in plugins.find_suites().suites.values()}
        same = ("suite", "space", "metric", "stimuli")
        for score in document.scores:
            head = heads.get(score.suite)
            if head is None or (score.metric, score.condition) != (head.name, "") or score.value is None:
                continue
            values = [
                float(row["value"])
                for path, row in self.stated
                if path != place and all(row[name] == getattr(score, name) for name in same)
            ]
            sign = -1 if head.direction == "lower" else 1
            rank = 1 + sum(sign * value > sign * score.value for value in values)
            value = format_interval(score.value, score.low, score.high)
            name = PurePosixPath(place).parts[1].replace("__", " / ")
            self.report.placed.append((name, score.suite, head.title, value, f"{rank} of {len(values) + 1}"))

    def outside(self, path: str) -> None:
        """Judge a changed file that belongs to no submission."""
        target = self.board.folder / path
        if target.is_symlink() or ".." in PurePosixPath(path).parts or not path.isprintable():
            self.found(path, "refused", "a link, or a name that no file of a board has")
        elif path.startswith(f"{RESULTS}/"):
            self.found(path, "refused", f"no place of a submission: {RESULTS}/OWNER__NAME/WEIGHTS/")
        elif path.startswith((f"{SETS}/", f"{REFERENCES}/")) and self.had(path):
            self.found(path, "refused", "stimuli or reference answers of the board are altered or removed")
        else:
            self.found(path, "person", "no part of a submission")


def check_board(
    folder: Annotated[Path, Option("A board.", kind="folder")] = Path(),
    paths: Annotated[Sequence[str], Option("Changed paths (default: every submission).", metavar="[PATH]...")] = (),
    *,
    base: Annotated[str | None, Option("Check what differs from this commit.", metavar="COMMIT")] = None,
    owner: Annotated[str | None, Option("Refuse changes of other owners' submissions.", metavar="NAME")] = None,
) -> BoardReport:
    """Check submissions of a board without any network.

    Scores are made again from the trials. Names, seals, stimulus sets and blocks are compared with the board, and
    answers with those of all other networks; --base also compares with what was accepted before. The report is
    Markdown for the page of a change. Exit code 0 means sound, 1 refused, 3 that a maintainer decides."""
    board = BoardFolder(Path(folder))
    every = [path.relative_to(board.folder).as_posix() for path in board.submissions()]
    asked = _changed(board.folder, base) if base else [] if paths else every
    for path in (path.removeprefix(f"{folder}/").rstrip("/") for path in paths):
        asked += [place for place in every if place.startswith(f"{path}/")] or [path]
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        if base:
            with tarfile.open(fileobj=io.BytesIO(_git(board.folder, "archive", base))) as packed:
                packed.extractall(scratch, filter="data")
        before = BoardFolder(Path(scratch)) if base else None
        checker, places = _Checker(board=board, before=before, report=BoardReport()), dict[str, None]()
        for path in asked:
            found = _PLACE.fullmatch(path)
            if found is None or ".." in PurePosixPath(path).parts:
                checker.outside(path)
                continue
            by = (found[3] or "").removeprefix(f"/{ATTESTATIONS}/").partition(".json")[0]
            if owner and owner.lower() not in (found[2].lower(), by.lower()):
                checker.found(path, "refused", f"what is of '{found[2]}' is changed by '{owner}'")
            places[found[1]] = None
        for place in places:
            checker.submission(place)
    return checker.report
