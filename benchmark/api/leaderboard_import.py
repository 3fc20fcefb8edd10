"""Another laboratory's leaderboard beside one's own: its scores as scores without trials, under names of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from benchmark import plugins
from benchmark.api.importing import recorded
from benchmark.api.options import Db, Option, command_line
from benchmark.display import printable
from benchmark.errors import ScoresError
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.leaderboard.model import REPORTED
from benchmark.variables import read_settings
from registry.files import digest_data

if TYPE_CHECKING:
    from benchmark.contracts import Score, Suite
    from benchmark.leaderboard.exchange import Document, ExportedObserver, ExportedScore
    from benchmark.store import ObserverRow, ScoreRow, Store

#: What the remark of a score without trials here begins with.
FLAG = "imported: "
#: Texts of a foreign card that are shown as they are; the whole of it is kept beside them, and never read as a card.
TEXTS = ("arch", "family", "license", "paper", "description")
NUMBERS = ("parameters", "year")
TAGS = 40  # of a recipe

What = tuple[str, int, str, str, str, str]  # suite, version, space, metric, condition, role


@dataclass
class LeaderboardReport:
    """What came in. observers: names here of those with new scores; scores: new ones; known: those that are here
    already; conflicts: because of what nothing was taken; left_out: what has no place here; notes: what a user should
    know.
    """

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
    source: Annotated[str | None, Option("Whose it is (default: the file is called like it).", metavar="NAME")] = None,
    db: Db = None,
) -> LeaderboardReport:
    """Import another laboratory's leaderboard: what `bench export --scores -o FILE.json` wrote there.

    Its networks stand on the boards as "NAME (SOURCE)", every number with a remark, and in no paired test: there are
    no trials of them here. What is here already is not stored twice. Where two numbers of the same thing differ,
    nothing is imported and the conflicts are shown (exit code 3).
    """
    from benchmark.leaderboard.exchange import read_document
    from benchmark.stimuli.catalogue import check_source
    from benchmark.store import open_store
    from benchmark.store.rows import fault

    path = Path(path)
    known_as = check_source(path.stem if source is None else source)
    document, suites = read_document(path), plugins.find_suites().suites
    for score in document.scores:
        if why := fault(score):
            raise ScoresError(f"{path}: '{printable(score.metric)}' of '{printable(score.observer)}': {why}.")
        if why := _outside(score, suites):
            raise ScoresError(f"{path}: {why}, for '{printable(score.observer)}'.")
    report = LeaderboardReport(known_as)
    settings = read_settings(db)
    with open_store(settings.db) as store:
        importing = _Import(store, document, known_as, report, suites)
        if report.conflicts or not importing.new:
            return report
        origin = {
            "source": known_as,
            "program": document.program,
            "runs": [run_note.model_dump(mode="json") for run_note in document.runs],
        }
        command = command_line(import_leaderboard, "bench import leaderboard", path=path.absolute(), source=source)
        with recorded(store, command, imported=origin) as run:
            importing.write(run)
    return report


def _outside(score: ExportedScore, suites: Mapping[str, Suite]) -> str:
    """Why a metric of a suite that is here cannot have this value; "" where it can."""
    suite = suites.get(score.suite)
    metric = next((known for known in suite.metrics if known.name == score.metric), None) if suite else None
    return "" if metric is None or score.value is None else metric.outside(score.value)


class _Import:
    """A document against a store: everything is looked at before anything is written."""

    def __init__(
        self, store: Store, document: Document, source: str, report: LeaderboardReport, suites: Mapping[str, Suite]
    ) -> None:
        self.store, self.document, self.source, self.report = store, document, source, report
        self.suites = suites
        self.here = {row.name: row for row in store.observers()}
        self.stored: dict[str, dict[What, ScoreRow]] = defaultdict(dict)
        for row in store.latest_scores():
            self.stored[row.observer][_what(row)] = row
        self.sets = {score_set.id: score_set for score_set in document.score_sets}
        self.new: list[tuple[ExportedObserver, dict[int, list[ExportedScore]]]] = []
        self._look()

    def write(self, run: str) -> None:
        """Write what is new."""
        from benchmark.contracts import Observer
        from benchmark.store import ScoreSet

        notes = {score_set.digest: score_set.model_dump(mode="json") for score_set in self.document.stimuli}
        for observer, sets in self.new:
            name = joined_name(observer.name, self.source)
            used = {score.stimuli for scores in sets.values() for score in scores}
            card = _card(observer, self.source, self.document.program)
            card["exported"]["stimuli"] = [notes[score_set] for score_set in sorted(used) if score_set in notes]
            new = Observer(name, REPORTED, _identity(observer, self.source), card)
            number = self.store.put_observer(new)
            self.report.observers.append(name)
            for key, scores in sets.items():
                score_set = self.sets[key]
                target = ScoreSet(
                    number,
                    score_set.suite,
                    score_set.version,
                    score_set.space,
                    score_set.code,
                    score_set.stimuli,
                    score_set.observations,
                )
                self.store.put_scores(run, target, [_marked(row, self.source) for row in scores])

    def _look(self) -> None:
        self._look_at_stimuli()
        by_observer: dict[str, dict[int, list[ExportedScore]]] = defaultdict(lambda: defaultdict(list))
        dropped: Counter[str] = Counter()
        of_maps = 0
        for score in self.document.scores:
            why = self._no_place(score)
            if why:
                dropped[why] += 1
            elif score.suite != REPORTED and score.condition in self.suites[score.suite].references:
                of_maps += 1  # of no observer: they depend on the stimuli alone, and are measured here
            else:
                by_observer[score.observer][score.score_set].append(score)
        people: Counter[str] = Counter()
        for observer in self.document.observers:
            if observer.kind not in NETWORKS:
                people[observer.kind] += 1
            elif observer.name in by_observer:
                self._look_at(observer, by_observer[observer.name])
        self.report.left_out += [f"{count} scores: {why}" for why, count in dropped.items()]
        if of_maps:
            self.report.notes.append(
                f"not taken: {of_maps} scores of reference maps, which no network decides: they are measured here"
            )
        if people:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(people.items()))
            self.report.notes.append(
                f"not taken: {counts}: networks alone come in as scores (people: `bench import trials`)"
            )

    def _no_place(self, score: ExportedScore) -> str:
        """Why a score cannot stand here; "" where it can."""
        if score.suite == REPORTED:
            return ""
        suite = self.suites.get(score.suite)
        if suite is None:
            return f"the suite '{score.suite}' is not installed here"
        if score.version > suite.version:
            return (
                f"version {score.version} of the suite '{score.suite}'; version {suite.version} is installed: "
                "update the program"
            )
        return ""

    def _look_at_stimuli(self) -> None:
        here = {note.digest: note for note in self.store.stimuli_names()}
        for stimuli in self.document.stimuli:
            own = here.get(stimuli.digest)
            if own is not None and (own.n, own.space) != (stimuli.n, stimuli.space):
                raise ScoresError(
                    f"stimulus set {stimuli.digest[:12]} has {own.n} images of {own.space} here, and {stimuli.n} of "
                    f"{stimuli.space} in the document: one of the two is wrong. Nothing was imported."
                )

    def _look_at(self, observer: ExportedObserver, sets: Mapping[int, Sequence[ExportedScore]]) -> None:
        own = self.here.get(observer.name)
        same = own is not None and (own.kind, own.identity) == (observer.kind, observer.identity)
        joined = joined_name(observer.name, self.source)
        before = self.here.get(joined)
        if before is not None and before.identity != _identity(observer, self.source):
            self.report.conflicts.append(
                f"{joined}: another network than the one that is here (identity "
                f"{_short(before)}, in the document {observer.identity[:12]})"
            )
            return
        new: dict[int, list[ExportedScore]] = {}
        for key, scores in sets.items():
            against = [self.stored[joined]] + ([self.stored[observer.name]] if same else [])
            known = [_known(score, held) for score in scores for held in against]
            clash = next((answer for answer in known if isinstance(answer, str)), "")
            if clash:
                self.report.conflicts.append(f"{observer.name}: {clash}")
                return
            held_ones = [score for score in scores if any(_known(score, held) is True for held in against)]
            self.report.known += len(held_ones)
            if len(held_ones) < len(scores):
                new[key] = list(scores)
                self.report.scores += len(scores) - len(held_ones)
        if new:
            self.new.append((observer, new))
            if own is not None and not same:
                self.report.notes.append(
                    f"{observer.name}: another network than yours of that name; theirs stands as {joined}"
                )


def joined_name(name: str, source: str) -> str:
    """ "net (lab)" for "net", and "net (tables; lab)" for "net (tables)": no name that one with trials here has."""
    return f"{name[:-1]}; {source})" if name.endswith(")") and " (" in name else f"{name} ({source})"


def _identity(observer: ExportedObserver, source: str) -> str:
    return digest_data([REPORTED, source, observer.name, observer.kind, observer.identity])


def _short(row: ObserverRow) -> str:
    exported = row.card.get("exported")
    stated = exported.get("identity", "") if isinstance(exported, dict) else ""
    return str(stated or row.identity)[:12]


def _card(observer: ExportedObserver, source: str, program: str) -> dict[str, Any]:
    """What of a foreign card is shown; nothing of it is read as a card of this program."""
    theirs = observer.card
    card: dict[str, Any] = {"source": source, "named": observer.name}
    card |= {name: theirs[name] for name in TEXTS if isinstance(theirs.get(name), str)}
    card |= {name: theirs[name] for name in NUMBERS if type(theirs.get(name)) is int}
    tags = theirs.get("training")
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        card["training"] = tags[:TAGS]
    card["exported"] = {"kind": observer.kind, "identity": observer.identity, "program": program, "card": dict(theirs)}
    return card


def _marked(score: ExportedScore, source: str) -> Score:
    from benchmark.contracts import Score

    how = f", run as {score.policy}" if score.policy else ""
    return Score(
        score.metric,
        score.value,
        score.reason,
        score.low,
        score.high,
        score.level,
        score.method,
        score.n,
        score.excluded,
        score.condition,
        score.role,
        (*score.flags, f"{FLAG}scores of {source}{how}, no trials here"),
    )


def _what(row: ScoreRow | ExportedScore) -> What:
    return row.suite, row.version, row.space + row.stimuli, row.metric, row.condition, row.role


def _numbers(row: ScoreRow | ExportedScore) -> Iterator[object]:
    yield from (row.value, row.low, row.high, row.level, row.method, row.n, row.excluded)
    yield row.reason
    yield tuple(flag for flag in row.flags if not flag.startswith(FLAG))


def _known(score: ExportedScore, held: Mapping[What, ScoreRow]) -> bool | str:
    """True: it is here; False: it is not; a text: another number is here, of the same thing run in the same way."""
    row = held.get(_what(score))
    if row is None or (row.policy and score.policy and row.policy != score.policy):
        return False
    if tuple(_numbers(row)) == tuple(_numbers(score)):
        return True
    where = f" ({score.condition})" if score.condition else ""
    return f"{score.suite} {score.metric}{where} is {score.value} in the document and {row.value} here"
