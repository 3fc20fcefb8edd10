"""Everything behind a number, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmark.display import masked, printable
from benchmark.leaderboard.formatting import estimate

if TYPE_CHECKING:
    from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote

Facts = Mapping[str, Any]


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
class Again:
    """What makes a number again. arguments: as fields of a run's request ({} where no run can); words: the command
    without a leaderboard; before: what has to be done first, a line each."""

    arguments: Facts
    words: tuple[str, ...]
    before: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """As it is typed in a shell; "" where no run makes the number."""
        return shlex.join(self.words)


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
        _again(score, observer, mine, others, runs, builtin),
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


def _again(
    score: ScoreRow,
    observer: ObserverRow,
    mine: Sequence[Facts],
    others: Sequence[Facts],
    runs: Mapping[int, Run],
    builtin: bool,
) -> Again:
    first = mine[0] if mine else {"details": {}, "runs": ()}
    policy = first["details"].get("policy")
    commands = [runs[number].command for number in first["runs"]]
    if not policy:
        bring = [f"bring its trials in, as it was done: {command}" for command in commands]
        return Again({}, (), tuple(bring))
    asked = first["details"].get("asked") or _typed(commands)
    imported = {one["observer"] for one in others if "policy" not in one["details"]}
    shown = dict.fromkeys(one["observer"] for one in others if one["observer"] not in imported)
    arguments = {
        "models": ",".join([observer.name, *shown]),
        "suites": score.suite,
        "device": policy["device"],
        "precision": policy["precision"],
        "seed": policy["seed"],
        "compile": policy["compile"],
        **asked,
    }
    return Again(arguments, _words(arguments), tuple(_before(observer, imported, builtin)))


def _words(arguments: Facts) -> tuple[str, ...]:
    words = ["bench", "run", "-m", arguments["models"], "-s", arguments["suites"]]
    for name in ("limit", "stimuli", "device", "precision", "seed", "batch"):
        if name in arguments:
            words += ["--batch-size" if name == "batch" else f"--{name}", str(arguments[name])]
    return (*words, *(["--compile"] if arguments["compile"] else []))


def _typed(commands: Sequence[str]) -> dict[str, Any]:
    """Which stimuli a typed command asked for: older leaderboards do not say it otherwise."""
    try:
        words = [word for text in commands[:1] for word in shlex.split(text)]
    except ValueError:
        return {}
    found = {}
    for name, option in (("limit", "--limit"), ("stimuli", "--stimuli"), ("batch", "--batch-size")):
        given = [after for word, after in pairwise(words) if word == option]
        given += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
        if given and given[-1] != "auto":
            found[name] = given[-1] if name == "stimuli" else _whole(given[-1])
    return {name: value for name, value in found.items() if value}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _before(observer: ObserverRow, imported: set[str], builtin: bool) -> Iterator[str]:
    card = observer.card
    if card and not builtin:
        given = {"--arch": card.get("arch"), "--weights": card.get("weights")}
        given["--labels"] = card.get("labels")
        words = [word for option, value in given.items() if value for word in (option, str(value))]
        known = shlex.join(["bench", "register", observer.name, *words])
        yield f"the model, where it is not registered: {known}"
    if imported:
        yield (
            f"the trials of {len(imported)} imported observers, which the number rests on: bench import trials FOLDER"
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
        "stimuli": {role: asdict(note) for role, note in found.stimuli.items()},
        "policy": dict(found.policy),
        "runs": [asdict(run) for run in found.trials],
        "scored": asdict(found.scored),
        "code": found.code,
        "observations": list(found.keys),
        "peers": list(found.peers),
        "first": list(found.again.before),
        "command": found.again.command,
    }
