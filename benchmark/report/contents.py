"""The data behind a report: a leaderboard, read once, with all observers' answers to single undegraded images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Suite, Trials
from benchmark.display import published
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard import Board
from benchmark.leaderboard import boards as ranked_boards
from benchmark.leaderboard.board_model import CLEAN, REPORTED, Cell, is_trusted
from benchmark.leaderboard.lineage import NETWORKS as KINDS
from benchmark.leaderboard.lineage import architecture_line
from benchmark.leaderboard.links import CueMeasures, Link, cue_boards, experiment_values, links, measures_of
from benchmark.leaderboard.reference_scores import references_of
from benchmark.leaderboard.summary import Summary, reported_boards, reported_summaries, summaries
from benchmark.leaderboard.training_curves import TrainingCurve, curves_of_runs, some_evenly
from benchmark.observer_trials import commonest, counting_observations
from benchmark.report.writing import slug
from benchmark.settings import Settings
from benchmark.stats import mean_interval
from benchmark.stimuli.experiments import published_experiments
from benchmark.store import IMPORTED, ObserverRow, Outcome, ScoreRow, StimuliNote, Store, StoredObservation, open_store

ABSENT = -1
NATURAL = "natural"
ONE_PERSON, SIMULATED, NETWORKS = ("human",), ("simulated",), ("network", "published")
#: Networks that one figure tells apart, and a reader's own that it shows however many others there are.
FEW, OWN = 7, 12


class PeopleScore(NamedTuple):
    """People's value in a column."""

    called: str  # "people", or "simulated people" without real ones
    how: str  # the origin of value and interval
    cell: Cell


def people_among(
    rows: Iterable[tuple[str, str, Cell]], bounds: tuple[float, float] | None, pooled: bool
) -> PeopleScore | None:
    """Return people's value, from (observer, kind, cell) of the reference rows. pooled: people are scored against one
    another, so no interval over persons covers their mean. The interval is then from the lowest to the highest."""
    valued = [row for row in rows if is_trusted(row[2])]
    for name, kind, cell in valued:
        if kind == "group":
            return PeopleScore("people", name.partition(" (")[2].rstrip(")") or name, cell)
    for kind, called in (("human", "people"), ("simulated", "simulated people")):
        values = [float(cell.value or 0) for _, who, cell in valued if who == kind]
        if values:
            ranged = pooled or len(values) < 2
            low, high = (min(values), max(values)) if ranged else mean_interval(values, bounds=bounds)
            how = "lowest to highest" if ranged else "95 % t interval over them"
            cell = Cell(value=sum(values) / len(values), low=low, high=high, n=len(values))
            return PeopleScore(called, f"mean of {len(values)}, {how}", cell)
    return None


def featured(names: Sequence[str], most: int = FEW, always: Collection[str] = ()) -> tuple[str, ...]:
    """Return at most `most` names, evenly spaced over the ranks; up to `OWN` names of `always` come first."""
    kept = some_evenly([name for name in names if name in always], OWN)
    others = [name for name in names if name not in always]
    room = max(most - len(kept), 0 if kept else 1)
    chosen = {*kept, *(some_evenly(others, room) if room > 1 else others[:room])}
    return tuple(name for name in names if name in chosen)


