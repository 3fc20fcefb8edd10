"""Submit a network's scores, with its trials, to a board, a folder in git that many share; answer a sample of a
submission's trials again."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from hashlib import sha256
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np

from benchmark.api.exports import document
from benchmark.api.leaderboard_import import LeaderboardReport, import_document
from benchmark.api.leaderboards import Selection
from benchmark.api.options import Option
from benchmark.api.registration import one_card
from benchmark.api.reproduction import provenance
from benchmark.api.running import RunPlan, RunRequest, devices_and_policy, prepare
from benchmark.api.verdicts import verdict
from benchmark.contracts import CHUNK
from benchmark.engine.reporters import Silent
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.identity import environment_record
from benchmark.leaderboard import leaderboard_document as form
from benchmark.leaderboard.verdict import OF_MACHINE
from benchmark.stats.intervals import wilson
from benchmark.stimuli.datasets import sample, subset
from benchmark.stimuli.world.sets import WORLD_SETS, generated_set
from benchmark.store import open_store
from benchmark.templates import BOARD
from benchmark.variables import read_settings
from registry.documents import read_json
from registry.files import digest_file, write_whole

RESULTS, REFERENCES, SETS = "results", "references", "sets"


def place_of(owner: str, who: form.ExportedObserver) -> str:
    """Return the path of a network's submission on a board. Raises UsageError for what has no place there."""
    if who.kind != "network" or not form.OWNER.fullmatch(owner) or not form.NETWORK.fullmatch(who.name):
        expected = "expected a network that was run here, and names of letters, digits, '.' and '-'"
        raise UsageError(f"'{owner}__{who.name}' has no place on a board: {expected}.")
    # code without weights has the digest of the code
    return f"{RESULTS}/{owner}__{who.name}/{who.card.get('sha256') or who.identity}"


@cache
def _drawn(name: str, n: int) -> dict[str, form.ExportedStimuli]:
    """Return digest -> the built-in world's set of that name, and its samples of n images."""
    if name not in WORLD_SETS or not 0 < n <= len(whole := generated_set(name)):
        return {}
    return {part.digest: form.ExportedStimuli.of(part) for part in (sample(whole, n), subset(whole, n))}


@dataclass(frozen=True)
class BoardFolder:
    """A board: a folder with submissions, the stimulus sets that they may be on, and answers of reference observers."""

    folder: Path

    @cached_property
    def stated_sets(self) -> dict[str, form.ExportedStimuli]:
        """Digest -> stimulus set of the board's own files."""
        read = partial(read_json, what="stimulus set", error=ScoresError, most=form.INFLATED)
        files = sorted((self.folder / SETS).glob("*.json"))
        stated = {path.stem: form.checked_part(form.ExportedStimuli, path, read(path)) for path in files}
        return {name: stimuli for name, stimuli in stated.items() if name == stimuli.digest}

    def sets(self, rows: Sequence[form.ExportedStimuli]) -> dict[str, form.ExportedStimuli]:
        """Return digest -> stated stimulus sets as the board's files have them, or as this program draws them."""
        drawn = {digest: each for row in rows for digest, each in _drawn(row.name, row.n).items()}
        known = drawn | self.stated_sets
        return {row.digest: known[row.digest] for row in rows if row.digest in known}

    def submissions(self) -> Iterator[Path]:
        """Yield the folders of all submissions in the order of their names."""
        yield from sorted(path.parent for path in (self.folder / RESULTS).glob(f"*/*/{form.RUN}"))

    def document(self, path: Path, stated: form.Submission) -> form.Document:
        """Return a submission and the trials that its scores rest on as a document. Raises ScoresError."""
        parts = [(path, stated)]
        for digest in stated.references:
            place = self.folder / REFERENCES / digest
            if not (place / form.RUN).is_file() or digest_file(place / form.RUN) != digest:
                raise ScoresError(f"it rests on answers that {REFERENCES}/ lacks, or has otherwise: {digest[:12]}.")
            parts.append((place, form.read_submission(place)))
        shown = [row for _, part in parts for row in part.stimuli]
        sets = self.sets(shown)
        if other := next((row for row in shown if row.digest not in sets), None):
            what = f"'{other.name}' ({other.digest[:12]}, {other.n} images)"
            raise ScoresError(f"{what} is not the stimulus set of that name here, or another one under a known name.")
        plain = {
            **{name: getattr(stated, name) for name in ("program", "runs", "score_sets", "scores")},
            "stimuli": tuple(sets.values()),
            "observers": tuple(part.observers[0] for _, part in parts),
            "observations": tuple(row for _, part in parts for row in part.observations),
            "chunks": tuple(chunk for place, part in parts for chunk in form.read_chunks(place, part, sets)),
        }
        return form.checked_document(path, plain)


