"""From stored scores to ranked tables.

One table per suite, decision space and stimulus set of the metric that ranks: scores on other
stimuli are never mixed in. Networks (run here or published) are ranked; people are held against
them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from benchmark.contracts import DISTRUST, Direction, Metric, Suite
from benchmark.errors import unknown_name
from benchmark.leaderboard.model import NOBODY, Board, Cell, Column, Row, cell_of, describe, is_partial
from benchmark.stats import mean_interval
from benchmark.stats.intervals import normal_quantile
from benchmark.stats.ranks import rank_intervals

if TYPE_CHECKING:
    from benchmark.store.rows import ScoreRow, StimuliNote


# Stored scores, sorted into what one table needs: by metric, stimuli and observer.


Scores: TypeAlias = "dict[str, dict[str, ScoreRow]]"  # digest -> observer -> score


@dataclass
class Index:
    """The current scores of one suite version in one decision space, without single conditions.

    metrics: metric -> digest -> observer -> score; observers: name -> the newest score of that observer;
    references: condition -> (metric, digest) -> the newest score of what is no observer and is measured beside one.
    """

    metrics: dict[str, Scores] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))
    observers: dict[str, ScoreRow] = field(default_factory=dict)
    references: dict[str, dict[tuple[str, str], ScoreRow]] = field(default_factory=lambda: defaultdict(dict))

    def refer(self, row: ScoreRow) -> None:
        """Takes in a score of what is no observer. It depends on the stimuli alone, so any observer's will do."""
        known = self.references[row.condition].get((row.metric, row.stimuli))
        if known is None or _newer(row, known):
            self.references[row.condition][row.metric, row.stimuli] = row

    def add(self, row: ScoreRow) -> None:
        """Takes a score in, unless a newer one of the same kind is there."""
        name, scores = row.observer, self.metrics[row.metric][row.stimuli]
        known = scores.get(name)
        if known is None or _newer(row, known):
            scores[name] = row
        known = self.observers.get(name)
        if known is None or (known.set_id != row.set_id and _newer(row, known)):
            self.observers[name] = row

    def groups(self, metric: str) -> list[tuple[str, list[str]]]:
        """(digest, its observers) by which the metric's boards are split; the largest group first.

        An observer without stimuli for this metric joins the largest group: it has no value
        anywhere.
        """
        scores = self.metrics.get(metric, {})
        found = {digest: sorted(part) for digest, part in scores.items() if digest}
        order = sorted(found, key=lambda digest: (-len(found[digest]), digest)) or [""]
        groups = [(digest, found.get(digest, [])) for digest in order]
        seen = {name for _, names in groups for name in names}
        groups[0][1].extend(sorted(self.observers.keys() - seen))
        return groups

    def role_digests(
        self, metrics: Sequence[Metric], members: Iterable[str], sizes: Mapping[str, int]
    ) -> dict[str, str]:
        """role -> the stimuli that most members were measured on, "" where there are none.

        sizes: digest -> number of images; of two sets with as many members the larger is taken.
        """
        inside = set(members)
        votes: dict[str, Counter[str]] = {metric.role: Counter() for metric in metrics}
        for metric in metrics:
            for digest, scores in self.metrics.get(metric.name, {}).items():
                if digest:
                    votes[metric.role][digest] += len(inside & scores.keys())
        return {
            role: min(count, key=lambda d: (-count[d], -sizes.get(d, 0), d)) if count else ""
            for role, count in votes.items()
        }


def _newer(row: ScoreRow, known: ScoreRow) -> bool:
    return (known.created, known.set_id) < (row.created, row.set_id)


