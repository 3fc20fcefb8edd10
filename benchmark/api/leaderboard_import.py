"""Import another laboratory's leaderboard. Scores whose trials are in the document are computed again; scores without
trials are stored as reported. The document is not trusted: the store's own functions write the rows."""

from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np

from benchmark import plugins
from benchmark.api.imports import recorded, score_again
from benchmark.api.options import Db, Option, command_line
from benchmark.contracts import CHUNK, Observer, Stimuli, Suite
from benchmark.display import printable
from benchmark.engine.scoring import Scorer, same_score
from benchmark.engine.trial_import import ScoresReport, put_reported_scores
from benchmark.failures import ScoresError, StoreError
from benchmark.identity import Codes
from benchmark.leaderboard import leaderboard_document as documents
from benchmark.leaderboard.board_model import REPORTED
from benchmark.leaderboard.leaderboard_document import Document, ExportedObserver, ExportedScore, ExportedScoreSet
from benchmark.leaderboard.lineage import NETWORKS
from benchmark.stimuli.published_sources import ObserverName, check_source
from benchmark.stimuli.score_tables import ReportedScore
from benchmark.store import IMPORTED, IMPORTED_KINDS, Chunk, Observation, Store, open_store
from benchmark.store.codec import decode
from benchmark.store.rows import fault
from benchmark.variables import read_settings
from registry.user_errors import foreign, some_of

Sets = Mapping[int, ExportedScoreSet]
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
    document = documents.read_leaderboard_document(path)
    with open_store(read_settings(db).db) as store:
        return import_document(store, path, document, known_as, command)


def import_document(store: Store, path: Path, document: Document, known_as: str, command: str) -> LeaderboardReport:
    """Import a document from `path` as `command`, under the source `known_as`. Raises ScoresError."""
    suites = plugins.known_suites(score.suite for score in document.scores)
    report = LeaderboardReport(source=known_as)
    _check(store, path, document, suites)  # before anything is written
    scores = _scores_for(document, suites, report)
    placed = {score.score_set for score in scores}
    answered = {key: scored for key, scored in with_trials(document).items() if key in placed}
    networks, alone = {row.name: row.card for row in document.observers if row.kind in NETWORKS}, list[ReportedScore]()
    with foreign("leaderboard document", path, ScoresError, "A name or a remark is not plain text."):
        for score in (score for score in scores if score.score_set not in answered and score.observer in networks):
            card, name, suite = networks[score.observer], score.observer, score.suite
            if suite == REPORTED:  # there, too: "vit (robustbench, reported)"
                name, suite = f"{card.get('named', name)} of {card.get('source', 'others')}", score.role
            plain = score.model_dump(include={"metric", "value", "low", "high", "level", "method", "n", "condition"})
            remarks = (*score.flags, *([f"run as {score.policy}"] if score.policy else ()))
            if score.value is not None:
                who = ObserverName(known_as, name)
                alone.append(ReportedScore(observer=who, suite=suite, remarks=remarks, **plain))
    if not (alone or answered):
        return report
    runs = [run.model_dump(mode="json") for run in document.runs]
    origin = {"source": known_as, "program": document.program, "runs": runs}
    # A temporary leaderboard holds the trials until all of them are read.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, open_store(f"{folder}/trials.db") as theirs:
        try:
            with recorded(theirs, command) as run:
                write_trials(theirs, run, document, answered, known_as)
        except StoreError as error:
            raise ScoresError(f"{path}: {printable(str(error))[:600]}") from error
        with recorded(store, command, imported=origin) as run:
            report.trials, report.refused = _bring_in(store, theirs, document, run)
            if report.trials:
                ids = {row.name: row.id for row in store.observers(names=report.trials.keys())}
                report.scored = score_documented(store, run, scored_together(document, answered, ids))
                names = ",".join(sorted({scored.suite for scored in answered.values()}))
                report.scored += score_again(store, run, names).new_sets
            _compare(store, [score for score in scores if score.score_set in answered], answered, suites, report)
            report.reported = put_reported_scores(alone, store, run)
    return report


