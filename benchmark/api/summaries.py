"""The headlines of all suites side by side, how they hang together, and how models stand to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from benchmark.api.leaderboards import Chosen, Wanted, reading, standing, suites_with_scores
from benchmark.api.options import Db, FlaggedLast, Names, Observers, Option, joined
from benchmark.api.ranking import Ranked, ranked_boards
from benchmark.errors import unknown_name
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.leaderboard.links import Contrasts, Link
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.training_curves import Curve


def summary(
    models: Observers = None, *, flagged_last: FlaggedLast = False, db: Db = None
) -> list[Summary]:
    """Models by suites: every headline side by side, one table per decision space."""
    return summary_with_sizes(models=models, flagged_last=flagged_last, db=db)[0]


def summary_with_sizes(
    *,
    models: Names | None = None,
    flagged_last: bool = False,
    limit: int | None = None,
    db: str | None = None,
) -> tuple[list[Summary], dict[str, int]]:
    """As `summary`, and observer -> the number of its parameters, for networks that were run here and stand in the
    first `limit` lines of either kind; read in one go."""
    from benchmark.leaderboard.summary import summaries

    settings = read_settings(db)
    with reading(settings) as store:
        how, chosen = Ranked(flagged_last=flagged_last), Chosen(Wanted(joined(models or "")))
        found = summaries(ranked_boards(store, how, chosen, standing(store, settings)))
        shown = {
            line.observer for one in found for line in (*one.lines[:limit], *one.references[:limit])
        }
        counts = {row.name: row.card.get("parameters") for row in store.observers_named(shown)}
    return found, {name: count for name, count in counts.items() if isinstance(count, int)}


def correlate(
    models: Observers = None,
    *,
    method: Annotated[
        Literal["spearman", "pearson"],
        Option("Of the partial correlation, and where a family is left out."),
    ] = "spearman",
    reported: Annotated[
        bool, Option("Published scores instead, each source by itself.", "--reported")
    ] = False,
    db: Db = None,
) -> list[tuple[Summary, tuple[Link, ...], Contrasts]]:
    """Every suite's headline against every other, over all networks: rank and linear correlation, and the rank
    correlation that is left given clean accuracy, each with an interval over families of networks. Two headlines that
    are made of the same answers are never correlated: one of them is taken without the experiment that they share.

    Below: recipes (stylised, adversarial, noise, ...) minus the standard one, paired by source, architecture and seed.
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


def _reported(models: Names | None, db: str | None) -> list[Summary]:
    from benchmark.api.published_scores import reported as reported_tables
    from benchmark.leaderboard.reported import reported_summaries

    return reported_summaries(reported_tables(wanted=Wanted(joined(models or "")), db=db))


def training_curves(
    run: Annotated[str | None, Option("One training run.")] = None, *, db: Db = None
) -> list[Curve]:
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