def build(
    rows: Iterable[ScoreRow], suite: str, references: Collection[str] = ()
) -> tuple[dict[str, Index], int, Mapping[str, int]]:
    """(space -> index, newest version, space -> observers that only have older versions).

    references: conditions whose scores are no observer's own.
    """
    mine = [row for row in rows if row.suite == suite]
    newest = max((row.version for row in mine), default=0)
    spaces: dict[str, Index] = defaultdict(Index)
    old: dict[str, set[str]] = defaultdict(set)
    for row in mine:
        if row.version < newest:
            old[row.space].add(row.observer)
        elif not row.condition:
            spaces[row.space].add(row)
        elif row.condition in references:
            spaces[row.space].refer(row)
    stale = {
        space: len(names - (spaces[space].observers.keys() if space in spaces else set()))
        for space, names in old.items()
    }
    return dict(spaces), newest, {space: count for space, count in stale.items() if count}


# Ranks of rows that are in order already; and boards on which a flag of distrust counts.


def with_ranks(rows: Sequence[Row], metric: str, direction: Direction, above: int = 0) -> tuple[Row, ...]:
    """Rows, best first, with the ranks and rank intervals of a metric, counted from `above` + 1; where it has no better
    and worse, or a row no value, without."""
    heads = [row.cells[metric] for row in rows]
    if direction == "none":
        return tuple(_noted(row, head) for row, head in zip(rows, heads, strict=True))
    values, errors = [head.value for head in heads], [_standard_error(head) for head in heads]
    ranks = rank_intervals(values, errors, direction == "higher")
    triples = zip(*((column + above).tolist() for column in ranks), strict=True)
    return tuple(
        _noted(row, head) if head.value is None else _with_rank(row, triple)
        for row, head, triple in zip(rows, heads, triples, strict=True)
    )


def flagged_last(board: Board) -> Board:
    """The board with every row below the others whose ranking score carries a flag of distrust; either part is ranked
    by itself."""
    valued = [row for row in board.rows if row.cells[board.by].value is not None]
    flagged = [row for row in valued if distrusted(row.cells[board.by])]
    if not flagged:
        return board
    trusted = [row for row in valued if not distrusted(row.cells[board.by])]
    rest = [row for row in board.rows if row.cells[board.by].value is None]
    how = next(column.direction for column in board.columns if column.metric == board.by)
    rows = (*with_ranks(trusted, board.by, how), *with_ranks(flagged, board.by, how, len(trusted)), *rest)
    note = f"{len(flagged)} of {len(valued)} rows rank last for a flag '{DISTRUST}...'"
    return replace(board, rows=rows, notes=(*board.notes, note))


def distrusted(cell: Cell) -> bool:
    """Whether a number carries a flag of distrust."""
    return any(flag.startswith(DISTRUST) for flag in cell.flags)


def _standard_error(cell: Cell) -> float | None:
    """Half the interval in units of the normal quantile; None where there is no interval."""
    if cell.low is None or cell.high is None or cell.source is None:
        return None
    return max(0.0, cell.high - cell.low) / (2 * normal_quantile(cell.source.level))


def _with_rank(row: Row, ranks: tuple[int, int, int]) -> Row:
    return Row(*ranks, row.observer, row.kind, row.training, row.cells, row.note)


def _noted(row: Row, head: Cell) -> Row:
    """An unranked row; its note is the reason for the missing value, where one is missing."""
    return row if head.value is not None else row._replace(note=head.reason)


def with_twins(board: Board, identities: Mapping[str, str]) -> Board:
    """The board with a note on rows that are one network under several names. identities: observer -> digest of what
    decides its answers."""
    names: dict[str, list[str]] = {}
    for row in board.rows:
        if row.observer in identities:
            names.setdefault(identities[row.observer], []).append(row.observer)
    twins = [" = ".join(same) for same in names.values() if len(same) > 1]
    if not twins:
        return board
    note = f"the same network (weights, preprocessing, labels) under two names: {'; '.join(twins)}"
    return replace(board, notes=(*board.notes, note))


def hinted(board: Board) -> Board:
    """The board with how to leave out what its flags say was seen in training."""
    rows = (*board.rows, *board.references)
    flags = (flag for row in rows for cell in row.cells.values() for flag in cell.flags)
    if not any("seen" in flag.split() for flag in flags):
        return board
    note = f"flagged numbers include training conditions; without them: bench rank --by {board.suite} --unseen-only"
    return replace(board, notes=(*board.notes, note))


