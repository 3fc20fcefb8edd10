"""The verbs that read: a leaderboard, and lists of what is known. Arguments as in `gestaltbench.verbs`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from benchmark import api
from benchmark.variables import read_settings
from gestaltbench import records
from gestaltbench.results import Record, Results, counted

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.contracts import Suite
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.comparison import Diff
    from benchmark.leaderboard.consistency import Pair
    from benchmark.leaderboard.links import Link
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.training_curves import Curve
    from benchmark.leaderboard.transfer import Claim, Matrix
    from benchmark.stats.comparisons import SuiteComparison
    from benchmark.stimuli.catalogue import Entry
    from benchmark.store import ScoreRow
    from registry.cards import ModelCard

Names = str | Sequence[str]
Format = Literal["csv", "json", "markdown", "latex"]


def rank(
    suite: str | None = None,
    *,
    by: str | None = None,
    models: Names | None = None,
    hide: Names | None = None,
    unseen_only: bool = False,
    flagged_last: bool = False,
    db: str | None = None,
) -> Results[Board]:
    """Ranked boards of one suite or of all: one per decision space and stimulus set, never mixed.

    by: the metric that ranks (default: the headline); models, hide: only these, and none of those; unseen_only: without
    conditions that any of a board's observers was trained on; flagged_last: numbers that may not mean what they say
    rank below all others.
    """
    from benchmark.leaderboard.export import board_records

    found = api.rank(
        suite,
        by=by,
        models=None if models is None else pattern_of(models),
        hide=None if hide is None else pattern_of(hide),
        unseen_only=unseen_only,
        flagged_last=flagged_last,
        db=db,
    )
    return Results(
        counted(len(found), "ranked board"),
        tuple(found),
        board_records,
        records.board_lines,
        records.board_heading,
    )


def summary(
    models: Names | None = None, *, flagged_last: bool = False, db: str | None = None
) -> Results[Summary]:
    """Models by suites: every suite's headline side by side, one summary per decision space."""
    pattern = None if models is None else pattern_of(models)
    found = api.summary(models=pattern, flagged_last=flagged_last, db=db)
    title = f"{counted(len(found), 'summary', 'summaries')} of models by suites"
    return Results(
        title,
        tuple(found),
        records.summary_records,
        records.summary_lines,
        lambda one: f"models by suites, {one.space}",
    )


def correlate(
    models: Names | None = None,
    *,
    method: Literal["spearman", "pearson"] = "spearman",
    db: str | None = None,
) -> Results[Link]:
    """How the suites hang together: every headline against every other over all networks, with intervals over
    families of networks, and what is left given clean accuracy."""
    from benchmark.leaderboard.links import link_records

    pattern = None if models is None else pattern_of(models)
    found = api.correlate(models=pattern, method=method, db=db)
    spaces = {id(link): summary.space for summary, links, _ in found for link in links}
    links = tuple(link for _, part, _ in found for link in part)

    def record(link: Link) -> Iterable[Record]:
        return link_records([link], spaces[id(link)])

    return Results(f"{counted(len(links), 'link')} between suites", links, record)


def training_curves(run: str | None = None, *, db: str | None = None) -> Results[Curve]:
    """Every headline over every training run of a leaderboard, or over one: a point for each checkpoint, by step."""
    from benchmark.leaderboard.training_curves import curve_records

    found = api.training_curves(run, db=db)
    return Results(f"{counted(len(found), 'curve')} over training", tuple(found), curve_records)


def compare(
    a: str, b: str, *, suite: str | None = None, db: str | None = None
) -> Results[SuiteComparison]:
    """Paired tests of two observers on the stimuli that both answered, or of one and "people" as a group.

    The suites' headlines come first and are one family of tests, the rest is another; p and intervals are adjusted
    within each (Holm).
    """
    found = api.compare(a, b, suite=suite, db=db)
    title = f"{counted(len(found), 'paired comparison')} of a = {found.a} and b = {found.b}"
    record = partial(records.comparison_record, found.headlines)
    return Results(title, tuple(found), record)


def diff(
    base: str,
    new: str,
    *,
    noninferior: float | None = None,
    equivalent: float | None = None,
    precision_target: float | None = None,
    suite: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    db: str | None = None,
) -> Diff:
    """Whether a new model is worse than its base, by each suite's headline on the stimuli that both answered.

    base: a model, or "people" as a group. noninferior: how much worse the new one may be, in units of the metric;
    equivalent: how far it may lie from the base either way; precision_target: run both, on images in random order
    (limit: so many at most), until the answer is clear or the difference is known to +-so much. `.verdict` is the whole
    in a word, `.exit_code` that of `bench diff`, `.changes` each suite's, `.flipped` the images that only one of the
    two gets right.
    """
    if precision_target is None:
        return api.diff(
            base, new, noninferior=noninferior, equivalent=equivalent, suite=suite, db=db
        )
    request = api.RunRequest(suites=suite or "all", limit=limit, device=device)
    settings, silent = read_settings(db), api.Silent()
    found = api.decide(
        base,
        new,
        precision_target,
        settings,
        silent,
        margin=api.asked_margin(noninferior, equivalent),
        request=request,
        command="gestaltbench.diff",
    )
    assert found is not None  # nobody is asked
    return found


