"""The verbs behind the command line and the public face (`gestaltbench`)."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.display import masked
from benchmark.errors import BenchError, StoreError, UnknownName, unknown_name
from benchmark.plugins import (
    SuiteShelf,
    find_suites,
    named_suite,
    scored_suites,
    select_suites,
    sequential_suites,
)
from benchmark.settings import Settings, read_settings

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.contracts import Array, Policy, Suite, Trials
    from benchmark.engine.estimating import Estimate
    from benchmark.engine.importing import ImportReport
    from benchmark.engine.planning import Task
    from benchmark.engine.running import RunReport, RunReporter
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.consistency import Answered
    from benchmark.leaderboard.transfer import Matrix
    from benchmark.leaderboard.transfer_tests import Claim
    from benchmark.stats.families import Compared, DiscordantTrial
    from benchmark.stimuli.catalogue import Entry
    from benchmark.store import ScoreRow, StimuliNote, Store
    from registry.cards import ModelCard
    from registry.checks import Check
    from registry.ideal import IdealObserver
    from registry.model import LoadedModel

#: Decision spaces whose categories name the columns of probabilities.
NAMED_SPACES = ("geirhos16", "world16")
#: What `bench run` takes without --model: everything that needs no download.
DEFAULT_MODELS = "bundled"


@dataclass(frozen=True)
class RunRequest:
    """What to run. models, suites: names, globs, comma lists; limit: stimuli per set; batch: None tunes it;
    precision_target: sample each condition only until its interval is at most +-so wide, where a suite can;
    stimuli: names of stimulus sets that play their roles before all others.
    """

    models: str = DEFAULT_MODELS
    suites: str = "all"
    limit: int | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch: int | None = None
    compile: bool = False
    seed: int = 0
    precision_target: float | None = None
    stimuli: str = ""


@dataclass(frozen=True)
class Prepared:
    """A plan that can be looked at (dry run) or carried out."""

    tasks: list[Task]
    settings: Settings
    request: RunRequest
    suites: SuiteShelf


def prepare(request: RunRequest, settings: Settings) -> Prepared:
    """Names -> cards and suites -> tasks. Raises UnknownName with close matches."""
    from benchmark.engine.planning import plan_tasks

    shelf = find_suites()
    suites = select_suites(request.suites, shelf)
    if request.precision_target is not None:
        suites = sequential_suites(suites, request.precision_target)
    if request.limit is not None and request.limit < 1:
        raise BenchError(f"--limit is a number of stimuli of at least 1, not {request.limit}.")
    cards = choose_cards(request.models, settings)
    wanted = wanted_sets(request.stimuli, settings)
    tasks = plan_tasks(cards, suites, settings, request.limit, [entry.name for entry in wanted])
    shown = {block.stimuli.name for task in tasks for block in task.plan.blocks}
    for entry in wanted:
        if entry.name not in shown:
            raise BenchError(
                f"the stimulus set '{entry.name}' (role '{entry.role}', space '{entry.space}') is not shown by any "
                "of these suites to any of these models."
            )
    return Prepared(tasks, settings, request, shelf)


def wanted_sets(names: str, settings: Settings) -> list[Entry]:
    """The sets of a comma list. Raises UnknownName with close matches, MissingStimuli where one is not here."""
    from benchmark.stimuli.catalogue import find_entry
    from benchmark.stimuli.places import absent, folder_of

    parts = [part.strip() for part in names.split(",")]
    entries = [find_entry(part, settings) for part in parts if part]
    for entry in entries:
        if folder_of(entry, settings) is None:
            raise absent(entry)
    return entries


def choose_cards(pattern: str, settings: Settings) -> list[ModelCard]:
    """Cards by name, glob or comma list; "bundled" (the default): every card whose weights are on this disk
    through the package itself or an installed package, the package's own architecture without training, and the
    ideal observers."""
    from registry.cards import read_cards, select_cards
    from registry.load import availability

    cards = read_cards(settings.cards)
    if pattern != DEFAULT_MODELS:
        return select_cards(pattern, cards)
    return [
        card
        for card in cards.values()
        if _is_bundled(card) and availability(card, settings.weights).on_disk
    ]


def _is_bundled(card: ModelCard) -> bool:
    weights = card.weights or ""
    untrained = weights.startswith("random:") and card.arch.startswith("python:registry.")
    return card.source in ("ideal", "package") or weights.startswith("builtin:") or untrained


def execute(prepared: Prepared, reporter: RunReporter, command: str = "bench run") -> RunReport:
    """Carry out a plan."""
    from benchmark.engine.running import RunOptions
    from benchmark.engine.running import execute as run_tasks
    from benchmark.store import open_store

    device, policy = _how(prepared.request)
    with open_store(prepared.settings.db) as store:
        options = RunOptions(device, policy, prepared.request.batch, command)
        return run_tasks(prepared.tasks, store, prepared.settings, options, reporter)


def estimates(prepared: Prepared) -> list[Estimate]:
    """What a plan would cost, and what of it is stored: one line per task that applies. Runs nothing."""
    from benchmark.engine import estimating

    planned = [task for task in prepared.tasks if task.plan.blocks]
    return list(estimating.estimates(planned, prepared.settings, *_how(prepared.request)))


def _how(request: RunRequest) -> tuple[str, Policy]:
    """The device, and how numbers are computed on it."""
    from benchmark.engine.device import choose_device, make_policy

    device = choose_device(request.device)
    return device, make_policy(
        device, request.precision, compile_model=request.compile, seed=request.seed
    )


class Silent:
    """A reporter that tells nothing."""

    def expect(self, observer: str, trials: int) -> None:
        """Ignored."""

    def advance(self, observer: str, trials: int) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


def run(*, db: str | None = None, reporter: RunReporter | None = None, **request: Any) -> RunReport:
    """Run suites on models; keywords are the fields of `RunRequest`. Returns what was done, failed and skipped."""
    prepared = prepare(RunRequest(**request), read_settings(db))
    return execute(prepared, reporter or Silent(), "benchmark.run")


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """The leaderboard, read only."""
    from benchmark.store import open_store

    with open_store(settings.db, write=False) as store:
        yield store


def rank(
    suite: str | None = None,
    *,
    by: str | None = None,
    db: str | None = None,
    models: str | None = None,
    unseen_only: bool = False,
    flagged_last: bool = False,
) -> list[Board]:
    """Ranked boards of one suite or of all: one per decision space and stimulus set, never mixed.

    by: a metric, or a suite (its headline); unseen_only: without the conditions that any of a board's observers was
    trained on, for suites that know them; flagged_last: scores with a flag of distrust rank below all others.
    """
    from benchmark.leaderboard import boards, ranking
    from benchmark.leaderboard.held_out import hinted, unseen_boards

    settings = read_settings(db)
    shelf = find_suites()
    if by is not None and suite in (None, by) and by.partition(":")[0] in shelf.suites:
        suite, by = by, None
    found: list[Board] = []
    with reading(settings) as store:
        chosen = _suites(store, suite, shelf)
        if by is not None and not any(by in {m.name for m in s.metrics} for s in chosen):
            raise unknown_name(
                "metric",
                by,
                {*shelf.suites, *(m.name for s in chosen for m in s.metrics)},
                "`bench suites show NAME`.",
            )
        if unseen_only and suite is None:
            chosen = [one for one in chosen if one.seen is not None]
        sets = _notes(store)
        for one in chosen:
            if by is None or by in {m.name for m in one.metrics}:
                rows = _matching(store.latest_scores(suite=one.name, conditions=("",)), models)
                rows = [*rows, *_beside(store, one, rows)]
                if unseen_only:
                    found += unseen_boards(store, one, rows, sets, by)
                else:
                    found += map(hinted, boards(rows, one, sets, by=by))
    return [ranking.flagged_last(board) for board in found] if flagged_last else found


def transfer(
    suite: str | None = None,
    *,
    conditions: str = "default",
    by_model: bool = False,
    models: str | None = None,
    claims: Sequence[tuple[str, str]] = (),
    db: str | None = None,
) -> list[tuple[Matrix, list[Claim]]]:
    """Transfer matrices, trained on the row and tested on the column: the published experiments, then every suite.

    conditions: "default", "levels", "mean", "half" or patterns, separated by commas; by_model: a row per observer;
    claims: (recipe, condition) pairs to be judged (none: every noise against every other).
    """
    from benchmark.leaderboard.transfer import matrix
    from benchmark.leaderboard.transfer_tests import judged
    from benchmark.leaderboard.trial_pools import degrades, pools

    ways = [part.strip() for part in conditions.split(",") if part.strip()]
    shelf = find_suites()
    with reading(read_settings(db)) as store:
        chosen = [one for one in _suites(store, suite, shelf) if degrades(one)]
        if suite and not chosen:
            raise BenchError(
                f"suite '{suite}' shows no degraded images that a matrix could be made of."
            )
        judge = next((one for one in shelf.suites.values() if one.seen is not None), None)
        found = pools(store, chosen, judge)
    kept = [pool.only(models.split(",")) if models else pool for pool in found]
    made = [one for pool in kept if (one := matrix(pool, ways, by_model=by_model)).columns]
    return judged(made, claims)


def _suites(store: Store, pattern: str | None, shelf: SuiteShelf) -> list[Suite]:
    """Suites by name; without one (or "all") the plain ones and every variant that has scores."""
    if pattern and pattern != "all":
        return select_suites(pattern, shelf)
    return scored_suites(store.suites(), shelf)


def known_suites(*, db: str | None = None) -> list[Suite]:
    """The plain suites and every variant that has scores in the leaderboard."""
    with reading(read_settings(db)) as store:
        return _suites(store, None, find_suites())


def _beside(store: Store, suite: Suite, rows: Sequence[ScoreRow]) -> Sequence[ScoreRow]:
    """Scores of what is no observer, from one observer per stimulus set: they are the same for all."""
    if not suite.references:
        return ()
    names = {(row.space, row.stimuli): row.observer for row in rows}
    conditions, observers = tuple(suite.references), set(names.values())
    return store.latest_scores(suite=suite.name, conditions=conditions, observers=observers)


def _matching(rows: Sequence[ScoreRow], pattern: str | None) -> Sequence[ScoreRow]:
    if not pattern:
        return rows
    globs = [part.strip() for part in pattern.split(",")]
    return [row for row in rows if any(fnmatch.fnmatchcase(row.observer, glob) for glob in globs)]


def show(observer: str, *, db: str | None = None) -> list[ScoreRow]:
    """Every current score of one observer, per-condition scores included."""
    with reading(read_settings(db)) as store:
        known = {row.name for row in store.observers()}
        if observer not in known:
            raise unknown_name("observer", observer, known, "`bench rank` lists those with scores.")
        return list(store.latest_scores(observers=[observer]))


def stimuli_notes(*, db: str | None = None) -> dict[str, StimuliNote]:
    """Stimulus sets of the leaderboard by digest."""
    with reading(read_settings(db)) as store:
        return _notes(store)


def _notes(store: Store) -> dict[str, StimuliNote]:
    return {record.digest: record for record in (*store.stimuli_names(), *store.collections())}


def provenance_lines(rows: Sequence[ScoreRow], *, db: str | None = None) -> list[str]:
    """One line per score set: command, code, device, precision, versions."""
    with reading(read_settings(db)) as store:
        return [
            _provenance_line(store.provenance(one))
            for one in dict.fromkeys(row.set_id for row in rows)
        ]


def _provenance_line(facts: Mapping[str, Any]) -> str:
    where = facts["environment"]
    policies = [o["details"].get("policy") for o in facts["observations"]]
    policy = next((p for p in policies if p), None) or {}
    code = where.get("code") or {}
    revision = (
        f"{code['revision'][:10]}{' + changes' if code['dirty'] else ''}"
        if code
        else "installed package"
    )
    versions = ", ".join(
        f"{n} {v}" for n, v in where.get("packages", {}).items() if v and n in ("torch", "timm")
    )
    how = f"{policy.get('device', where.get('device'))} {policy.get('precision', '')}".strip()
    return f"{facts['started']}  {facts['command']}  [{how}; {versions}; code {revision}]"


def compare(a: str, b: str, *, suite: str | None = None, db: str | None = None) -> Compared:
    """Paired tests of two observers on the stimuli that both answered: headlines are one family, the rest another.

    "people" as one of them: all people whose trials are there, as a group, against the other one.
    """
    from benchmark.engine.comparing import compare_observers

    a, b = _pair(a, b)
    settings = read_settings(db)
    with reading(settings) as store:
        suites = _compared_suites(store, suite, a, b)
        with _as_suites_write(f"'{a}' or '{b}'"):
            found = compare_observers(store, suites, a, b)
    if not len(found):
        raise BenchError(
            f"'{a}' and '{b}' have no stimuli in common in {masked(settings.db)}. "
            "`bench show NAME` lists what each has."
        )
    return found


@contextmanager
def _as_suites_write(whose: str) -> Iterator[None]:
    """Trials that a suite's own functions cannot read are damaged, or of a suite that has changed since."""
    try:
        yield
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise StoreError(
            f"stored trials of {whose} are not as their suite writes them ({type(error).__name__}: {error}). "
            "Restore the leaderboard from a backup, or run them again into a new one with `--db`."
        ) from error


