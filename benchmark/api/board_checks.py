"""Check a change of a board from its files alone: without a model, a GPU or code of the submission."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np

from benchmark import plugins
from benchmark.api.attestations import read_attestations
from benchmark.api.options import Option
from benchmark.api.submissions import (
    ENTRANTS,
    NETWORK,
    OWNER,
    REFERENCES,
    RESULTS,
    SETS,
    BoardFolder,
    rescored,
    verdict_of_scores,
    weights_of,
)
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
    read_responses,
    read_submission,
)
from benchmark.leaderboard.table import format_interval
from benchmark.stimuli.roles import Resolver
from benchmark.variables import read_settings
from benchmark.version import __version__
from registry.documents import read_json

#: refused: something is false; person: nothing is false, but a maintainer decides; note: nothing to do.
Weight = Literal["refused", "person", "note"]
#: Two networks with equal answers: trials that tell, wrong ones among them, the share at which a person looks.
ENOUGH, WRONG, ALIKE = 20, 5, 0.98
_PLACE = re.compile(rf"({RESULTS}/([^/]+?)__[^/]+/[^/]+)(/.*)?")
Block = tuple[str, str, str]  # suite, role, condition


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


@dataclass(frozen=True, kw_only=True)
class Before:
    """The board before a change: a commit of its repository."""

    folder: Path
    commit: str

    def git(self, *words: str) -> bytes:
        """Run git in the folder, without hooks or drivers that a change could bring."""
        safe = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(self.folder), *words]
        done = subprocess.run(safe, capture_output=True, check=False, env={**os.environ, "GIT_PAGER": ""})  # noqa: S603
        if done.returncode:
            raise BenchError(f"git {words[0]}: {printable(done.stderr.decode(errors='replace').strip())[:300]}")
        return done.stdout

    def changed(self) -> list[str]:
        """Return the paths that differ from the commit, new ones among them."""
        plain = ("--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z")
        listed = self.git("diff", *plain, self.commit, "--", ".")
        listed += self.git("ls-files", "--others", "--exclude-standard", "-z", ".")
        return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})

    @cached_property
    def paths(self) -> frozenset[str]:
        """The files of the commit."""
        listed = self.git("ls-tree", "-r", "-z", "--name-only", self.commit, "--", ".")
        return frozenset(os.fsdecode(name) for name in listed.split(b"\0") if name)

    def restored(self, below: str, into: Path) -> Path:
        """Write the files below a path as they were into a folder, and return where they are."""
        for name in (name for name in self.paths if name.startswith(f"{below}/")):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(self.git("cat-file", "blob", f"{self.commit}:./{name}"))
        return into / below


class _Shelf(Resolver):
    """Stimuli of this machine, without networks: nothing is loaded."""

    def networks(self, names: Sequence[str]) -> tuple[()]:  # noqa: ARG002
        return ()


def _planned(suite: Suite | None, space: str) -> set[Block]:
    """Return the blocks that a suite shows, as far as its stimuli are on this machine."""
    try:
        plan = suite.plan(suite.config, _Shelf(space, read_settings())) if suite else None
    except (MissingStimuli, UnknownName):
        plan = None
    return {(suite.name, block.role, block.condition) for block in plan.blocks} if suite and plan else set()


def _installed(name: str) -> Suite | None:
    try:
        return plugins.named_suite(name, plugins.find_suites(name))
    except BenchError:
        return None


def _is_current(stated: Submission) -> bool:
    """Return whether this program, with the same suites, wrote the verdict of a submission."""
    suites = {row.suite: _installed(row.suite) for row in stated.score_sets}
    same = all((suite := suites[row.suite]) and suite.version == row.version for row in stated.score_sets)
    return same and bool(stated.observations) and stated.program == __version__ and VERDICT in stated.seals


@dataclass(kw_only=True)
class _Checker:
    board: BoardFolder
    before: Before | None
    report: BoardReport

    def found(self, path: str, weight: Weight, *texts: str) -> None:
        self.report.findings += [BoardFinding(path=path, weight=weight, text=printable(text)[:1000]) for text in texts]

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
        was = self.before is not None and f"{place}/{RUN}" in self.before.paths
        if was and not (folder / RUN).is_file():
            self.found(place, "refused", "it is removed: `bench submit --retract REASON` retracts it")
            return
        try:
            stated, observer = read_submission(folder)
            self._names(place, stated, observer)
            self._sets(place, stated)
            document = self.board.document(folder, stated, observer)
            self._complete(place, stated, document)
            with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
                made = rescored(folder, document, db := str(Path(scratch) / "board.db"))
                if _is_current(stated) and verdict_of_scores(db, observer).encode() != (folder / VERDICT).read_bytes():
                    self.found(place, "refused", "its verdict is not what the scores give")
                if was and self.before is not None:
                    self._earlier(place, document, self.before.restored(place, Path(scratch)))
            self.found(place, "refused", *made.different, *made.refused, *made.conflicts)
            self.found(place, "person", *made.left_out)
            self.found(place, "note", *made.notes)
            read_attestations(folder, stated)
            self._elsewhere(place, observer)
            self._place(place, document)
        except Exception as error:  # noqa: BLE001 - whatever foreign data lead to
            self.found(place, "refused", failure_line(error))

    def _names(self, place: str, stated: Submission, observer: ExportedObserver) -> None:
        sha, parts = weights_of(observer), PurePosixPath(place).parts
        if parts[1:] != (f"{stated.owner}__{observer.name}", sha):
            self.found(place, "refused", f"its files are of {stated.owner}__{observer.name}/{sha[:12]}")
        if not OWNER.fullmatch(stated.owner) or not NETWORK.fullmatch(observer.name) or observer.kind not in ENTRANTS:
            self.found(place, "refused", f"no names of a submission, or '{observer.kind}' is no network")
        if any(row.observer != observer.name for row in stated.observations):
            self.found(place, "refused", "it holds trials of another observer")

    def _sets(self, place: str, stated: Submission) -> None:
        known, names = self.board.sets(stated.stimuli), {each.name for each in self.board.stated_sets.values()}
        for row in stated.stimuli:
            mine, called = known.get(row.digest), f"the stimulus set '{row.name}' ({row.digest[:12]}, {row.n} images)"
            if mine is None:
                known_name = row.name in names or row.name.startswith("world-")
                said = "another one under a known name" if known_name else "unknown here"
                self.found(place, "refused", f"{called} is {said}")
            elif (mine.name, mine.n, mine.space) != (row.name, row.n, row.space):
                self.found(place, "refused", f"{called} is '{mine.name}' with {mine.n} images here")

    def _complete(self, place: str, stated: Submission, document: Document) -> None:
        """Find missing trials: of a block, or whole blocks that the suite shows or that others answered."""
        counts = Counter[str]()
        for chunk in document.chunks:
            counts[chunk.observation] += chunk.n
        for name, space in sorted({(row.suite, row.space) for row in stated.observations}):
            own = [row for row in stated.observations if (row.suite, row.space) == (name, space)]
            suite = _installed(name)
            if suite is None or suite.stopping.settled is None:  # else a block may end early
                whole = {each.digest: each.n for each in document.stimuli}
                lost = [f"{row.role} {row.condition}" for row in own if counts[row.key] < whole[row.stimuli]]
                self.found(place, "refused", *(f"{name}: trials of '{block.strip()}' are missing" for block in lost))
            excused = {role for row in own for role in row.details.get("missing") or ()}
            shown = {row.version for row in own}
            wanted = _planned(suite, space) | {
                (row.suite, row.role, row.condition)
                for path, (other, _) in self.others.items()
                for row in other.observations
                if (row.suite, row.space) == (name, space) and row.version in shown and path != place
            }
            blocks = sorted(wanted - {(row.suite, row.role, row.condition) for row in own})
            weights: tuple[tuple[Weight, bool], ...] = (("person", True), ("refused", False))
            for weight, told in weights:
                if gone := [f"{role} {condition}" for _, role, condition in blocks if (role in excused) == told]:
                    self.found(place, weight, f"{name}: {counted(len(gone), 'block')} missing: '{gone[0].strip()}'")
        keys = {row.key for row in document.observations}
        if any(not keys.issuperset(row.observations) for row in document.score_sets):
            self.found(place, "refused", "scores rest on trials that are missing")
        if alone := sum(not row.observations for row in document.score_sets):
            self.found(place, "person", f"{counted(alone, 'score set')} without trials would be shown as reported")

    def _elsewhere(self, place: str, observer: ExportedObserver) -> None:
        """Find the same network, or the same answers, under another name."""
        weights, stated = PurePosixPath(place).name, self.others[place][0]
        sets = self.board.sets(stated.stimuli)
        own = {
            digest: (np.array(sets[digest].labels.get("category", ()), dtype=str), self._answers(place, digest))
            for digest in sorted(stated.trials.keys() & sets.keys())
        }
        for path, (_, theirs) in self.others.items():
            if path == place:
                continue
            if theirs.identity == observer.identity or PurePosixPath(path).name == weights:
                gone = ", retracted" * (self.board.folder / path / RETRACTED).exists()
                self.found(place, "refused", f"these weights are on the board already{gone}: {path}")
                continue
            equal, n, wrong = self._alike(own, path)
            if n >= ENOUGH and wrong >= WRONG and equal >= ALIKE * n:
                weight: Weight = "refused" if equal == n else "person"
                self.found(place, weight, f"{equal} of {n} answers, {wrong} of them wrong, are those of {path}")

    def _alike(self, own: Mapping[str, tuple[Array, Mapping[Block, Array]]], path: str) -> tuple[int, int, int]:
        """Return equal answers, all answers, and wrong ones of two submissions; reading ends where they differ. own:
        digest -> the right answers and those of the one."""
        theirs, (equal, n, wrong) = self.others[path][0].trials, (0, 0, 0)
        for digest, (truth, a) in own.items():
            if digest not in theirs:
                continue
            b = self._answers(path, digest)
            for block in a.keys() & b.keys():
                m = min(len(a[block]), len(b[block]), len(truth))
                equal += int((a[block][:m] == b[block][:m]).sum())
                wrong, n = wrong + int((a[block][:m] != truth[:m]).sum()), n + m
            if n >= ENOUGH and equal < ALIKE * n:
                break
        return equal, n, wrong

    def _answers(self, place: str, digest: str) -> Mapping[Block, Array]:
        stated, _ = self.others[place]
        shown = [row for row in stated.observations if row.stimuli == digest]
        rows = {row.key: (row.suite, row.role, row.condition) for row in shown}
        found = read_responses(self.board.folder / place / stated.trials[digest], sum(row.n for row in shown))
        return {rows[key]: words for key, words in found.items() if key in rows}

    def _earlier(self, place: str, document: Document, folder: Path) -> None:
        """Find what a change undoes of a submission that was accepted: a retraction, trials."""
        if (folder / RETRACTED).is_file() and not (self.board.folder / place / RETRACTED).is_file():
            self.found(place, "refused", "its retraction is undone")
        try:
            was = self.board.document(folder, *read_submission(folder))
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
        elif path.startswith((f"{SETS}/", f"{REFERENCES}/")) and self.before and path in self.before.paths:
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
    report, board = BoardReport(), BoardFolder(Path(folder))
    before = Before(folder=board.folder, commit=base) if base else None
    checker = _Checker(board=board, before=before, report=report)
    every = [path.relative_to(board.folder).as_posix() for path in board.submissions()]
    asked = before.changed() if before else [] if paths else every
    for path in (path.removeprefix(f"{folder}/").rstrip("/") for path in paths):
        asked += [place for place in every if place.startswith(f"{path}/")] or [path]
    places: dict[str, None] = {}
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
    return report
