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
from operator import attrgetter
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np

from benchmark import plugins
from benchmark.api.leaderboard_import import with_trials
from benchmark.api.options import Option
from benchmark.api.submissions import REFERENCES, RESULTS, SETS, BoardFolder, place_of, scored_again, verdict_of_scores
from benchmark.contracts import Array
from benchmark.display import counted, printable
from benchmark.failures import BenchError, MissingStimuli, ScoresError, UnknownName, failure_line
from benchmark.leaderboard import leaderboard_document as form
from benchmark.leaderboard.forms import markdown_code, markdown_text
from benchmark.leaderboard.table import format_interval
from benchmark.stimuli.resolver import Resolver
from benchmark.variables import read_settings
from benchmark.version import __version__
from registry.user_errors import some_of

#: Two networks with equal answers: trials that tell, wrong ones among them, the share at which a person looks.
ENOUGH, WRONG, ALIKE = 20, 5, 0.98
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")  # is shown by its beginning
_PLACE = re.compile(rf"({RESULTS}/([^/]+?)__[^/]+/[^/]+)(/.*)?")


class BoardFinding(NamedTuple):
    """What the check found at a path of the board."""

    path: str
    weight: str  # "refused": something is false; "person": a maintainer decides; or "note"
    text: str


def _git(folder: Path, *words: str) -> bytes:
    """Run git in a folder, without hooks or drivers that a change could bring."""
    safe = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *words]
    done = subprocess.run(safe, capture_output=True, check=False, env={**os.environ, "GIT_PAGER": ""})  # noqa: S603
    if done.returncode:
        raise BenchError(f"git {words[0]}: {printable(done.stderr.decode(errors='replace').strip())[:300]}")
    return done.stdout


class _Shelf(Resolver):
    """Stimuli of this machine, without networks: nothing is loaded."""

    def networks(self, names: Sequence[str]) -> tuple[()]:  # noqa: ARG002
        return ()


