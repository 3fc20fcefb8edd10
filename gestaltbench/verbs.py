"""The commands of `bench` as typed functions, whose results are tables that display themselves.

Names are one name, a pattern ("world-*"), a comma list, or a list of these. `db` is the leaderboard: a file or a
database URL (None: BENCH_DB, else results.db in the working folder). A mistake raises a `BenchError` of one line."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from itertools import groupby
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from benchmark import api
from benchmark.api.leaderboards import ObserverScores, Selection
from benchmark.api.options import Filters, Names, explained, fields
from benchmark.ask import serving
from benchmark.cli.models import print_checks
from benchmark.cli.progress import reporting
from benchmark.contracts import Suite
from benchmark.display import counted
from benchmark.failures import BenchError, UsageError
from benchmark.leaderboard import Board
from benchmark.leaderboard import recipe_effects as effects
from benchmark.leaderboard.board_tables import board_table, observer_tables, score_table
from benchmark.leaderboard.comparison import PowerRow, comparison_tables, power_table
from benchmark.leaderboard.consistency import ObserverPair, agreement_table, observer_pairs
from benchmark.leaderboard.links import CueMeasures, Link, correlation_table, measure_tables
from benchmark.leaderboard.provenance import Provenance, provenance_record
from benchmark.leaderboard.summary import Summary, summary_table
from benchmark.leaderboard.table import Table, table_of
from benchmark.leaderboard.training_curves import TrainingCurve, checkpoint_table, training_tables
from benchmark.plugins import find_suites
from benchmark.report import figures, site
from benchmark.report.drawing import Figure
from benchmark.stats.comparisons import Compared, SuiteComparison
from benchmark.stimuli.catalogue import Entry, read_catalogue, stimuli_folder
from benchmark.store import ScoreRow
from benchmark.variables import read_settings
from gestaltbench.evaluation import evaluate, no_worse  # noqa: F401  # verbs of their own
from gestaltbench.map_gallery import gallery as draw
from gestaltbench.results import RankedBoard, Record, Results, Written, python_errors
from registry.cards import ModelCard
from registry.determinism_checks import Check

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
Draw = Callable[[Sequence[T]], Iterable[Table]]
Samples = list[effects.HeadlineSample]
VERDICTS = 3  # networks of a run that get one


def _face(verb: Callable[P, R], show: Callable[[R], S]) -> Callable[P, S]:
    """Return a verb of `benchmark.api` whose result displays itself."""
    flags = {flag: field.name for field in fields(verb) for flag in field.flags}

    @wraps(verb)
    def face(*args: P.args, **given: P.kwargs) -> S:
        _rename(given, flags.values())
        with python_errors(flags):
            return show(verb(*args, **given))

    face.__doc__ = explained(verb)
    vars(face)["__signature__"] = _signature(verb, show)
    return face


def _rename(given: dict[str, Any], names: Collection[str]) -> None:
    """Take `model` and `suite` for the parameters `models` and `suites` of a verb that has only these."""
    for one, several in (("model", "models"), ("suite", "suites")):
        if one in given and one not in names and several in names and several not in given:
            given[several] = given.pop(one)


def _signature(verb: Callable[..., Any], show: Callable[..., Any]) -> Signature:
    """Return the signature for `help` and completion: plain types, `db` and filters by name."""
    own, known = signature(verb), {field.name: field.hint for field in fields(verb)}
    given = [p.replace(annotation=known.get(p.name, p.annotation)) for p in own.parameters.values()]
    by_name = partial(Parameter, kind=Parameter.KEYWORD_ONLY, default=None)
    given += [by_name(name, annotation=hint) for name, hint in known.items() if name not in own.parameters]
    given = [p for p in given if p.kind is not Parameter.VAR_KEYWORD and p.name != "leaderboard"]
    given.sort(key=lambda parameter: (parameter.kind, parameter.name == "db"))
    shown = show if isinstance(show, type) else signature(show).return_annotation
    return own.replace(parameters=given, return_annotation=own.return_annotation if shown is R else shown)


FILTERS = tuple(Filters.__annotations__)


def _method(verb: Callable[Concatenate[Selection, P], R], show: Callable[[R], S]) -> Callable[Concatenate[Any, P], S]:
    """Return a method of `Leaderboard` from a verb of `benchmark.api` that reads one."""
    flags = {flag: field.name for field in fields(verb) for flag in field.flags}
    filtered = any(name in FILTERS for name in flags.values())

    @wraps(verb)
    def method(self: Any, /, *args: P.args, **given: P.kwargs) -> S:
        if self.filters and not filtered:
            stated = ", ".join(name for name, value in self.filters.lists.items() if value)
            raise UsageError(f"`{verb.__name__}` takes no filters ({stated}): choose with its parameters.")
        with python_errors(flags):
            result = show(verb(self, *args, **given))
        if not isinstance(result, Results):
            return result
        again: Any = lambda filters: method(self.where(**filters), *args, **given)  # noqa: E731  # of this very call
        return cast(S, replace(result, again=again))

    method.__doc__ = explained(verb)
    vars(method)["shorthand"] = short = _signature(verb, show)
    own = [parameter for name, parameter in short.parameters.items() if name not in ("db", *FILTERS)]
    vars(method)["__signature__"] = short.replace(parameters=[Parameter("self", Parameter.POSITIONAL_ONLY), *own])
    return method


def _shorthand(method: Callable[Concatenate[Selection, P], S]) -> Callable[..., S]:
    """Return the method as a function of `db` and filters. Without parameters by position, the first is `models`."""
    names = [field.name for field in fields(method)]
    takes = vars(method)["shorthand"].parameters.values()
    first = next((each.name for each in takes if each.kind is not Parameter.KEYWORD_ONLY), "models")

    @wraps(method)
    def face(*args: Any, db: str | Path | None = None, **given: Any) -> S:
        _rename(given, names)
        if args and first == "models":
            given["models"], args = args[0], args[1:]
        filters = {name: given.pop(name) for name in FILTERS if name in given}
        return method(Leaderboard(db).where(**filters), *args, **given)

    vars(face)["__signature__"] = vars(method)["shorthand"]
    return face


def _itself(result: R | None) -> R:
    assert result is not None  # a verb returns None only if the user declines; here the user is not asked
    return result


def _shown(
    kind: type[T], noun: str, tables: Draw[T], title: str = "{}", shown: Draw[T] | None = None
) -> Callable[[Sequence[T]], Results[T]]:
    """Return a function that makes `Results` of a verb's values; their number and noun stand in the title."""

    def results(values: Sequence[T]) -> Results[T]:
        return Results(title=title.format(counted(len(values), noun)), values=tuple(values), tables=tables, shown=shown)

    results.__annotations__["return"] = Results[kind]  # type: ignore[valid-type]  # for `help`
    return results


