"""The verbs of the command `bench` as typed functions.

Names are given as one name, a pattern ("world-*"), a comma list, or a list of any of these. `db`: the leaderboard, a
file or a database URL (None: BENCH_DB, else results.db in the working folder). A mistake raises a `BenchError` whose
text is one line for a person. Parameters, their defaults and their help are those of `benchmark.api`, where the command
line has them from, too; here results become tables that show themselves."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from itertools import groupby, starmap
from typing import Any, ParamSpec, TypeVar

from benchmark import api
from benchmark.api.leaderboards import ObserverScores
from benchmark.api.options import Names, explained, fields
from benchmark.ask import serving
from benchmark.contracts import Suite
from benchmark.display import counted
from benchmark.engine.score_shards import RunReport
from benchmark.leaderboard import Board
from benchmark.leaderboard.board_tables import board_table, observer_tables, score_table
from benchmark.leaderboard.comparison import PowerRow, comparison_tables, power_table
from benchmark.leaderboard.consistency import ObserverPair, observer_pairs, pair_table
from benchmark.leaderboard.cue_measures import CueMeasures, measure_tables
from benchmark.leaderboard.links import Link
from benchmark.leaderboard.links import pair_table as link_table
from benchmark.leaderboard.provenance import Provenance, provenance_record
from benchmark.leaderboard.summary import Summary, summary_table
from benchmark.leaderboard.table import Table, table_of
from benchmark.leaderboard.training_curves import TrainingCurve, checkpoint_table, training_tables
from benchmark.leaderboard.transfer import Claim, TransferMatrix, matrix_table
from benchmark.plugins import find_suites
from benchmark.report import figures, site
from benchmark.report.drawing import Figure
from benchmark.stats.comparisons import Compared, SuiteComparison
from benchmark.stimuli.catalogue import Entry, read_catalogue
from benchmark.stimuli.set_folders import stimuli_folder
from benchmark.store import ScoreRow
from benchmark.variables import read_settings
from gestaltbench.pictures import gallery as draw
from gestaltbench.results import Record, Results, in_rows
from registry.cards import ModelCard

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def _face(verb: Callable[P, R], show: Callable[[R], S]) -> Callable[P, S]:
    """A verb of `benchmark.api` whose result is shown."""

    @wraps(verb)
    def face(*args: P.args, **given: P.kwargs) -> S:
        return show(verb(*args, **given))

    face.__doc__ = explained(verb)
    vars(face)["__signature__"] = _signature(verb, show)
    return face


def _signature(verb: Callable[..., Any], show: Callable[..., Any]) -> Signature:
    """The verb's parameters with plain types, the filters by their names, and what is given back: for `help` and
    completion."""
    own, known = signature(verb), {field.name: field.hint for field in fields(verb)}
    given = [p.replace(annotation=known.get(p.name, p.annotation)) for p in own.parameters.values()]
    by_name = partial(Parameter, kind=Parameter.KEYWORD_ONLY, default=None)
    given += [by_name(name, annotation=hint) for name, hint in known.items() if name not in own.parameters]
    given = [parameter for parameter in given if parameter.kind is not Parameter.VAR_KEYWORD]
    given.sort(key=lambda parameter: (parameter.kind, parameter.name == "db"))
    shown = signature(show).return_annotation
    return own.replace(parameters=given, return_annotation=own.return_annotation if shown == "R" else shown)


def _itself(result: R) -> R:
    return result


def _certain(result: R | None) -> R:
    """The result of a verb that gives None only if somebody refuses the run; here nobody is asked."""
    assert result is not None
    return result


def _run(report: RunReport) -> Results[Record]:
    """The counts of a run, then one row per model and suite that failed or does not apply."""
    rows: list[Record] = [{"what": str(s), "count": n, "reason": ""} for s, n in sorted(report.counts.items())]
    for status, names in (("failed", report.failed), ("not applicable", report.skipped)):
        rows += [{"what": f"{status}: {name}", "count": 1, "reason": reason} for name, reason in names.items()]
    counts = ", ".join(f"{n} {status}" for status, n in sorted(report.counts.items()))
    return Results(title=f"run: {counts or 'nothing to do'}", values=tuple(rows), tables=lambda rows: [table_of(rows)])


def _boards(noun: str, boards: Sequence[Board]) -> Results[Board]:
    return Results(title=counted(len(boards), noun), values=tuple(boards), tables=partial(map, board_table))


def _summary(summaries: Sequence[Summary]) -> Results[Summary]:
    title = f"{counted(len(summaries), 'summary')} of models by suites"
    return Results(title=title, values=tuple(summaries), tables=partial(map, summary_table))


def _correlate(spaces: Sequence[tuple[Summary, tuple[Link, ...], Any]]) -> Results[Link]:
    names = {id(link): summary.space for summary, links, _ in spaces for link in links}

    def tables(links: Sequence[Link]) -> Iterator[Table]:
        for space, part in groupby(links, key=lambda link: names[id(link)]):
            yield link_table(list(part), space)

    links = tuple(link for _, part, _ in spaces for link in part)
    return Results(title=f"{counted(len(links), 'link')} between suites", values=links, tables=tables)


def _measures(cues: Sequence[CueMeasures]) -> Results[CueMeasures]:
    title = f"measures of shape and texture in {counted(len(cues), 'decision space')}"
    return Results(
        title=title, values=tuple(cues), tables=lambda some: [table for cue in some for table in measure_tables(cue)]
    )


def _training_curves(curves: Sequence[TrainingCurve]) -> Results[TrainingCurve]:
    def tables(curves: Sequence[TrainingCurve]) -> Iterator[Table]:
        for _, part in groupby(curves, key=lambda curve: (curve.run, curve.space)):
            yield checkpoint_table(list(part))

    return Results(
        title=f"{counted(len(curves), 'curve')} over training",
        values=tuple(curves),
        tables=tables,
        shown=training_tables,
    )


def _compare(tests: Compared) -> Results[SuiteComparison]:
    heads = {id(row) for row in tests.headlines}

    def record(row: SuiteComparison) -> Record:
        numbers = asdict(replace(row.comparison, test=None))
        shown = {name: value for name, value in numbers.items() if name not in ("test", "data")}
        return {"suite": row.suite, "headline": id(row) in heads, **shown}

    compared = in_rows(tuple(tests), "paired comparison", record)
    title = f"{compared.title} of a = {tests.a} and b = {tests.b}"
    return replace(compared, title=title, shown=lambda _: comparison_tables(tests))


def _power(rows: Sequence[PowerRow]) -> Results[PowerRow]:
    return Results(
        title=f"power of {counted(len(rows), 'comparison')}",
        values=tuple(rows),
        tables=lambda some: [power_table(some)],
    )


def _show(rows: ObserverScores) -> Results[ScoreRow]:
    title = f"{counted(len(rows), 'score')} of {rows.observer.name}"
    shown = observer_tables(rows, rows.stimuli, rows.suites)
    return Results(
        title=title, values=tuple(rows), tables=lambda some: [score_table(some, rows.stimuli)], shown=lambda _: shown
    )


def _provenance(numbers: Sequence[Provenance]) -> Results[Provenance]:
    def record(number: Provenance) -> Record:
        plain = provenance_record(number)
        return {name: json.dumps(v) if isinstance(v, (dict, list)) else v for name, v in plain.items()}

    known = in_rows(numbers, "number", record)
    return replace(known, title=f"what is behind {known.title}")


def _transfer(matrices: Sequence[tuple[TransferMatrix, list[Claim]]]) -> Results[tuple[TransferMatrix, list[Claim]]]:
    return Results(
        title=counted(len(matrices), "transfer matrix"), values=tuple(matrices), tables=partial(starmap, matrix_table)
    )


def _models(cards: Sequence[ModelCard]) -> Results[ModelCard]:
    names = ("name", "source", "arch", "labels", "training", "weights", "sha256", "license")
    return in_rows(cards, "model card", lambda card: {name: getattr(card, name) for name in names})


def _plot(drawn: Sequence[Figure]) -> Figure | Results[Figure]:
    """The figure that was asked for, or a list of all."""
    if len(drawn) == 1:
        return drawn[0]
    names = ("name", "title", "caption")
    return in_rows(drawn, "figure", lambda figure: {name: getattr(figure, name) for name in names})


run = _face(api.run, _run)
sweep = _face(api.sweep, _certain)
register = _face(api.register, lambda registered: registered[0])
reproduce = _face(api.reproduce, _certain)
rank = _face(api.rank, partial(_boards, "ranked board"))
reported = _face(api.reported, partial(_boards, "reported table"))
summary = _face(api.summary, _summary)
correlate = _face(api.correlate, _correlate)
measures = _face(api.measures, _measures)
training_curves = _face(api.training_curves, _training_curves)
compare = _face(api.compare, _compare)
power = _face(api.power, _power)
diff = _face(api.diff, _certain)
show = _face(api.show, _show)
provenance = _face(api.provenance, _provenance)
trials = _face(api.trials, _itself)
transfer = _face(api.transfer, _transfer)
export = _face(api.export, _itself)
models = _face(api.models, _models)
gallery = _face(draw, _itself)
plot = _face(figures.plot, _plot)
report = _face(site.report, _itself)
ask = _face(serving.ask, _itself)
import_trials = _face(api.import_trials, _itself)
import_scores = _face(api.import_scores, _itself)
import_leaderboard = _face(api.import_leaderboard, _itself)
reference = _face(api.reference, _itself)
rescore = _face(api.rescore, _itself)


def consistency(*observers: Names, experiment: str | None = None, db: str | None = None) -> Results[ObserverPair]:
    """Error consistency of the observers named (or listed), of all pairs."""
    listed = [name for part in observers for name in ([part] if isinstance(part, str) else part)]
    asked: Names = listed[0] if len(listed) == 1 else listed
    compared = tuple(observer_pairs(api.consistency(asked, experiment=experiment, db=db)))
    return Results(
        title=f"error consistency of {counted(len(compared), 'pair')}",
        values=compared,
        tables=lambda some: [pair_table(some)],
    )


consistency.__doc__ = explained(api.consistency)


def suites() -> Results[Suite]:
    """The installed suites, ours and third parties'."""

    def record(suite: Suite) -> Record:
        names = ("version", "needs", "summary")
        own = {name: getattr(suite, name) for name in names}
        return {"suite": suite.name, "headline": suite.headline.name, "variants": tuple(suite.variants), **own}

    return in_rows(tuple(find_suites().suites.values()), "suite", record)


def data() -> Results[Entry]:
    """The stimulus sets that are known: whether they are on this disk, and under which licence."""
    settings = read_settings()

    def record(entry: Entry) -> Record:
        own = {name: getattr(entry, name) for name in ("role", "space", "count")}
        there = bool(stimuli_folder(entry.name, settings))
        return {"set": entry.name, "on_disk": there, **own, "licence": entry.license, "what": entry.title}

    return in_rows(tuple(read_catalogue(settings).values()), "stimulus set", record)