# Rows to hold the ranked ones against: the mean over people, people, simulated people, ideal observers, untrained
# networks, what a suite measures beside its observers, chance.


#: Most trials over fewest, among people whose mean is shown.
ALIKE = 1.5


#: A network with this recipe tag was never trained: it is held against the others, not ranked among them.
UNTRAINED = "untrained"


def reference_rows(
    rows: Sequence[Row], columns: Sequence[Column], beside: Sequence[Row] = (), *, mean: bool = True
) -> tuple[Row, ...]:
    """`rows` (people, real and simulated, ideal observers, untrained networks) with group rows before, `beside` and
    chance after them.

    mean: whether a mean over people says anything. Where they are scored as a group it does not: what each agrees to
    with the others is made of the same pairs, and no t interval covers it.
    """
    people = [row for row in rows if row.kind == "human"]
    shown = mean and len(people) > 1 and _comparable(people, columns)
    group = [people_row(people, columns)] if shown else []
    return (*group, *rows, *beside, *chance_row(columns))


def rows_beside(
    index: Index, names: Mapping[str, str], columns: Sequence[Column], digests: Mapping[str, str]
) -> list[Row]:
    """One row for each condition that is no observer's own (condition -> name), on the board's stimuli.

    digests: role -> stimuli. A condition that was not measured on any of them has no row.
    """
    rows = []
    for condition, name in names.items():
        scores = index.references.get(condition, {})
        found = {c.metric: scores.get((c.metric, digests[c.role])) for c in columns}
        if any(score is not None for score in found.values()):
            cells = {metric: cell_of(score) if score else Cell() for metric, score in found.items()}
            rows.append(Row(None, None, None, name, "reference", (), cells))
    return rows


def _comparable(people: Sequence[Row], columns: Sequence[Column]) -> bool:
    """Whether all answered about as much: a mean over people of whom some saw one experiment and some all is none."""
    heads = [row.cells[columns[0].metric] for row in people]
    sizes = [cell.source.n + cell.source.excluded for cell in heads if cell.source]
    return not sizes or max(sizes) <= ALIKE * min(sizes)


def people_row(people: Sequence[Row], columns: Sequence[Column]) -> Row:
    """The mean over people with an interval over persons (k >= 2)."""
    cells = {column.metric: _mean([row.cells[column.metric] for row in people], column.bounds) for column in columns}
    return Row(None, None, None, f"people (mean of {len(people)})", "group", (), cells)


def chance_row(columns: Sequence[Column]) -> tuple[Row, ...]:
    """What a uniform guesser gets; nothing where no column states it."""
    if all(column.chance is None for column in columns):
        return ()
    cells = {column.metric: Cell(column.chance) for column in columns}
    return (Row(None, None, None, "chance", "chance", (), cells),)


def _mean(cells: Sequence[Cell], bounds: tuple[float, float] | None) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    if not values:
        return Cell(reason=next((cell.reason for cell in cells if cell.reason), "not measured"))
    flags = []
    if len(values) < len(cells):
        flags.append(f"mean of {len(values)} of {len(cells)} people")
    low = high = None
    if len(values) > 1:
        low, high = mean_interval(values, bounds=bounds)
        if low == high:  # all alike: that says nothing about others
            low = high = None
            flags.append("no spread: no interval")
    n = sum(cell.n for cell in cells if cell.value is not None)
    return Cell(sum(values) / len(values), low, high, n, tuple(flags))


__all__ = ["Board", "Cell", "Column", "Row", "boards"]

NOTES = {"published": "published decisions, not run here", "reported": "another leaderboard's scores, no trials here"}
REFERENCE_KINDS = ("group", "human", "simulated", "ideal")
_AVERAGE = re.compile(r"\d+ of \d+ experiments")