@dataclass(kw_only=True)
class BoardReport:
    """A check of a board, and its outcome."""

    board: BoardFolder
    before: BoardFolder  # the board as it was accepted, or an empty folder
    submissions: list[str] = field(default_factory=list)
    findings: list[BoardFinding] = field(default_factory=list)
    placed: list[tuple[str, ...]] = field(default_factory=list)  # network, suite, metric, value, rank of headlines

    @property
    def exit_code(self) -> int:
        """Return 1 if something is refused, 3 if a person decides, otherwise 0."""
        weights = {finding.weight for finding in self.findings}
        return 1 if "refused" in weights else 3 if "person" in weights else 0

    def markdown(self) -> str:
        """Return the report for the page of a change. A submission's texts cannot format, link or mention there."""
        said = {0: "sound", 1: "refused", 3: "a maintainer decides"}[self.exit_code]
        worst_first = sorted(self.findings, key=attrgetter("weight"), reverse=True)  # by the alphabet
        found = [f"- **{weight}** {markdown_code(path)}: {markdown_text(text)}" for path, weight, text in worst_first]
        rows = [f"| {' | '.join(map(markdown_text, row))} |" for row in self.placed]
        table = ["| network | suite | metric | value | rank |", "|---|---|---|---|---|", *rows] if rows else []
        parts = [f"### Board check: {said}"], [f"{counted(len(self.submissions), 'submission')} checked."], found, table
        return _DIGEST.sub(r"\1", "\n\n".join("\n".join(part) for part in parts if part)) + "\n"

    def found(self, path: str, weight: str, *texts: str) -> None:
        """Note findings at a path."""
        self.findings += [BoardFinding(path, weight, printable(text)[:1000]) for text in texts]

    @cached_property
    def others(self) -> dict[str, form.Submission]:
        """Path -> every submission that can be read; another one is named where it is checked."""
        known = {}
        for path in self.board.submissions():
            with suppress(ScoresError):
                known[path.relative_to(self.board.folder).as_posix()] = form.read_submission(path)
        return known

    def check(self, place: str) -> None:
        """Check one submission."""
        folder, before = self.board.folder / place, self.before.folder / place
        self.submissions.append(place)
        if (before / form.RUN).is_file() and not (folder / form.RUN).is_file():
            self.found(place, "refused", "it is removed: `bench submit --retract REASON` retracts it")
            return
        try:
            stated = form.read_submission(folder)
            if (own := place_of(stated.owner, stated.observers[0])) != place:
                self.found(place, "refused", f"its files are of {own}")
            document = self.board.document(folder, stated)
            self._complete(place, stated, document)
            with scored_again(folder, document, strict=False) as (db, made):
                # Another program, or one with other suites, may say other things of the same scores.
                same = stated.program == __version__ and document.observations and not made.left_out
                words = (folder / form.VERDICT).read_bytes() if same and form.VERDICT in stated.seals else None
                if words is not None and verdict_of_scores(db, stated.observers[0]).encode() != words:
                    self.found(place, "refused", "its verdict is not what the scores give")
            self.found(place, "refused", *made.different, *made.refused)
            self.found(place, "person", *made.left_out)
            self.found(place, "note", *made.notes)
            if alone := len(document.score_sets) - len(with_trials(document)):
                self.found(place, "person", f"{counted(alone, 'score set')} without trials would be shown as reported")
            form.read_attestations(folder, stated)
            if (before / form.RETRACTED).is_file() and not (folder / form.RETRACTED).is_file():
                self.found(place, "refused", "its retraction is undone")
            with suppress(ScoresError):  # what was not there or not sound has no trials to keep
                if {*self.before.document(before, form.read_submission(before)).chunks} - {*document.chunks}:
                    self.found(place, "refused", "trials that were accepted are altered or removed")
            self._elsewhere(place, stated)
            self._place(place, document)
        except Exception as error:  # noqa: BLE001 - whatever foreign data lead to
            self.found(place, "refused", failure_line(error))

    def _complete(self, place: str, stated: form.Submission, document: form.Document) -> None:
        """Find missing trials: of a block, or whole blocks that the suite shows or that others answered."""
        counts, sizes = Counter[str](), {each.digest: each.n for each in document.stimuli}
        for chunk in document.chunks:
            counts[chunk.observation] += chunk.n
        for name, space in sorted({(row.suite, row.space) for row in stated.observations}):
            own = [row for row in stated.observations if (row.suite, row.space) == (name, space)]
            answered = (row for other in self.others.values() for row in other.observations)
            same = [row for row in answered if (row.suite, row.version, row.space) == (name, own[0].version, space)]
            wanted, ends_early = {(row.role, row.condition) for row in same}, False
            if suite := plugins.known_suites([name]).get(name):
                ends_early = suite.stopping.settled is not None
                with suppress(MissingStimuli, UnknownName):  # as far as its stimuli are on this machine
                    planned = suite.plan(suite.config, _Shelf(space, read_settings())).blocks
                    wanted |= {(block.role, block.condition) for block in planned}
            whole = {(row.role, row.condition) for row in own if ends_early or counts[row.key] == sizes[row.stimuli]}
            excused = {role for row in own for role in row.details.get("missing") or ()}
            lost = sorted(wanted - whole)
            for weight, told in (("person", True), ("refused", False)):
                if blocks := [" ".join(block).strip() for block in lost if (block[0] in excused) == told]:
                    self.found(place, weight, f"{name}: trials are missing: {some_of(blocks, 3)}")

    def _elsewhere(self, place: str, stated: form.Submission) -> None:
        """Find the same network, or the same answers, under another name."""
        own = {block: answers for block, answers, _ in self._answers(place, stated)}
        for path, theirs in self.others.items():
            if path == place:
                continue
            if theirs.observers[0].identity == stated.observers[0].identity or path.endswith(PurePosixPath(place).name):
                gone = ", retracted" * (self.board.folder / path / form.RETRACTED).exists()
                self.found(place, "refused", f"these weights are on the board already{gone}: {path}")
                continue
            equal, n, wrong = 0, 0, 0
            for block, answers, truth in self._answers(path, theirs):
                mine = own.get(block, answers[:0])
                m = min(len(mine), len(answers), len(truth))
                equal, n = equal + int((mine[:m] == answers[:m]).sum()), n + m
                wrong += int((mine[:m] != truth[:m]).sum())
                if n >= ENOUGH and equal < ALIKE * n:
                    break  # most networks differ in their first block: nothing more of them is read
            if n >= ENOUGH and wrong >= WRONG and equal >= ALIKE * n:
                said = f"{equal} of {n} answers, {wrong} of them wrong, are those of {path}"
                self.found(place, "refused" if equal == n else "person", said)

    def _answers(self, place: str, stated: form.Submission) -> Iterator[tuple[tuple[str, str, str], Array, Array]]:
        """Yield each block of a submission (digest, role, condition) with its answers [n] and the right ones."""
        sets = self.board.sets(stated.stimuli)
        for row, columns in form.read_trials(self.board.folder / place, stated, sets):
            truth = sets[row.stimuli].labels.get("category", ())
            if "response" in columns:
                yield (row.stimuli, row.role, row.condition), columns["response"], np.array(truth, dtype=str)

    def _place(self, place: str, document: form.Document) -> None:
        """Place its headlines among those of the board on the same stimuli."""
        same = attrgetter("suite", "space", "metric", "stimuli", "condition")
        suites = plugins.known_suites(score.suite for score in document.scores)
        for score in (score for score in document.scores if score.suite in suites):
            head = suites[score.suite].headline
            if score.value is None or (score.metric, score.condition) != (head.name, ""):
                continue
            rows = (row for other in self.others.values() for row in other.scores if same(row) == same(score))
            values = [row.value for row in rows if row.value is not None]
            sign = -1 if head.direction == "lower" else 1
            rank = 1 + sum(sign * value > sign * score.value for value in values)
            value = format_interval(score.value, score.low, score.high)
            name = PurePosixPath(place).parts[1].replace("__", " / ")
            self.placed.append((name, score.suite, head.title, value, f"{rank} of {len(values)}"))

    def outside(self, path: str) -> None:
        """Judge a changed file that belongs to no submission."""
        if (self.board.folder / path).is_symlink() or path.startswith(f"{RESULTS}/"):
            self.found(path, "refused", f"a link, or no place of a submission: {RESULTS}/OWNER__NAME/WEIGHTS/")
        elif path.startswith((f"{SETS}/", f"{REFERENCES}/")) and (self.before.folder / path).is_file():
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
    asked = [] if base or paths else every
    if base:  # what differs from it, and new paths
        plain = ("--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z")
        listed = _git(board.folder, "diff", *plain, base, "--", ".")
        listed += _git(board.folder, "ls-files", "--others", "--exclude-standard", "-z", ".")
        asked = sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})
    for path in (path.removeprefix(f"{folder}/").rstrip("/") for path in paths):
        asked += [place for place in every if place.startswith(f"{path}/")] or [path]
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        if base:
            with tarfile.open(fileobj=io.BytesIO(_git(board.folder, "archive", base))) as packed:
                packed.extractall(scratch, filter="data")
        report = BoardReport(board=board, before=BoardFolder(Path(scratch)))
        placed = {path: _PLACE.fullmatch(path) for path in asked}
        for path, found in placed.items():
            if found is None:
                report.outside(path)
                continue
            by = (found[3] or "").removeprefix(f"/{form.ATTESTATIONS}/").partition(".json")[0]
            if owner and owner.lower() not in (found[2].lower(), by.lower()):
                report.found(path, "refused", f"what is of '{found[2]}' is changed by '{owner}'")
        for place in dict.fromkeys(found[1] for found in placed.values() if found):
            report.check(place)
    return report
