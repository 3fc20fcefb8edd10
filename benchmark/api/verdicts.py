"""The verdict on one network, from a leaderboard and the reference scores of the package."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

from benchmark import plugins
from benchmark.api import leaderboards
from benchmark.api.leaderboards import CardStatus, Selection, card_status, require_observer, suites_with_scores
from benchmark.api.options import Option
from benchmark.contracts import Suite
from benchmark.engine.scoring import compare_observers
from benchmark.failures import BenchError
from benchmark.leaderboard import boards
from benchmark.leaderboard.board_model import cell_of, title_under
from benchmark.leaderboard.reference_scores import references_of
from benchmark.leaderboard.verdict import Measured, Rival, Verdict, interval_test, nearest_names, verdict_of
from benchmark.stats.comparisons import SuiteComparison, adjusted
from benchmark.store import Store
from benchmark.variables import read_settings
from registry.cards import builtin_cards, read_cards

WAITING = "waiting for data"


def verdict(leaderboard: Selection, observer: Annotated[str, Option("A network.", metavar="NAME")]) -> Verdict:
    """Summarise a network in a dozen lines.

    Is it fed right? For each suite: value, interval, place among neighbours and people, what it resembles, and where it
    is weakest. Against its nearest neighbour: better, worse, or no difference seen. What is not measured, and the
    line that would. Neighbours that are not in the leaderboard are the package's reference scores on the same
    stimuli."""
    with leaderboard.reading() as store:
        return verdict_in(store, leaderboard, observer)


def verdict_in(store: Store, leaderboard: Selection, observer: str) -> Verdict:
    """Return the verdict on a network of an open leaderboard: several share what the store has read."""
    require_observer(store, observer)
    (own,) = store.observers(names={observer})
    if own.kind not in ("network", "published"):
        raise BenchError(f"'{observer}' is not a network with trials: `bench show` lists its scores.")
    settings = leaderboard.settings
    card = read_cards(settings.cards).get(observer)
    status, suites = card_status(store, settings), suites_with_scores(store)
    measured = list(_measured(store, suites, observer, status))
    same = store.observers(kinds=("network",)) if own.kind == "network" else ()
    twins = [row.name for row in same if row.identity == own.identity and row.name != observer]
    stated, rival = card.model_dump(mode="json") if card else own.card, _rival(store, observer, measured, twins)
    lacking = [*_lacking(store, settings.db, observer, {each.suite.name for each in measured}, suites)]
    builtin = observer in builtin_cards()
    return verdict_of(observer, stated, measured, builtin=builtin, twins=twins, rival=rival, lacking=lacking)


def _measured(store: Store, suites: Sequence[Suite], observer: str, status: CardStatus) -> Iterator[Measured]:
    """Yield the suites in which the network has a headline, each on the board with most observers."""
    sets = leaderboards.notes_of(store)
    mine = store.latest_scores(observers=[observer], metrics={suite.headline.name for suite in suites})
    for suite in suites:
        head = suite.headline
        own = [row for row in mine if row.suite == suite.name and row.metric == head.name]
        wholes = [status.marked(row) for row in own if not row.condition and row.value is not None]
        if not wholes:
            continue
        rows = store.latest_scores(suite=suite.name, conditions=("",), metrics=[head.name])
        rows = leaderboards.current_rows(rows, status, observer)
        known = {row.observer for row in rows}
        rows += [row for whole in wholes for row in references_of(store, whole, known)]
        for board in boards(rows, suite, sets):
            row = next((r for r in (*board.rows, *board.references) if r.observer == observer), None)
            if row is not None and (cell := row.cells[board.by]).value is not None:
                score = cell.source._replace(flags=cell.flags)
                parts = [row for row in own if row.set_id == score.set_id and row.condition and row.value is not None]
                if head.parts:
                    parts = [row for row in parts if row.condition == head.parts]
                elif title_under(head.title, "any", {row.condition for row in parts}) != head.title:
                    parts = []  # a headline that names one of its conditions (a budget) is not made of the others
                else:
                    others = (row for row in parts if row.condition not in suite.references)
                    parts = [row for row in others if row.role == score.role]
                yield Measured(suite=suite, board=board, score=score, parts=parts)
                break


def _rival(store: Store, observer: str, measured: Sequence[Measured], twins: Sequence[str]) -> Rival | None:
    """Test the network against its nearest neighbour: paired if its trials are here, otherwise by the intervals."""
    sound = [each for each in measured if not each.guessing]
    if not (names := nearest_names(sound, twins)):
        return None
    name = names[0]
    if any(row.name == name for row in store.observers()):
        # Only headlines are tested, so only they are computed; a suite with tests of its own returns all its metrics.
        suites = [
            suite if suite.against and suite.against.pair else replace(suite, metrics=(suite.headline,))
            for suite in (each.suite for each in sound)
        ]
        (tests,) = compare_observers(store, suites, [(observer, name)])
        return Rival(name=name, tests=tests.headlines, paired=True)
    rows = []
    for each in sound:
        by = each.board.by
        for other in [row for _, row in each.neighbours(twins) if row.observer == name][:1]:
            test = interval_test(cell_of(each.score), other.cells[by], by)
            rows.append(SuiteComparison(suite=each.suite.name, metric=each.suite.headline, comparison=test))
    return Rival(name=name, tests=adjusted(rows), paired=False)


def _lacking(store: Store, db: str, observer: str, measured: set[str], suites: Sequence[Suite]) -> Iterator[str]:
    ended = {row.suite: row for row in store.outcomes(observer=observer)}
    heads = {(suite.name, suite.headline.name) for suite in suites}
    rows = store.latest_scores(observers=[observer], conditions=("",), metrics={head for _, head in heads})
    empty = {row.suite: row.reason for row in rows if (row.suite, row.metric) in heads and row.value is None}
    absent: dict[tuple[str, bool], list[str]] = defaultdict(list)  # (reason, whether a command would measure it)
    for suite in plugins.find_suites().suites:
        if suite in measured:
            continue
        outcome, status = ended.get(suite), ended[suite].status if suite in ended else "not run"
        runs = status in ("not run", WAITING, "failed")
        # What a failure raised is for the output of the run: here it would be a line of somebody's code.
        told = "its run failed" if status == "failed" else outcome and outcome.reason
        reason = empty.get(suite) or told or "no headline"
        absent[(status if status in ("not run", WAITING) else reason), runs].append(suite)
    place = "" if db == read_settings().db else f" --db {shlex.quote(db)}"
    for (reason, runs), names in absent.items():
        fetch = " --fetch" if reason == WAITING else ""
        line = f": `bench run --model {shlex.quote(observer)} --suite {','.join(names)}{fetch}{place}`"
        yield f"{', '.join(names)} ({reason}){line if runs else ''}"