def discordant(
    a: str, b: str, *, suite: str | None = None, db: str | None = None
) -> list[DiscordantTrial]:
    """The images behind the headlines that only one of the two gets right, with what each answered."""
    from benchmark.engine.comparing import discordant_trials

    a, b = _pair(a, b)
    with reading(read_settings(db)) as store:
        return discordant_trials(store, _compared_suites(store, suite, a, b), a, b)


def _pair(a: str, b: str) -> tuple[str, str]:
    """The two in the order in which they are compared: people come second."""
    if a == b:
        raise UnknownName(f"'{a}' is compared with itself: name two observers.")
    return (b, a) if a == "people" else (a, b)


def _compared_suites(store: Store, suite: str | None, a: str, b: str) -> list[Suite]:
    """The suites to compare under. Raises UnknownName where one of the two is not known."""
    known = {row.name for row in store.observers()}
    for name in (a, b):
        if name not in known | {"people"}:
            raise unknown_name(
                "observer",
                name,
                known | {"people"},
                "`bench rank` lists those with scores; people: all people as a group.",
            )
    return _suites(store, suite, find_suites())


def observer_trials(
    store: Store, suite: Suite, observer: str, like: Mapping[str, str] | None = None
) -> Trials | None:
    """An observer's stored trials under a suite, from its own runs or from imported tables; None without any."""
    from benchmark.engine.scoring import suite_trials

    known = {row.name for row in store.observers()}
    if observer not in known:
        raise unknown_name("observer", observer, known, "`bench rank` lists those with scores.")
    return suite_trials(store, suite, observer, like)


