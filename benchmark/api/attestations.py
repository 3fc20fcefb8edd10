"""Answer a sample of a submission's trials again from its weights, and write an attestation beside it."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from benchmark.api.leaderboards import Selection
from benchmark.api.reproduction import provenance
from benchmark.api.running import RunPlan, RunRequest, devices_and_policy, prepare
from benchmark.api.submissions import OWNER, BoardFolder, scored_again
from benchmark.engine.reporters import Silent
from benchmark.failures import BenchError, ScoresError, UsageError
from benchmark.identity import environment_record
from benchmark.leaderboard.leaderboard_document import Digest, ExportedObservation, StrictModel, Whole, checked_part
from benchmark.leaderboard.submission_files import ATTESTATIONS, RUN, Submission, plain_json, read_submission
from benchmark.stats.intervals import wilson
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.documents import read_json
from registry.files import digest_file, write_whole
from registry.user_errors import foreign

SAMPLE = 64  # trials that are answered again
SURE = 0.9  # the lower end of the agreement's interval from which a submission counts as re-run
SIGNED = ".sigstore.json"


class Attestation(StrictModel):
    """Who answered a sample of a submission's trials again, when and with what. submission: SHA-256 of its `run.json`,
    which decides the sample; agreeing: of its n trials; low, high: 95 % Wilson interval of their share."""

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


def sampled_trials(digest: str, observations: Sequence[ExportedObservation]) -> list[tuple[ExportedObservation, int]]:
    """Return observations and positions in them that are answered again: always the same for a submission, whose owner
    cannot choose them without changing its digest."""
    trials = [(row, at) for row in sorted(observations, key=attrgetter("key")) for at in range(row.n)]
    chosen = np.random.default_rng(int(digest[:16], 16)).choice(len(trials), min(SAMPLE, len(trials)), replace=False)
    return [trials[i] for i in sorted(chosen.tolist())]


def attest(path: Path, by: str) -> Attestation:
    """Answer a seeded sample of a submission's trials again from the weights of the network of its name here, and write
    an attestation beside it. by: who does."""
    path = Path(path).resolve()
    if not OWNER.fullmatch(by):
        raise UsageError(f"'{by}' names an attestation: letters, digits, '.', '-' (--by NAME).")
    stated = read_submission(path)
    digest, name, same = digest_file(path / RUN), stated.observers[0].name, list[bool]()
    wanted = sampled_trials(digest, stated.observations) if stated.observers[0].kind == "network" else []
    with scored_again(path, BoardFolder(path.parents[2]).document(path, stated)) as (db, _):
        for origin in provenance(Selection(db), name) if wanted else ():
            request = RunRequest(**{**origin.rerun.arguments, "models": name, "device": "auto"})
            plan = prepare(request, replace(read_settings(), db=db))
            if any(card.sha256 != stated.observers[0].card.get("sha256") for card in plan.cards):
                raise BenchError(f"'{name}' has other weights than {path.parent.name}: `bench register` takes these.")
            same += _answered(plan, [(row, at) for row, at in wanted if row.key in origin.keys])
            wanted = [(row, at) for row, at in wanted if row.key not in origin.keys]
    if not same:
        raise BenchError(f"{path.name[:12]} has no trials of a network to answer again.")
    low, high = wilson(sum(same), len(same))
    found = Attestation(
        submission=digest,
        by=by,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=environment_record(devices_and_policy(RunRequest())[0][0], 1),
        n=len(same),
        agreeing=sum(same),
        low=low,
        high=high,
    )
    target = path / ATTESTATIONS / f"{by}.json"
    write_whole(target, plain_json(found.model_dump(mode="json")))
    if find_spec("sigstore") is not None:
        words = [sys.executable, "-m", "sigstore", "sign", "--overwrite", "--bundle", f"{target}{SIGNED}", str(target)]
        if subprocess.run(words, check=False).returncode:  # noqa: S603 - the extra `sign`
            raise BenchError(f"{target} is written and not signed: sigstore failed.")
    return found


def _answered(plan: RunPlan, wanted: Sequence[tuple[ExportedObservation, int]]) -> list[bool]:
    """Return whether the planned network gives its stored answer at each position of an observation."""
    from benchmark.engine.device_choice import Tuning, cores
    from benchmark.engine.devices import TunedModel
    from benchmark.engine.inference import InferenceLoop, LoadedObserver
    from benchmark.engine.stored_answers import agreement_at
    from registry.loading import load_observer
    from registry.model import LoadedModel

    devices, policy = devices_and_policy(plan.request)
    network = load_observer(plan.cards[0], plan.settings.place, device=devices[0])
    assert isinstance(network, LoadedModel)
    feed = TunedModel(model=network, tuning=Tuning(1, cores()), run=network.forward)
    loaded = LoadedObserver(name=network.card.name, observer=feed)
    loop = InferenceLoop(
        seed=policy.seed, device=devices[0], reporter=Silent(), cache=plan.settings.decoded, decoders=cores()
    )
    blocks = {
        (block.role, block.condition, block.stimuli.digest, task.space): (task, block)
        for task in plan.tasks
        for block in task.plan.blocks
    }
    found = []
    with open_store(plan.settings.db, write=False) as store:
        for row, at in wanted:
            shown = (row.role, row.condition, row.stimuli, row.space)
            if shown not in blocks:
                raise BenchError(f"{row.suite} does not show '{row.role} {row.condition}' ({row.stimuli[:12]}) here.")
            task, block = blocks[shown]
            asked = row.key, block, np.array([at])
            found += agreement_at(store, loop, task, loaded, asked, policy.precision)[:, 0].tolist()
    return found


def read_attestations(path: Path, stated: Submission) -> list[Attestation]:
    """Return the attestations of a submission. Raises ScoresError for one that does not fit it, or itself; whose a
    signature is, `sigstore verify` says."""
    digest, found = digest_file(path / RUN), []
    total = min(SAMPLE, sum(row.n for row in stated.observations))
    for file in sorted((path / ATTESTATIONS).glob("*.json")):
        if file.name.endswith(SIGNED):
            continue
        each = checked_part(Attestation, file, read_json(file, "attestation", ScoresError))
        if each.submission != digest:
            continue  # of an earlier state of the submission: it says nothing of this one
        if each.n != total or (each.low, each.high) != wilson(each.agreeing, total):
            raise ScoresError(f"{file.name}: its numbers are not those of a sample of {total} trials.")
        if file.stem != each.by or each.by.lower() == stated.owner.lower():
            raise ScoresError(f"{file.name}: an attestation is by somebody else than the owner, under their name.")
        bundle = file.with_name(file.name + SIGNED)
        with foreign("signature", bundle, ScoresError, "Expected a bundle of sigstore."):
            signed = read_json(bundle, "signature", ScoresError)["messageSignature"] if bundle.exists() else {}
            of = base64.b64decode(signed["messageDigest"]["digest"]).hex() if signed else ""
        if of not in ("", digest_file(file)):
            raise ScoresError(f"{bundle.name}: signs other bytes.")
        found.append(each)
    return found
