"""Scores of what several processes answered together: parts of a plan are observed apart and scored as one.

A part of a suite's trials would make numbers that look like the whole suite's. So who carries out a part notes which
observations belong together (an outcome "partial"), and they are scored where all of them are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.contracts import Suite
from benchmark.engine.scoring import Scorer
from benchmark.errors import StoreError
from benchmark.identity import Codes
from benchmark.store import Observation, Outcome, Store
from registry.files import canonical


@dataclass(frozen=True)
class Owed:
    """What is to be scored together: observations in the order of their plan, and the plan's missing roles with why."""

    keys: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """As the detail of an outcome."""
        return canonical({"observations": self.keys, "missing": self.missing}, ascii=False)


@dataclass
class Completed:
    """made: new score sets; waiting: "MODEL under SUITE" -> what is not there yet."""

    made: int = 0
    waiting: dict[str, str] = field(default_factory=dict)


def complete_parts(
    store: Store, run: int, suites: Sequence[Suite], codes: Codes | None = None
) -> Completed:
    """Score whatever was answered in parts and is whole now, as one run would have, and say what is not."""
    done, codes, parts = Completed(), codes or Codes(), _open_parts(store)
    for suite in suites:
        scorer = Scorer(store, run, suite, codes)
        for part, owed in [one for one in parts if one[0].suite == suite.name]:
            observations, lacking = _answered(store, part, owed)
            if lacking:
                name = f"{part.observer_name} under {part.suite}"
                done.waiting[name] = (
                    f"{lacking} of its {len(owed.keys)} blocks are not answered yet"
                )
                continue
            done.made += scorer.observer(observations, owed.missing)
            names = part.observer_name, part.suite, part.space
            store.put_outcome(run, part.observer, *names, "done", detail=part.detail)
    return done


def _open_parts(store: Store) -> list[tuple[Outcome, Owed]]:
    """Outcomes "partial" that nobody has scored since, each plan of an observer once, oldest first."""
    waiting: dict[tuple[int | None, str, str], tuple[Outcome, Owed]] = {}
    for one in store.outcomes(latest=False):
        work = (one.observer, one.suite, one.detail)
        if one.status == "partial":
            waiting[work] = (one, _read(one.detail))
        elif one.status == "done":
            waiting.pop(work, None)
    return list(waiting.values())


def _read(detail: str) -> Owed:
    """StoreError on what `Owed.text` has not written."""
    try:
        found = json.loads(detail)
        return Owed(tuple(found["observations"]), dict(found["missing"]))
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(
            f"an outcome says in no known way what is scored together: {error}"
        ) from error


def _answered(store: Store, part: Outcome, owed: Owed) -> tuple[list[Observation], int]:
    """The observations in the order of their plan, and how many of them are not complete."""
    mine = {
        one.key: one
        for one in store.observations(observer=part.observer_name, suite=part.suite)
        if one.observer == part.observer
    }
    there: list[Observation] = [mine[key] for key in owed.keys if key in mine]
    whole = sum(store.complete(one.key) for one in there)
    return there, len(owed.keys) - whole
