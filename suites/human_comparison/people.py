"""The human row: people with one another, every unordered pair once."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats.intervals import Floats
from suites.human_comparison.bootstrap import Crowd, Draws, draw, draw_people, mean_of_people, pairs_among
from suites.human_comparison.comparing import CEILING, skewed, valued
from suites.human_comparison.consistency import answered, tabulate
from suites.human_comparison.experiments import BY_ROLE
from suites.human_comparison.metrics import AGREEMENT, KEPT
from suites.human_comparison.score import counted, roles_of

ONE_PERSON = "fewer than two people answered an experiment's images"


def people(_config: None, trials: Mapping[str, Trials]) -> Sequence[Score]:
    """Scores of people as a group: per experiment (condition "kept") and over experiments.

    trials: name -> trials of each person. Pairs are the unordered pairs of different people; averages over
    conditions, pairs, experiments. OOD accuracy pools people within an experiment. The pairs' error consistency is
    the ceiling of networks and given under that name too. People who did not see an experiment's common images are
    left out of it.
    """
    return list(_people(trials))


def _people(trials: Mapping[str, Trials]) -> Iterator[Score]:
    found = {role: group for role in _roles(trials) if (group := _group(role, trials)) is not None}
    for role, group in found.items():
        for metric, values in group.values.items():
            if metric != "ood_accuracy":
                score = Score(metric, None, n=group.n, condition=KEPT, role=role)
                yield skewed(valued(score, values), group.people)
    n = sum(group.n for group in found.values())
    for metric in (*AGREEMENT, CEILING, "ood_accuracy"):
        if not found:
            yield Score(metric, None, ONE_PERSON)
            continue
        mean: Floats = np.mean([group.values[metric] for group in found.values()], axis=0)
        score = valued(Score(metric, None, n=n, flags=counted(len(found))), mean)
        yield skewed(score, sum(group.people for group in found.values()))


class Group:
    """One experiment's averages over people: metric -> [1 + B]; n: trials of all people in kept conditions."""

    def __init__(self, draws: Draws, people: Crowd, n: int) -> None:
        self.n, self.people = n, people.effects.shape[1]
        self.values = {metric: pairs_among(draws.mean(metric), people) for metric in AGREEMENT}
        self.values[CEILING] = self.values["error_consistency"]
        sizes = np.array([draws.sizes[name] for name in draws.kept], dtype=float)
        accuracy = np.stack([draws.accuracy[name] for name in draws.kept])  # [conditions, 1 + B, k]
        pooled = np.tensordot(sizes / sizes.sum(), accuracy, axes=1)
        self.values["ood_accuracy"] = mean_of_people(pooled, people)


def _group(role: str, trials: Mapping[str, Trials]) -> Group | None:
    names = sorted(name for name, one in trials.items() if answered(one.of(role)))
    if len(names) < 2:
        return None
    first = max(names, key=lambda name: len(trials[name].of(role)))  # the first by name of those with most images
    others = {name: trials[name] for name in names if name != first}
    tables = tabulate(role, first, trials[first], others)
    if tables.reason or not any(table.kept for table in tables.tables):
        return None
    draws = draw(tables)
    crowd = draw_people(role, len(tables.observers))
    n = sum(draws.sizes[name] for name in draws.kept) * len(tables.observers)
    return Group(draws, crowd, n)


def _roles(trials: Mapping[str, Trials]) -> list[str]:
    there = {role for one in trials.values() for role in roles_of(one)}
    return [role for role in BY_ROLE if role in there]
