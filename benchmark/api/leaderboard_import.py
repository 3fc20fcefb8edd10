"""Another laboratory's leaderboard beside one's own. Where the document has the trials of a score, they are brought in
and scored here; scores without trials come as reported ones, under names of their own."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.document_trials import What, bring_in, different_scores, rebuilt, stimuli_of, what_of, with_trials
from benchmark.api.imports import recorded
from benchmark.api.options import Db, Option, command_line
from benchmark.contracts import Observer, Score, Suite
from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.leaderboard.leaderboard_document import Document, ExportedObserver, ExportedScore, read_document
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.leaderboard.model import REPORTED
from benchmark.stimuli.published_sources import check_source
from benchmark.store import IMPORTED_KINDS, ScoreRow, ScoreSet, StimuliNote, Store, open_store
from benchmark.store.rows import fault
from benchmark.variables import read_settings
from registry.files import digest_data

#: What the remark of a score without trials here begins with.
FLAG = "imported: "
#: Texts of a foreign card that are shown as they are; the whole of it is kept beside them, and never read as a card.
TEXTS = ("arch", "family", "license", "paper", "description")
NUMBERS = ("parameters", "year")
TAGS = 40  # of a recipe


@dataclass(kw_only=True)
class LeaderboardReport:
    """What came in. observers: names here of those with new scores; scores: new ones without trials; known: those that
    are here already; trials: of whom how many came; scored: score sets made of trials here; different: scores of the
    document that its trials do not give; refused: observers whose trials were not taken; conflicts: because of what
    nothing was taken; left_out: what has no place here; notes: what a user should know."""

    source: str
    observers: list[str] = field(default_factory=list)
    scores: int = 0
    known: int = 0
    trials: dict[str, int] = field(default_factory=dict)
    scored: int = 0
    different: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_leaderboard(
    path: Annotated[str | Path, Option("The JSON document.", kind="file")],
    *,
    source: Annotated[
        str | None, Option("Name the document's source (default: the file's name).", metavar="NAME")
    ] = None,
    db: Db = None,
) -> LeaderboardReport:
    """Import another laboratory's leaderboard in JSON.

    `bench export --scores -o FILE.json` writes the document. Its trials are scored again here: a score that they do not
    give is named. An observer whose name or identity is yours is refused unless its answers are yours. Scores without
    trials are reported, of "NAME (SOURCE)"; if one contradicts a number that is here, nothing is imported. Exit code 3:
    something was named, refused or left out."""
    path = Path(path)
    known_as = check_source(path.stem if source is None else source)
    document, suites = read_document(path), plugins.find_suites().suites
    _check_numbers(path, document, suites)
    report = LeaderboardReport(source=known_as)
    with open_store(read_settings(db).db) as store:
        # everything is looked at before anything is written
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
        command = command_line(import_leaderboard, "bench import leaderboard", path=path.absolute(), source=source)

        def card_of(observer: ExportedObserver) -> dict[str, Any]:
            return _card(observer, document.program, known_as)

        with rebuilt(path, document, answered, card_of) as theirs, recorded(store, command, imported=origin) as run:
            made = [score for sets in by_observer.values() for key in sets.keys() & answered for score in sets[key]]
            report.different += different_scores(theirs, made)
            report.trials, report.refused, report.scored = bring_in(store, theirs, document, answered, run)
            _write(store, run, document, new, report)
    return report


def _check_numbers(path: Path, document: Document, suites: Mapping[str, Suite]) -> None:
    """Raises ScoresError for a number that no score has."""
    for score in document.scores:
        metrics = {metric.name: metric for metric in suites[score.suite].metrics} if score.suite in suites else {}
        metric = metrics.get(score.metric)
        outside = metric.outside(score.value) if metric is not None and score.value is not None else ""
        if why := fault(score) or outside:
            raise ScoresError(f"{path}: '{printable(score.metric)}' of '{printable(score.observer)}': {why}.")


def _check_stimuli(store: Store, document: Document) -> None:
    """Raises ScoresError for a stimulus set that is another one here."""
    here = {note.digest: note for note in store.stimuli_names()}
    for theirs in document.stimuli:
        own = here.get(theirs.digest)
        if own is None:
            continue
        other = bool(theirs.ids) and not store.stimuli(own.digest).shows(stimuli_of(theirs))
        if other or (own.n, own.space) != (theirs.n, theirs.space):
            raise ScoresError(
                f"stimulus set {theirs.digest[:12]} has {own.n} images of {own.space} here, and {theirs.n} of "
                f"{theirs.space} in the document{', with other names or labels' * other}: one of the two is wrong. "
                "Nothing was imported."
            )


def _scores_by_observer(
    document: Document, suites: Mapping[str, Suite], report: LeaderboardReport
) -> Mapping[str, Mapping[int, Sequence[ExportedScore]]]:
    """Observer -> score set -> the scores that have a place here; what has none is said."""
    kept: dict[str, dict[int, list[ExportedScore]]] = defaultdict(lambda: defaultdict(list))
    dropped: Counter[str] = Counter()
    of_maps = 0
    for score in document.scores:
        suite = suites.get(score.suite)
        if score.suite != REPORTED and suite is None:
            dropped[f"the suite '{score.suite}' is not installed here"] += 1
        elif suite is not None and score.version > suite.version:
            dropped[
                f"version {score.version} of the suite '{score.suite}'; version {suite.version} is installed: update "
                "the program"
            ] += 1
        elif suite is not None and score.condition in suite.references:
            of_maps += 1  # of no observer: they depend on the stimuli alone
        else:
            kept[score.observer][score.score_set].append(score)
    report.left_out += [f"{count} scores: {why}" for why, count in dropped.items()]
    if of_maps:
        report.notes.append(
            f"not taken: {of_maps} scores of reference maps, which no network decides: they are measured here"
        )
    answered = {row.observer for row in document.observations}
    people = Counter(
        row.kind
        for row in document.observers
        if row.kind not in NETWORKS and row.name not in answered and not (row.kind == "group" and answered)
    )
    if people:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(people.items()))
        report.notes.append(f"not taken: {counts}: networks alone come in as scores (people: `bench import trials`)")
    return kept


def _new_scores(
    store: Store,
    document: Document,
    by_observer: Mapping[str, Mapping[int, Sequence[ExportedScore]]],
    report: LeaderboardReport,
) -> Iterator[tuple[ExportedObserver, Mapping[int, Sequence[ExportedScore]]]]:
    """The networks of the document with the score sets of which a part is not here yet; conflicts are noted."""
    here = {row.name: row for row in store.observers()}
    stored: dict[str, dict[What, ScoreRow]] = defaultdict(dict)
    for row in store.latest_scores():
        stored[row.observer][what_of(row)] = row
    for observer in document.observers:
        if observer.kind not in NETWORKS or observer.name not in by_observer:
            continue
        own, name = here.get(observer.name), joined_name(observer.name, report.source)
        same = own is not None and (own.kind, own.identity) == (observer.kind, observer.identity)
        before = here.get(name)
        if before is not None and before.identity != _identity(observer, report.source):
            theirs = before.card.get("exported", {}).get("identity") or before.identity
            report.conflicts.append(
                f"{name}: another network than the one that is here (identity {theirs[:12]}, in the document "
                f"{observer.identity[:12]})"
            )
            continue
        held = [stored[name], *([stored[observer.name]] if same else [])]
        answers = {
            key: [[_known(score, rows) for rows in held] for score in scores]
            for key, scores in by_observer[observer.name].items()
        }
        clashes = (known for each in answers.values() for known in chain(*each) if isinstance(known, str))
        if clash := next(clashes, ""):
            report.conflicts.append(f"{observer.name}: {clash}")
            continue
        known = {key: sum(True in each for each in answers[key]) for key in answers}
        new = {key: scores for key, scores in by_observer[observer.name].items() if known[key] < len(scores)}
        report.known += sum(known.values())
        report.scores += sum(len(scores) - known[key] for key, scores in new.items())
        if new:
            if own is not None and not same:
                report.notes.append(
                    f"{observer.name}: another network than yours of that name; theirs stands as {name}"
                )
            yield observer, new


def _write(
    store: Store,
    run: str,
    document: Document,
    new: Sequence[tuple[ExportedObserver, Mapping[int, Sequence[ExportedScore]]]],
    report: LeaderboardReport,
) -> None:
    stated = {*StimuliNote._fields}
    notes = {stimuli.digest: stimuli.model_dump(mode="json", include=stated) for stimuli in document.stimuli}
    sets = {score_set.id: score_set for score_set in document.score_sets}
    numbers = {field.name for field in fields(Score)} - {"flags"}
    for observer, scores_of in new:
        name = joined_name(observer.name, report.source)
        used = sorted({score.stimuli for scores in scores_of.values() for score in scores})
        shown = [notes[digest] for digest in used if digest in notes]
        card = _card(observer, document.program, report.source)
        card |= {"source": report.source, "named": observer.name}
        card["exported"] |= {"stimuli": shown}
        row = store.put_observer(
            Observer(name=name, kind=REPORTED, identity=_identity(observer, report.source), card=card)
        )
        report.observers.append(name)
        for key, scores in scores_of.items():
            s = sets[key]
            target = ScoreSet(
                observer=row,
                suite=s.suite,
                version=s.version,
                space=s.space,
                code=s.code,
                stimuli=s.stimuli,
                keys=s.observations,
            )
            marked = []
            for score in scores:
                how = f", run as {score.policy}" if score.policy else ""
                flags = (*score.flags, f"{FLAG}scores of {report.source}{how}, no trials here")
                marked.append(Score(**score.model_dump(include=numbers), flags=flags))
            store.put_scores(run, target, marked)


def _card(observer: ExportedObserver, program: str, source: str) -> dict[str, Any]:
    """What of a foreign card is shown; nothing else of it is read as a card of this program. Who was imported there
    keeps the source that its name has."""
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
    """ "net (lab)" for "net", and "net (tables; lab)" for "net (tables)": no name that one with trials here has."""
    return f"{name[:-1]}; {source})" if name.endswith(")") and " (" in name else f"{name} ({source})"


def _identity(observer: ExportedObserver, source: str) -> str:
    return digest_data([REPORTED, source, observer.name, observer.kind, observer.identity])


def _numbers(row: ScoreRow | ExportedScore) -> tuple[object, ...]:
    flags = tuple(flag for flag in row.flags if not flag.startswith(FLAG))
    return row.value, row.low, row.high, row.level, row.method, row.n, row.excluded, row.reason, flags


def _known(score: ExportedScore, held: Mapping[What, ScoreRow]) -> bool | str:
    """True: it is here; False: it is not; a text: another number is here, of the same thing run in the same way."""
    row = held.get(what_of(score))
    if row is None or (row.policy and score.policy and row.policy != score.policy):
        return False
    if _numbers(row) == _numbers(score):
        return True
    where = f" ({score.condition})" if score.condition else ""
    return f"{score.suite} {score.metric}{where} is {score.value} in the document and {row.value} here"
