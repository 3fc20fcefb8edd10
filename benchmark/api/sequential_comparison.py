"""Run two models on images in random order, and compare them after each chunk until the answer is clear."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from benchmark import plugins
from benchmark.api.registration import one_card
from benchmark.api.running import RunPlan, RunRequest, devices_and_policy, run_here
from benchmark.contracts import CHUNK, EarlyStop, Metric, Plan, Shelf, Suite, Trials, distrust_flags
from benchmark.contracts.trials import PEOPLE
from benchmark.engine.reporters import Reporter
from benchmark.engine.scoring import ComparedTrials, Scorer, discordant_of, same_answers
from benchmark.engine.tasks import Task, is_look, plan_tasks
from benchmark.failures import BenchError, PluginError
from benchmark.leaderboard.comparison import RISK, Diff, judged, untested
from benchmark.settings import Settings
from benchmark.stats.comparisons import Compared, Comparison, DiscordantTrial, SuiteComparison
from benchmark.stats.intervals import Floats, difference_sequence
from benchmark.stats.ratios import ratio_arrays
from benchmark.stimuli.datasets import shuffled
from benchmark.store import PAIRED, Store, open_store
from benchmark.store.rows import Work
from registry.user_errors import foreign


def paired_variant(suite: Suite) -> Suite | None:
    """Return the suite on images in random order, whose blocks do not stop by themselves; None without that order."""
    mixed = suite.stopping.within(0.01) if suite.stopping.within else None  # of any width: it has the random order
    if suite.stopping.shuffle:
        mixed = replace(suite, plan=partial(_in_random_order, suite.plan))
    return mixed and replace(mixed, name=f"{suite.name}{PAIRED}", stopping=EarlyStop())


def _in_random_order(plan: Callable[[Any, Shelf], Plan], config: Any, shelf: Shelf) -> Plan:
    made = plan(config, shelf)
    return replace(made, blocks=tuple(replace(block, stimuli=shuffled(block.stimuli)) for block in made.blocks))


def plan_comparison(
    diff: Diff, target: float, pattern: str, limit: int | None, device: str, settings: Settings
) -> "SequentialComparison":
    """Plan the suites that can stop early. diff: names and margin. Raise BenchError if both cannot be run so."""
    names, request = (diff.base, diff.new), RunRequest(device=device)
    refused = {
        f"a precision target is between 0 and 0.5, not {target:g}.": not 0 < target < 0.5,
        f"'{PEOPLE}' cannot be run: leave out --precision-target.": PEOPLE in names,
        f"'{diff.base}' cannot be compared with itself: name two models.": diff.base == diff.new,
        "--precision-target runs on one device: --device cuda:0.": len(devices_and_policy(request)[0]) > 1,
    }
    for line in (line for line, wrong in refused.items() if wrong):
        raise BenchError(line)
    cards = tuple(one_card(name, settings) for name in names)
    asked = plugins.select_suites(pattern, plugins.find_suites(pattern))
    tasks = plan_tasks(cards, list(filter(None, map(paired_variant, asked))), settings, limit)
    shown = {task.work for task in tasks if task.plan.blocks}
    shared = [task for task in tasks if {(name, *task.work[1:]) for name in names} <= shown]
    reasoned = sorted(tasks, key=lambda task: task.reason != "")  # the reason of one of the two is the last
    why = {task.suite.name.removesuffix(PAIRED): task.reason or "they share no images" for task in reasoned}
    used = {task.suite.name.removesuffix(PAIRED) for task in shared}
    left = [untested(s, f"not asked: {why.get(s.name, 'it cannot stop early')}") for s in asked if s.name not in used]
    remarks = tuple(f"{row.suite}: {row.comparison.reason}" for row in left)
    if not shared:
        able = ", ".join(name for name, suite in plugins.find_suites().suites.items() if paired_variant(suite))
        raise PluginError(f"no suite to compare: {'; '.join(remarks)}. Suites that can stop early: {able}.")
    if pattern == "all":  # of the others only those that the base has count
        left = [row for row in left if (diff.base, f"{row.suite}{PAIRED}") in {work[:2] for work in shown}]
    diff = replace(diff, changes=tuple(left), remarks=remarks if pattern == "all" else ())
    own = [task for task in shared if task.card.name == diff.new]
    plan = RunPlan(settings=settings, request=request, cards=cards, tasks=shared)
    return SequentialComparison(diff=diff, target=target, plan=plan, tasks=own)


@dataclass(frozen=True, kw_only=True)
class SequentialComparison:
    """Two models on images in random order, until each suite has a clear verdict, its difference is known to
    +-`target`, or all its images are used."""

    diff: Diff  # names, margin, and the suites that are not run
    target: float
    plan: RunPlan  # with the tasks of both
    tasks: Sequence[Task]  # of the new model; the base has the same
    keys: dict[Work, Sequence[str]] = field(default_factory=dict)  # of each task's observations, once they are known

    def run(self, reporter: Reporter, command: str) -> Diff:
        """Run both and judge. Raise BenchError if one of them fails."""
        report = run_here(replace(self.plan, enough=self.known), reporter, command)
        for name, reason in report.failed.items():
            raise BenchError(f"the comparison has no verdict, because {name} failed: {reason}")
        rows, flipped, said = list[SuiteComparison](), list[DiscordantTrial](), [*self.diff.remarks]
        with open_store(self.plan.settings.db, write=False) as store, foreign("scores of", self.diff.new, PluginError):
            for task in self.tasks:
                row, clear, new, base = self._compared(store, task)
                suite, n, of = replace(task.suite, name=row.suite), row.comparison.n, len(task.plan.blocks[0].stimuli)
                unknown = "" if clear else f", and the difference is not known to +-{self.target:g}"
                used = f"stopped at {n} of {of} images" if n < of else "all images were used"
                said.append(f"{row.suite}: {used}{unknown}")
                for name, trials in ((self.diff.base, base), (self.diff.new, new)):
                    for score in Scorer(store=store, run="", suite=suite).scores(trials, {}, task.space):
                        said += [f"{name} ({suite.name}): {flag}" for flag in distrust_flags(score.flags)]
                flipped += discordant_of(ComparedTrials(suite=suite, a=new, b=base, people={}))
                rows.append(row)
        said = [*dict.fromkeys(said)]
        return replace(self.diff, changes=(*rows, *self.diff.changes), flipped=(*flipped,), remarks=(*said,))

    def known(self, store: Store, keys: Mapping[Work, Sequence[str]]) -> set[Work]:
        """Return the tasks that need no more images, by the trials under these keys and earlier ones."""
        self.keys.update(keys)
        found = [(task, *self._compared(store, task)[:2]) for task in self.tasks]
        # A run that was interrupted between two looks goes on to the next, as it would have.
        known = [task for task, row, clear in found if clear and is_look(-(-row.comparison.n // CHUNK))]
        return {(name, *task.work[1:]) for task in known for name in (self.diff.base, self.diff.new)}

    @foreign("headlines of", "these suites", PluginError, failed="cannot be computed")
    def _compared(self, store: Store, task: Task) -> tuple[SuiteComparison, bool, Trials, Trials]:
        """Compare new with base on the images that both have answered in every block. The flag: more are not needed."""
        metric, blocks, names = task.suite.headline, task.plan.blocks, (self.diff.new, self.diff.base)
        both = [store.trials(self.keys.get((name, *task.work[1:]), ())) for name in names]
        shown = [trials.coded("stimulus") for trials in both]
        counts = (np.bincount(own.codes, minlength=len(own.words)) for own in shown)
        common = np.intersect1d(*(own.words[n == len(blocks)] for own, n in zip(shown, counts, strict=True)))
        new, base = (t.where(np.isin(own.words, common)[own.codes]) for t, own in zip(both, shown, strict=True))
        row = untested(replace(task.suite, name=task.suite.name.removesuffix(PAIRED)), "no image is answered by both")
        if not len(common):
            return row, False, new, base
        a, b = (per_image(metric, trials) for trials in (new, base))
        low, high = difference_sequence(a - b, level := 1 - RISK / len(self.tasks))
        same = len(a) == len(blocks[0].stimuli) and np.array_equal(a, b) and same_answers(new, base)
        test = Comparison(metric=metric.name, n=len(a), low=low, high=high, same=same, method="confidence sequence")
        test = replace(test, level=level, a=float(a.mean()), b=float(b.mean()), difference=float((a - b).mean()))
        tests = Compared(a=names[0], b=names[1], headlines=(replace(row, comparison=test),), secondary=())
        (row,) = judged(tests, [], self.diff.margin).changes
        clear = row.comparison.verdict not in ("inconclusive", "no change shown") or (high - low) / 2 <= self.target
        return row, clear, new, base


def per_image(metric: Metric, trials: Trials) -> Floats:
    """Return [images] the value of each image in a ratio, by image name. Raise PluginError for values beyond [0, 1], or
    if images differ in their share of the denominator: then the ratio is not a mean over images."""
    num, den, stimulus = ratio_arrays(metric, trials)
    _, image = np.unique(stimulus, return_inverse=True)
    above, below = np.bincount(image, num), np.bincount(image, den)
    if below.min() <= 0 or not np.allclose(below, below[0]) or not ((above >= 0) & (above <= below)).all():
        raise PluginError(f"metric '{metric.name}' is not a mean over images of values in [0, 1]")
    return np.asarray(above / below)
