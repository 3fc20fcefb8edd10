"""Toy stimuli, suites and cards, and runs of them through the real engine and store."""

from dataclasses import replace

import numpy as np
import torch

from benchmark.api import Silent
from benchmark.contracts import Block, Metric, Plan, Policy, Score, Stimuli, Suite
from benchmark.engine import run
from benchmark.engine.plan import Task
from benchmark.store import open_store
from benchmark.variables import read_settings
from registry.cards import ModelCard, Preprocess
from registry.files import digest_data
from registry.labels import label_space

torch.set_num_threads(1)
CLASSES = label_space("world16").classes
HALF = Preprocess(size=32, resize=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Pictures:
    """decode(i): a random image of its own for every number; counts and remembers what is alive."""

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
    """The answer, all probabilities, and the seed."""
    return {"response": view.responses, "probability": view.probabilities, "seed": view.seeds.astype(np.float64)}


def toy_score(_config, trials):
    """Accuracy by a plain sum, without any interval."""
    right = trials["response"] == trials["category"]
    return [Score("accuracy", float(right.mean()), n=len(trials), role="toys")]


def toy_suite(stimuli, name="toy", **changes):
    """A suite of one block."""
    blocks = (
        stimuli if isinstance(stimuli, tuple) else (Block(stimuli, presentation="whole", role="toys"),)
    )  # fmt: skip
    made = Suite(
        name=name,
        version=1,
        summary="answers to toys",
        needs="decisions",
        metrics=(Metric("accuracy", "accuracy", "share of right answers", headline=True),),
        plan=lambda _config, _shelf: Plan(blocks),
        observe=toy_observe,
        score=toy_score,
        spaces=("world16",),
    )
    return replace(made, **changes)


def network(name, kind, **kwargs):
    """A card for one of `engine_nets`."""
    return ModelCard(
        name=name,
        source="python",
        arch=f"python:engine_nets:{kind}",
        labels="world16",
        preprocess=HALF,
        options={"kwargs": kwargs},
    )


def ideal(arch="shape-reader", name="reader"):
    """A card for an ideal observer."""
    return ModelCard(name=name, source="ideal", arch=arch, labels="any")


class Bench:
    """One leaderboard and what was run into it."""

    def __init__(self, folder):
        self.settings = read_settings(str(folder / "toy.db"))

    def run(self, cards, suites, batch=8, seed=0, device="cpu", reporter=None, **policy):
        """Run every card under every suite; policy: fields of `Policy`."""
        tasks = [Task(card, suite, "world16", suite.plan(None, None)) for card in cards for suite in suites]
        options = run.RunOptions(device, Policy(device, seed=seed, **policy), batch)
        with open_store(self.settings.db) as store:
            return run.execute(tasks, store, self.settings, options, reporter or Silent())

    def trials(self, name, suite="toy"):
        """Stored trials as a dictionary of columns."""
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
        """Stored outcomes."""
        with open_store(self.settings.db, write=False) as store:
            return store.outcomes(**which)


def same_trials(first, second):
    """Same answers; probabilities within float noise."""
    assert first.keys() == second.keys()
    for column, values in first.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, second[column], rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(values, second[column])