def answered(
    observers: Sequence[str] = (), *, experiment: str | None = None, db: str | None = None
) -> Answered:
    """Trials by experiment and observer (none named: of everybody), of suites whose stimuli people answered too.

    Only experiments that two or more of them answered; experiment: only this one. Raises UnknownName, BenchError.
    """
    from benchmark.leaderboard.consistency import shared

    suites = [suite for suite in find_suites().suites.values() if suite.experiments]
    found: dict[str, dict[str, Trials]] = {}
    with reading(read_settings(db)) as store:
        for name in observers or dict.fromkeys(row.name for row in store.observers()):
            for suite in suites:
                told = observer_trials(store, suite, name)
                if told is not None:
                    for role in dict.fromkeys(told["role"].tolist()):
                        found.setdefault(role, {}).setdefault(name, told.of(role))
    return shared(found, experiment)


def trials(observer: str, suite: str, *, db: str | None = None) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels, what the suite kept (columns of vectors are spread)."""
    import pandas as pd

    with reading(read_settings(db)) as store:
        found = observer_trials(store, named_suite(suite.strip(), find_suites()), observer)
    if found is None:
        raise BenchError(f"'{observer}' has no trials under '{suite}'. `bench run` makes them.")
    return pd.DataFrame(dict(_flat(found.columns)))


def _flat(columns: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Columns of vectors as one column per element: of probabilities by category, of others by number."""
    for name, values in columns.items():
        if values.ndim == 1:
            yield name, values
        else:
            flat = values.reshape(len(values), -1)
            parts = _parts(name, flat.shape[1], columns["category"])
            yield from ((f"{name}_{part}", flat[:, i]) for i, part in enumerate(parts))