def _rows(record: Callable[[T], Record]) -> Draw[T]:
    """Return a function that draws one table with a row for each value."""
    return lambda values: [table_of([record(value) for value in values])]


def _columns(*names: str) -> Draw[Any]:
    return _rows(lambda value: {name: getattr(value, name) for name in names})


def _one(draw: Callable[[Sequence[T]], Table]) -> Draw[T]:
    """Return a function that draws one table of all values."""
    return lambda values: [draw(values)]


@wraps(api.run)
def _run(*args: Any, **given: Any) -> Results[Record]:
    """Run with a bar; return counts, what failed or does not apply, and verdicts on named networks."""
    asked = signature(api.run).bind(*args, **given).arguments
    with reporting(asked.get("reporter"), log=False) as reporter:
        report = api.run(*args, **{**given, "reporter": reporter})
    rows: list[Record] = [{"what": str(s), "count": n, "reason": ""} for s, n in sorted(report.counts.items())]
    ended = [("failed", report.failed), *((how, report.ended(how)) for how in ("not applicable", "waiting for data"))]
    for status, names in ended:
        rows += [{"what": f"{status}: {name}", "count": 1, "reason": reason} for name, reason in names.items()]
    counts = ", ".join(f"{n} {status}" for status, n in sorted(report.counts.items())) or "nothing to do"
    answered = dict.fromkeys(work[0] for work, (status, _) in report.tasks.items() if status in ("done", "cached"))
    found = []
    for name in answered if "models" in asked and len(answered) <= VERDICTS else ():
        with suppress(BenchError):  # an observer that is no network
            found.append(api.verdict(Selection(asked.get("db")), name))
    return Results(title=f"run: {counts}", values=tuple(rows), tables=_one(table_of), verdicts=tuple(found))


