"""The verbs of the command `bench` as typed functions.

Names are given as one name, a pattern ("world-*"), a comma list, or a list of any of these. `db`: the leaderboard, a
file or a database URL (None: BENCH_DB, else results.db in the working folder). A mistake raises a `BenchError` whose
text is one line for a person. Parameters, their defaults and their help are those of `benchmark.api`, where the command
line has them from, too; here results become tables that show themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from itertools import groupby, starmap
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from benchmark import api
from benchmark.api.options import explained
from benchmark.leaderboard.board_tables import board_table, score_table
from benchmark.leaderboard.summary import summary_table
from benchmark.leaderboard.table import Table
from benchmark.variables import read_settings
from gestaltbench import results
from gestaltbench.pictures import gallery as draw
from gestaltbench.results import Record, Results, counted, in_rows

if TYPE_CHECKING:
    from benchmark.contracts import Suite
    from benchmark.engine.score_shards import RunReport
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.consistency import Answered, Pair
    from benchmark.leaderboard.links import Link
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.training_curves import Curve
    from benchmark.leaderboard.transfer import Claim, Matrix
    from benchmark.stats.comparisons import Compared, SuiteComparison
    from benchmark.stimuli.catalogue import Entry
    from benchmark.store import ScoreRow
    from registry.cards import ModelCard
    from registry.determinism_checks import Check

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Given = Mapping[str, Any]


def _face(verb: Callable[P, R], show: Callable[[R, Given], S]) -> Callable[P, S]:
    """A verb of `benchmark.api` whose result is shown; `show` is also given the keywords."""

    @wraps(verb)
    def face(*args: P.args, **given: P.kwargs) -> S:
        return show(verb(*args, **given), given)

    face.__doc__ = explained(verb)
    return face


def _itself(result: R, _given: Given) -> R:
    return result


def _certain(result: R | None, _given: Given) -> R:
    """The result of a verb that gives None only if somebody refuses the run; here nobody is asked."""
    assert result is not None
    return result


def _run(report: RunReport, _given: Given) -> Results[Record]:
    counts = ", ".join(f"{n} {status}" for status, n in sorted(report.counts.items()))
    title = f"run: {counts or 'nothing to do'}"
    return Results(title, tuple(results.run_records(report)), in_rows(results.itself))


def _boards(noun: str, boards: Sequence[Board], _given: Given) -> Results[Board]:
    return Results(counted(len(boards), noun), tuple(boards), partial(map, board_table))


def _summary(summaries: Sequence[Summary], _given: Given) -> Results[Summary]:
    title = f"{counted(len(summaries), 'summary', 'summaries')} of models by suites"
    return Results(title, tuple(summaries), partial(map, summary_table))


def _correlate(spaces: Sequence[tuple[Summary, tuple[Link, ...], Any]], _given: Given) -> Results[Link]:
    from benchmark.leaderboard.links import pair_table

    names = {id(link): summary.space for summary, links, _ in spaces for link in links}

    def tables(links: Sequence[Link]) -> Iterator[Table]:
        for space, part in groupby(links, key=lambda link: names[id(link)]):
            yield pair_table(list(part), space)

    links = tuple(link for _, part, _ in spaces for link in part)
    return Results(f"{counted(len(links), 'link')} between suites", links, tables)


def _training_curves(curves: Sequence[Curve], _given: Given) -> Results[Curve]:
    from benchmark.leaderboard.training_curves import checkpoint_table

    def tables(curves: Sequence[Curve]) -> Iterator[Table]:
        for _, part in groupby(curves, key=lambda curve: (curve.run, curve.space)):
            yield checkpoint_table(list(part))

    return Results(f"{counted(len(curves), 'curve')} over training", tuple(curves), tables)


def _compare(tests: Compared, _given: Given) -> Results[SuiteComparison]:
    title = f"{counted(len(tests), 'paired comparison')} of a = {tests.a} and b = {tests.b}"
    return Results(title, tuple(tests), in_rows(partial(results.comparison_record, tests.headlines)))


def _show(rows: Sequence[ScoreRow], given: Given) -> Results[ScoreRow]:
    sets = api.stimuli_notes(db=given.get("db"))
    title = f"{counted(len(rows), 'score')} of {rows[0].observer if rows else 'nobody'}"
    return Results(title, tuple(rows), lambda rows: [score_table(rows, sets)])


def _provenance(behind: Sequence[Provenance], _given: Given) -> Results[Provenance]:
    title = f"what is behind {counted(len(behind), 'number')}"
    return Results(title, tuple(behind), in_rows(results.provenance_records))


def _consistency(answered: Answered, _given: Given) -> Results[Pair]:
    from benchmark.leaderboard.consistency import pair_table, pairs

    compared = tuple(pairs(answered))
    title = f"error consistency of {counted(len(compared), 'pair')}"
    return Results(title, compared, lambda pairs: [pair_table(pairs)])


def _transfer(matrices: Sequence[tuple[Matrix, list[Claim]]], _given: Given) -> Results[tuple[Matrix, list[Claim]]]:
    from benchmark.leaderboard.transfer import matrix_table

    title = counted(len(matrices), "transfer matrix", "transfer matrices")
    return Results(title, tuple(matrices), partial(starmap, matrix_table))


def _card(registered: tuple[ModelCard, list[Check]], _given: Given) -> ModelCard:
    return registered[0]


def _models(cards: Sequence[ModelCard], _given: Given) -> Results[ModelCard]:
    return Results(counted(len(cards), "model card"), tuple(cards), in_rows(results.card_record))


run = _face(api.run, _run)
sweep = _face(api.sweep, _certain)
register = _face(api.register, _card)
reproduce = _face(api.reproduce, _certain)
rank = _face(api.rank, partial(_boards, "ranked board"))
reported = _face(api.reported, partial(_boards, "reported table"))
summary = _face(api.summary, _summary)
correlate = _face(api.correlate, _correlate)
training_curves = _face(api.training_curves, _training_curves)
compare = _face(api.compare, _compare)
diff = _face(api.diff, _certain)
show = _face(api.show, _show)
provenance = _face(api.provenance, _provenance)
trials = _face(api.trials, _itself)
consistency = _face(api.consistency, _consistency)
transfer = _face(api.transfer, _transfer)
export = _face(api.export, _itself)
models = _face(api.models, _models)
gallery = _face(draw, _itself)
import_trials = _face(api.import_trials, _itself)
import_scores = _face(api.import_scores, _itself)
import_leaderboard = _face(api.import_leaderboard, _itself)
reference = _face(api.reference, _itself)
rescore = _face(api.rescore, _itself)


def suites() -> Results[Suite]:
    """The installed suites, ours and third parties'."""
    from benchmark.plugins import find_suites

    known = tuple(find_suites().suites.values())
    return Results(counted(len(known), "suite"), known, in_rows(results.suite_record))


def data() -> Results[Entry]:
    """The stimulus sets that are known: whether they are on this disk, and under which licence."""
    from benchmark.stimuli.catalogue import read_catalogue

    settings = read_settings()
    known = tuple(read_catalogue(settings).values())
    row = in_rows(partial(results.set_record, settings))
    return Results(counted(len(known), "stimulus set"), known, row)