def _parts(name: str, count: int, categories: Array) -> Sequence[object]:
    """Names of a vector's elements: the categories of the decision space that has as many and holds these."""
    from registry.labels import label_space

    if name == "probability":
        for space in map(label_space, NAMED_SPACES):
            if len(space.classes) == count and set(categories) <= set(space.classes):
                return space.classes
    return range(count)


def rescore(suite: str | None = None, *, db: str | None = None) -> int:
    """Score stored trials again with today's metrics, no model in sight. Returns the number of new score sets."""
    from benchmark.engine.scoring import Scorer
    from benchmark.identity import Codes
    from benchmark.store import open_store

    settings = read_settings(db)
    # A missing leaderboard is an error, not a new one; an older one is brought up to date.
    with open_store(settings.db, create=False) as store:
        suites = _suites(store, suite, find_suites())
        with _recorded(store, "bench rescore") as number:
            codes = Codes()
            return sum(Scorer(store, number, one, codes).again() for one in suites)


@contextmanager
def _recorded(store: Store, command: str) -> Iterator[int]:
    """A run without models: its number. It ends whatever happens, with the error that ended it."""
    from benchmark.engine.environment import environment

    number = store.begin_run(command, environment("none", 1))
    try:
        yield number
    except BaseException as error:
        status = "failed" if isinstance(error, Exception) else "interrupted"
        store.end_run(number, status, str(error) or type(error).__name__)
        raise
    store.end_run(number, "done")