def boards(
    rows: Sequence[ScoreRow], suite: Suite, sets: Mapping[str, StimuliNote], by: str | None = None
) -> list[Board]:
    """The ranked tables of one suite's newest version, the one with most observers first.

    rows: stored scores (other suites', single conditions' and outdated ones are passed over; those of
    the suite's reference conditions make rows of their own);
    sets: digest -> stimulus set; by: the metric that ranks (None: the headline; UnknownName where
    the suite has no such metric). No rows: no tables.
    """
    metric = _ranking_metric(suite, by)
    spaces, version, stale = build(rows, suite.name, suite.references)
    made = []
    for space, index in sorted(spaces.items()):
        notes = _version_notes(suite, version, stale.get(space, 0))
        for digest, members in index.groups(metric.name):
            others = (m for m in suite.metrics if m.shown and m.name in index.metrics)
            columns = [metric, *(m for m in others if m.name != metric.name)]
            maker = _Maker(suite, index, sets, metric, columns, digest, members)
            made.append(maker.board(space, version, notes))
    return sorted(made, key=lambda board: -len(board.rows) - len(board.references))


def _ranking_metric(suite: Suite, by: str | None) -> Metric:
    """The headline, or the metric that is called `by`."""
    for metric in suite.metrics:
        if metric.headline if by is None else metric.name == by:
            return metric
    if by is None:
        raise ValueError(f"suite '{suite.name}' has no headline metric")
    raise unknown_name("metric", by, [m.name for m in suite.metrics], f"Suite: {suite.name}.")


def _version_notes(suite: Suite, version: int, stale: int) -> tuple[str, ...]:
    notes = []
    if version < suite.version:
        notes.append(f"scores of version {version}; the suite is at version {suite.version}")
    if stale:
        noun = "observer has" if stale == 1 else "observers have"
        notes.append(f"{stale} {noun} scores of an older version only: not shown")
    return tuple(notes)


