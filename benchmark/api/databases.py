"""Merge leaderboards, describe them, and check their integrity."""

import shlex
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Annotated

from benchmark.api.imports import recorded, score_again
from benchmark.api.leaderboards import suites_with_scores
from benchmark.api.options import LEADERBOARD, Db, Option
from benchmark.engine.scoring import Scorer
from benchmark.engine.tasks import ended_parts, lacking_parts
from benchmark.failures import FAILURES, StoreError
from benchmark.identity import Codes
from benchmark.store import Merged, Status, Store, database_status, open_store
from benchmark.store.location import parse_location, same_place
from benchmark.variables import read_settings


@dataclass(kw_only=True)
class MergeReport:
    """The outcome of a merge."""

    into: str
    merged: list[Merged] = field(default_factory=list)
    scored: int = 0  # new score sets
    waiting: dict[str, str] = field(default_factory=dict)  # "MODEL under SUITE", or a leaderboard -> why
    lacking: list[str] = field(default_factory=list)  # parts of the plans that are unfinished
    conflicts: list[str] = field(default_factory=list)  # what was skipped

    @property
    def exit_code(self) -> int:
        """Return 0 if everything is merged and scored, otherwise 3."""
        return 3 if self.conflicts or self.waiting or self.lacking else 0


def merge(
    sources: Annotated[Sequence[str], Option("Files or URLs to merge.", metavar="[FILE|URL]...", kind="place")] = (),
    into: Annotated[str | None, Option(LEADERBOARD, "--into", metavar="FILE|URL", kind="place")] = None,
) -> MergeReport:
    """Merge leaderboards and score complete observations.

    \b
    bench run --shard 1/2 --db part-1.db     # on one machine
    bench run --shard 2/2 --db part-2.db     # on another
    bench db merge part-1.db part-2.db --into results.db

    Sources are only read. Rows in several of them are stored once; every run keeps its command, host and versions.
    Answers or weights that differ under one name are reported and skipped. Without sources, shards that wrote into one
    leaderboard are scored. Repeating a merge changes nothing.

    Exit code 0 means that everything is merged and scored, 3 that something was skipped or is missing, 1 that nothing
    was done."""
    target = read_settings(into).db
    # Before opening: two names of one file would have two journals.
    for place in map(parse_location, sources):
        if same_place(place, parse_location(target)):
            raise StoreError(f"{place.shown} cannot be merged into itself")
    # Leaderboards are closed after a look: a job array has more than a process may have open.
    places, notes, cut_short = list[str](), dict[str, list[tuple[int, int, str]]](), dict[str, Set[str]]()
    for url in sources:
        with open_store(url, write=False) as part:
            places.append(part.place)
            notes[url] = ended_parts(part.run_notes())
            cut_short[part.place] = part.incomplete(failed=False).keys()  # though no observer failed

    def opened() -> Iterator[Store]:
        for url in sorted(sources, key=lambda url: min(notes[url], default=())):
            with open_store(url, write=False) as part:
                yield part

    with open_store(target, create=bool(sources)) as store:
        report = MergeReport(into=store.place)
        with recorded(store, shlex.join(["bench", "db", "merge", *places, "--into", store.place])) as run:
            report.merged += store.merge(opened)
            scored = score_again(store, run)
        report.conflicts = [line for merged in report.merged for line in merged.conflicts]
        report.scored, report.waiting = scored.new_sets, scored.waiting
        here = ended_parts(store.run_notes())
        # Plans of earlier merges are left out.
        report.lacking = lacking_parts(here, [note for own in notes.values() for note in own] if notes else here)
        lacking = store.incomplete().keys()  # trials that running or killed runs still lack
        for shown, keys in cut_short.items():
            if n := len(lacking & keys):
                report.waiting[shown] = f"{n} of its observations lack trials: finish its run and merge again"
        return report


def db_status(db: Db = None) -> Status:
    """Show schema version, size and contents."""
    return database_status(read_settings(db).db)


def check_db(db: Db = None, *, rescore: Annotated[bool, Option("Also recompute the scores.")] = False) -> list[str]:
    """Check a leaderboard: pages, keys, references, checksums.

    With --rescore, scores of today's code are recomputed from the trials, and differences are listed. Exit code 1 means
    that a fault was found."""
    with open_store(read_settings(db).db, write=False) as store:
        lines = store.problems()
        codes = Codes()
        for suite in suites_with_scores(store) if rescore else ():
            try:
                Scorer(store=store, run="", suite=suite, codes=codes, different=lines).again()
            except FAILURES as error:  # damaged trials, or a suite's own fault
                lines.append(f"{suite.name}: scores cannot be recomputed: {error}")
    return lines