def _check(store: Store, path: Path, document: Document, suites: Mapping[str, Suite]) -> None:
    """Raise ScoresError for a number that a score cannot have, or a stimulus set that differs from the stored one."""
    for score in document.scores:
        known = suites[score.suite].metrics if score.suite in suites else ()
        metric = next((metric for metric in known if metric.name == score.metric), None)
        outside = metric.outside(score.value) if metric is not None and score.value is not None else ""
        if why := fault(score) or outside:
            raise ScoresError(f"{path}: '{printable(score.metric)}' of '{printable(score.observer)}': {why}.")
    here = {note.digest: note for note in store.stimuli_names()}
    for theirs in (row for row in document.stimuli if row.digest in here):
        own = here[theirs.digest]
        other = bool(theirs.ids) and not store.stimuli(own.digest).shows(_without_images(theirs))
        if other or (own.n, own.space) != (theirs.n, theirs.space):
            said = [f"{row.n} images of {row.space} {where}" for row, where in ((own, "here"), (theirs, "there"))]
            what = f"{' and '.join(said)}{', with other names or labels' * other}"
            raise ScoresError(f"stimulus set {own.digest[:12]} has {what}: one is wrong, and nothing was imported.")


def _scores_for(document: Document, suites: Mapping[str, Suite], report: LeaderboardReport) -> list[ExportedScore]:
    """Return the scores that this leaderboard can hold; report the others."""
    kept, dropped = list[ExportedScore](), Counter[str]()
    for score in document.scores:
        suite = suites.get(score.suite)
        if score.suite != REPORTED and suite is None:
            dropped[f"the suite '{score.suite}' is not installed"] += 1
        elif suite is not None and score.version > suite.version:
            what = f"version {score.version} of the suite '{score.suite}'; version {suite.version} is installed"
            dropped[f"{what}: update gestaltbench"] += 1
        elif suite is None or score.condition not in suite.references:  # these are of no observer: made again here
            kept.append(score)
    report.left_out += [f"{count} scores: {why}" for why, count in dropped.items()]
    answered = {row.observer for row in document.observations}
    others = (row for row in document.observers if row.kind not in (*NETWORKS, "group") and row.name not in answered)
    if kinds := Counter(row.kind for row in others):
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        report.notes.append(f"skipped {counts}: only networks are imported as scores (people: `bench import trials`)")
    return kept


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


def with_trials(document: Document) -> dict[int, ExportedScoreSet]:
    """Return the score sets whose trials are all in the document."""
    here = {observation.key for observation in document.observations}
    return {s.id: s for s in document.score_sets if s.observations and here.issuperset(s.observations)}


def _without_images(stated: documents.ExportedStimuli) -> Stimuli:
    plain = {name: getattr(stated, name) for name in ("name", "digest", "space", "ids", "whole", "origin")}
    labels = {name: np.array(values) for name, values in stated.labels.items()}
    return Stimuli(items=("",) * stated.n, labels=labels, decode=[].__getitem__, **plain)


def write_trials(store: Store, run: str, document: Document, sets: Sets, source: str) -> dict[str, str]:
    """Write the trials behind these score sets, with observers and stimuli, as work of `run`; return observer -> id in
    the store. source: whose document it is. Raises StoreError."""
    wanted = {key for scored in sets.values() for key in scored.observations}
    observations = {row.key: row for row in document.observations if row.key in wanted}
    names = {row.observer for row in observations.values()} | {s.observer for s in document.scores}
    ids = {}
    for row in document.observers:
        if row.name in names and row.kind not in ("group", "reported"):
            card = foreign_card(row, document.program, source)
            who = Observer(name=row.name, kind=row.kind, identity=row.identity, card=card)
            ids[row.name] = store.put_observer(who)
    asked = {row.stimuli for row in observations.values()} - {note.digest for note in store.stimuli_names()}
    for shown in document.stimuli:
        if shown.digest in asked:
            store.put_stimuli(_without_images(shown))
    chunks, imports = defaultdict(list), defaultdict[str, set[str]](set)
    for chunk in document.chunks:
        chunks[chunk.observation].append(chunk)
    for key, asked_of in observations.items():
        store.put_observation(run, Observation(**{**asked_of.model_dump(), "observer": ids[asked_of.observer]}))
        for chunk in chunks[key]:
            place = f"chunk {chunk.index} of observation {key[:12]}"
            try:
                payload = b64decode(chunk.payload, validate=True)
            except ValueError as error:
                raise StoreError(f"{place} is not in base64") from error
            columns = decode(payload, chunk.n, place)
            store.put_chunks(run, [Chunk(key=key, index=chunk.index, start=chunk.index * CHUNK, columns=columns)])
        if (n := sum(chunk.n for chunk in chunks[key])) < asked_of.n:
            store.settle(run, key, n)
        if asked_of.suite == IMPORTED:
            imports[str(asked_of.details.get("source", ""))].add(key)
    for named, keys in imports.items():
        store.put_import(run, named, keys)
    return ids