vars(_run)["__signature__"] = signature(api.run).replace(return_annotation=Results[Record])


def _registered(registered: tuple[ModelCard, list[Check]]) -> ModelCard:
    card, checks = registered
    print_checks(checks, err=True)
    return card


def _boards(noun: str) -> Callable[[Sequence[Board]], Results[Board]]:
    results = _shown(Board, noun, partial(map, board_table))
    return lambda boards: results([RankedBoard(**vars(board)) for board in boards])


def _table(table: Table) -> Results[Table]:
    return Results(title=table.heading, values=(table,), tables=list)


def _correlate(spaces: Sequence[tuple[Summary, tuple[Link, ...]]]) -> Results[Link]:
    names = {id(link): summary.space for summary, links in spaces for link in links}

    def tables(links: Sequence[Link]) -> Iterable[Table]:
        parts = groupby(links, key=lambda link: names[id(link)])
        return (correlation_table(list(part), space) for space, part in parts)

    return _shown(Link, "link", tables, "{} between suites")([link for _, links in spaces for link in links])


def _curve_tables(curves: Sequence[TrainingCurve]) -> Iterable[Table]:
    return (checkpoint_table(list(part)) for _, part in groupby(curves, key=lambda curve: (curve.run, curve.space)))


def _compare(tests: Compared) -> Results[SuiteComparison]:
    heads = {id(row) for row in tests.headlines}

    def record(row: SuiteComparison) -> Record:
        numbers = asdict(replace(row.comparison, test=None))
        shown = {name: value for name, value in numbers.items() if name not in ("test", "data")}
        return {"suite": row.suite, "headline": id(row) in heads, **shown}

    title = f"{counted(len(tests), 'paired comparison')} of a = {tests.a} and b = {tests.b}"
    return Results(title=title, values=tuple(tests), tables=_rows(record), shown=lambda _: comparison_tables(tests))


def _show(rows: ObserverScores) -> Results[ScoreRow]:
    title = f"{counted(len(rows), 'score')} of {rows.observer.name}"
    shown, tables = observer_tables(rows, rows.stimuli, rows.suites), _one(partial(score_table, sets=rows.stimuli))
    return Results(title=title, values=tuple(rows), tables=tables, shown=lambda _: shown)


def _origin(number: Provenance) -> Record:
    record = provenance_record(number)
    return {name: json.dumps(v) if isinstance(v, (dict, list)) else v for name, v in record.items()}


def _plot(drawn: Sequence[Figure]) -> Figure | Results[Figure]:
    every = _shown(Figure, "figure", _columns("name", "title", "caption"))
    return drawn[0] if len(drawn) == 1 else every(drawn)


@wraps(api.consistency)
def _consistency(leaderboard: Selection, *observers: Names, experiment: str | None = None) -> list[ObserverPair]:
    listed = [name for part in observers for name in ([part] if isinstance(part, str) else part)]
    chosen: Names = listed[0] if len(listed) == 1 else listed
    return [*observer_pairs(api.consistency(leaderboard, chosen, experiment=experiment))]


