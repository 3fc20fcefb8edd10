"""Import another laboratory's leaderboard. Scores whose trials are in the document are computed again; scores without
trials are stored as reported."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from benchmark import plugins
from benchmark.api.document_trials import (
    bring_in,
    different_scores,
    score_documented,
    scored_together,
    staged,
    stimuli_of,
    with_trials,
)
from benchmark.api.imports import recorded, score_again
from benchmark.api.options import Db, Option, command_line
from benchmark.contracts import Suite
from benchmark.display import printable
from benchmark.engine.trial_import import ScoresReport, put_reported_scores
from benchmark.failures import ScoresError
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.leaderboard_document import (
    Document,
    ExportedObserver,
    ExportedScore,
    read_leaderboard_document,
)
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.stimuli.published_sources import ObserverName, check_source
from benchmark.stimuli.score_tables import ReportedScore
from benchmark.store import IMPORTED_KINDS, Store, open_store
from benchmark.store.rows import fault
from benchmark.variables import read_settings
from registry.user_errors import foreign

#: Fields of a foreign card that are shown; the whole card is kept beside them, for the words that register it.
TEXTS = ("arch", "family", "license", "paper", "description")
NUMBERS = ("parameters", "year")
TAGS = 40  # of a recipe


@dataclass(kw_only=True)
class LeaderboardReport:
    """The outcome of an import."""

    source: str
    trials: dict[str, int] = field(default_factory=dict)  # observer -> new trials
    scored: int = 0  # score sets computed from these trials
    different: list[str] = field(default_factory=list)  # scores of the document that its trials do not give
    refused: list[str] = field(default_factory=list)  # observers whose trials were refused
    left_out: list[str] = field(default_factory=list)  # scores of suites that are not installed
    notes: list[str] = field(default_factory=list)
    reported: ScoresReport = field(default_factory=ScoresReport)  # scores without trials


def import_leaderboard(
    path: Annotated[str | Path, Option("The JSON document, or a bundle.", kind="file")],
    *,
    source: Annotated[str | None, Option("Name its source (default: the file's name).", metavar="NAME")] = None,
    db: Db = None,
) -> LeaderboardReport:
    """Import another laboratory's leaderboard.

    `bench export --scores -o FILE.json` writes the document, `bench export --bundle FILE.zip` one with a page. Its
    trials are scored again, and scores that they do not give are listed. An observer with the name or identity of one
    of yours is refused unless its answers are equal. Scores without trials are stored as `bench import scores` stores
    them: reported by SOURCE. Exit code 3 means that something differs, was refused or was left out."""
    path = Path(path)
    known_as = check_source(path.stem if source is None else source)
    command = command_line(import_leaderboard, "bench import leaderboard", path=path.absolute(), source=source)
    document = read_leaderboard_document(path)
    with open_store(read_settings(db).db) as store:
        return import_document(store, path, document, known_as, command)


def import_document(store: Store, path: Path, document: Document, known_as: str, command: str) -> LeaderboardReport:
    """Import a document from `path` as `command`, under the source `known_as`. Raises ScoresError."""
    suites = plugins.known_suites(score.suite for score in document.scores)
    report = LeaderboardReport(source=known_as)
    # Everything is looked at before anything is written.
    _check_numbers(path, document, suites)
    _check_stimuli(store, document)
    scores = _scores_for(document, suites, report)
    placed = {score.score_set for score in scores}
    answered = {key: scored for key, scored in with_trials(document).items() if key in placed}
    with foreign("leaderboard document", path, ScoresError, "A name or a remark is not plain text."):
        alone = list(_without_trials(document, (s for s in scores if s.score_set not in answered), known_as))
    if not (alone or answered):
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
        made = [score for score in scores if score.score_set in answered]
        newest = {name: suite.version for name, suite in suites.items()}
        older = {(s.suite, s.version) for s in made if s.version < newest.get(s.suite, 0)}
        report.notes += [
            f"{suite}: scored by version {version} there, made again from the trials by version {newest[suite]} here"
            for suite, version in sorted(older)
        ]
        current = [score for score in made if (score.suite, score.version) not in older]
        report.different += different_scores(store, current, answered)
        report.reported = put_reported_scores(alone, store, run)
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


def _scores_for(document: Document, suites: Mapping[str, Suite], report: LeaderboardReport) -> list[ExportedScore]:
    """Return the scores that this leaderboard can hold; report the others."""
    kept: list[ExportedScore] = []
    dropped: Counter[str] = Counter()
    of_maps = 0
    for score in document.scores:
        suite = suites.get(score.suite)
        if score.suite != REPORTED and suite is None:
            dropped[f"the suite '{score.suite}' is not installed"] += 1
        elif suite is not None and score.version > suite.version:
            what = f"version {score.version} of the suite '{score.suite}'; version {suite.version} is installed"
            dropped[f"{what}: update gestaltbench"] += 1
        elif suite is not None and score.condition in suite.references:
            of_maps += 1  # of no observer: they depend on the stimuli alone
        else:
            kept.append(score)
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


def _without_trials(document: Document, scores: Iterable[ExportedScore], source: str) -> Iterator[ReportedScore]:
    """Yield the numbers of networks as scores that `source` reports."""
    networks = {row.name: row for row in document.observers if row.kind in NETWORKS}
    for score in scores:
        if score.value is not None and score.observer in networks:
            card, name = networks[score.observer].card, score.observer
            if score.suite == REPORTED:  # there, too: "vit (robustbench, reported)"
                name = f"{card.get('named', name)} of {card.get('source', 'others')}"
            plain = score.model_dump(include={"metric", "value", "low", "high", "level", "method", "n", "condition"})
            remarks = (*score.flags, *([f"run as {score.policy}"] if score.policy else ()))
            suite = score.role if score.suite == REPORTED else score.suite
            yield ReportedScore(observer=ObserverName(source, name), suite=suite, remarks=remarks, **plain)


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
