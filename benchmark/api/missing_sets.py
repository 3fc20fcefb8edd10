"""Which stimulus sets, and answers of people, a plan lacks; and getting those that may be fetched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.api.imports import import_trials
from benchmark.failures import BenchError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry, is_fetchable, remedy
from benchmark.stimuli.fetch import Report, fetch_set
from benchmark.stimuli.published_sources import PUBLISHED_SPACE
from benchmark.stimuli.roles import SECOND_LOSS, SECOND_SET
from benchmark.store import open_store
from benchmark.store.versions import is_there
from registry.user_errors import some_of

if TYPE_CHECKING:
    from benchmark.api.running import RunPlan

PEOPLE_TRIALS = "human-trials"


@dataclass(frozen=True, kw_only=True)
class Need:
    """Sets that the same suites lack, under the same terms."""

    suites: tuple[str, ...]
    entries: tuple[Entry, ...]
    fetchable: bool  # whether their terms allow a download

    def __str__(self) -> str:
        names = [entry.name for entry in self.entries]
        count = sum(entry.count or 0 for entry in self.entries)
        noun = "tables" if self.entries[0].kind == "trials" else "images"
        megabytes = sum(entry.megabytes or 0 for entry in self.entries)
        volume = f"about {megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"about {megabytes} MB"
        size = [f"{count:,} {noun}"] * bool(count) + [volume if megabytes else "its publisher states no size"]
        terms = self.entries[0].license or "no licence is stated"
        text = f"{', '.join(self.suites)}: {some_of(names, 4)} ({'; '.join([*size, terms])})"
        if names[0] == SECOND_SET:
            text += f", instead of imagenet-val, which is not fetched: {SECOND_LOSS}"
        return text if self.fetchable else f"{text}: {remedy(self.entries[0])}"


def data_needs(prepared: RunPlan) -> list[Need]:
    """Return what the suites wait for, with people's answers if there are none; those that can be fetched first."""
    wanted, has_people = dict[str, tuple[Entry, list[str]]](), False
    if is_there(prepared.settings.db):
        with open_store(prepared.settings.db, write=False) as store:
            has_people = bool(store.observers(kinds=("human",)))
    for task in prepared.tasks:
        people = task.suite.against is not None and (task.space == PUBLISHED_SPACE or bool(task.lacking))
        # Where a set may be fetched, others that would do as well are not listed; training images never are.
        able = [entry for entry in task.lacking if is_fetchable(entry)]
        others = [entry for entry in task.lacking if entry.role != "natural-training"]
        entries = [*((able or others) if not task.plan.blocks else ())]
        if people and task.suite.experiments and not has_people:
            entries.append(find_entry(PEOPLE_TRIALS, prepared.settings))
        for entry in entries:
            suites = wanted.setdefault(entry.name, (entry, []))[1]
            suites += [task.suite.name] * (task.suite.name not in suites)
    groups = defaultdict[tuple[bool, tuple[str, ...], str, str], list[Entry]](list)
    for entry, suites in wanted.values():
        groups[is_fetchable(entry), tuple(suites), entry.license, entry.kind].append(entry)
    best_first = sorted(groups.items(), key=lambda group: not group[0][0])
    return [Need(suites=key[1], entries=tuple(own), fetchable=key[0]) for key, own in best_first]


def fetch_needs(needs: Sequence[Need], settings: Settings, report: Report) -> list[str]:
    """Fetch every set that may be fetched, and import people's answers; return the problems. Finished sets stay."""
    problems = []
    for entry in (entry for need in needs if need.fetchable for entry in need.entries):
        try:
            folder = fetch_set(entry.name, settings, report)
            if entry.name == PEOPLE_TRIALS:
                report(f"{entry.name}: importing")
                import_trials(folder, db=str(settings.db))
        except BenchError as error:
            problems.append(f"{entry.name}: {error}")
    return problems
