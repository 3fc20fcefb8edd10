"""What a report is made from: a leaderboard, read once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmark.display import masked, published
from benchmark.errors import BenchError
from benchmark.leaderboard import boards as ranked_boards
from benchmark.leaderboard.lineage import NETWORKS, architecture_line
from benchmark.leaderboard.links import Link, links, parts_of
from benchmark.leaderboard.reported import reported_boards, reported_summaries
from benchmark.leaderboard.summary import Summary, summaries
from benchmark.leaderboard.training_curves import Curve, training_curves
from benchmark.report.answers import Answers, read_answers

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.leaderboard import Board
    from benchmark.settings import Settings
    from benchmark.store import ObserverRow, Outcome, ScoreRow, StimuliNote

PEOPLE = ("human", "group")


@dataclass(frozen=True)
class Contents:
    """A leaderboard as it was at one moment.

    place: where it was read, without passwords; suites: those with scores; boards: by suite, the one with most
    observers first; scores: observer -> every current score, single conditions included; sets: digest -> stimuli;
    answers: to single images, by role and space; reported: tables of published scores, which no suite measured;
    runs: by id, with command and environment; origins: score set -> the runs behind it.
    """

    place: str
    suites: tuple[Suite, ...]
    boards: tuple[Board, ...]
    observers: Mapping[str, ObserverRow]
    scores: Mapping[str, Sequence[ScoreRow]]
    sets: Mapping[str, StimuliNote]
    outcomes: Sequence[Outcome]
    answers: Sequence[Answers] = ()
    reported: Sequence[Board] = ()
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origins: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def summaries(self) -> list[Summary]:
        """Models by suites, one table per decision space."""
        return summaries(self.boards)

    @cached_property
    def linked(self) -> list[Summary]:
        """What links are looked for in: the decision spaces, then each publisher's scores by themselves."""
        apart = (
            replace(one, space=f"reported by {one.space.removesuffix(', reported')}")
            for one in reported_summaries(self.reported)
        )
        return [*self.summaries, *apart]

    @cached_property
    def links(self) -> dict[str, tuple[Link, ...]]:
        """Pairs of headlines that share an observer, or the reason why they are not correlated, by space: computed once
        for figures and page."""
        rows = [row for rows in self.scores.values() for row in rows]
        return {
            summary.space: tuple(
                link
                for link in links(summary, self.cards, parts_of(summary, rows))
                if link.observers or link.refused
            )
            for summary in self.linked
        }

    @cached_property
    def cards(self) -> dict[str, Mapping[str, Any]]:
        """Observer -> its card as plain data."""
        return {name: row.card for name, row in self.observers.items()}

    @cached_property
    def usual(self) -> dict[tuple[str, str], dict[str, str]]:
        """(suite, space) -> role -> the stimuli that most observers have a score on."""
        votes: dict[tuple[str, str], dict[str, Counter[str]]] = {}
        for rows in self.scores.values():
            asked = {(row.suite, row.space, row.role, row.stimuli) for row in rows if row.stimuli}
            for suite, space, role, stimuli in asked:
                votes.setdefault((suite, space), {}).setdefault(role, Counter())[stimuli] += 1
        return {
            place: {
                role: min(n, key=lambda one: (-n[one], one)) for role, n in sorted(roles.items())
            }
            for place, roles in votes.items()
        }

    @cached_property
    def curves(self) -> list[Curve]:
        """Every headline over every training run."""
        return training_curves(self.boards, self.observers)


def read_contents(settings: Settings) -> Contents:
    """Everything that pages and figures show of a leaderboard. Raises StoreError, and BenchError where it is empty."""
    from benchmark.api.opening import notes_of, reading, suites_with_scores
    from benchmark.api.standing import standing

    with reading(settings) as store:
        suites = suites_with_scores(store)
        sets, now = notes_of(store), standing(store, settings)
        rows = [
            row._replace(reason=published(row.reason), flags=published(row.flags))
            for row in map(now.marked, store.latest_scores())
        ]
        observers = {row.name: row._replace(card=published(row.card)) for row in store.observers()}
        outcomes = [replace(one, reason=published(one.reason)) for one in store.outcomes()]
        answers = read_answers(store, suites)
        runs, origins = published(store.runs()), store.runs_of_sets()
    if not rows:
        raise BenchError(
            f"{masked(settings.db)} has no scores to report: `bench run` makes some, or `bench import trials FOLDER`."
        )
    by_suite, scores = defaultdict(list), defaultdict(list)
    visible = [row for row in rows if row.observer not in now.hidden]
    for row in visible:
        by_suite[row.suite].append(row)
    for row in rows:
        scores[row.observer].append(row)
    made = [board for suite in suites for board in ranked_boards(by_suite[suite.name], suite, sets)]
    shown = tuple(suite for suite in suites if by_suite[suite.name])
    apart = reported_boards(
        visible,
        {name: str(row.card.get("source", "")) for name, row in observers.items()},
    )
    return Contents(
        place=published(settings.db),
        suites=shown,
        boards=tuple(made),
        observers=observers,
        scores=scores,
        sets=sets,
        outcomes=outcomes,
        answers=answers,
        reported=apart,
        runs=runs,
        origins=origins,
    )


def family(observer: ObserverRow | None) -> str:
    """The line of a network's architecture ("resnet"); its kind for whoever is no network."""
    if observer is None:
        return ""
    if observer.kind not in NETWORKS:
        return "people" if observer.kind in PEOPLE else observer.kind
    return architecture_line(observer.name, observer.card)


def parameters(observer: ObserverRow | None) -> int | None:
    """How many a network has, where its card says."""
    count = observer.card.get("parameters") if observer is not None else None
    return count if isinstance(count, int) else None


def source(observer: ObserverRow | None) -> str:
    """Where the answers come from: "run here", the tables' source, "drawn" for ideal observers."""
    if observer is None:
        return ""
    if observer.kind in ("network", "simulated"):
        return "run here"
    return "ideal" if observer.kind == "ideal" else str(observer.card.get("source", ""))