@dataclass(frozen=True)
class _Maker:
    """One table in the making: `members` are its observers, `digest` the stimuli of the metric."""

    suite: Suite
    index: Index
    sets: Mapping[str, StimuliNote]
    metric: Metric
    columns: Sequence[Metric]
    digest: str
    members: Sequence[str]

    def board(self, space: str, version: int, notes: tuple[str, ...]) -> Board:
        """The finished table."""
        sizes = {digest: known.n for digest, known in self.sets.items()}
        digests = self.index.role_digests(self.columns, self.members, sizes)
        digests[self.metric.role] = self.digest
        rows = self._rows(digests)
        ranked = [row for row in rows if not _is_reference(row)]
        aside = [row for row in rows if _is_reference(row)]
        told = [m for m in self.columns if m is self.metric or any(row.cells[m.name].value is not None for row in rows)]
        # A mean over people who are scored as a group is not the measure.
        grouped = self.suite.against is not None and self.suite.against.group is not None
        silent = [f"{m.title}: {NOBODY}" for m in self.columns if m not in told]
        columns = tuple(self._column(m, rows) for m in told)
        beside = rows_beside(self.index, self.suite.references, columns, digests)
        return Board(
            suite=self.suite.name,
            version=version,
            space=space,
            title=f"{self.suite.name} (version {version}), {space}",
            sets={role: describe(found, self.sets) for role, found in digests.items() if found},
            columns=columns,
            rows=with_ranks(self._in_order(ranked), self.metric.name, self.metric.direction),
            references=reference_rows(self._in_order(aside), columns, beside, mean=not grouped),
            notes=(*notes, *self._notes(digests), *silent),
            by=self.metric.name,
            digest=self.digest,
            digests=digests,
        )

    def _column(self, metric: Metric, rows: Sequence[Row]) -> Column:
        """The metric's column. Over how many experiments an average is stands in its title."""
        shown = frozenset(self.suite.experiments.values())
        own = shown & {metric.role} if metric.role else shown if metric.parts else frozenset()
        cells = [row.cells[metric.name] for row in rows]
        said = {next(filter(_AVERAGE.fullmatch, cell.flags), "") for cell in cells if cell.value is not None}
        average = said.pop() if len(said) == 1 else ""
        return Column(
            metric.name,
            f"{metric.title} ({average})" if average else metric.title,
            metric.direction,
            metric.chance,
            metric.role,
            metric.bounds,
            metric.clean,
            metric.definition,
            metric.parts,
            own,
            average,
            self.suite.questions if metric.headline else {},
        )

    def _rows(self, digests: Mapping[str, str]) -> list[Row]:
        """One unranked row per member; who was run otherwise than most, or otherwise than before, is marked at the
        metric that ranks.
        """
        head = self.metric.name
        cells: dict[str, dict[str, Cell]] = {name: {} for name in self.members}
        for metric in self.columns:
            found = self.index.metrics.get(metric.name, {})
            scores = found.get(digests[metric.role], {})
            for name in self.members:
                score = scores.get(name)
                cells[name][metric.name] = cell_of(score) if score else self._missing(found, name)
        sources = {name: cells[name][head].source for name in self.members}
        stored = {name: source for name, source in sources.items() if source is not None}
        odd = unlike_most({name: source.policy for name, source in stored.items()})
        for name, source in stored.items():
            if source.replaced:
                ways = " and ".join(f"as {policy}" for policy in source.replaced)
                said = odd.get(name, f"run as {source.policy}")
                odd[name] = f"{said}; scores {ways} are replaced"
        rows = []
        for name in self.members:
            known = self.index.observers[name]
            if name in odd:
                cell = cells[name][head]
                cells[name][head] = cell._replace(flags=(*cell.flags, odd[name]))
            note = NOTES.get(known.kind, "")
            row = Row(None, None, None, name, known.kind, tuple(known.training), cells[name], note)
            rows.append(row)
        return rows

    def _missing(self, found: Mapping[str, Mapping[str, ScoreRow]], name: str) -> Cell:
        """Why an observer has no number on the column's stimuli."""
        elsewhere = [digest for digest, scores in found.items() if digest and name in scores]
        if elsewhere:
            return Cell(reason=f"measured on another set: {describe(min(elsewhere), self.sets)}")
        stated = found.get("", {}).get(name)
        return Cell(reason=(stated and stated.reason) or "not measured", source=stated)

    def _in_order(self, rows: Sequence[Row]) -> list[Row]:
        """Best first, then by name; those without a value last."""
        sign = 1 if self.metric.direction == "lower" else -1

        def key(row: Row) -> tuple[bool, float, str]:
            value = row.cells[self.metric.name].value
            return value is None, 0.0 if value is None else sign * value, row.observer

        return sorted(rows, key=key)

    def _notes(self, digests: Mapping[str, str]) -> list[str]:
        """What a reader must know of the stimuli and the order."""
        notes = []
        for digest in dict.fromkeys(digests.values()):
            known = self.sets.get(digest)
            if known is not None and is_partial(known) and known.origin != "generated":
                notes.append(f"partial set: {known.n} of the {known.whole} images of {known.name}")
            if known is not None and known.painted:
                notes.append(f"{known.name} is not a published set: {known.painted}")
        if self.metric.direction == "none":
            notes.append(f"{self.metric.title} has no better or worse: ordered by value, not ranked")
        return notes


def _is_reference(row: Row) -> bool:
    """Whether an observer is held against the ranked ones."""
    return UNTRAINED in row.training or row.kind in REFERENCE_KINDS


def unlike_most(policies: Mapping[str, str]) -> dict[str, str]:
    """Observer -> remark, for those that were run otherwise than most (of equally many, otherwise than fp32, seed 0).

    policies: how each was run, "" where it was not run here: those say nothing.
    """
    counts = Counter(policy for policy in policies.values() if policy)
    if len(counts) < 2:
        return {}
    plain = ("fp32, seed 0",)
    most = min(counts, key=lambda one: (-counts[one], not one.endswith(plain), one))
    return {
        name: f"run as {policy}; most here as {most}" for name, policy in policies.items() if policy not in ("", most)
    }
