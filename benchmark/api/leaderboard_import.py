"""Import another laboratory's leaderboard. Scores whose trials are in the document are computed again; scores without
trials are stored as reported, under names of their own."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.document_trials import (
    Subject,
    bring_in,
    different_scores,
    score_documented,
    scored_together,
    staged,
    stimuli_of,
    subject_of,
    with_trials,
)
from benchmark.api.imports import recorded, score_again
from benchmark.api.options import Db, Option, command_line
from benchmark.contracts import Observer, Score, Suite
from benchmark.display import printable
from benchmark.failures import ScoresError
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedObserver,
    ExportedScore,
    read_leaderboard_document,
)
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.stimuli.published_sources import check_source
from benchmark.store import IMPORTED_KINDS, ScoreRow, ScoreSet, StimuliNote, Store, open_store
from benchmark.store.rows import fault
from benchmark.variables import read_settings
from registry.files import digest_data

#: Beginning of the flag of a score without trials in this leaderboard.
FLAG = "imported: "
#: Fields of a foreign card that are shown; the whole card is kept beside them, for the words that register it.
TEXTS = ("arch", "family", "license", "paper", "description")
NUMBERS = ("parameters", "year")
TAGS = 40  # of a recipe

ScoresBySet = Mapping[int, Sequence[ExportedScore]]


@dataclass(kw_only=True)
class LeaderboardReport:
    """The outcome of an import."""

    source: str
    observers: list[str] = field(default_factory=list)  # names of observers with new reported scores
    scores: int = 0  # new scores without trials
    known: int = 0  # scores without trials that were stored already
    trials: dict[str, int] = field(default_factory=dict)  # observer -> new trials
    scored: int = 0  # score sets computed from these trials
    different: list[str] = field(default_factory=list)  # scores of the document that its trials do not give
    refused: list[str] = field(default_factory=list)  # observers whose trials were refused
    conflicts: list[str] = field(default_factory=list)  # with any, nothing is imported
    left_out: list[str] = field(default_factory=list)  # scores of suites that are not installed
    notes: list[str] = field(default_factory=list)


def import_leaderboard(
    path: Annotated[str | Path, Option("The JSON document, or a bundle.", kind="file")],
    *,
    source: Annotated[str | None, Option("Name its source (default: the file's name).", metavar="NAME")] = None,
    db: Db = None,
) -> LeaderboardReport:
    """Import another laboratory's leaderboard.

    `bench export --scores -o FILE.json` writes the document, `bench export --bundle FILE.zip` one with a page. Its
    trials are scored again, and scores that they do not give are listed. An observer with the name or identity of one
    of yours is refused unless its answers are equal. Scores without trials are stored as reported scores of "NAME
    (SOURCE)"; if one contradicts a stored number, nothing is imported. Exit code 3 means that something differs, was
    refused or was left out."""
    path = Path(path)
    known_as = check_source(path.stem if source is None else source)
    command = command_line(import_leaderboard, "bench import leaderboard", path=path.absolute(), source=source)
    document = read_leaderboard_document(path)
    with open_store(read_settings(db).db) as store:
        return import_document(store, path, document, known_as, command)


def import_document(store: Store, path: Path, document: Document, known_as: str, command: str) -> LeaderboardReport:
    """Import a document from `path` as `command`, under the source `known_as`. Raises ScoresError."""
    suites, report = plugins.find_suites().suites, LeaderboardReport(source=known_as)
    # Everything is looked at before anything is written.
    _check_numbers(path, document, suites)
    _check_stimuli(store, document)
    by_observer = _scores_by_observer(document, suites, report)
    placed = {*chain(*by_observer.values())}
    answered = {key: scored for key, scored in with_trials(document).items() if key in placed}
    alone = {name: {key: sets[key] for key in sets.keys() - answered.keys()} for name, sets in by_observer.items()}
    new = list(_new_scores(store, document, alone, report))
    if report.conflicts or not (new or answered):
        return report
    runs = [run.model_dump(mode="json") for run in document.runs]
    origin = {"source": known_as, "program": document.program, "runs": runs}
    card_of = partial(foreign_card, program=document.program, source=known_as)
    with staged(path, document, answered, card_of) as theirs, recorded(store, command, imported=origin) as run:
        report.trials, report.refused = bring_in(store, theirs, document, run)
        if report.trials:
            ids = {row.name: row.id for row in store.observers(names=report.trials.keys())}
            report.scored = score_documented(store, run, scored_together(document, answered, ids))
            report.scored += score_again(store, run, ",".join(sorted({s.suite for s in answered.values()}))).new_sets
        made = [score for sets in by_observer.values() for key in sets.keys() & answered for score in sets[key]]
        older = {
            (score.suite, score.version)
            for score in made
            if score.suite in suites and score.version < suites[score.suite].version
        }
        report.notes += [
            f"{suite}: scored by version {version} there, made again from the trials by version "
            f"{suites[suite].version} here"
            for suite, version in sorted(older)
        ]
        current = [score for score in made if (score.suite, score.version) not in older]
        report.different += different_scores(store, current, answered)
        _write(store, run, document, new, report)
    return report


def _check_numbers(path: Path, document: Document, suites: Mapping[str, Suite]) -> None:
    """Raise ScoresError for a number that the score cannot have."""
    for score in document.scores:
        metrics = {metric.name: metric for metric in suites[score.suite].metrics} if score.suite in suites else {}
        metric = metrics.get(score.metric)
        outside = metric.outside(score.value) if metric is not None and score.value is not None else ""
        if why := fault(score) or outside:
            raise ScoresError(f"{path}: '{printable(score.metric)}' of '{printable(score.observer)}': {why}.")


def _check_stimuli(store: Store, document: Document) -> None:
    """Raise ScoresError if a stimulus set of the document differs from the stored one."""
    here = {note.digest: note for note in store.stimuli_names()}
    for theirs in document.stimuli:
        own = here.get(theirs.digest)
        if own is None:
            continue
        other = bool(theirs.ids) and not store.stimuli(own.digest).shows(stimuli_of(theirs))
        if other or (own.n, own.space) != (theirs.n, theirs.space):
            raise ScoresError(
                f"stimulus set {theirs.digest[:12]} has {own.n} images of {own.space} here and {theirs.n} "
                f"of {theirs.space} in the document{', with other names or labels' * other}: one of the two is wrong. "
                "Nothing was imported."
            )


def _scores_by_observer(
    document: Document, suites: Mapping[str, Suite], report: LeaderboardReport
) -> Mapping[str, ScoresBySet]:
    """Return observer -> score set -> the scores that this leaderboard can hold; report the others."""
    kept: dict[str, dict[int, list[ExportedScore]]] = defaultdict(lambda: defaultdict(list))
    dropped: Counter[str] = Counter()
    of_maps = 0
    for score in document.scores:
        suite = suites.get(score.suite)
        if score.suite != REPORTED and suite is None:
            dropped[f"the suite '{score.suite}' is not installed"] += 1
        elif suite is not None and score.version > suite.version:
            dropped[
                f"version {score.version} of the suite '{score.suite}'; version {suite.version} is installed: update "
                "gestaltbench"
            ] += 1
        elif suite is not None and score.condition in suite.references:
            of_maps += 1  # of no observer: they depend on the stimuli alone
        else:
            kept[score.observer][score.score_set].append(score)
    report.left_out += [f"{count} scores: {why}" for why, count in dropped.items()]
    if of_maps:
        report.notes.append(f"skipped {of_maps} scores of reference maps: each leaderboard computes its own")
    answered = {row.observer for row in document.observations}
    people = Counter(
        row.kind
        for row in document.observers
        if row.kind not in NETWORKS and row.name not in answered and not (row.kind == "group" and answered)
    )
    if people:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(people.items()))
        report.notes.append(f"skipped {counts}: only networks are imported as scores (people: `bench import trials`)")
    return kept


def _new_scores(
    store: Store, document: Document, by_observer: Mapping[str, ScoresBySet], report: LeaderboardReport
) -> Iterator[tuple[ExportedObserver, ScoresBySet]]:
    """Yield networks with their score sets that are not yet stored completely; report conflicts."""
    here = {row.name: row for row in store.observers()}
    stored: dict[str, dict[Subject, ScoreRow]] = defaultdict(dict)
    for row in store.latest_scores():
        stored[row.observer][subject_of(row)] = row
    for observer in document.observers:
        if observer.kind not in NETWORKS or observer.name not in by_observer:
            continue
        own, name = here.get(observer.name), joined_name(observer.name, report.source)
        same = own is not None and (own.kind, own.identity) == (observer.kind, observer.identity)
        before = here.get(name)
        if before is not None and before.identity != _identity(observer, report.source):
            theirs = before.card.get("exported", {}).get("identity") or before.identity
            report.conflicts.append(
                f"{name} is another network in this leaderboard (identity {theirs[:12]}, in the document "
                f"{observer.identity[:12]})"
            )
            continue
        held = [stored[name], *([stored[observer.name]] if same else [])]
        sets = by_observer[observer.name]
        answers = {key: [[_known(score, rows) for rows in held] for score in sets[key]] for key in sets}
        clashes = (known for each in answers.values() for known in chain(*each) if isinstance(known, str))
        if clash := next(clashes, ""):
            report.conflicts.append(f"{observer.name}: {clash}")
            continue
        known = {key: sum(True in each for each in answers[key]) for key in sets}
        new = {key: scores for key, scores in sets.items() if known[key] < len(scores)}
        report.known += sum(known.values())
        report.scores += sum(len(scores) - known[key] for key, scores in new.items())
        if new:
            if own is not None and not same:
                report.notes.append(f"{observer.name} differs from your network of that name; it is stored as {name}")
            yield observer, new


def _write(
    store: Store,
    run: str,
    document: Document,
    new: Sequence[tuple[ExportedObserver, ScoresBySet]],
    report: LeaderboardReport,
) -> None:
    notes = {one.digest: one.model_dump(mode="json", include={*StimuliNote._fields}) for one in document.stimuli}
    sets = {one.id: one.model_dump() for one in document.score_sets}
    numbers = {field.name for field in fields(Score)} - {"flags"}
    own = ("suite", "version", "space", "code", "stimuli")
    for observer, scores_of in new:
        name = joined_name(observer.name, report.source)
        used = sorted({score.stimuli for scores in scores_of.values() for score in scores})
        card = foreign_card(observer, document.program, report.source)
        card |= {"source": report.source, "named": observer.name}
        card["exported"] |= {"stimuli": [notes[digest] for digest in used if digest in notes]}
        who = Observer(name=name, kind=REPORTED, identity=_identity(observer, report.source), card=card)
        row = store.put_observer(who)
        report.observers.append(name)
        for key, scores in scores_of.items():
            target = ScoreSet(observer=row, keys=sets[key]["observations"], **{name: sets[key][name] for name in own})
            marked = []
            for score in scores:
                how = f", run as {score.policy}" if score.policy else ""
                flags = (*score.flags, f"{FLAG}scores of {report.source}{how}, no trials here")
                marked.append(Score(**score.model_dump(include=numbers), flags=flags))
            store.put_scores(run, target, marked)


def foreign_card(observer: ExportedObserver, program: str, source: str) -> dict[str, Any]:
    """Return the fields of a foreign card that are shown. An observer that was imported there keeps its source."""
    theirs, own = observer.card, ("source", "named") if observer.kind in IMPORTED_KINDS else ()
    card: dict[str, Any] = {} if own else {"source": source}
    card |= {text: theirs[text] for text in (*TEXTS, *own) if isinstance(theirs.get(text), str)}
    card |= {number: theirs[number] for number in NUMBERS if type(theirs.get(number)) is int}
    tags = theirs.get("training")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        card["training"] = tags[:TAGS]
    origin = {"kind": observer.kind, "identity": observer.identity, "program": program}
    return {**card, "exported": {**origin, "card": dict(theirs)}}


def joined_name(name: str, source: str) -> str:
    """Return "net (lab)" for "net", and "net (tables; lab)" for "net (tables)"."""
    return f"{name[:-1]}; {source})" if name.endswith(")") and " (" in name else f"{name} ({source})"


def _identity(observer: ExportedObserver, source: str) -> str:
    return digest_data([REPORTED, source, observer.name, observer.kind, observer.identity])


def _known(score: ExportedScore, held: Mapping[Subject, ScoreRow]) -> bool | str:
    """Return whether a score is stored already; a text if another number is stored for the same subject and policy."""
    row = held.get(subject_of(score))
    if row is None or (row.policy and score.policy and row.policy != score.policy):
        return False
    same = attrgetter("value", "low", "high", "level", "method", "n", "excluded", "reason")
    flags = (tuple(flag for flag in one.flags if not flag.startswith(FLAG)) for one in (row, score))
    if same(row) == same(score) and next(flags) == next(flags):
        return True
    where = f" ({score.condition})" if score.condition else ""
    return f"{score.suite} {score.metric}{where} is {score.value} in the document and {row.value} here"
