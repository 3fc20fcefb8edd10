"""Everything behind a number, and the command that makes it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.display import masked, printable
from benchmark.leaderboard.formatting import estimate
from benchmark.leaderboard.repeating import Again, Facts, made_again

if TYPE_CHECKING:
    from benchmark.store.table_rows import ObserverRow, ScoreRow, StimuliNote

#: Fields of a score that are plain data.
_SCORE = (
    *(
        "observer",
        "suite",
        "version",
        "space",
        "metric",
        "condition",
        "role",
        "value",
        "low",
        "high",
    ),
    *("level", "method", "n", "excluded", "reason", "flags", "created", "set_id"),
)


@dataclass(frozen=True)
class Run:
    """One command that computed something. environment: versions, components, device, code revision; status: how it
    ended, "" where it was killed."""

    run: int
    command: str
    started: str
    ended: str
    status: str
    environment: Facts


@dataclass(frozen=True)
class Provenance:
    """Everything behind one number. stimuli: role -> set; policy: device, precision, compile, seed ({}: imported);
    trials: runs that computed the trials; scored: the run that computed the score; code: digest of the scoring code;
    keys: of the observer's own observations; peers: the other observers that the number rests on; title: of the metric.
    """

    score: ScoreRow
    title: str
    observer: ObserverRow
    stimuli: Mapping[str, StimuliNote]
    policy: Facts
    trials: tuple[Run, ...]
    scored: Run
    code: str
    keys: tuple[str, ...]
    peers: tuple[str, ...]
    again: Again


def provenance_of(
    score: ScoreRow,
    title: str,
    observer: ObserverRow,
    facts: Facts,
    notes: Mapping[str, StimuliNote],
    *,
    builtin: bool,
) -> Provenance:
    """facts: of the score's set (`Store.provenance`); builtin: whether everybody has the model's card."""
    mine = [one for one in facts["observations"] if one["identity"] == observer.identity]
    others = [one for one in facts["observations"] if one["identity"] != observer.identity]
    policy: Facts = next(
        (one["details"]["policy"] for one in mine if "policy" in one["details"]), {}
    )
    made = {number for one in mine for number in one["runs"]}
    runs = {number: _run(run) for number, run in facts["runs"].items()}
    commands = {number: run.command for number, run in runs.items()}
    return Provenance(
        score,
        title,
        observer,
        {role: notes[digest] for role, digest in facts["stimuli"].items() if digest in notes},
        policy,
        tuple(runs[number] for number in sorted(made)),
        runs[facts["run"]],
        facts["code"],
        tuple(one["key"] for one in mine),
        tuple(dict.fromkeys(one["observer"] for one in others)),
        made_again(score, observer, mine, others, commands, commands[facts["run"]], builtin),
    )


def _run(facts: Facts) -> Run:
    return Run(
        facts["run"],
        masked(facts["command"]),
        facts["started"],
        facts["ended"] or "",
        facts["status"] or "",
        facts["environment"],
    )


def provenance_text(found: Provenance) -> list[str]:
    """A line per fact, under the name of the number."""
    score = found.score
    names = [
        score.observer,
        score.suite,
        score.metric,
        *([score.condition] * bool(score.condition)),
    ]
    lines = [" ".join(map(printable, names))]
    return lines + [f"  {name:<10} {printable(masked(text))}" for name, text in _facts(found)]


def _facts(found: Provenance) -> Iterator[tuple[str, str]]:
    score, card = found.score, found.observer.card
    yield "value", f"{estimate(score.value, score.low, score.high)} {score.reason}".strip()
    yield "", f"{found.title}: {score.value!r}" if score.value is not None else found.title
    if score.low is not None:
        yield (
            "interval",
            f"{100 * score.level:.4g} %, {score.method}: [{score.low!r}, {score.high!r}]",
        )
    yield "n", f"{score.n} trials count, {score.excluded} do not"
    for flag in score.flags:
        yield "flag", flag
    yield "observer", f"{found.observer.kind}, identity {found.observer.identity}"
    for name in ("sha256", "weights", "arch", "labels", "preprocess", "options"):
        if value := card.get(name):
            yield {"sha256": "weights", "weights": "from"}.get(name, name), str(value)
    if score.training:
        yield "trained", ", ".join(score.training)
    for role, note in found.stimuli.items():
        whole = f" of {note.whole}" if note.whole else ""
        yield (
            "stimuli",
            f"{role or note.name}: {note.name}, {note.n}{whole} images, digest {note.digest}",
        )
    yield "run on", score.policy or "imported trials"
    yield "suite", f"{score.suite} version {score.version}, space {score.space}"
    for run in found.trials:
        yield "trials", _run_line(run)
    yield "", f"{len(found.keys)} observations"
    if found.peers:
        yield "rests on", f"trials of {', '.join(found.peers)}"
    yield "scored", _run_line(found.scored)
    yield "", f"scoring code {found.code}"
    yield from _versions(found.trials[0] if found.trials else found.scored)
    for line in found.again.before:
        yield "first", line
    if found.again.words:
        yield "again", found.again.command


def _run_line(run: Run) -> str:
    end = f" to {run.ended}" if run.ended else ""
    return f"{run.started}{end} ({run.status or 'cut short'}): {run.command}"


def _versions(run: Run) -> Iterator[tuple[str, str]]:
    where = run.environment
    packages = [f"{name} {one}" for name, one in (where.get("packages") or {}).items() if one]
    yield "versions", ", ".join([f"python {where.get('python')}", *packages])
    parts = [where.get("platform"), where.get("machine"), where.get("gpu") or "no GPU"]
    yield "machine", ", ".join([*map(str, parts), f"{where.get('threads')} threads"])
    if code := where.get("code"):
        yield "code", f"{code['revision']}{' with changes' if code['dirty'] else ''}"
    if components := where.get("components"):
        yield "components", ", ".join(f"{name} {one}" for name, one in components.items())


def provenance_record(found: Provenance) -> dict[str, Any]:
    """Plain data, for JSON and tables."""
    from dataclasses import asdict

    score = found.score
    return {
        **{name: getattr(score, name) for name in _SCORE},
        "kind": found.observer.kind,
        "identity": found.observer.identity,
        "weights": found.observer.card.get("sha256"),
        "card": dict(found.observer.card),
        "stimuli": {role: note._asdict() for role, note in found.stimuli.items()},
        "policy": dict(found.policy),
        "runs": [asdict(run) for run in found.trials],
        "scored": asdict(found.scored),
        "code": found.code,
        "observations": list(found.keys),
        "peers": list(found.peers),
        "first": list(found.again.before),
        "command": found.again.command,
    }