@dataclass(frozen=True, kw_only=True)
class ImageAnswers:
    """Answers to the images of one role in one space."""

    space: str
    role: str
    observers: tuple[str, ...]
    kinds: tuple[str, ...]  # of the observers
    images: NDArray[np.str_]  # names [n], sorted
    labels: Mapping[str, NDArray[np.str_]]  # of category, shape and texture [n], "" without one
    words: tuple[str, ...]  # answers by code
    code: NDArray[np.int16]  # [observers, n], `ABSENT` for images not shown
    sets: Mapping[str, str]  # digest -> name
    #: [observers, n]: the observer's own probability of the correct category, NaN if unknown.
    certainty: NDArray[np.float32] | None = None

    @property
    def key(self) -> str:
        """Return role and space, for addresses."""
        return f"{self.role}-{self.space}"

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """Return [observers, n]: whether the image was shown."""
        return np.asarray(self.code != ABSENT)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Return [observers, n]: whether the answer is the image's category."""
        place = {word: i for i, word in enumerate(self.words)}
        truth = np.array([place.get(name, ABSENT - 1) for name in self.labels["category"].tolist()])
        return np.asarray(self.code == truth[None, :])

    @property
    def crowd(self) -> tuple[NDArray[np.bool_], str]:
        """Return (members [observers], name) of the people beside networks; simulated people without real ones."""
        people = self.group(ONE_PERSON)
        return (people, "people") if people.any() else (self.group(SIMULATED), "simulated people")

    def only(self, networks: Collection[str]) -> ImageAnswers:
        """Return the answers of these networks and of all other observers."""
        kept = [i for i, name in enumerate(self.observers) if name in networks or self.kinds[i] not in NETWORKS]
        observers, kinds = (tuple(held[i] for i in kept) for held in (self.observers, self.kinds))
        certainty = None if self.certainty is None else self.certainty[kept]
        return replace(self, observers=observers, kinds=kinds, code=self.code[kept], certainty=certainty)

    def group(self, kinds: Sequence[str]) -> NDArray[np.bool_]:
        """Return [observers]: who is of these kinds."""
        return np.array([kind in kinds for kind in self.kinds], dtype=bool)

    def whole(self, kinds: Sequence[str]) -> list[str]:
        """Return who of these kinds was shown nearly as many images as anybody."""
        seen = self.shown.mean(axis=1)
        most = self.group(kinds) & (seen > 0.95 * float(seen.max()))
        return [self.observers[i] for i in np.flatnonzero(most)]

    def share(self, members: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return (share right [n], NaN where none of them was shown it; how many were [n]); members: [observers]."""
        n = self.shown[members].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.right[members].sum(axis=0) / n, n


def read_answers(store: Store, suites: Sequence[Suite]) -> list[ImageAnswers]:
    """Return answers to undegraded images by role and label space, the one with most observers first."""
    known = {row.name: row.kind for row in store.observers() if row.kind != "group"}
    names = {note.digest: note.name for note in store.stimuli_names()}
    found: list[tuple[str, StoredObservation]] = []
    for suite in (suite for suite in suites if suite.experiments):
        shown = {*suite.experiments.values(), NATURAL}
        for role, row in counting_observations(store, suite):
            own = published_experiments().get(row.role) if row.suite == IMPORTED else None
            single = own.single if own else role in shown and not row.condition
            if single and row.observer_name in known:
                found.append((role, row))
    places: dict[tuple[str, str], dict[str, StoredObservation]] = defaultdict(dict)
    for role, row in sorted(found, key=lambda pair: pair[1].created):
        places[row.space, role][row.observer_name] = row
    gathered = (_gathered(store, place, answers, known, names) for place, answers in places.items())
    return sorted((one for one in gathered if len(one.images)), key=lambda one: (-len(one.observers), one.key))


def _gathered(
    store: Store,
    place: tuple[str, str],
    observations: Mapping[str, StoredObservation],
    kinds: Mapping[str, str],
    names: Mapping[str, str],
) -> ImageAnswers:
    by_key = store.trials_apart([row.key for row in observations.values()])
    tables_of = ((name, by_key.get(observations[name].key)) for name in sorted(observations))
    tables = {name: table for name, table in tables_of if table and "response" in table.columns}
    labels: dict[str, dict[str, str]] = {"category": {}, "shape": {}, "texture": {}}
    for table in tables.values():
        for name in labels.keys() & table.columns.keys():
            labels[name] |= dict(zip(table["stimulus"].tolist(), table[name].tolist(), strict=True))
    images = np.array(sorted(labels["category"]), dtype=str)
    words = sorted({word for table in tables.values() for word in table.coded("response").used})
    code = np.full((len(tables), len(images)), ABSENT, dtype=np.int16)
    certainty = np.full(code.shape, np.nan, np.float32)
    for i, table in enumerate(tables.values()):
        where = np.searchsorted(images, table["stimulus"].astype(str))
        code[i, where] = np.searchsorted(words, table["response"].astype(str))
        certainty[i, where] = of_truth(table)
    return ImageAnswers(
        space=place[0],
        role=place[1],
        observers=tuple(tables),
        kinds=tuple(kinds[name] for name in tables),
        images=images,
        labels={name: np.array([held.get(i, "") for i in images.tolist()], dtype=str) for name, held in labels.items()},
        words=tuple(words),
        code=code,
        sets={observations[name].stimuli: names[observations[name].stimuli] for name in tables},
        certainty=certainty,
    )


def of_truth(table: Trials) -> NDArray[np.float32]:
    """Return [n] the probability of the right category; NaN where the trials have none of each category."""
    n = len(table)
    held = table.columns.get("probability")  # of every category, in the order of their names
    categories, truth = np.unique(table["category"].astype(str), return_inverse=True)
    if held is None or held.shape != (n, len(categories)):
        return np.full(n, np.nan, dtype=np.float32)
    return np.asarray(held[np.arange(n), truth], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A leaderboard as it was at one moment."""

    place: str  # its address, without passwords
    suites: tuple[Suite, ...]  # with scores
    boards: tuple[Board, ...]  # by suite, the largest first
    observers: Mapping[str, ObserverRow]
    scores: Mapping[str, Sequence[ScoreRow]]  # of an observer every current one, single conditions included
    sets: Mapping[str, StimuliNote]  # by digest
    outcomes: Sequence[Outcome]
    answers: Sequence[ImageAnswers] = ()  # to single images, by role and space
    reported: Sequence[Board] = ()  # published scores without trials
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by id, with command and environment
    origins: Mapping[str, Collection[str]] = field(default_factory=dict)  # score set -> its runs
    own: frozenset[str] = frozenset()  # the reader's own networks, which every figure shows
    #: (suite, space) -> its headline, ranked with the scores that come with the package on the same images.
    references: Mapping[tuple[str, str], Board] = field(default_factory=dict)

    def only(self, models: Sequence[str]) -> Contents:
        """Return the same leaderboard with only these networks (names or patterns) and all reference rows."""
        names, chosen = {row.observer for board in (*self.boards, *self.reported) for row in board.rows}, set[str]()
        for pattern in models:
            if not (fitting := {name for name in names if fnmatchcase(name, pattern)}):
                raise unknown_name("observer", pattern, sorted(names), "`bench rank` lists those with scores.")
            chosen |= fitting

        def kept(boards: Iterable[Board]) -> tuple[Board, ...]:
            cut = (replace(b, rows=tuple(row for row in b.rows if row.observer in chosen)) for b in boards)
            return tuple(board for board in cut if board.rows)

        boards, reported, own = kept(self.boards), kept(self.reported), frozenset(chosen)
        return replace(self, boards=boards, reported=reported, own=own, answers=[a.only(own) for a in self.answers])

    def people(self, board: Board, metric: str) -> PeopleScore | None:
        """Return people's value in a column of a board."""
        bounds = next((column.bounds for column in board.columns if column.metric == metric), None)
        rows = ((row.observer, row.kind, row.cells[metric]) for row in board.references if metric in row.cells)
        return people_among(rows, bounds, self._pooled(board.suite))

    def people_at(self, summary: Summary, i: int) -> PeopleScore | None:
        """Return people's value in a headline of a summary; after the last headline, in the clean accuracy."""
        head = (*summary.headlines, summary.clean)[i]
        if head is None:
            return None
        key = CLEAN if i == len(summary.headlines) else head.suite
        rows = ((line.observer, line.kind, line.cells[key]) for line in summary.references)
        return people_among(rows, head.bounds, self._pooled(head.suite))

    def page_of(self, suite: str) -> str:
        """Return the page of a suite's boards; "" without one."""
        if suite == REPORTED:
            return "reported.html" if self.reported else ""
        return f"suites/{slug(suite)}.html" if any(known.name == suite for known in self.suites) else ""

    def shown_under(self, suite: str, metric: str) -> tuple[list[str], dict[str, tuple[float, str]]]:
        """Return (sets that a metric is usually measured on; image -> share right on the clean image, and by whom)."""
        roles = {m.role for known in self.suites if known.name == suite for m in known.metrics if m.name == metric}
        shown: dict[str, list[tuple[str, str]]] = defaultdict(list)  # space -> each observer's roles and sets
        for rows in self.scores.values():
            for row in {(row.space, row.role, row.stimuli) for row in rows if row.suite == suite and row.stimuli}:
                shown[row[0]].append((row[1], row[2]))
        digests = [digest for asked in shown.values() for role, digest in commonest(asked).items() if role in roles]
        sets = [self.sets[digest].name for digest in digests if digest in self.sets]
        shares: dict[str, tuple[float, str]] = {}
        for answers in self.answers:
            if {*answers.sets.values()} & {*sets}:
                members, called = answers.crowd
                told = zip(answers.images.tolist(), *answers.share(members), strict=True)
                shares |= {image: (float(share), called) for image, share, n in told if n}
        return sets, shares

    def _pooled(self, suite: str) -> bool:
        against = next((known.against for known in self.suites if known.name == suite), None)
        return against is not None and against.group is not None

    @cached_property
    def labelled(self) -> frozenset[str]:
        """Return the reader's own networks that have labels; of many, evenly spaced by name."""
        return frozenset(some_evenly(sorted(self.own), OWN))

    @cached_property
    def hues(self) -> dict[str, int]:
        """Return network -> its place in the scales of colours and shapes, the same in every figure."""
        ranked = ([line.observer for line in summary.lines] for summary in self.summaries)
        first = [name for names in ranked for name in featured(names, FEW, self.own)]
        others = [row.observer for board in self.boards for row in board.rows]
        return {name: i for i, name in enumerate(dict.fromkeys([*first, *others]))}

    @cached_property
    def summaries(self) -> list[Summary]:
        """Return models by suites, one table per label space."""
        return summaries(self.boards)

    @cached_property
    def linked(self) -> list[Summary]:
        """Return the summaries searched for links: the label spaces, then the scores of each publisher."""
        apart = [(table, table.space.removesuffix(", reported")) for table in reported_summaries(self.reported)]
        return [*self.summaries, *(replace(table, space=f"reported by {source}") for table, source in apart)]

    @cached_property
    def links(self) -> dict[str, tuple[Link, ...]]:
        """Return by space the pairs of headlines that share an observer, or why they are not correlated."""
        rows = [row for rows in self.scores.values() for row in rows]
        every = {one.space: links(one, self.cards, experiment_values(one, rows)) for one in self.linked}
        return {space: tuple(one for one in pairs if one.observers or one.refused) for space, pairs in every.items()}

    @cached_property
    def cue_measures(self) -> list[CueMeasures]:
        """Return every measure of shape or texture, side by side."""
        shown = {row.observer for board in self.boards for row in (*board.rows, *board.references)}
        rows = [row for name in sorted(shown & self.scores.keys()) for row in self.scores[name] if not row.condition]

        def ranked(suite: Suite, metric: str) -> list[Board]:
            return ranked_boards([row for row in rows if row.suite == suite.name], suite, self.sets, metric)

        return measures_of(cue_boards(self.suites, ranked), self.cards)

    @cached_property
    def cards(self) -> dict[str, Mapping[str, Any]]:
        """Return observer -> its card as plain data."""
        return {name: row.card for name, row in self.observers.items()}

    @cached_property
    def curves(self) -> list[TrainingCurve]:
        """Return every headline over every training run."""
        return curves_of_runs(self.boards, self.observers)


def read_contents(settings: Settings) -> Contents:
    """Return everything that pages and figures show. Raises StoreError, and BenchError for an empty leaderboard."""
    from benchmark.api.leaderboards import card_status, notes_of, suites_with_scores
    from registry.cards import builtin_cards  # YAML and pydantic are slow to import

    with open_store(settings.db, write=False) as store:
        suites = suites_with_scores(store)
        sets, now = notes_of(store), card_status(store, settings)
        held = map(now.marked, store.latest_scores())
        rows = [row._replace(reason=published(row.reason), flags=published(row.flags)) for row in held]
        observers = {row.name: row._replace(card=published(row.card)) for row in store.observers()}
        outcomes = [replace(outcome, reason=published(outcome.reason)) for outcome in store.outcomes()]
        answers = read_answers(store, suites)
        runs, origins = published(store.runs()), store.runs_of_sets()
        by_suite, scores = defaultdict(list), defaultdict(list)
        for row in rows:
            scores[row.observer].append(row)
            if row.observer not in now.hidden:
                by_suite[row.suite].append(row)
        boards = tuple(board for suite in suites for board in ranked_boards(by_suite[suite.name], suite, sets))
        references = _reference_boards(store, suites, by_suite, sets)
    if not rows:
        raise BenchError(f"{settings.db} has no scores to report: run `bench run` or `bench import trials FOLDER`.")
    sources = {name: str(row.card.get("source", "")) for name, row in observers.items()}
    return Contents(
        place=published(settings.db),
        suites=tuple(suite for suite in suites if by_suite[suite.name]),
        boards=boards,
        references=references,
        observers=observers,
        scores=scores,
        sets=sets,
        outcomes=outcomes,
        answers=answers,
        reported=reported_boards([r for r in rows if r.observer not in now.hidden], sources),
        runs=runs,
        origins=origins,
        own=frozenset(name for name, row in observers.items() if row.kind == "network" and name not in builtin_cards()),
    )


def _reference_boards(
    store: Store, suites: Sequence[Suite], rows: Mapping[str, Sequence[ScoreRow]], sets: Mapping[str, StimuliNote]
) -> dict[tuple[str, str], Board]:
    boards: dict[tuple[str, str], Board] = {}
    for suite in suites:
        own = [row for row in rows[suite.name] if row.metric == suite.headline.name and not row.condition]
        known, asked = {r.observer for r in own}, {(r.space, r.stimuli): r for r in own if r.value is not None}
        beside = [ref for row in asked.values() for ref in references_of(store, row, known)]
        for board in ranked_boards([*own, *beside], suite, sets) if beside else ():
            boards.setdefault((suite.name, board.space), board)
    return boards


def family_or_kind(observer: ObserverRow) -> str:
    """Return the line of a network's architecture ("resnet"); the kind of another observer."""
    if observer.kind in KINDS:
        return architecture_line(observer.name, observer.card)
    return "people" if observer.kind in ("human", "group") else observer.kind


def facts_of(observer: ObserverRow | None) -> dict[str, Any]:
    """Return what tables say of an observer besides its numbers; nothing of chance and of means over people."""
    if observer is None:
        return {"parameters": None, "family": "", "source": ""}
    here = {"network": "run here", "simulated": "run here", "ideal": "ideal"}  # otherwise the source of the tables
    origin = here.get(observer.kind) or str(observer.card.get("source", ""))
    return {"parameters": observer.card.get("parameters"), "family": family_or_kind(observer), "source": origin}


def about(cells: Iterable[Cell]) -> str:
    """Return "n 1200 (12 to 1200); 95 % interval: wilson": the usual n, the range, levels and methods of intervals."""
    valued = [cell for cell in cells if cell.value is not None]
    sizes, parts = Counter(cell.n for cell in valued if cell.n), []
    if sizes:
        ranged = f" ({min(sizes)} to {max(sizes)})" if len(sizes) > 1 else ""
        parts.append(f"n {sizes.most_common(1)[0][0]}{ranged}")
    sources = [cell.source for cell in valued if cell.source is not None and cell.low is not None]
    # without what a method says of its data: "wilson, clustered (160 shapes x 48 textures)"
    methods = dict.fromkeys(re.sub(r" \(.*\)", "", source.method) for source in sources if source.method)
    if levels := sorted({source.level for source in sources}):
        level = " or ".join(f"{100 * level:g} %" for level in levels)
        parts.append(f"{level} interval{': ' if methods else ''}{' or '.join(methods)}")
    return "; ".join(parts)
