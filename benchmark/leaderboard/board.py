"""From stored scores to ranked tables: one per suite, label space and stimulus set of the metric that ranks. Networks
are ranked, also published ones; people are reference rows."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from benchmark.contracts import DISTRUST, Direction, Metric, Suite, distrust_flags
from benchmark.contracts.suite import IMAGES, is_guessing
from benchmark.failures import unknown_name
from benchmark.leaderboard.board_model import NOBODY, REPORTED, Board, Cell, Column, Notes, Row, cell_of, set_in_words
from benchmark.stats import mean_interval
from benchmark.stats.intervals import normal_quantile
from benchmark.stats.rankings import rank_intervals
from benchmark.store.rows import ScoreRow
from benchmark.version import __version__

NOTES = {"published": "published decisions, not run here", "reported": "another leaderboard's scores, no trials here"}
REFERENCE_KINDS = ("group", "human", "simulated", "ideal", REPORTED)
#: A network with this recipe tag was never trained: it is held against the others, not ranked among them.
UNTRAINED = "untrained"
#: Most trials over fewest, among people whose mean is shown.
ALIKE = 1.5
#: Of equally many ways to run, this one is the usual.
PLAIN = "fp32, seed 0"
_AVERAGE = re.compile(r"\d+ of \d+ experiments")
_CLUSTERED, _FACTOR = re.compile(r"clustered \((.+)\)"), re.compile(r"\d+ (\S+)")


def boards(rows: Sequence[ScoreRow], suite: Suite, sets: Notes, by: str | None = None) -> list[Board]:
    """Rank the scores of one suite's newest version; the table with most observers comes first.

    rows: stored scores. Other suites, single conditions and older versions are skipped; reference conditions of the
    suite get their own rows. sets: digest -> stimulus set; by: the metric that ranks (None: the headline). Raises
    UnknownName for an unknown metric."""
    heads = [metric for metric in suite.metrics if (metric.headline if by is None else metric.name == by)]
    if not heads:
        raise unknown_name("metric", str(by), [m.name for m in suite.metrics], f"Suite: {suite.name}.")
    head = heads[0]
    # Oldest first: a newer score takes an older one's place.
    own = sorted((row for row in rows if row.suite == suite.name), key=attrgetter("created", "set_id"))
    version = max((row.version for row in own), default=0)
    tables = []
    for space in sorted({row.space for row in own}):
        scores = _Scores([row for row in own if row.space == space and row.version == version], suite, sets)
        outdated = {row.observer for row in own if row.space == space and row.version < version}
        stale = len(outdated - scores.observers.keys())
        notes = [f"scores of version {version}; the suite is at version {suite.version}"] * (version < suite.version)
        noun = "observer has" if stale == 1 else "observers have"
        notes += [f"{stale} {noun} scores of an older version only: not shown"] * bool(stale)
        others = (metric for metric in suite.metrics if metric.shown and metric.name in scores.by_metric)
        metrics = [head, *(metric for metric in others if metric.name != head.name)]
        tables += [scores.board(metrics, digest, members, notes) for digest, members in scores.groups(head.name)]
    return sorted(tables, key=lambda board: -len(board.rows) - len(board.references))


class _Scores:
    """The current scores of one suite version in one label space, without single conditions."""

    def __init__(self, rows: Iterable[ScoreRow], suite: Suite, sets: Notes) -> None:
        self.suite, self.sets = suite, sets
        # metric -> digest -> observer -> score
        self.by_metric: dict[str, dict[str, dict[str, ScoreRow]]] = defaultdict(lambda: defaultdict(dict))
        self.observers: dict[str, ScoreRow] = {}  # name -> its newest score
        # reference condition -> (metric, digest) -> score of any observer: it depends only on the stimuli
        self.beside: dict[str, dict[tuple[str, str], ScoreRow]] = defaultdict(dict)
        for row in rows:
            if not row.condition:
                self.by_metric[row.metric][row.stimuli][row.observer] = row
                self.observers[row.observer] = row
            elif row.condition in suite.references:
                self.beside[row.condition][row.metric, row.stimuli] = row

    def groups(self, metric: str) -> list[tuple[str, list[str]]]:
        """Return (digest, its observers) for each board of the metric, the largest group first."""
        if not self.observers:
            return []
        parts = {digest: sorted(part) for digest, part in self.by_metric.get(metric, {}).items() if digest}
        order = sorted(parts, key=lambda digest: (-len(parts[digest]), digest)) or [""]
        groups = [(digest, parts.get(digest, [])) for digest in order]
        groups[0][1].extend(sorted(self.observers.keys() - {name for _, names in groups for name in names}))
        return groups

    def digests(self, metrics: Sequence[Metric], members: Collection[str]) -> dict[str, str]:
        """Return role -> the stimuli that most members were measured on, of as many the larger set; "" without any."""
        sizes = {digest: known.n for digest, known in self.sets.items()}
        votes: dict[str, Counter[str]] = {metric.role: Counter() for metric in metrics}
        for metric in metrics:
            for digest, scores in self.by_metric.get(metric.name, {}).items():
                if digest:
                    votes[metric.role][digest] += len(set(members) & scores.keys())
        return {
            role: min(count, key=lambda digest: (-count[digest], -sizes.get(digest, 0), digest), default="")
            for role, count in votes.items()
        }

    def board(self, metrics: Sequence[Metric], digest: str, members: Sequence[str], notes: Sequence[str]) -> Board:
        """Return the table of some observers. digest: the stimuli of the first metric, which ranks."""
        suite, head, first = self.suite, metrics[0], self.observers[members[0]]
        digests = {**self.digests(metrics, members), head.role: digest}
        rows = []
        for name in members:
            cells = {}
            for metric in metrics:
                by_digest = self.by_metric.get(metric.name, {})
                if score := by_digest.get(digests[metric.role], {}).get(name):
                    cells[metric.name] = cell_of(score)
                elif elsewhere := [digest for digest, scores in by_digest.items() if digest and name in scores]:
                    reason = f"measured on another set: {set_in_words(min(elsewhere), self.sets)}"
                    cells[metric.name] = Cell(reason=reason)
                else:
                    stated = by_digest.get("", {}).get(name)
                    cells[metric.name] = Cell(reason=(stated and stated.reason) or "not measured", source=stated)
            known = self.observers[name]
            note = NOTES.get(known.kind, "")
            rows.append(Row(observer=name, kind=known.kind, training=tuple(known.training), cells=cells, note=note))
        rows = in_order(_marked(rows, head.name), head.name, head.direction)
        aside = [row for row in rows if UNTRAINED in row.training or row.kind in REFERENCE_KINDS]
        held = {row.observer for row in aside}
        ranked = [row for row in rows if row.observer not in held]
        silent = [m for m in metrics[1:] if all(row.cells[m.name].value is None for row in rows)]
        columns = tuple(self._column(metric, rows) for metric in metrics if metric not in silent)
        return Board(
            suite=suite.name,
            version=first.version,
            space=first.space,
            title=f"{suite.name} (version {first.version}), {first.space}",
            sets={role: set_in_words(own, self.sets) for role, own in digests.items() if own},
            columns=columns,
            rows=with_ranks(ranked, head.name, head.direction),
            references=(*self._references(aside, columns, digests),),
            notes=(*notes, *self._notes(head, digests, rows), *(f"{metric.title}: {NOBODY}" for metric in silent)),
            by=head.name,
            digest=digest,
            digests=digests,
        )

    def _references(self, aside: Sequence[Row], columns: Sequence[Column], digests: Mapping[str, str]) -> Iterator[Row]:
        """Yield a mean over people, the observers that are not ranked, the suite's reference conditions, and chance."""
        # A mean over people who are scored as a group is not the measure: what each agrees to with the others is made
        # of the same pairs, and no t interval covers it.
        if self.suite.against is None or self.suite.against.group is None:
            yield from people_row([row for row in aside if row.kind == "human"], columns)
        yield from aside
        for condition, name in self.suite.references.items():
            found = {c.metric: self.beside[condition].get((c.metric, digests[c.role])) for c in columns}
            if any(found.values()):
                cells = {metric: cell_of(score) if score else Cell() for metric, score in found.items()}
                yield Row(observer=name, kind="reference", cells=cells)
        if any(column.chance is not None for column in columns):
            chances = {column.metric: Cell(column.chance) for column in columns}
            yield Row(observer="chance", kind="chance", cells=chances)

    def _column(self, metric: Metric, rows: Sequence[Row]) -> Column:
        """Return the metric's column. Its title gives the number of experiments in an average."""
        shown = frozenset(self.suite.experiments.values())
        own = shown & {metric.role} if metric.role else shown if metric.parts else frozenset()
        cells = [row.cells[metric.name] for row in rows]
        said = {next(filter(_AVERAGE.fullmatch, cell.flags), "") for cell in cells if cell.value is not None}
        average, over = said.pop() if len(said) == 1 else "", metric.over
        # Images that share shapes and textures are not the population: the method names what is.
        methods = (cell.source.method for cell in cells if cell.source is not None and cell.low is not None)
        if over == IMAGES and (shared := next(filter(None, map(_CLUSTERED.search, methods)), None)):
            over = " and ".join(_FACTOR.findall(shared[1]))
        return Column(
            metric=metric.name,
            title=f"{metric.title} ({average})" if average else metric.title,
            direction=metric.direction,
            chance=metric.chance,
            role=metric.role,
            bounds=metric.bounds,
            clean=metric.clean,
            definition=metric.definition,
            parts=metric.parts,
            experiments=own,
            average=average,
            over=over,
            questions=self.suite.questions if metric.headline else {},
        )

    def _notes(self, head: Metric, digests: Mapping[str, str], rows: Sequence[Row]) -> Iterator[str]:
        made = {cell.source.program for row in rows for cell in row.cells.values() if cell.source} - {""}
        if made - {__version__}:
            yield f"made by gestaltbench {', '.join(sorted(made))}; this is {__version__} (`bench show` has each)"
        for digest in dict.fromkeys(digests.values()):
            known = self.sets.get(digest)
            if known is not None and known.partial and known.origin != "generated":
                yield f"partial set: {known.n} of the {known.whole} images of {known.name}"
            if known is not None and known.painted:
                yield f"{known.name} is not a published set: {known.painted}"
        if head.direction == "none":
            yield f"{head.title} has no better or worse: ordered by value, not ranked"