def import_trials(
    path: Path, *, training: Sequence[str] = (), source: str | None = None, db: str | None = None
) -> ImportReport:
    """Bring in trials of people or of published networks, and score them. training: "OBSERVER=RECIPE"; source: where
    the tables come from, where their folder does not tell.
    """
    from benchmark.engine.importing import import_trials as read_in
    from benchmark.engine.scoring import Scorer
    from benchmark.stimuli.recipes import stated_recipes
    from benchmark.stimuli.sources import check_source
    from benchmark.store import open_store

    recipes, stated = stated_recipes(training), None if source is None else check_source(source)
    settings = read_settings(db)
    command = f"bench import trials {path}"
    with open_store(settings.db) as store, _recorded(store, command) as number:
        report = read_in(path, store, number, recipes, stated)
        for suite in find_suites().suites.values():
            if suite.experiments:
                scorer = Scorer(store, number, suite)
                scorer.again() if report.superseded else scorer.imported()
    return report


def models(pattern: str | None = None) -> list[ModelCard]:
    """Cards, built-in and registered, by name, glob or comma list."""
    from registry.cards import read_cards, select_cards

    cards = read_cards(read_settings().cards)
    return select_cards(pattern, cards) if pattern else list(cards.values())


def one_card(name: str, settings: Settings) -> ModelCard:
    """Exactly one card, by its exact name."""
    from registry.cards import read_cards

    cards = read_cards(settings.cards)
    if name not in cards:
        raise unknown_name("model", name, cards, "`bench models` lists them.")
    return cards[name]


def load_model(name: str, *, device: str = "cpu") -> LoadedModel | IdealObserver:
    """A registered model, loaded: `model.forward(images NCHW in [0,1]) -> logits`."""
    from benchmark.engine.device import choose_device
    from registry.load import load_observer

    settings = read_settings()
    card = one_card(name, settings)
    return load_observer(
        card,
        weights_folder=settings.weights,
        mirror=settings.mirror,
        device=choose_device(device),
    )


def register(
    name: str, arch: str, weights: str | None = None, **options: Any
) -> tuple[ModelCard, list[Check]]:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a card."""
    from registry.registration import register as register_card

    settings = read_settings()
    path = Path(weights) if weights else None
    return register_card(
        name, arch, path, cards_folder=settings.cards, weights_folder=settings.weights, **options
    )