@contextmanager
def scored_again(path: Path, held: form.Document, *, strict: bool = True) -> Iterator[tuple[str, LeaderboardReport]]:
    """Yield a temporary leaderboard with a document's scores made again, and how they differ; `strict`: an error."""
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
    """Write the files of a new board: workflows, form and rules.

    Returns them, relative to the folder. Raises BenchError where one is there already."""
    files = sorted(path.relative_to(BOARD) for path in BOARD.rglob("*") if path.is_file())
    if there := [path for path in files if (folder / path).exists()]:
        raise BenchError(f"{folder} has a file {there[0]} already, and nothing was written. Name a new folder.")
    copytree(BOARD, folder, dirs_exist_ok=True)
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
    leaderboard gives the same bytes. Nothing is written unless the trials give the scores again. A retracted submission
    stays visible."""
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
    others = {sha256(part[form.RUN]).hexdigest(): part for part in parts}
    files = form.files_of(held, observer, owner, others, words)
    if (size := sum(map(len, files.values()))) > form.LARGEST_FOLDER:
        raise BenchError(f"the submission has {size / 1e6:.1f} MB, a board takes {form.LARGEST_FOLDER / 1e6:.1f} MB.")
    for stale in path.glob(f"{form.TRIALS}/*.parquet"):
        stale.unlink()
    known, places = BoardFolder(to).sets(held.stimuli), {path: files}
    places |= {to / REFERENCES / digest: part for digest, part in others.items()}
    new = [each for each in held.stimuli if each.ids and each.digest not in known]
    places[to / SETS] = {f"{each.digest}.json": form.plain_json(each.model_dump(mode="json")) for each in new}
    for place, name, content in ((place, *file) for place, part in places.items() for file in part.items()):
        write_whole(place / name, content)
    return path


def verdict_of_scores(db: str, who: form.ExportedObserver) -> str:
    """Return what the scores say, without what is said of this machine: its cards and what it has not measured."""
    found = verdict(Selection(db), who.name)
    sentences = tuple(each for each in found.sentences if each.about not in OF_MACHINE)
    return replace(found, sentences=sentences).to("markdown")


def attest(path: Path, by: str | None) -> form.Attestation:
    """Answer a seeded sample of a submission's trials again from its weights, and write what `by` attests beside it."""
    path = Path(path).resolve()
    stated, digest = form.read_submission(path), digest_file(path / form.RUN)
    if by is None or not form.OWNER.fullmatch(by) or by.lower() == stated.owner.lower():
        raise UsageError("--submission needs --by NAME, who attests: letters, digits, '.', '-', and not the owner's.")
    (who,) = stated.observers
    if who.kind != "network" or not stated.observations:
        raise BenchError(f"{path.name[:12]} has no trials of a network to answer again.")
    document, settings = BoardFolder(path.parents[2]).document(path, stated), read_settings()
    if one_card(who.name, settings).sha256 != who.card.get("sha256"):
        raise BenchError(f"'{who.name}' has other weights than {path.parent.name}: `bench register` takes these.")
    # The submission's digest decides which trials are answered again, not its owner.
    order, own = attrgetter("observation", "index"), {row.key: row for row in stated.observations}
    chunks = sorted((chunk for chunk in document.chunks if chunk.observation in own), key=order)
    trials = [(each.observation, each.index * CHUNK + i) for each in chunks for i in range(each.n)]
    draw, wanted = np.random.default_rng(int(digest[:16], 16)), defaultdict[str, list[int]](list)
    for i in sorted(draw.choice(len(trials), min(form.SAMPLE, len(trials)), replace=False).tolist()):
        wanted[trials[i][0]].append(trials[i][1])
    with scored_again(path, document) as (db, _):
        work = []
        for origin in provenance(Selection(db), who.name):
            request = RunRequest(**{**origin.arguments, "models": who.name, "device": "auto"})
            rows = [(own[key], wanted.pop(key)) for key in own if key in origin.observations and key in wanted]
            work.append((prepare(request, replace(settings, db=db)), rows))
        same = _answered(work, db)
    (low, high), n = wilson(sum(same), len(same)), len(same)
    when, (devices, _) = datetime.now(UTC).isoformat(timespec="seconds"), devices_and_policy(RunRequest())
    facts = environment_record(devices[0], 1)
    found = form.Attestation(
        submission=digest, by=by, when=when, environment=facts, n=n, agreeing=sum(same), low=low, high=high
    )
    target = path / form.ATTESTATIONS / f"{by}.json"
    write_whole(target, form.plain_json(found.model_dump(mode="json")))
    if find_spec("sigstore") is not None:
        words = ["sign", "--overwrite", "--bundle", f"{target}{form.SIGNED}", str(target)]
        if subprocess.run([sys.executable, "-m", "sigstore", *words], check=False).returncode:  # noqa: S603 - the extra `sign`
            raise BenchError(f"{target} is written and not signed: sigstore failed.")
    return found


def _answered(work: Sequence[tuple[RunPlan, list[tuple[form.ExportedObservation, list[int]]]]], db: str) -> list[bool]:
    """Return whether the network of the plans gives its stored answer at each position of their observations."""
    from benchmark.engine.device_choice import Tuning, cores
    from benchmark.engine.devices import TunedModel
    from benchmark.engine.inference import InferenceLoop, LoadedObserver
    from benchmark.engine.stored_answers import agreement_at
    from registry.loading import load_network

    (device, *_), _ = devices_and_policy(RunRequest())
    settings, found = work[0][0].settings, list[bool]()
    network = load_network(work[0][0].cards[0], settings.place, device=device)
    feed = TunedModel(model=network, tuning=Tuning(1, cores()), run=network.forward)
    loaded = LoadedObserver(name=network.card.name, observer=feed)
    with open_store(db, write=False) as store:
        for plan, wanted in work:
            _, policy = devices_and_policy(plan.request)
            cache, seed = settings.decoded, policy.seed
            loop = InferenceLoop(seed=seed, device=device, reporter=Silent(), cache=cache, decoders=cores())
            each = ((task, block) for task in plan.tasks for block in task.plan.blocks)
            blocks = {(b.role, b.condition, b.stimuli.digest, task.space): (task, b) for task, b in each}
            for row, positions in wanted:
                shown = (row.role, row.condition, row.stimuli, row.space)
                if shown not in blocks:
                    what = f"'{row.role} {row.condition}' ({row.stimuli[:12]})"
                    raise BenchError(f"{row.suite} does not show {what} here.")
                task, block = blocks[shown]
                asked = row.key, block, np.array(positions)
                found += agreement_at(store, loop, task, loaded, asked, policy.precision)[:, 0].tolist()
    return found