def _marked(rows: Sequence[Row], head: str) -> list[Row]:
    """Return the rows, flagged at the metric that ranks where they were run otherwise than most (of equally many ways,
    otherwise than `PLAIN`), or otherwise than before."""
    policies = [row.cells[head].source.policy if row.cells[head].source else "" for row in rows]
    ways = Counter(filter(None, policies))
    most = min(ways, key=lambda way: (-ways[way], not way.endswith(PLAIN), way), default="")
    marked = []
    for row, policy in zip(rows, policies, strict=True):
        cell = row.cells[head]
        said = f"run as {policy}; most here as {most}" if policy not in ("", most) else ""
        if cell.source is not None and cell.source.replaced:
            earlier = " and ".join(f"as {way}" for way in cell.source.replaced)
            said = f"{said or f'run as {policy}'}; scores {earlier} are replaced"
        if said:
            row = row._replace(cells={**row.cells, head: cell._replace(flags=(*cell.flags, said))})
        marked.append(row)
    return marked


def people_row(people: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return the mean over two or more people who do not guess, unless some saw one experiment and some all."""
    everybody = len(people)
    people = [row for row in people if not is_guessing(row.cells[columns[0].metric].flags)]
    heads = [row.cells[columns[0].metric] for row in people]
    sizes = [cell.source.n + cell.source.excluded for cell in heads if cell.source]
    if len(people) < 2 or (sizes and max(sizes) > ALIKE * min(sizes)):
        return []
    cells = {}
    for column in columns:
        own = [row.cells[column.metric] for row in people]
        values = [cell.value for cell in own if cell.value is not None]
        flags = [f"mean of {len(values)} of {everybody} people"] * (len(values) < everybody)
        low, high = mean_interval(values, bounds=column.bounds) if len(values) > 1 else (None, None)
        if len(values) > 1 and low == high:  # all alike: that says nothing about others
            low = high = None
            flags.append("no spread: no interval")
        if values:
            n = sum(cell.n for cell in own if cell.value is not None)
            cells[column.metric] = Cell(value=sum(values) / len(values), low=low, high=high, n=n, flags=tuple(flags))
        else:
            cells[column.metric] = Cell(reason=next((cell.reason for cell in own if cell.reason), "not measured"))
    return [Row(observer=f"people (mean of {len(people)})", kind="group", cells=cells)]


def in_order(rows: Iterable[Row], metric: str, direction: Direction = "higher") -> list[Row]:
    """Return the rows, best first, then by name; those that answer at chance below them, those without a value last."""
    sign = 1 if direction == "lower" else -1

    def place(row: Row) -> tuple[bool, bool, float, str]:
        cell = row.cells[metric]
        return cell.value is None, is_guessing(cell.flags), sign * (cell.value or 0.0), row.observer

    return sorted(rows, key=place)


def with_ranks(rows: Sequence[Row], metric: str, direction: Direction, above: int = 0) -> tuple[Row, ...]:
    """Return rows, best first, with the ranks and rank intervals of a metric, from `above` + 1. Rows
    without a value (their note is the reason) or with answers at chance have none, nor has a metric without a better
    end."""
    heads = [row.cells[metric] for row in rows]
    known = [None if is_guessing(head.flags) else head.value for head in heads]
    noted = [row if h.value is not None else row._replace(note=h.reason) for row, h in zip(rows, heads, strict=True)]
    if direction == "none":
        return tuple(noted)
    errors = [  # half the interval in units of the normal quantile
        None if value is None or h.low is None or h.high is None or h.source is None
        else max(0.0, h.high - h.low) / (2 * normal_quantile(h.source.level))
        for value, h in zip(known, heads, strict=True)
    ]  # fmt: skip
    ranks = rank_intervals(known, errors, direction == "higher")
    columns = ((column + above).tolist() for column in ranks)
    return tuple(
        row if value is None else row._replace(rank=rank, rank_low=low, rank_high=high)
        for row, value, rank, low, high in zip(noted, known, *columns, strict=True)
    )


def flagged_last(board: Board) -> Board:
    """Return the board with rows whose score carries a flag of distrust below the others, ranked separately."""
    valued = [row for row in board.rows if row.cells[board.by].value is not None]
    flagged = [row for row in valued if distrust_flags(row.cells[board.by].flags)]
    if not flagged:
        return board
    trusted = [row for row in valued if row not in flagged]
    how = board.columns[0].direction
    first, last = with_ranks(trusted, board.by, how), with_ranks(flagged, board.by, how, len(trusted))
    rows = (*first, *last, *(row for row in board.rows if row.cells[board.by].value is None))
    note = f"{len(flagged)} of {len(valued)} rows rank last for a flag '{DISTRUST}...'"
    return noted(replace(board, rows=rows), note)


def with_twins(board: Board, identities: Mapping[str, str]) -> Board:
    """Return the board with a note on networks with several names. identities: observer -> its digest."""
    names: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        if row.observer in identities:
            names[identities[row.observer]].append(row.observer)
    twins = "; ".join(" = ".join(same) for same in names.values() if len(same) > 1)
    note = f"the same network (weights, preprocessing, labels) under two names: {twins}"
    return noted(board, note) if twins else board


def noted(board: Board, *notes: str) -> Board:
    """Return the board with more notes; empty ones are left out."""
    return replace(board, notes=(*board.notes, *filter(None, notes)))
