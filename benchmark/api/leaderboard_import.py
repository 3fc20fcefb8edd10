"""Another laboratory's leaderboard beside one's own: its scores as scores without trials, under names of its own."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.importing import recorded
from benchmark.api.options import Db, Option, command_line
from benchmark.contracts import Observer, Score, Suite
from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.leaderboard.exchange import Document, ExportedObserver, ExportedScore, read_document
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.leaderboard.model import REPORTED
from benchmark.stimuli.published_sources import check_source
from benchmark.store import ScoreRow, ScoreSet, Store, open_store
from benchmark.store.rows import fault
from benchmark.variables import read_settings
from registry.files import digest_data

#: What the remark of a score without trials here begins with.
FLAG = "imported: "
#: Texts of a foreign card that are shown as they are; the whole of it is kept beside them, and never read as a card.
TEXTS = ("arch", "family", "license", "paper", "description")
NUMBERS = ("parameters", "year")
TAGS = 40  # of a recipe

What = tuple[str, int, str, str, str, str]  # suite, version, space, metric, condition, role


@dataclass(kw_only=True)
class LeaderboardReport:
    """What came in. observers: names here of those with new scores; scores: new ones; known: those that are here
    already; conflicts: because of what nothing was taken; left_out: what has no place here; notes: what a user should
    know."""

    source: str
    observers: list[str] = field(default_factory=list)
    scores: int = 0
    known: int = 0
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

    `bench export --scores -o FILE.json` writes the document. Its networks are called "NAME (SOURCE)". Existing rows are
    not stored twice. If two numbers of the same thing differ, nothing is imported and the conflicts are shown (exit
    code 3)."""
    path = Path(path)
    known_as = check_source(path.stem if source is None else source)
    document, suites = read_document(path), plugins.find_suites().suites
    for score in document.scores:
        metrics = {metric.name: metric for metric in suites[score.suite].metrics} if score.suite in suites else {}
        metric = metrics.get(score.metric)
        outside = metric.outside(score.value) if metric is not None and score.value is not None else ""
        if why := fault(score) or outside:
            raise ScoresError(f"{path}: '{printable(score.metric)}' of '{printable(score.observer)}': {why}.")
    report = LeaderboardReport(source=known_as)
    with open_store(read_settings(db).db) as store:
        # everything is looked at before anything is written
        here = {note.digest: note for note in store.stimuli_names()}
        for theirs in document.stimuli:
            own = here.get(theirs.digest)
            if own is not None and (own.n, own.space) != (theirs.n, theirs.space):
                raise ScoresError(
                    f"stimulus set {theirs.digest[:12]} has {own.n} images of {own.space} here, and {theirs.n} of "
                    f"{theirs.space} in the document: one of the two is wrong. Nothing was imported."
                )
        by_observer = _scores_by_observer(document, suites, report)
        new = list(_new_scores(store, document, by_observer, report))
        if report.conflicts or not new:
            return report
        runs = [run.model_dump(mode="json") for run in document.runs]
        origin = {"source": known_as, "program": document.program, "runs": runs}
        command = command_line(import_leaderboard, "bench import leaderboard", path=path.absolute(), source=source)
        with recorded(store, command, imported=origin) as run:
            _write(store, run, document, new, report)
    return report


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
    people = Counter(observer.kind for observer in document.observers if observer.kind not in NETWORKS)
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
        stored[row.observer][_what(row)] = row
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
    notes = {stimuli.digest: stimuli.model_dump(mode="json") for stimuli in document.stimuli}
    sets = {score_set.id: score_set for score_set in document.score_sets}
    numbers = {field.name for field in fields(Score)} - {"flags"}
    for observer, scores_of in new:
        name = joined_name(observer.name, report.source)
        used = sorted({score.stimuli for scores in scores_of.values() for score in scores})
        # what of a foreign card is shown; nothing of it is read as a card of this program
        theirs = observer.card
        card: dict[str, Any] = {"source": report.source, "named": observer.name}
        card |= {text: theirs[text] for text in TEXTS if isinstance(theirs.get(text), str)}
        card |= {number: theirs[number] for number in NUMBERS if type(theirs.get(number)) is int}
        tags = theirs.get("training")
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            card["training"] = tags[:TAGS]
        shown = [notes[digest] for digest in used if digest in notes]
        origin = {"kind": observer.kind, "identity": observer.identity, "program": document.program}
        card["exported"] = {**origin, "card": dict(theirs), "stimuli": shown}
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


def joined_name(name: str, source: str) -> str:
    """ "net (lab)" for "net", and "net (tables; lab)" for "net (tables)": no name that one with trials here has."""
    return f"{name[:-1]}; {source})" if name.endswith(")") and " (" in name else f"{name} ({source})"


def _identity(observer: ExportedObserver, source: str) -> str:
    return digest_data([REPORTED, source, observer.name, observer.kind, observer.identity])


def _what(row: ScoreRow | ExportedScore) -> What:
    return row.suite, row.version, row.space + row.stimuli, row.metric, row.condition, row.role


def _numbers(row: ScoreRow | ExportedScore) -> tuple[object, ...]:
    flags = tuple(flag for flag in row.flags if not flag.startswith(FLAG))
    return row.value, row.low, row.high, row.level, row.method, row.n, row.excluded, row.reason, flags


def _known(score: ExportedScore, held: Mapping[What, ScoreRow]) -> bool | str:
    """True: it is here; False: it is not; a text: another number is here, of the same thing run in the same way."""
    row = held.get(_what(score))
    if row is None or (row.policy and score.policy and row.policy != score.policy):
        return False
    if _numbers(row) == _numbers(score):
        return True
    where = f" ({score.condition})" if score.condition else ""
    return f"{score.suite} {score.metric}{where} is {score.value} in the document and {row.value} here"
