"""The matrix of Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750) has accuracies of training recipes (rows) under
degradations (columns). It comes from pools of comparable observers; no pool mixes generated and published images.
Boards can also leave out the conditions that one of their observers was trained on."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from benchmark.contracts import Array, Metric, Suite, Trials
from benchmark.display import counted
from benchmark.failures import BenchError, unknown_name
from benchmark.leaderboard.board import boards, noted
from benchmark.leaderboard.board_model import Board, Cell, Notes
from benchmark.leaderboard.table import Field, Table, declared_table, number
from benchmark.observer_trials import ImportedAnswers, ScoredTrials, Shown, scored_trials
from benchmark.plugins import WITHIN
from benchmark.stats import mean_interval, ratio_score
from benchmark.stats.ratios import share
from benchmark.stimuli.experiments import canonical_condition
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.store import ObserverRow, ScoreRow, Store
from benchmark.transforms.listing import own_list

#: Where people are near half right: the test conditions of the published matrix.
PAPER = (
    "colour/cr", "colour/bw", "contrast/c05", "low-pass/7", "high-pass/0.7", "phase-scrambling/90", "rotation/90",
    "salt-and-pepper/0.2", "uniform-noise/0.35",
)  # fmt: skip
TITLES = {"colour/cr": "colour", "colour/bw": "grey"}
#: Space whose degradations share names, not sizes, with those of the paper.
SMALL = "world16"
#: Kinds that a pool leaves out: their answers belong to others, or follow from a rule.
ASIDE = ("ideal", "group")
#: Recipes without any degradation: what the others are held against.
PLAIN = (("standard",), ("colour",))
ACCURACY = Metric(
    name="accuracy",
    title="accuracy",
    definition="right answers over all trials",
    ratio=share(lambda trials: trials["right"]),
)
SEEN = "trained on this condition"
_DECIMAL = re.compile(r"\d+(\.\d+)?")
Conditions = tuple[str, ...]  # of a column: the levels of one degradation, which are averaged


@dataclass(frozen=True, kw_only=True)
class ObserverTrials:
    """One observer and its trials."""

    observer: str
    kind: str
    # Columns "role", "condition" ("uniform-noise/0.35"; "" undistorted), "stimulus", and bool "right" and "seen" (under
    # a condition that its recipe trains on).
    trials: Trials


@dataclass(frozen=True, kw_only=True)
class TrialPool:
    """Observers of one label space on comparable stimuli."""

    title: str
    space: str
    categories: int  # of the label space (chance is 1/categories)
    members: tuple[ObserverTrials, ...]


class CellOrigin(NamedTuple):
    """How the interval of a cell was made, and whether the recipe trains on the condition."""

    method: str = ""
    seen: bool = False


def pools(store: Store, suites: Sequence[Suite], judge: Suite | None) -> list[TrialPool]:
    """Return the published experiments, then one pool per label space and collection of sets of each other suite, if it
    has observers. `suites` have degraded images (`degrades`). The suite `judge` decides by `seen` which published
    conditions a recipe trains on."""
    shown, notes = list(filter(_shows_experiments, suites)), {note.digest: note for note in store.stimuli_names()}
    keys: dict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
    for name, by_role in ImportedAnswers(store=store).main.items() if shown else ():
        keys[name] = {(role,): row.key for role, row in by_role.items()}
    for suite in shown:
        own: dict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
        for scored in scored_trials(store, suite):  # the oldest first: of several score sets the newest counts
            if scored.scores.space == PUBLISHED_SPACE:
                own[scored.observer.name] |= {(row.role, row.condition): row.key for row in scored.observations}
        for name, blocks in own.items():  # a variant adds the blocks that the plain suite does not show
            keys[name] = blocks | keys[name]
    experiments = []
    for row in (row for row in store.observers() if row.name in keys and row.kind not in ASIDE):
        trials = store.trials(tuple(keys[row.name].values()))
        if graded := trials.where(np.asarray(trials["condition"] != "", dtype=bool)):
            parts = zip(graded["role"].tolist(), graded["condition"].tolist(), strict=True)
            experiments.append(_member(row, graded, np.array(["/".join(part) for part in parts], dtype=str), judge))
    title, found = "published experiments", tuple(experiments)
    collected = [TrialPool(title=title, space=PUBLISHED_SPACE, categories=16, members=found)] if found else []
    for suite in (suite for suite in suites if suite.seen is not None and suite not in shown):
        groups: dict[Shown, dict[str, ObserverTrials]] = defaultdict(dict)
        for scored in scored_trials(store, suite):
            row = scored.observer
            if scored.observations and row.kind not in ASIDE and len(trials := scored.read(store)):
                groups[scored.shown][row.name] = _member(row, trials, trials["condition"], suite)
        for (space, sets), members in sorted(groups.items(), key=lambda group: -len(group[1])):
            used = sorted({f"{notes[digest].name} ({digest[:8]})" for _, digest in sets})
            on = ", ".join(used) if len(used) <= 3 else f"{len(used)} stimulus sets"
            title, n = f"{suite.name} (version {suite.version}), {space}: {on}", 1000 if space == "imagenet1k" else 16
            collected.append(TrialPool(title=title, space=space, categories=n, members=tuple(members.values())))
    return collected


def degrades(suite: Suite) -> bool:
    """Return whether a suite shows degraded images: the published experiments, or conditions that a recipe may have
    seen. Variants that stop conditions early do not count: their intervals do not hold for a matrix."""
    return (suite.seen is not None or _shows_experiments(suite)) and WITHIN not in suite.name


def _shows_experiments(suite: Suite) -> bool:
    return not set(own_list("human")).isdisjoint(suite.experiments.values())


def _member(row: ObserverRow, trials: Trials, conditions: Array, judge: Suite | None) -> ObserverTrials:
    """Return an observer of a pool."""

    def each(conditions: Array, change: Callable[[str], str]) -> Array:
        names, codes = np.unique(conditions, return_inverse=True)
        return np.array([change(name) for name in names.tolist()], dtype=str)[codes]

    def listed(condition: str) -> str:
        """Return the spelling of the published list: "uniform-noise/0.10" of "uniform-noise/0.1"."""
        entry = own_list("human").get(condition.partition("/")[0])
        names = (entry.condition(level) for level in entry.levels) if entry else ()
        return next((name for name in names if common_spelling(name) == condition), condition)

    right = np.asarray(trials["response"] == trials["category"], dtype=bool)
    condition = each(conditions, common_spelling)
    columns = {"role": trials["role"], "condition": condition, "stimulus": trials["stimulus"], "right": right}
    seen = np.zeros(len(right), dtype=bool)
    if judge is not None and judge.seen is not None and row.training:
        shown = Trials(columns={**columns, "condition": each(condition, listed)})
        seen = np.asarray(judge.seen(row.training, shown), dtype=bool)
    trials = Trials(columns={**columns, "seen": seen}, training=row.training)
    return ObserverTrials(observer=row.name, kind=row.kind, trials=trials)


def common_spelling(condition: str) -> str:
    """Return one spelling per condition "name/level"."""
    name, slash, level = condition.partition("/")
    return f"{name}/{canonical_condition(name, level)}" if slash and level else condition


def degradation_of(condition: str) -> str:
    """Return "uniform-noise" for "uniform-noise/0.35", "" for undistorted images."""
    return "" if condition == "clean" else condition.partition("/")[0]


def column_title(conditions: Conditions) -> str:
    """Return a column in words: "grey", "uniform-noise 0.35", "gaussian_noise (5 levels)"."""
    first = conditions[0]
    if len(conditions) > 1 and degradation_of(first):
        return f"{degradation_of(first)} ({len(conditions)} levels)"
    return TITLES.get(first, first.replace("/", " ")) if degradation_of(first) else "clean"


def transfer_columns(pool: TrialPool, ways: Sequence[str]) -> list[Conditions]:
    """Return the columns of a pool. By "default" these are the published level of each degradation of the 2018 paper,
    otherwise the level at which people are nearest to half right, otherwise the mean of levels. `ways` may also be
    "levels" (every level) or patterns ("uniform-noise/*"). Raises UnknownName if a pattern matches nothing."""
    lists = [entry for name in ("human", "imagenet-c") for entry in own_list(name).values()]
    spelled = [common_spelling(entry.condition(level)) for entry in lists for level in entry.levels]
    kinds = ["", *map(degradation_of, PAPER), *(entry.name for entry in lists)]

    def place(condition: str) -> tuple[int, str, int, float, str]:
        """Sort in the order of the paper, then of the published lists, then by name."""
        kind, level = degradation_of(condition), condition.rpartition("/")[2]
        at = kinds.index(kind) if kind in kinds else len(kinds)
        known = spelled.index(condition) if condition in spelled else len(spelled)
        return at, kind, known, float(level) if _DECIMAL.fullmatch(level) else 0.0, condition

    every = sorted({c for each in pool.members for c in np.unique(each.trials["condition"]).tolist()}, key=place)
    people = [member.trials for member in pool.members if member.kind == "human"]
    columns: list[Conditions] = []
    for way in ways:
        if way == "default":
            for kind, levels in ((kind, list(part)) for kind, part in groupby(every, degradation_of)):
                rights = {name: [trials["right"][trials["condition"] == name] for trials in people] for name in levels}
                means = {name: [right.mean() for right in own if len(right)] for name, own in rights.items()}
                gaps = {name: abs(float(np.mean(own)) - 0.5) for name, own in means.items() if own}
                # An average does not count an experiment's undistorted control.
                entry = own_list("human").get(kind)
                plain = {common_spelling(entry.condition(level)) for level in entry.plain} if entry else set()
                published = [(name,) for name in levels if name in PAPER and pool.space != SMALL]
                nearest = [(min(gaps, key=lambda name: gaps[name]),)] if gaps else []
                columns += published or nearest or [tuple(n for n in levels if n not in plain) or tuple(levels)]
        elif names := [name for name in every if way == "levels" or fnmatchcase(name, common_spelling(way))]:
            columns += [(name,) for name in names]
        else:
            raise unknown_name("condition", way, every, "Or one of: default, levels.")
    return list(dict.fromkeys(columns))


def transfer_matrix(pool: TrialPool, ways: Sequence[str] = ("default",)) -> Table:
    """Return the matrix of one pool, without rows and columns that have no value and columns that only people have.

    ways: which columns (`transfer_columns`). The interval of a cell is over images, of people over persons (t). Of
    several observers of a recipe it is the wider of t over observers and the interval over images."""
    columns = transfer_columns(pool, ways)
    groups: dict[tuple[str, tuple[str, ...]], list[ObserverTrials]] = defaultdict(list)
    for member in pool.members:
        training = member.trials.training
        recipe = ("recipe", tuple(sorted(training))) if training else ("observer", (member.observer,))
        groups[("people", ()) if member.kind == "human" else recipe].append(member)
    made = {group: [_tested(group[0], members, column) for column in columns] for group, members in groups.items()}
    # A column of people alone says nothing about training.
    networks = [cells for (kind, _), cells in made.items() if kind != "people"]
    used = [i for i in range(len(columns)) if any(cells[i].value is not None for cells in networks)]
    rows: list[tuple[Any, ...]] = []
    places: dict[str, tuple[int, ...]] = {}  # title -> people, what has seen no degradation, recipes, untold ones
    for group, members in groups.items():
        (kind, _), training, observers = group, members[0].trials.training, tuple(each.observer for each in members)
        titles = {"people": f"people (mean of {len(members)})", "recipe": ", ".join(training), "observer": observers[0]}
        cells = [made[group][i] for i in used]
        if any(cell.value is not None for cell in cells):
            rows.append((titles[kind], kind, training, observers, *cells))
            seen = next((i for i, cell in enumerate(cells) if cell.source.seen), len(cells))
            own = (1, PLAIN.index(training)) if training in PLAIN else (2 if training else 3, len(training), seen)
            places[titles[kind]] = (0,) if kind == "people" else own
    rows.sort(key=lambda row: (places[row[0]], row[0]))
    several = [row for row in rows if row[1] == "recipe" and len(row[3]) > 1]
    notes = [f"Accuracy; chance {number(1 / pool.categories)}."]
    notes += [f"{title}: mean over {', '.join(observers)}" for title, _, _, observers, *_ in several]
    if any(row[1] == "observer" for row in rows):
        notes.append("Rows below the recipes: observers whose cards state none, by name.")
    shown = []
    for at, i in enumerate(used, 4):
        title, sizes = column_title(columns[i]), sorted({row[at].n for row in rows if row[1] != "people"} - {0})
        n = f"(n {'-'.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))})" if sizes else ""  # trials of a cell
        text, about = f"{title.replace('_', ' ')} {n}".strip(), {"conditions": "; ".join(columns[i])}
        shown.append(Field(title, text, facts=about, right=True))
    facts = {"matrix": pool.title, "space": pool.space, "chance": 1 / pool.categories}
    return declared_table("transfer", rows, notes, columns=shown, facts=facts, pool=pool.title)


def _tested(kind: str, members: Sequence[ObserverTrials], conditions: Conditions) -> Cell:
    own = [member.trials.where(np.isin(member.trials["condition"], conditions)) for member in members]
    # Only observers that have all these conditions count.
    parts = [trials for trials in own if len(np.unique(trials["condition"])) == len(conditions)]
    if not parts:
        return Cell(reason="not measured", source=CellOrigin())
    values = [float(part["right"].mean()) for part in parts]
    seen = any(bool(part["seen"].any()) for part in parts)
    cell = Cell(value=float(np.mean(values)), n=sum(map(len, parts)), flags=(SEEN,) if seen else ())
    spread = mean_interval(values) if len(values) > 1 else None
    if kind == "people" and spread is not None:
        low, high, method = spread[0], spread[1], f"t over {len(parts)} people"
    else:
        # Over images: all observers' answers to one image, at all levels, are drawn together.
        columns = {name: np.concatenate([part[name] for part in parts]) for name in ("stimulus", "right")}
        score = ratio_score(ACCURACY, Trials(columns=columns))
        if spread is None or score.low is None or score.high is None:
            return cell._replace(low=score.low, high=score.high, source=CellOrigin(score.method, seen))
        low, high = min(score.low, spread[0]), max(score.high, spread[1])
        method = f"wider of {score.method} and t over {len(parts)} observers"
    return cell._replace(low=max(0.0, low), high=min(1.0, high), source=CellOrigin(method, seen))


def unseen_boards(
    store: Store, suite: Suite, rows: Sequence[ScoreRow], sets: Notes, by: str | None = None
) -> list[Board]:
    """Return the boards of `rows`, each without the conditions that one of its observers was trained on (its notes list
    them) and without scores against references. Raises BenchError if the suite has no `seen`."""
    if suite.seen is None:
        raise BenchError(f"--unseen-only: suite '{suite.name}' does not state which conditions a recipe trains on.")
    first = {row.set_id: row for row in reversed(rows)}
    whole = {row.set_id: row.stimuli for row in rows if not row.role}
    groups: dict[Shown, list[tuple[ScoredTrials, Trials]]] = defaultdict(list)
    for scored in scored_trials(store, suite):
        if scored.scores.id in first and scored.observations:
            groups[scored.shown].append((scored, scored.read(store)))
    tables: list[Board] = []
    for members in groups.values():
        seen: set[str] = set()
        for trials in (trials for _, trials in members if trials.training and len(trials)):
            known = np.asarray(suite.seen(trials.training, trials), dtype=bool)
            seen |= set(np.unique(trials["condition"][known]).tolist())
        again: list[ScoreRow] = []
        for scored, trials in members:
            stimuli, stored = scored.scores.stimuli, first[scored.scores.id]
            digests = {"": whole.get(stored.set_id) or " ".join(sorted(stimuli.values())), **stimuli}
            left = trials.where(~np.isin(trials["condition"], sorted(seen)))
            made = (score for score in suite.score(suite.config, left) if not score.condition)
            again += [stored._replace(**{**vars(one), "stimuli": digests.get(one.role, "")}) for one in made]
        levels = Counter(condition.partition("/")[0] for condition in sorted(seen))
        named = ", ".join(f"{name} ({counted(n, 'level')})" for name, n in levels.items())
        note = f"left out, as an observer here was trained on them: {named}"
        for board in boards(again, suite, sets, by=by):
            title = f"{board.title}, without {', '.join(levels)}" if seen else board.title
            text = note if seen else "no observer here was trained on any condition"
            tables.append(noted(replace(board, title=title), text))
    return sorted(tables, key=lambda board: -len(board.rows) - len(board.references))
