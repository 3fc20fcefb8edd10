"""The numbers of docs/suites/human-comparison.md, from the published trials, as Markdown.

    python benchmarks/human_claims.py [FOLDER]

FOLDER (default: BENCH_TEST_DATA) holds human-trials/ and published-decisions/. Tables: people with one another;
ResNet-50 trained on ImageNet (IN) against Stylized-ImageNet (SIN), in accuracy and in consistency with people; the
level at which accuracy is one half; answers under uniform noise.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from ratios import needs, ratio

from benchmark.contracts import Trials
from benchmark.stats import adjust, compare_ratio
from benchmark.stats.ratios import correct, share
from benchmark.stimuli.trials import read_trials
from suites.human_comparison import SUITE
from suites.human_comparison.comparing import people
from suites.human_comparison.experiments import BY_ROLE, EXPERIMENTS, SET_ROLES
from suites.human_comparison.metrics import accuracy_name
from suites.human_comparison.pairing import compare_pair
from suites.human_comparison.score import roles_of

IN, SIN = "resnet50", "resnet50-train-60-epochs"
COLUMNS = ("condition", "stimulus", "category", "response")


def by_observer(folder):
    """Observer -> its trials of all experiments."""
    parts = {}
    for file in read_trials(folder):
        if file.experiment in SET_ROLES:
            columns = {name: file.columns[name] for name in COLUMNS}
            columns["role"] = np.full(len(file), SET_ROLES[file.experiment])
            parts.setdefault(file.observer, []).append(columns)
    return {
        who: Trials({name: np.concatenate([part[name] for part in own]) for name in own[0]})
        for who, own in parts.items()
    }


def table(title, columns, rows):
    print(f"\n## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def interval(score, digits=3):
    return f"{score.value:.{digits + 1}f}", f"{score.low:.{digits}f} to {score.high:.{digits}f}"


def difference(test):
    span = f"{test.low:+.3f} to {test.high:+.3f}"
    return f"{test.b:.3f}", f"{test.a:.3f}", f"{test.difference:+.3f}", span, f"{test.p_holm:.2g}"


def distorted(trials):
    """[n] bool: trials of every condition but the undistorted control, which is each experiment's first."""
    shown = np.zeros(len(trials), dtype=bool)
    for role, experiment in BY_ROLE.items():
        control = next(iter(experiment.levels))
        own = trials["role"] == role
        shown |= own & (experiment.single | (trials["condition"] != control))
    return shown


def accuracies(networks):
    """SIN - IN over the distorted conditions of each experiment, and on its control."""
    for title, pick in (("", distorted), (" (control)", lambda trials: ~distorted(trials))):
        tests = []
        for role in roles_of(networks[IN]):
            metric = replace(SUITE.metric(accuracy_name(role)), ratio=share(correct))
            pair = [networks[name].where(pick(networks[name])).of(role) for name in (SIN, IN)]
            if len(pair[0]):
                tests.append(compare_ratio(metric, *pair, condition=role + title))
        yield from ((test.condition, test.n, *difference(test)) for test in adjust(tests))


def thresholds(scores, humans):
    for experiment in (e for e in EXPERIMENTS if e.scale):
        levels = {
            name: score
            for name, own in scores.items()
            for score in own
            if (score.metric, score.role) == ("threshold", experiment.role)
        }
        crowd = [levels[n].value for n in humans if n in levels and levels[n].value is not None]
        spread = f"{np.mean(crowd):.3g} ({min(crowd):.3g} to {max(crowd):.3g})"
        cells = [levels[n].reason or f"{levels[n].value:.3g}" for n in (IN, SIN)]
        yield (experiment.role, experiment.unit, spread, *cells)


def noise(trials, humans):
    scores = {name: SUITE.score(None, own.of("uniform-noise")) for name, own in trials.items()}
    for condition in BY_ROLE["uniform-noise"].levels:
        values = {}
        for name, own in scores.items():
            here = {score.metric: score for score in own if score.condition == condition}
            if "response_entropy" in here:
                share = here["largest_share"]
                values[name] = here["response_entropy"].value, share.value, share.flags[0]
        crowd = np.mean([values[n][:2] for n in humans if n in values], axis=0)
        cells = [f"{values[n][0]:.2f}, {values[n][1]:.2f} ({values[n][2]})" for n in (IN, SIN)]
        yield (condition, f"{crowd[0]:.2f}, {crowd[1]:.2f}", *cells)


def main(folder):
    humans = by_observer(folder / "human-trials")
    networks = by_observer(folder / "published-decisions")
    crowd = people(None, humans)
    shared = [s for s in crowd if s.metric == "error_consistency" and s.role]
    table("People with one another", ("experiment", "kappa", "95 %"), ((s.role, *interval(s)) for s in shared))
    whole = [s for s in crowd if not s.role]
    table("Over all", ("metric", "value", "95 %"), ((s.metric, *interval(s, 4)) for s in whole))
    pair = ("IN", "SIN", "SIN - IN", "95 %", "p (Holm)")
    table("Accuracy", ("experiment", "images", *pair), accuracies(networks))
    tests = [t for t in compare_pair(networks[SIN], networks[IN], humans) if t.metric == "error_consistency"]
    agreement = ((t.condition or "mean of all", *difference(t)) for t in adjust(tests))
    table("Error consistency with people", ("experiment", *pair), agreement)
    everybody = {**humans, **networks}
    scores = {name: SUITE.score(None, own) for name, own in everybody.items()}
    table("Level at one half", ("experiment", "unit", "people", "IN", "SIN"), thresholds(scores, humans))
    table("Answers under uniform noise", ("half-width", "people", "IN", "SIN"), noise(everybody, humans))
    taken = []
    for count in (1, 4):
        start = time.process_time()
        for _ in range(count):
            SUITE.against.scores(None, humans["subject-01"], humans)
        taken.append(time.process_time() - start)
    ratio("human_scoring_of_four", taken[1] / (4 * taken[0]), "four times the first one")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("BENCH_TEST_DATA", "")
    if not given or not all((Path(given) / n).is_dir() for n in ("human-trials", "published-decisions")):
        needs("published trials: FOLDER, or BENCH_TEST_DATA, with human-trials/ and published-decisions/")
    main(Path(given))
