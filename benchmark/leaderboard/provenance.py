"""Everything behind a number, and the command that reproduces it."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Checked

from benchmark.display import printable
from benchmark.failures import StoreError
from benchmark.leaderboard.table import format_interval
from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote
from registry.cards import Certificate, ModelCard
from registry.files import redacted

# The command of a number is built from checked fields: no text of a leaderboard is run as a command.
Facts = Mapping[str, Any]

#: Options of `bench register` for what a network is fed.
_INPUT = ("size", "resize", "interpolation", "mean", "std", "channels", "scale", "resize_mode")
#: Schemes of models that say themselves what they are fed, of their texts, too.
_TELLING = ("hf", "open_clip")


class _Request(BaseModel):
    """A run as recorded: one model and those that it depends on, one suite or variant, no globs. Nothing else is read
    from the leaderboard, such as where it ran."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")

    models: list[Annotated[str, Checked(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\Z")]]
    suites: str = Checked(pattern=r"^(?!all\Z)[A-Za-z0-9_-]+(:[A-Za-z0-9._+-]+)?\Z")
    limit: int | None = Checked(None, ge=1, lt=2**63)
    stimuli: str | None = None
    device: str = Checked(pattern=r"^[a-z]+\Z")
    precision: Literal["fp32", "tf32", "bf16"]
    seed: int = Checked(ge=-(2**63), lt=2**63)
    batch: int | None = Checked(None, ge=1, lt=2**63)
    compile: bool


def rerun_command(score: ScoreRow, observer: ObserverRow, facts: Facts, builtin: bool) -> tuple[Facts, str, list[str]]:
    """Return how to reproduce a score: the fields of a run's request, its command, and what to do first. Raises
    StoreError if the leaderboard asks for what no run records."""
    own, others = facts["own"], facts["others"]
    first, runs = own[0] if own else {"details": {}, "runs": ()}, facts["runs"]
    imported = [observation for observation in others if "policy" not in observation["details"]]
    brought = dict.fromkeys(runs[number]["command"] for observation in imported for number in observation["runs"])
    rests_on = [f"import trials that it depends on, as it was done: {command}" for command in brought]
    if not first["details"].get("policy"):
        bring = [f"import its trials, as it was done: {runs[number]['command']}" for number in first["runs"]]
        given = [f"import the score, as it was done: {runs[facts['run']]['command']}"] * (not own and not others)
        return {}, "", [*bring, *given, *(() if own else rests_on)]
    if observer.card.get("source") == "memory":
        return {}, "", ["it was evaluated in memory and no card loads it: gb.evaluate(net, save=True) makes one"]
    elsewhere = {observation["observer"] for observation in imported}
    shown = dict.fromkeys(o["observer"] for o in others if o["observer"] not in elsewhere)
    details = first["details"]
    stated: dict[str, Any] = {"models": [observer.name, *shown], "suites": score.suite}
    for name, part in (("policy", details["policy"]), ("asked", details.get("asked", {}))):
        stated |= part if isinstance(part, dict) else {name: part}
    try:
        request = _Request.model_validate(stated)
    except ValidationError as error:
        wrong = error.errors()[0]
        what = next((str(name) for name in reversed(wrong["loc"]) if isinstance(name, str)), "request")
        raise StoreError(
            f"the leaderboard asks for {what[:40]!r} {wrong['input']!r:.60}, which no run of this program records: it "
            "is damaged, or of a newer program. No command is made of it."
        ) from error
    asked = request.model_dump(exclude_none=True)
    arguments = asked | {"models": ",".join(request.models)}
    words = ["bench", "run", "-m", arguments["models"], "-s", request.suites]
    for name, value in asked.items():
        if name not in ("models", "suites", "compile"):
            words += ["--batch-size" if name == "batch" else f"--{name}", str(value)]
    model = [] if builtin or not observer.card else [_registration(observer)]
    return arguments, shlex.join([*words, *(["--compile"] * request.compile)]), [*model, *rests_on]


def _registration(observer: ObserverRow) -> str:
    """Return how the model is registered anew: by a command, or by its card where that states more than a command."""
    card = observer.card
    with suppress(ValidationError):
        theirs = (card.get("exported") or {}).get("card") or {}
        known = {name: value for name, value in theirs.items() if name in ModelCard.model_fields}
        card = ModelCard.model_validate(known).model_dump(mode="json")
    first, options = "the model, if it is not registered: ", card.get("options") or {}
    how, tags = card.get("preprocess") or {}, [str(tag) for tag in card.get("training") or () if tag != "untrained"]
    telling = str(card.get("arch")).partition(":")[0] in _TELLING or how.get("resize_mode") == "own"
    if telling or options.keys() - {"key", "output"}:
        line = shlex.join(["bench", "show", observer.name, "--provenance", "--json"])
        return f"{first}the `card` that `{line}` prints, as a YAML file in the folder `cards` of BENCH_HOME"
    given = {name: card.get(name) for name in ("arch", "weights", "labels")} | options
    given |= {name: how.get(name) for name in _INPUT}
    words = ["bench", "register", observer.name]
    for name, value in given.items():
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        words += [f"--{name.replace('_', '-')}", str(text)] if text not in (None, "") else []
    return first + shlex.join([*words, *(word for tag in tags for word in ("--training", tag))])


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Everything behind one number. A run has its number, command, start, end, status ("" if it was killed), and the
    environment: versions, components, device, code revision."""

    score: ScoreRow
    title: str  # of the metric
    observer: ObserverRow
    stimuli: Mapping[str, StimuliNote]  # by role
    policy: Facts  # device, precision, compile, seed; {}: imported
    runs: list[Facts]  # that computed the trials
    scored: Facts  # the run that computed the score
    code: str  # digest of the scoring code
    observations: list[str]  # keys of the observer's own observations
    peers: list[str]  # the other observers that the number depends on
    arguments: Facts  # of the request of a run that reproduces it; {}: none does
    command: str  # of that run, for a shell, without a leaderboard
    first: list[str]  # the steps to do before, a line each


def provenance_of(
    score: ScoreRow, title: str, observer: ObserverRow, facts: Facts, notes: Mapping[str, StimuliNote], *, builtin: bool
) -> Provenance:
    """Return the provenance of a score. facts: `Store.provenance`; builtin: whether the card is the package's."""
    own = [behind for behind in facts["observations"] if behind["identity"] == observer.identity]
    others = [behind for behind in facts["observations"] if behind["identity"] != observer.identity]
    runs = {
        at: {**run, "command": redacted(run["command"]), "ended": run["ended"] or "", "status": run["status"] or ""}
        for at, run in facts["runs"].items()
    }
    arguments, command, first = rerun_command(
        score, observer, {**facts, "runs": runs, "own": own, "others": others}, builtin
    )
    return Provenance(
        score=score,
        title=title,
        observer=observer,
        stimuli={role: notes[digest] for role, digest in facts["stimuli"].items() if digest in notes},
        policy=next((behind["details"]["policy"] for behind in own if "policy" in behind["details"]), {}),
        runs=[runs[at] for at in sorted({at for behind in own for at in behind["runs"]})],
        scored=runs[facts["run"]],
        code=facts["code"],
        observations=[behind["key"] for behind in own],
        peers=list(dict.fromkeys(behind["observer"] for behind in others)),
        arguments=arguments,
        command=command,
        first=first,
    )


def provenance_text(behind: Provenance) -> list[str]:
    """Return a line per fact, under the name of the number."""
    score, facts = behind.score, list(_number(behind))
    facts += [*(("trials", _run_line(run)) for run in behind.runs), ("", f"{len(behind.observations)} observations")]
    facts += [("rests on", f"trials of {', '.join(behind.peers)}")] if behind.peers else []
    facts += [("scored", _run_line(behind.scored)), ("", f"scoring code {behind.code}")]
    facts += [("program", f"gestaltbench {score.program}")] if score.program else []
    where = (behind.runs[0] if behind.runs else behind.scored)["environment"]
    packages = [f"{name} {version}" for name, version in (where.get("packages") or {}).items() if version]
    facts.append(("versions", ", ".join([f"python {where.get('python')}", *packages])))
    parts = [where.get("platform"), where.get("machine"), where.get("gpu") or "no GPU"]
    facts.append(("machine", ", ".join([*map(str, parts), f"{where.get('threads')} threads"])))
    if code := where.get("code"):
        facts.append(("code", f"{code['revision']}{' with changes' if code['dirty'] else ''}"))
    if components := where.get("components"):
        facts.append(("components", ", ".join(f"{name} {version}" for name, version in components.items())))
    facts += [*(("first", line) for line in behind.first), *([("again", behind.command)] if behind.command else [])]
    names = (score.observer, score.suite, score.metric, score.condition)
    lines = (f"  {name:<10} {printable(redacted(text))}" for name, text in facts)
    return [" ".join(map(printable, filter(None, names))), *lines]


def _number(behind: Provenance) -> Iterator[tuple[str, str]]:
    score, card = behind.score, behind.observer.card
    yield "value", f"{format_interval(score.value, score.low, score.high)} {score.reason}".strip()
    yield "", f"{behind.title}: {score.value!r}" if score.value is not None else behind.title
    if score.low is not None:
        yield "interval", f"{100 * score.level:.4g} %, {score.method}: [{score.low!r}, {score.high!r}]"
    yield "n", f"{score.n} trials count, {score.excluded} do not"
    yield from (("flag", flag) for flag in score.flags)
    yield "observer", f"{behind.observer.kind}, identity {behind.observer.identity}"
    for name in ("sha256", "weights", "arch", "labels", "preprocess", "options"):
        if value := card.get(name):
            yield {"sha256": "weights", "weights": "from"}.get(name, name), str(value)
    if card.get("verified"):
        with suppress(ValidationError):  # of a foreign leaderboard
            yield "verified", str(Certificate.model_validate(card["verified"]))
    if score.training:
        yield "trained", ", ".join(score.training)
    for role, note in behind.stimuli.items():
        whole = f" of {note.whole}" if note.whole else ""
        yield ("stimuli", f"{role or note.name}: {note.name}, {note.n}{whole} images, digest {note.digest}")
    yield "run on", score.policy or "imported trials"
    yield "suite", f"{score.suite} version {score.version}, space {score.space}"


def _run_line(run: Facts) -> str:
    end = f" to {run['ended']}" if run["ended"] else ""
    return f"{run['started']}{end} ({run['status'] or 'cut short'}): {run['command']}"


def provenance_record(behind: Provenance) -> dict[str, Any]:
    """Return plain data, for JSON and tables."""
    who, notes = behind.observer, {role: note._asdict() for role, note in behind.stimuli.items()}
    about = {"kind": who.kind, "identity": who.identity, "weights": who.card.get("sha256"), "card": dict(who.card)}
    data = {name: part for name, part in vars(behind).items() if name not in ("score", "observer", "arguments")}
    return {**behind.score._asdict(), "title": behind.title, **about, **data, "stimuli": notes}
