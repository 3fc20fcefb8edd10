"""Toy stimuli, suites and cards, and runs of them through the real engine and store."""

from dataclasses import replace

import numpy as np
import torch

from benchmark.api import Silent
from benchmark.contracts import Block, Metric, Plan, Policy, Score, Stimuli, Suite
from benchmark.engine import run
from benchmark.engine.tasks import Task
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard, Preprocess
from registry.files import WeightSources, digest_data
from registry.labels import label_space
from registry.loading import load_network

torch.set_num_threads(1)
CLASSES = label_space("world16").classes
HALF = Preprocess(size=32, resize=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Pictures:
    """decode(i): a random image of its own for every number; `decoded` has which."""

    def __init__(self, side=32, numbers=None):
        self.side, self.numbers, self.decoded = side, numbers, []

    def __call__(self, index):
        self.decoded.append(index)
        number = index if self.numbers is None else self.numbers[index]
        random = np.random.default_rng(number)
        return random.integers(0, 256, (self.side, self.side, 3)).astype(np.uint8)


def make_stimuli(n=40, name="toys", numbers=None, side=32):
    """n random pictures labelled as cue conflicts of the built-in world's categories."""
    numbers = list(range(n)) if numbers is None else list(numbers)
    shape = np.array([CLASSES[i % 16] for i in numbers])
    texture = np.array([CLASSES[(i * 7 + 3) % 16] for i in numbers])
    items = tuple(digest_data(["picture", side, i]) for i in numbers)
    return Stimuli(
        name=name,
        digest=digest_data([name, items]),
        space="world16",
        ids=tuple(f"picture-{i:05d}.png" for i in numbers),
        items=items,
        labels={"category": shape, "shape": shape, "texture": texture},
        decode=Pictures(side, numbers),
        whole=len(numbers),
    )


def toy_observe(_config, view):
    return {"response": view.responses, "probability": view.probabilities, "seed": view.seeds.astype(np.float64)}


def toy_score(_config, trials):
    """Accuracy by a plain sum, without any interval."""
    right = trials["response"] == trials["category"]
    return [Score(metric="accuracy", value=float(right.mean()), n=len(trials), role="toys")]


def toy_suite(stimuli, name="toy", **changes):
    blocks = stimuli if isinstance(stimuli, tuple) else (Block(stimuli=stimuli, presentation="whole", role="toys"),)
    suite = Suite(
        name=name, version=1, summary="answers to toys", needs="decisions", spaces=("world16",),
        metrics=(Metric(name="accuracy", title="accuracy", definition="share of right answers", headline=True),),
        plan=lambda _config, _shelf: Plan(blocks), observe=toy_observe, score=toy_score,
    )  # fmt: skip
    return replace(suite, **changes)


def network(name, kind, **kwargs):
    arch = f"python:engine_nets:{kind}"
    how = {"labels": "world16", "preprocess": HALF, "options": {"kwargs": kwargs}}
    return ModelCard(name=name, source="python", arch=arch, **how)


def ideal(arch="shape-reader", name="reader"):
    return ModelCard(name=name, source="ideal", arch=arch, labels="any")


def noted(name):
    return lambda told, *words: told.events.append((name, *words))


class Told(Silent):
    """Remembers what it is told, in order: (method, its words)."""

    tuning, expect, work, advance, done, note = map(noted, ("tuning", "expect", "work", "advance", "done", "note"))

    def __init__(self):
        self.events = []

    def notes(self):
        return [words[0] for method, *words in self.events if method == "note"]


class Bench:
    """One leaderboard and what was run into it."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = read_settings(str(folder / "toy.db"))

    def run(self, cards, suites, batch=8, seed=0, device="cpu", reporter=None, **policy):
        """Run every card under every suite; policy: fields of `Policy`."""
        tasks = [
            Task(card=card, suite=suite, space="world16", plan=suite.plan(None, None))
            for card in cards
            for suite in suites
        ]
        options = run.RunOptions(device=device, policy=Policy(device=device, seed=seed, **policy), batch=batch)
        with open_store(self.settings.db) as store:
            return run.execute_tasks(tasks, store, self.settings, options, reporter or Silent())

    def trials(self, name, suite="toy"):
        with open_store(self.settings.db, write=False) as store:
            found = store.observations(observer=name, suite=suite)
            table = store.trials(tuple(o.key for o in found))
        order = np.argsort(table["stimulus"], kind="stable")
        return {column: values[order] for column, values in table.columns.items()}

    def scores(self, name, suite="toy"):
        """(metric, role, condition) -> value."""
        with open_store(self.settings.db, write=False) as store:
            rows = store.latest_scores(suite=suite, observers=[name])
        return {(r.metric, r.role, r.condition): r.value for r in rows}

    def outcomes(self, **which):
        with open_store(self.settings.db, write=False) as store:
            return store.outcomes(**which)


def content(db):
    """Every trial's columns as bytes, and every score."""
    with open_store(str(db), write=False) as store:
        assert store.problems() == []
        trials = {
            (row.observer_name, row.key, name): repr(values.tolist())  # NaN is NaN
            for row in store.observations()
            for name, values in store.trials((row.key,)).columns.items()
        }
        scores = {
            (row.observer, row.suite, row.space, row.metric, row.role, row.condition): (
                row.value, row.low, row.high, row.n, row.reason, row.flags
            )
            for row in store.latest_scores()
        }  # fmt: skip
    return trials, scores


def plain_answers(card, stimuli, home):
    """Answers by a loop of its own: one image at a time, mean and std 0.5."""
    module, names = load_network(card, WeightSources(weights_folder=home)).module, []
    for i in range(len(stimuli)):
        image = torch.from_numpy(stimuli.decode(i)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            names.append(CLASSES[int(module((image - 0.5) / 0.5).argmax())])
    return names


def same_trials(first, second):
    """Same answers; probabilities within float noise."""
    assert first.keys() == second.keys()
    for column, values in first.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, second[column], rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(values, second[column])
