"""What a report of a big leaderboard weighs and costs: 200 observers under five suites, with everybody's answers.

Baselines: the 5 MB that a report without thumbnails may have, and `bench export --scores`, which reads the same scores
and writes them as CSV. Report and export are fresh processes; CPU time is user + system.

    python benchmarks/report.py [--observers 200] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from board import CATEGORIES, bench, timed
from ratios import need_packages, ratio

from benchmark.contracts import Observer, Score, Stimuli, Suite
from benchmark.plugins import find_suites
from benchmark.store import Chunk, Observation, ScoreSet, Store, open_store
from benchmark.transforms.listing import own_list

SPACE, LIMIT = "geirhos16", 5e6
SUITES = ("cue-conflict", "human-comparison", "corruption", "adversarial", "saliency")
TRAINING = ("standard", "stylised", "adversarial(l2,1)", "contrastive")
LINES = ("resnet50", "vgg16", "vit_b_16", "alexnet", "convnext_tiny", "densenet121", "swin_t")
#: role -> images that everybody answers one by one.
ANSWERED = {"cue-conflict": 1280, "edges": 160, "silhouettes": 160}


def leaderboard(path: Path, observers: int) -> None:
    """Invented networks and ten people under five suites, at `path`."""
    rng = np.random.default_rng(0)
    suites = find_suites().suites
    with open_store(str(path)) as store:
        versions = dict.fromkeys(("gestaltbench", "torch", "torchvision", "timm"), "1.2.3")
        environment = {"device": "cpu", "packages": versions}
        run = store.begin_run("bench run --models all --suite all --db results.db", environment)
        sets = {role: _stimuli(store, role, n) for role, n in ANSWERED.items()}
        for number in range(observers):
            person = number >= observers - 10
            name = f"subject-{number:03d}" if person else f"{LINES[number % 7]}-{number:03d}"
            tags = [] if person else [TRAINING[number % 4]]
            card = {"training": tags, "arch": f"timm:{name}", "parameters": 10**6 + number}
            kind = "human" if person else "network"
            observer = store.put_observer(Observer(name, kind, name, {} if person else card))
            skill = float(rng.uniform(0.3, 0.9))
            for role, stimuli in sets.items():
                _answers(store, run, observer, role, stimuli, skill, rng)
            for suite in SUITES[:2] if person else SUITES:
                made = _score_set(observer, suites[suite])
                store.put_scores(run, made, list(_scores(suites[suite], skill, rng)))
        store.end_run(run, "done")


def _stimuli(store: Store, role: str, n: int) -> Stimuli:
    ids = tuple(f"{CATEGORIES[i % 16]}{i:04d}-{CATEGORIES[(i // 16) % 16]}.png" for i in range(n))
    category = np.array([CATEGORIES[i % 16] for i in range(n)])
    labels = {"category": category}
    if role == "cue-conflict":
        labels |= {"shape": category, "texture": np.roll(category, 1)}
    made = Stimuli(role, f"synthetic-{role}", SPACE, ids, ids, labels, _no_image)
    store.put_stimuli(made)
    return made


def _no_image(index: int) -> np.ndarray:
    raise LookupError(f"image {index} of a synthetic leaderboard")


def _answers(
    store: Store,
    run: int,
    observer: int,
    role: str,
    stimuli: Stimuli,
    skill: float,
    rng: np.random.Generator,
) -> None:
    n, key = len(stimuli), f"{observer}-{role}"
    names = ("cue-conflict", 1, SPACE, stimuli.digest, role, "", "whole", "")
    policy = {"device": "cpu", "precision": "fp32", "compile": False, "seed": 0}
    store.put_observation(run, Observation(key, observer, *names, n, {"policy": policy}))
    guess = rng.choice(CATEGORIES, n)
    said = np.where(rng.random(n) < skill, stimuli.labels["category"], guess)
    ordered = sorted(CATEGORIES)
    chances = rng.random((n, 16)).astype(np.float32)
    chances[np.arange(n), np.searchsorted(ordered, said)] += 1
    chances /= chances.sum(axis=1, keepdims=True)
    columns = {"response": said.astype(str), "probability": chances}
    store.put_chunks(run, [Chunk(key, 0, 0, columns)])


def _score_set(observer: int, suite: Suite) -> ScoreSet:
    roles = sorted({metric.role for metric in suite.metrics if metric.role} or {"natural"})
    stimuli = {role: f"synthetic-{role}" for role in roles}
    keys = (f"{observer}-cue-conflict",)
    return ScoreSet(observer, suite.name, suite.version, SPACE, "synthetic", stimuli, keys)


def _scores(suite: Suite, skill: float, rng: np.random.Generator) -> Iterator[Score]:
    """Every metric over all conditions, and the single conditions that a whole run leaves."""
    known = {metric.name: metric for metric in suite.metrics}
    for metric, condition in [(name, "") for name in known] + list(_conditions(suite.name)):
        if metric in known:
            value = float(np.clip(skill + rng.normal(0, 0.1), 0.01, 0.99))
            low, high = max(0.0, value - 0.04), min(1.0, value + 0.04)
            n = 80 if condition else 1280
            role = known[metric].role
            yield Score(metric, value, "", low, high, 0.95, "wilson", n, 0, condition, role)


def _conditions(suite: str) -> Iterator[tuple[str, str]]:
    if suite == "cue-conflict":
        yield from (("shape_bias", name) for name in CATEGORIES)
    elif suite == "corruption":
        names = list(own_list("imagenet-c"))
        yield from (("corruption_accuracy", f"{n}/{at}") for n in names for at in range(1, 6))
    elif suite == "adversarial":
        sizes = (0.25, 0.5, 1, 2, 3, 4, 8)
        yield from (("robust_accuracy", f"linf {size}/255") for size in sizes)
        yield from (("robust_accuracy", f"l2 {size}") for size in sizes)
    elif suite == "human-comparison":
        for entry in own_list("human").values():
            metric = f"{entry.name.replace('-', '_')}_accuracy"
            names = [entry.condition(level).rpartition("/")[2] for level in entry.levels]
            yield from ((metric, name) for name in dict.fromkeys(names))


def weights(folder: Path) -> Counter[str]:
    """Bytes by part of the report, thumbnails and galleries apart."""
    found: Counter[str] = Counter()
    for file in folder.rglob("*"):
        part = file.relative_to(folder).parts[0]
        if file.is_file() and part not in ("thumbnails", "gallery"):
            found[part] += file.stat().st_size
    return found


def main() -> None:
    """Make the leaderboard, report it, print the ratios and what is heavy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observers", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="keep leaderboard and report in this folder")
    options = parser.parse_args()
    need_packages("vl_convert", "jinja2")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        db, out = folder / "results.db", folder / "report"
        if not db.exists():
            leaderboard(db, options.observers)
        cpu, wall, _ = timed(bench("report", "--db", str(db), "--out", str(out)), str(folder))
        csv = folder / "scores.csv"
        base, *_ = timed(bench("export", "--scores", "--db", str(db), "-o", str(csv)), str(folder))
        parts = weights(out)
        ratio("report_bytes", parts.total() / LIMIT, "5 MB, thumbnails apart")
        ratio("report_cpu", cpu / base, "bench export --scores of the same leaderboard")
        print(f"{parts.total() / 1e6:.2f} MB, {cpu:.1f} s CPU, {wall:.1f} s wall")
        for part, size in parts.most_common(8):
            print(f"  {part}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