def scored_together(document: Document, sets: Sets, ids: Mapping[str, str]) -> Iterator[tuple[str, list[Observation]]]:
    """Yield suite and observations of each score set of these observers. ids: name -> id in the store."""
    kinds = {row.name: (row.kind, row.identity) for row in document.observers}
    observed = {row.key: row for row in document.observations}
    for number, name in {score.score_set: score.observer for score in document.scores}.items():
        rows = [observed[key] for key in sets[number].observations] if number in sets and name in ids else []
        if own := [row for row in rows if row.suite != IMPORTED and kinds[row.observer] == kinds[name]]:
            yield sets[number].suite, [Observation(**row.model_dump() | {"observer": ids[name]}) for row in own]


def score_documented(store: Store, run: str, parts: Iterable[tuple[str, list[Observation]]]) -> int:
    """Score parts of suites, then imported trials; return how many sets are new. ScoresError: trials do not fit."""
    parts, codes = [*parts], Codes()
    suites = plugins.known_suites(name for name, _ in parts)
    scorers = {name: Scorer(store=store, run=run, suite=suite, codes=codes) for name, suite in suites.items()}
    with foreign("trials", "", ScoresError, "The suite expects other columns."):
        known = ((scorers[name], rows) for name, rows in parts if name in scorers)
        own = sum(scorer.observer(rows, rows[0].details.get("missing", {})) for scorer, rows in known)
        return own + sum(scorer.imported() for scorer in scorers.values())


def _compare(
    store: Store, made: Sequence[ExportedScore], sets: Sets, suites: Mapping[str, Suite], report: LeaderboardReport
) -> None:
    """Report an observer's scores under a suite that differ from those made here from the same trials. Scores of older
    versions, or that depend on further answers here (more people), are not compared."""
    newest = {name: suite.version for name, suite in suites.items()}
    older = {(s.suite, s.version) for s in made if s.version < newest.get(s.suite, 0)}
    for suite, version in sorted(older):
        text = f"scored by version {version} there, made again from the trials by version {newest[suite]} here"
        report.notes.append(f"{suite}: {text}")
    subject = attrgetter("observer", "suite", "version", "space", "stimuli", "metric", "condition", "role")
    rows = {subject(row): row for row in store.latest_scores()}
    names = {scored.suite for scored in sets.values()}
    keys = {scored.id: {*scored.keys} for name in names for scored in store.score_sets(name)}
    known = {row.key for row in store.observations()}
    found = defaultdict[tuple[str, str], list[str]](list)
    for stated in (score for score in made if (score.suite, score.version) not in older):
        row, behind = rows.get(subject(stated)), {*sets[stated.score_set].observations}
        is_comparable = behind <= known if row is None else keys.get(row.set_id) == behind
        if is_comparable and (row is None or not same_score(stated, row)):
            named = f"{stated.metric} ({stated.condition})" if stated.condition else stated.metric
            given = "nothing" if row is None else str(row.value)
            found[stated.observer, stated.suite].append(f"{named} is {stated.value}, the trials give {given}")
    for (name, suite), lines in found.items():
        text = f"{len(lines)} scores are not what the trials give: {some_of(lines, 6)}"
        report.different.append(printable(f"{name} under {suite}: {text}"))


def _bring_in(store: Store, theirs: Store, document: Document, run: str) -> tuple[dict[str, int], list[str]]:
    """Merge the staged trials of new observers; return (observer -> trials) and why others were refused."""
    here = {row.name: row for row in store.observers()}
    known = {(row.kind, row.identity) for row in store.observers(latest=False)}
    keys = defaultdict[str, set[str]](set)
    for row in theirs.observations():
        keys[row.observer_name].add(row.key)
    coming, refused = dict[str, int](), []
    for observer in theirs.observers(names=keys.keys()):
        named, asked = f"'{observer.name}' ({observer.identity[:12]})", keys[observer.name]
        stated, own = theirs.chunk_seals(asked), store.chunk_seals(asked)
        if (observer.kind, observer.identity) in known:  # it brings nothing: its answers are equal, or refused
            if any(seals - own.get(key, set()) for key, seals in stated.items()):
                refused.append(f"{named} is in this leaderboard already, with other answers than in the document")
        elif observer.name in here:
            refused.append(f"{named} has the name of another observer ({here[observer.name].identity[:12]})")
        elif own:
            refused.append(f"{named} claims answers of another observer")
        else:
            coming[observer.name] = sum(row.n for row in document.observations if row.key in asked)
    if coming:
        store.merge_observations(theirs, set().union(*(keys[name] for name in coming)), run)
    return coming, refused
