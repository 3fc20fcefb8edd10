"""The numbers of docs/suites/human-comparison.md, from the published trials.

    python benchmarks/human_claims.py [FOLDER]

FOLDER (default: BENCH_TEST_DATA) holds human-trials/ and published-decisions/.
Prints, as Markdown: people with one another, ResNet-50 trained on
ImageNet (IN) against Stylized-ImageNet (SIN) per experiment with paired intervals, consistency with people, and what
scoring costs.
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
from benchmark.stimuli.trials import read_trials
from suites.human_comparison import SUITE
from suites.human_comparison.experiments import BY_ROLE, EXPERIMENTS, SET_ROLES
from suites.human_comparison.metrics import accuracy_name, plain_accuracy
from suites.human_comparison.pairing import compare_pair
from suites.human_comparison.people import people
from suites.human_comparison.score import roles_of

IN, SIN = "resnet50", "resnet50-train-60-epochs"


def by_observer(folder):
    """Observer -> its trials of all experiments."""
    parts = {}
    for file in read_trials(folder):
        if file.experiment in SET_ROLES:
            columns = {
                name: file.columns[name]
                for name in ("condition", "stimulus", "category", "response")
            }
            columns["role"] = np.full(len(file), SET_ROLES[file.experiment])
            parts.setdefault(file.observer, []).append(columns)
    return {
        who: Trials({name: np.concatenate([part[name] for part in found]) for name in found[0]})
        for who, found in parts.items()
    }


def head(title, *columns):
    print(f"\n## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def human_table(humans):
    head("People with one another", "experiment", "people", "error consistency", "95 % interval")
    scores = people(None, humans)
    for score in scores:
        if score.metric == "error_consistency" and score.role:
            count = sum(len(one.of(score.role)) > 0 for one in humans.values())
            print(
                f"| {score.role} | {count} | {score.value:.4f} | {score.low:.3f} to {score.high:.3f} |"
            )
    print("\n| metric | value | 95 % interval |\n|---|---|---|")
    for score in scores:
        if not score.role:
            print(f"| {score.metric} | {score.value:.5f} | {score.low:.5f} to {score.high:.5f} |")


def distorted(trials):
    """[n] bool: trials of every condition but the undistorted control, which is each experiment's first."""
    shown = np.zeros(len(trials), dtype=bool)
    for role, experiment in BY_ROLE.items():
        own = trials["role"] == role
        control = experiment.conditions[0].name
        shown |= own & (experiment.single | (trials["condition"] != control))
    return shown


def accuracy_table(networks):
    """SIN - IN over the distorted conditions of each experiment, and on its control."""
    head(
        "SIN against IN",
        "experiment",
        "images",
        "IN",
        "SIN",
        "SIN - IN",
        "95 % interval",
        "p (Holm)",
    )
    for title, pick in (("", distorted), (" (control)", lambda t: ~distorted(t))):
        found = []
        for role in roles_of(networks[IN]):
            metric = replace(SUITE.metric(accuracy_name(role)), ratio=plain_accuracy)
            mine = [networks[name].where(pick(networks[name])).of(role) for name in (SIN, IN)]
            if len(mine[0]):
                found.append(compare_ratio(metric, *mine, condition=role + title))
        for one in adjust(found):
            print(
                f"| {one.condition} | {one.n} | {one.b:.3f} | {one.a:.3f} | {one.difference:+.3f} | "
                f"{one.low:+.3f} to {one.high:+.3f} | {one.p_holm:.1e} |"
            )


def consistency_table(networks, humans):
    head(
        "Error consistency with people",
        "experiment",
        "IN",
        "SIN",
        "SIN - IN",
        "95 % interval",
        "p (Holm)",
    )
    found = compare_pair(networks[SIN], networks[IN], humans)
    for one in adjust([one for one in found if one.metric == "error_consistency"]):
        print(
            f"| {one.condition or 'mean of all'} | {one.b:.3f} | {one.a:.3f} | {one.difference:+.3f} | "
            f"{one.low:+.3f} to {one.high:+.3f} | {one.p_holm:.2g} |"
        )


def threshold_table(networks, humans):
    head(
        "Level at which accuracy is one half",
        "experiment",
        "unit",
        "people (mean, range)",
        "IN",
        "SIN",
    )
    scored = {name: SUITE.score(None, one) for name, one in {**humans, **networks}.items()}
    for experiment in (e for e in EXPERIMENTS if e.scale):
        found = {
            n: s
            for n, scores in scored.items()
            for s in scores
            if (s.metric, s.role) == ("threshold", experiment.role)
        }
        crowd = [found[n].value for n in humans if n in found and found[n].value is not None]
        cells = [_cell(found[n]) for n in (IN, SIN)]
        print(
            f"| {experiment.role} | {experiment.unit} | {np.mean(crowd):.3g} ({min(crowd):.3g} to "
            f"{max(crowd):.3g}) | {' | '.join(cells)} |"
        )


def _cell(score):
    if score.value is None:
        return score.reason
    return f"{score.value:.3g} [{score.low:.3g}, {score.high:.3g}]{' (poor fit)' if score.flags else ''}"


def noise_table(networks, humans):
    head("Answers under uniform noise", "half-width", "people: entropy, largest share", "IN", "SIN")
    scored = {
        name: SUITE.score(None, one.of("uniform-noise"))
        for name, one in {**humans, **networks}.items()
    }
    for condition in BY_ROLE["uniform-noise"].conditions:
        values = {}
        for name, scores in scored.items():
            here = {s.metric: s for s in scores if s.condition == condition.name}
            if "response_entropy" in here:
                values[name] = (
                    here["response_entropy"].value,
                    here["largest_share"].value,
                    here["largest_share"].flags[0],
                )
        crowd = np.mean([values[n][:2] for n in humans if n in values], axis=0)
        cells = [
            f"{values[n][0]:.2f}, {values[n][1]:.2f} ({values[n][2].removeprefix('largest: ')})"
            for n in (IN, SIN)
        ]
        print(f"| {condition.name} | {crowd[0]:.2f}, {crowd[1]:.2f} | {' | '.join(cells)} |")


def cost(humans):
    """A stand-in network on all seventeen experiments: subject-01 under another name."""
    head(
        "Cost of scoring all seventeen experiments, 1,000 resamples",
        "models",
        "seconds of one core",
    )
    taken = {}
    for models in (1, 2, 4):
        start = time.process_time()
        for _ in range(models):
            SUITE.score(None, humans["subject-01"])
            SUITE.against.scores(None, humans["subject-01"], humans)
        taken[models] = time.process_time() - start
        print(f"| {models} | {taken[models]:.1f} |")
    ratio("human_scoring_of_four", taken[4] / (4 * taken[1]), "four times the first one")


def main(folder):
    humans = by_observer(folder / "human-trials")
    networks = by_observer(folder / "published-decisions")
    human_table(humans)
    accuracy_table(networks)
    consistency_table(networks, humans)
    threshold_table(networks, humans)
    noise_table(networks, humans)
    cost(humans)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("BENCH_TEST_DATA", "")
    if not given or not all(
        (Path(given) / n).is_dir() for n in ("human-trials", "published-decisions")
    ):
        needs(
            "published trials: FOLDER, or BENCH_TEST_DATA, with human-trials/ and published-decisions/"
        )
    main(Path(given))
