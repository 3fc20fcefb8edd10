"""Answer a sample of a submission's trials again from its weights, and write an attestation beside it."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from benchmark.api.running import RunPlan, RunRequest, Silent, devices_and_policy, prepare
from benchmark.api.submissions import OWNER, BoardFolder, git_user, rescored
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.identity import environment_record
from benchmark.leaderboard.leaderboard_document import Digest, ExportedObservation, StrictModel, Whole
from benchmark.leaderboard.submission_files import ATTESTATIONS, RUN, Submission, plain_json, read_submission, sha256
from benchmark.stats.intervals import wilson
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.documents import read_json
from registry.files import write_whole

SAMPLE = 64  # trials that are answered again
SURE = 0.9  # the lower end of the agreement's interval from which a submission counts as re-run
SIGNED = ".sigstore.json"


class Attestation(StrictModel):
    """Who answered a sample of a submission's trials again, when and with what. submission: SHA-256 of its `run.json`;
    agreeing: of the n sampled trials; low, high: 95 % Wilson interval of their share."""

    form: Literal["gestaltbench-attestation"] = "gestaltbench-attestation"
    version: Literal[1] = 1
    submission: Digest
    by: str = Field(pattern=f"^{OWNER.pattern}$")
    when: str
    environment: dict[str, Any]
    n: Whole = Field(ge=1)
    agreeing: Whole = Field(ge=0)
    low: float
    high: float
    trials: tuple[tuple[Digest, Whole, bool], ...]  # observation, position, whether the answer is the stored one

    @property
    def is_sure(self) -> bool:
        """Return whether the answers are those stored but for what rounding moves."""
        return self.low >= SURE


def sampled_trials(digest: str, observations: Sequence[ExportedObservation]) -> dict[str, list[int]]:
    """Return observation -> positions of the trials that are answered again: always the same for a submission, whose
    owner cannot choose them without changing its digest."""
    rows = sorted(observations, key=lambda row: row.key)
    ends, total = np.cumsum([row.n for row in rows]), sum(row.n for row in rows)
    chosen = np.random.default_rng(int(digest[:16], 16)).choice(total, min(SAMPLE, total), replace=False)
    found: dict[str, list[int]] = defaultdict(list)
    for at in sorted(chosen.tolist()):
        i = int(np.searchsorted(ends, at, side="right"))
        found[rows[i].key].append(at - int(ends[i] - rows[i].n))
    return dict(found)


def attest(path: Path, *, by: str | None = None, model: str | None = None, reporter: Any = None) -> Path:
    """Answer a seeded sample of a submission's trials again from its weights; return the attestation's file.

    by: who does (default: git's user.name); model: the local name of the network, if it is another."""
    path, by = Path(path).resolve(), by or git_user()
    if not OWNER.fullmatch(by):
        raise UsageError(f"'{by}' names an attestation: letters, digits, '.', '-' (--by NAME).")
    board = BoardFolder(path.parents[2])
    stated, observer = read_submission(path)
    digest = sha256((path / RUN).read_bytes())
    if not stated.observations or observer.kind != "network":
        raise BenchError(f"{path.name[:12]} has no trials of a network to answer again.")
    wanted = sampled_trials(digest, stated.observations)
    trials: list[tuple[str, int, bool]] = []
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        db = str(Path(scratch) / "again.db")
        rescored(path, board.document(path, stated, observer), db)
        groups: dict[tuple[str, str], list[ExportedObservation]] = defaultdict(list)
        for row in stated.observations:
            if row.key in wanted:
                groups[row.suite, str(row.details.get("asked")) + str(row.details.get("policy"))].append(row)
        for rows in groups.values():
            plan = _planned(rows[0], model or observer.name, db)
            if any(card.sha256 != observer.card.get("sha256") for card in plan.cards):
                raise BenchError(f"'{model or observer.name}' has other weights than {path.parent.name}: --model NAME.")
            trials += _answered(plan, rows, wanted, reporter or Silent())
    agreeing = sum(same for *_, same in trials)
    low, high = wilson(agreeing, len(trials))
    found = Attestation(
        submission=digest,
        by=by,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment_record(devices_and_policy(RunRequest())[0][0], 1),
        n=len(trials),
        agreeing=agreeing,
        low=low,
        high=high,
        trials=tuple(trials),
    )
    target = path / ATTESTATIONS / f"{by}.json"
    write_whole(target, plain_json(found.model_dump(mode="json")))
    if find_spec("sigstore") is not None:
        words = [sys.executable, "-m", "sigstore", "sign", "--overwrite", "--bundle", f"{target}{SIGNED}", str(target)]
        if subprocess.run(words, check=False).returncode:  # noqa: S603 - the extra `sign`
            raise BenchError(f"{target} is written and not signed: sigstore failed.")
    return target


def _planned(row: ExportedObservation, model: str, db: str) -> RunPlan:
    """Return the plan of the run that made an observation."""
    asked, policy = row.details.get("asked") or {}, row.details.get("policy") or {}
    request = RunRequest(
        models=model,
        suites=row.suite,
        limit=asked.get("limit"),
        stimuli=asked.get("stimuli", ""),
        precision=policy.get("precision", "fp32"),
        seed=policy.get("seed", 0),
    )
    return prepare(request, replace(read_settings(), db=db))


def _answered(
    plan: RunPlan, rows: Sequence[ExportedObservation], wanted: Mapping[str, Sequence[int]], reporter: Any
) -> list[tuple[str, int, bool]]:
    from benchmark.engine.devices import TunedModel, Tuning, cores
    from benchmark.engine.inference import InferenceLoop, LoadedObserver
    from benchmark.engine.stored_answers import agreement_at
    from registry.loading import load_observer
    from registry.model import LoadedModel

    devices, policy = devices_and_policy(plan.request)
    network = load_observer(plan.cards[0], plan.settings.place, device=devices[0])
    if not isinstance(network, LoadedModel):
        raise BenchError(f"'{plan.cards[0].name}' is no network with weights.")
    feed = TunedModel(model=network, tuning=Tuning(1, cores()), run=network.forward)
    loaded = LoadedObserver(name=network.card.name, observer=feed)
    loop = InferenceLoop(
        seed=policy.seed, device=devices[0], reporter=reporter, cache=plan.settings.decoded, decoders=cores()
    )
    found = []
    with open_store(plan.settings.db, write=False) as store:
        for row in rows:
            shown = (row.role, row.condition, row.stimuli, row.space)
            blocks = [
                (task, block)
                for task in plan.tasks
                for block in task.plan.blocks
                if (block.role, block.condition, block.stimuli.digest, task.space) == shown
            ]
            if not blocks:
                raise BenchError(f"{row.suite} does not show '{row.role} {row.condition}' ({row.stimuli[:12]}) here.")
            index = np.array(wanted[row.key], dtype=np.int64)
            same = agreement_at(store, loop, blocks[0][0], loaded, (row.key, blocks[0][1], index), policy.precision)
            found += [(row.key, int(at), bool(each)) for at, each in zip(index, same[:, 0], strict=True)]
    return found


def read_attestations(path: Path, stated: Submission) -> list[Attestation]:
    """Return the attestations of a submission. Raises ScoresError for one that does not fit it, or itself."""
    digest, found = sha256((path / RUN).read_bytes()), []
    wanted = [(key, at) for key, places in sampled_trials(digest, stated.observations).items() for at in places]
    for file in sorted((path / ATTESTATIONS).glob("*.json")):
        if file.name.endswith(SIGNED):
            continue
        try:
            each = Attestation.model_validate(read_json(file, "attestation", ScoresError))
        except ValidationError as error:
            raise ScoresError(f"{file.name}: no attestation: {error.errors()[0]['msg']}.") from error
        if each.submission != digest:
            continue  # of an earlier state of the submission: it says nothing of this one
        agreeing = sum(same for *_, same in each.trials)
        if sorted((key, at) for key, at, _ in each.trials) != sorted(wanted):
            raise ScoresError(f"{file.name}: its trials are not the sample that the submission's digest chooses.")
        if (each.n, each.agreeing, each.low, each.high) != (len(wanted), agreeing, *wilson(agreeing, len(wanted))):
            raise ScoresError(f"{file.name}: its numbers do not follow from its trials.")
        if file.stem != each.by or re.fullmatch(re.escape(stated.owner), each.by, re.IGNORECASE):
            raise ScoresError(f"{file.name}: an attestation is by somebody else than the owner, under their name.")
        _check_bundle(file)
        found.append(each)
    return found


def _check_bundle(file: Path) -> None:
    """Raise ScoresError if a signature beside a file is of other bytes. Whose it is, `sigstore verify` says."""
    bundle = file.with_name(file.name + SIGNED)
    if bundle.exists():
        plain = read_json(bundle, "signature", ScoresError)
        try:
            digest = base64.b64decode(plain["messageSignature"]["messageDigest"]["digest"]).hex()
        except (KeyError, TypeError, ValueError) as error:
            raise ScoresError(f"{bundle.name}: no sigstore bundle.") from error
        if digest != sha256(file.read_bytes()):
            raise ScoresError(f"{bundle.name}: signs other bytes.")