class Leaderboard(Selection):
    """A leaderboard, with filters for the rows that its methods show.

        gb.Leaderboard("results.db").rank("cue-conflict").where(recipe="stylised").to("latex")

    location: a file or a database URL (None: BENCH_DB, else results.db in the working folder); each method opens it.
    `where` returns the same leaderboard with filters: hide, kind, source, recipe, family, models. A method that names
    what it reads refuses filters."""

    rank = _method(api.rank, _boards("ranked board"))
    reported = _method(api.reported, _boards("reported table"))
    summary = _method(api.summary, _shown(Summary, "summary", partial(map, summary_table), "{} of models by suites"))
    correlate = _method(api.correlate, _correlate)
    measures = _method(
        api.measures, _shown(CueMeasures, "label space", measure_tables, "measures of shape and texture in {}")
    )
    training_curves = _method(
        api.training_curves, _shown(TrainingCurve, "curve", _curve_tables, "{} over training", training_tables)
    )
    consistency = _method(_consistency, _shown(ObserverPair, "pair", _one(agreement_table), "error consistency of {}"))
    compare = _method(api.compare, _compare)
    power = _method(api.power, _shown(PowerRow, "comparison", _one(power_table), "power of {}"))
    recipes = _method(api.recipes, _shown(Samples, "label space", partial(map, effects.recipe_table), "recipes in {}"))
    compare_recipes = _method(
        api.compare_recipes,
        _shown(effects.RecipeDifference, "headline", _one(effects.recipe_comparison_table), "two recipes in {}"),
    )
    recipe_power = _method(api.recipe_power, _table)
    doses = _method(api.doses, _table)
    claims = _method(api.claims, _shown(effects.TriedClaim, "claim", _one(effects.claims_table)))
    diff = _method(api.diff, _itself)
    show = _method(api.show, _show)
    verdict = _method(api.verdict, _itself)
    provenance = _method(api.provenance, _shown(Provenance, "number", _rows(_origin), "what is behind {}"))
    trials = _method(api.trials, _itself)
    transfer = _method(api.transfer, _shown(Table, "transfer matrix", list))
    export = _method(api.export, Written)
    badge = _method(api.badge, Written)
    cite = _method(api.cite, Written)


rank = _shorthand(Leaderboard.rank)
reported = _shorthand(Leaderboard.reported)
summary = _shorthand(Leaderboard.summary)
correlate = _shorthand(Leaderboard.correlate)
measures = _shorthand(Leaderboard.measures)
training_curves = _shorthand(Leaderboard.training_curves)
consistency = _shorthand(Leaderboard.consistency)
compare = _shorthand(Leaderboard.compare)
power = _shorthand(Leaderboard.power)
recipes = _shorthand(Leaderboard.recipes)
compare_recipes = _shorthand(Leaderboard.compare_recipes)
recipe_power = _shorthand(Leaderboard.recipe_power)
doses = _shorthand(Leaderboard.doses)
claims = _shorthand(Leaderboard.claims)
diff = _shorthand(Leaderboard.diff)
show = _shorthand(Leaderboard.show)
verdict = _shorthand(Leaderboard.verdict)
provenance = _shorthand(Leaderboard.provenance)
trials = _shorthand(Leaderboard.trials)
transfer = _shorthand(Leaderboard.transfer)
export = _shorthand(Leaderboard.export)
badge = _shorthand(Leaderboard.badge)
cite = _shorthand(Leaderboard.cite)
run = _face(_run, _itself)
sweep = _face(api.sweep, _itself)
register = _face(api.register, _registered)
reproduce = _face(api.reproduce, _itself)
CARD = ("name", "source", "arch", "labels", "training", "weights", "sha256", "license")
models = _face(api.models, _shown(ModelCard, "model card", _columns(*CARD)))
gallery = _face(draw, _itself)
plot = _face(figures.plot, _plot)
report = _face(site.report, _itself)
ask = _face(serving.ask, _itself)
import_trials = _face(api.import_trials, _itself)
import_scores = _face(api.import_scores, _itself)
import_leaderboard = _face(api.import_leaderboard, _itself)
reference = _face(api.reference, _itself)
rescore = _face(api.rescore, _itself)


def suites() -> Results[Suite]:
    """Return the installed suites."""

    def record(suite: Suite) -> Record:
        own = {name: getattr(suite, name) for name in ("version", "needs", "summary")}
        return {"suite": suite.name, "headline": suite.headline.name, "variants": tuple(suite.variants), **own}

    return _shown(Suite, "suite", _rows(record))([*find_suites().suites.values()])


def data() -> Results[Entry]:
    """Return the known stimulus sets with their licences, and whether they are on disk."""
    settings = read_settings()

    def record(entry: Entry) -> Record:
        own = {name: getattr(entry, name) for name in ("role", "space", "count")}
        there = bool(stimuli_folder(entry.name, settings))
        return {"set": entry.name, "on_disk": there, **own, "licence": entry.license, "what": entry.title}

    return _shown(Entry, "stimulus set", _rows(record))([*read_catalogue(settings).values()])
