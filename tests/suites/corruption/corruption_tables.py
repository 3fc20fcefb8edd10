"""Trial tables made by hand, and the 75 published cells."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.api import RunRequest, Silent, execute, prepare
from benchmark.contracts import Trials
from benchmark.store import open_store
from benchmark.transforms.listing import own_list
from benchmark.variables import read_settings

COMMON = tuple(name for name, entry in own_list("imagenet-c").items() if entry.family != "extra")
CELLS = tuple(f"{name}/{severity}" for name in COMMON for severity in range(1, 6))
WRONG, RIGHT = "n00000001", "n00000002"


def table(cells, *, names=None, wnids=True, missing=None, training=(), top5=None, **columns):
    """Trials of a sweep. cells: condition -> right or wrong [n]; a value of -1: the image was not shown there.

    names: images (None: numbered); wnids: whether the answers are ImageNet's classes; columns: condition -> values."""
    truth, other = (RIGHT, WRONG) if wnids else ("cat", "dog")
    parts = {name: [] for name in ("condition", "stimulus", "response", "top5", *columns)}
    for condition, hits in cells.items():
        hits = np.asarray(hits).astype(int)
        shown = hits >= 0
        images = np.array(names if names is not None else [f"i{i:05d}" for i in range(len(hits))])
        parts["condition"].append(np.full(shown.sum(), condition))
        parts["stimulus"].append(images[shown])
        parts["response"].append(np.where(hits[shown] == 1, truth, other))
        five = hits if top5 is None else np.asarray(top5[condition])
        parts["top5"].append(five[shown].astype(bool))
        for name, values in columns.items():
            parts[name].append(np.asarray(values[condition])[shown])
    joined = {name: np.concatenate(part) for name, part in parts.items()}
    n = len(joined["condition"])
    fixed = {"role": np.full(n, "natural"), "category": np.full(n, truth)}
    return Trials(columns={**fixed, **joined}, missing=missing or {}, training=tuple(training))


def write_images(folder, paths, side=64):
    """Images of one grey each, the n-th of level 10 + n."""
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, side, 3), 10 + number, dtype=np.uint8)).save(folder / path)


def hits(share, n):
    """[n] of which `share` are right, the first ones."""
    count = round(share * n)
    return np.arange(n) < count


def published():
    """model -> condition -> accuracy on 5,000 images."""
    text = (Path(__file__).parent / "robustbench_accuracies.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in text if not line.startswith("#"))
    return {row.pop("model"): {name: float(value) for name, value in row.items()} for row in map(dict, rows)}


def by_name(scores):
    """(metric, condition) -> score; every pair once."""
    found = {(score.metric, score.condition): score for score in scores}
    assert len(found) == len(list(scores))
    return found


def ran(tmp_path, models, suites="corruption", **request):
    """Run into a fresh leaderboard; return the plan, and observer -> scores by metric and condition."""
    settings, found = read_settings(str(tmp_path / "r.db")), {}
    prepared = prepare(RunRequest(models=models, suites=suites, **request), settings)
    assert not execute(prepared, Silent()).failed
    with open_store(settings.db, write=False) as store:
        for row in store.latest_scores():
            found.setdefault(row.observer, {})[row.metric, row.condition] = row
    return prepared, found