def show(observer: str, *, db: str | None = None) -> Results[ScoreRow]:
    """Every current score of one observer, per condition too."""
    rows, sets = api.show(observer, db=db), api.stimuli_notes(db=db)
    record = partial(records.score_record, sets)
    return Results(f"{counted(len(rows), 'score')} of {observer}", tuple(rows), record)


def provenance(
    observer: str,
    suite: str | None = None,
    metric: str | None = None,
    condition: str | None = None,
    *,
    db: str | None = None,
) -> Results[Provenance]:
    """Everything behind a number: observer, weights, card, stimuli, seed, precision, device, versions, runs, n, method,
    interval, and `.again.command`, which makes it again.

    suite None: the headline of each suite; metric None: the suite's headline; condition None: over all conditions.
    """
    found = api.provenance(observer, suite, metric, condition, db=db)
    title = f"what is behind {counted(len(found), 'number')} of {observer}"
    return Results(title, tuple(found), records.provenance_records)


def trials(observer: str, suite: str, *, db: str | None = None) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels and what the suite kept.

    A vector per trial is spread over columns: probabilities by category ("probability_cat"), others by number.
    """
    return api.trials(observer, suite, db=db)


def consistency(
    observers: Names = (), *, experiment: str | None = None, db: str | None = None
) -> Results[Pair]:
    """Error consistency (kappa) of every pair of these observers (default: of all), per experiment and condition.

    Kappa is 1 where two are right and wrong on the same images, 0 where they agree as often as their accuracies alone
    would have it, negative where less (Geirhos, Meding & Wichmann 2020).
    """
    from benchmark.leaderboard.consistency import pair_record, pairs

    named = [name.strip() for name in pattern_of(observers).split(",") if name.strip()]
    found = tuple(pairs(api.answered(named, experiment=experiment, db=db)))
    return Results(f"error consistency of {counted(len(found), 'pair')}", found, pair_record)


def transfer(
    suite: str | None = None,
    *,
    conditions: Names = "default",
    by_model: bool = False,
    models: Names | None = None,
    claims: Sequence[tuple[str, str]] = (),
    db: str | None = None,
) -> Results[tuple[Matrix, list[Claim]]]:
    """Transfer matrices: trained on the row, tested on the column (Geirhos et al. 2018).

    conditions: "default", "levels", "mean", "half" or patterns; by_model: a row per observer; claims: pairs (recipe,
    condition) to judge. Values: (matrix, its claims).
    """
    found = api.transfer(
        suite,
        conditions=pattern_of(conditions),
        by_model=by_model,
        models=None if models is None else pattern_of(models),
        claims=claims,
        db=db,
    )
    title = counted(len(found), "transfer matrix", "transfer matrices")
    return Results(title, tuple(found), records.matrix_records)


def reported(suite: str | None = None, *, db: str | None = None) -> Results[Board]:
    """Tables of scores that others report: of one suite's subject, or all (None). Ordered by value, not ranked."""
    from benchmark.leaderboard.export import board_records

    found = tuple(api.reported(suite, db=db))
    title = counted(len(found), "reported table")
    return Results(title, found, board_records, records.board_lines, records.board_heading)


def export(
    suite: str | None = None,
    *,
    by: str | None = None,
    unseen_only: bool = False,
    format: Format = "csv",
    db: str | None = None,
) -> str:
    """The ranked tables as text: at full precision (csv, json) or as people read them (markdown, latex)."""
    from benchmark.leaderboard.export import export_boards

    found = api.rank(suite, by=by, unseen_only=unseen_only, db=db)
    if not (by or unseen_only):
        found += api.reported(suite, db=db)
    return export_boards(found, format)


def models(pattern: Names | None = None) -> Results[ModelCard]:
    """Model cards, built-in and registered."""
    found = api.models(None if pattern is None else pattern_of(pattern))
    return Results(counted(len(found), "model card"), tuple(found), records.card_record)


def suites() -> Results[Suite]:
    """The installed suites, ours and third parties'."""
    from benchmark.plugins import find_suites

    found = tuple(find_suites().suites.values())
    return Results(counted(len(found), "suite"), found, records.suite_record)


def data() -> Results[Entry]:
    """The stimulus sets that are known: whether they are on this disk, and under which licence."""
    from benchmark.stimuli.catalogue import read_catalogue

    settings = read_settings()
    found = tuple(read_catalogue(settings).values())
    return Results(
        counted(len(found), "stimulus set"), found, partial(records.set_record, settings)
    )


def pattern_of(names: Names) -> str:
    """Names as one comma list."""
    return names if isinstance(names, str) else ",".join(names)
