"""The headlines of all suites side by side, how they hang together, and how models stand to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.api.chosen_observers import Chosen, Wanted
from benchmark.api.opening import reading, suites_with_scores
from benchmark.api.ranking import Ranked, ranked_boards
from benchmark.api.standing import standing
from benchmark.errors import unknown_name
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.leaderboard.links import Contrasts, Link
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.training_curves import Curve
    from benchmark.stats.correlations import Method


def summary(
    *, models: str | None = None, flagged_last: bool = False, db: str | None = None
) -> list[Summary]:
    """Models by suites: one per decision space, the one with most observers first."""
    return summary_with_sizes(models=models, flagged_last=flagged_last, db=db)[0]


def summary_with_sizes(
    *,
    models: str | None = None,
    flagged_last: bool = False,
    limit: int | None = None,
    db: str | None = None,
) -> tuple[list[Summary], dict[str, int]]:
    """As `summary`, and observer -> the number of its parameters, for networks that were run here and stand in the
    first `limit` lines of either kind; read in one go."""
    from benchmark.leaderboard.summary import summaries

    settings = read_settings(db)
    with reading(settings) as store:
        how, chosen = Ranked(flagged_last=flagged_last), Chosen(Wanted(models or ""))
        found = summaries(ranked_boards(store, how, chosen, standing(store, settings)))
        shown = {
            line.observer for one in found for line in (*one.lines[:limit], *one.references[:limit])
        }
        counts = {row.name: row.card.get("parameters") for row in store.observers_named(shown)}
    return found, {name: count for name, count in counts.items() if isinstance(count, int)}


def correlate(
    *,
    models: str | None = None,
    method: Method = "spearman",
    reported: bool = False,
    db: str | None = None,
) -> list[tuple[Summary, tuple[Link, ...], Contrasts]]:
    """Each decision space with every pair of headlines over its networks, and the contrasts of recipes.

    reported: published scores instead, each source by itself: never mixed with what was measured.
    """
    from benchmark.leaderboard.links import contrasts, links, parts_of

    found = _reported(models, db) if reported else summary(models=models, db=db)
    with reading(read_settings(db)) as store:
        cards = {row.name: row.card for row in store.observers()}
        rows = [] if reported else store.latest_scores()
    return [
        (one, links(one, cards, parts_of(one, rows), method=method), contrasts(one, cards))
        for one in found
    ]


def _reported(models: str | None, db: str | None) -> list[Summary]:
    from benchmark.api.published_scores import reported as reported_tables
    from benchmark.leaderboard.reported import reported_summaries

    return reported_summaries(reported_tables(wanted=Wanted(models or ""), db=db))


def training_curves(run: str | None = None, *, db: str | None = None) -> list[Curve]:
    """Every headline over every training run, or over one. Raises UnknownName where there is no such run."""
    from benchmark.leaderboard.training_curves import runs_of
    from benchmark.leaderboard.training_curves import training_curves as curves_of

    settings = read_settings(db)
    with reading(settings) as store:
        rows = {row.name: row for row in store.observers()}
        runs = runs_of({name: row.card for name, row in rows.items()})
        if run is not None and run not in runs:
            raise unknown_name("training run", run, runs, "`bench sweep FOLDER` makes one.")
        found = ranked_boards(store, Ranked(), Chosen(Wanted("")), standing(store, settings))
    return [one for one in curves_of(found, rows) if run in (None, one.run)]


def is_run(name: str, *, db: str | None = None) -> bool:
    """Whether a training run, and no observer, is called so."""
    from benchmark.leaderboard.training_curves import runs_of

    with reading(read_settings(db)) as store:
        if any(note.name == name for note in store.observer_notes()):
            return False
        return name in runs_of({row.name: row.card for row in store.observers()})


def against(
    found: Sequence[Summary], baseline: str, *, db: str | None = None
) -> dict[str, Mapping[tuple[str, str], str]]:
    """Decision space -> (observer, suite) -> how it stands to the baseline, by paired tests of the headlines.

    The headlines of each observer are one family of tests, as in `compare`. Raises UnknownName where no summary has
    the baseline.
    """
    from benchmark.engine.scoring import compare_observers
    from benchmark.leaderboard.comparison import better
    from benchmark.leaderboard.summary_text import BETTER, INCONCLUSIVE, WORSE

    names = {line.observer for one in found for line in one.lines}
    if baseline not in names:
        raise unknown_name(
            "baseline", baseline, names, "`bench rank --summary` lists the observers."
        )
    signs = {"A": BETTER, "B": WORSE}
    marks: dict[str, Mapping[tuple[str, str], str]] = {}
    with reading(read_settings(db)) as store:
        suites = suites_with_scores(store)
        for one in found:
            if baseline not in {line.observer for line in one.lines}:
                continue
            others = (line.observer for line in one.lines if line.observer != baseline)
            tested = ((name, compare_observers(store, suites, name, baseline)) for name in others)
            marks[one.space] = {
                (name, row.suite): signs.get(better(row), INCONCLUSIVE)
                for name, rows in tested
                for row in rows.headlines
                if row.comparison.p is not None
            }
    return marks
