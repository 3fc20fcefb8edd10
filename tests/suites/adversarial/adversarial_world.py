"""Networks of the built-in world, tuned as the engine tunes them, and what the suite says of them."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch

from benchmark.contracts import Block, Trials
from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import TunedModel, feed
from benchmark.engine.model_view import NetworkView
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.world.sets import generated_set
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network
from suites.adversarial import SUITE
from suites.adversarial.attacks.problem import Problem, likely_wrong
from suites.adversarial.config import Threat, linf
from suites.adversarial.trust.report import READINGS

#: The default protocol at few budgets: the same attacks in a third of the time.
BRIEF = replace(SUITE.config, threats=(linf(0.25, 1.0, 4.0), Threat(norm="l2", epsilons=(1.0,))))


class Masked:
    def __init__(self, model, run):
        self._model = model
        self.forward = run

    def __getattr__(self, name):
        return getattr(self._model, name)


@dataclass(frozen=True)
class World:
    """Images of the world with a network on them, shown in batches."""

    feed: TunedModel
    stimuli: object
    pixels: torch.Tensor

    def views(self, batch, run=None, networks=()):
        model = self.feed.model if run is None else Masked(self.feed.model, run)
        shown = TunedModel(model=model, tuning=self.feed.tuning, run=run or self.feed.run)
        grouping = self.feed.model.labels.groupings["world16"]
        block = Block(stimuli=self.stimuli, presentation="card", role="natural", networks=networks)
        for index in torch.arange(len(self.pixels)).split(batch):
            yield NetworkView(
                feed=shown, block=block, index=index.numpy(), pixels=self.pixels[index], grouping=grouping, seed=0
            )

    def trials(self, config=SUITE.config, batch=32, run=None, networks=()):
        parts = [SUITE.observe(config, view) for view in self.views(batch, run, networks)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        n = len(self.pixels)
        columns |= {"role": np.full(n, "natural"), "condition": np.full(n, "")}
        columns |= {"stimulus": np.array(self.stimuli.ids), **self.stimuli.labels}
        return Trials(columns=columns)

    def problem(self, batch=32, *, tuned=True):
        """The images answered rightly. tuned: False for the plain path: gradients laid out as other packages need."""
        run, pixels = (self.feed.run, self.pixels) if tuned else (self.feed.model.forward, self.pixels.contiguous())
        with torch.no_grad():
            z = run(pixels)
        right = z.argmax(1) == self.labels
        y = self.labels[right]
        return toy(run, pixels[right], y, targets=likely_wrong(z[right], y, 9), batch=batch)

    @cached_property
    def usual(self):
        """What the suite says of the network as it is, at few budgets: for reading only."""
        return self.trials(BRIEF)

    @property
    def labels(self):
        place = {name: i for i, name in enumerate(self.feed.model.labels.classes)}
        return torch.tensor([place[name] for name in self.stimuli.labels["category"].tolist()])


@cache
def shown(name, count=32):
    stimuli = subset(generated_set("world-natural"), count)
    stack = np.stack([stimuli.decode(i) for i in range(count)])
    pixels = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255
    model = load_network(builtin_cards()[name], WeightSources(weights_folder=Path("unused")))
    return World(feed(model, Tuning(32), device="cpu"), stimuli, pixels)


def toy(forward, images, labels=None, **more):
    """A problem, of two classes unless targets are given; of the first one where no labels are given."""
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    usual = {"seeds": np.arange(len(images), dtype=np.uint64), "targets": 1 - labels[:, None]}
    return Problem(forward=forward, images=images, labels=labels, **usual | more)


def fallen_trials(n=100, without=(), **columns):
    """Trials of n clean-correct images that fell to cross entropy at 1/255, as nothing needs a flag."""
    true, false = ("clean_correct", "exact_correct", "probed"), ("asked", "not_finite", "bounded", "tied")
    zeros = ("repeat_difference", "company_difference", "alone_difference", "gradient_company")
    numbers = {"loss": 1.0, "margin": -1.0, "gradient_norm": 1.0, "gradient_error": 0.2, "gradient_spread": 0.2}
    numbers |= {"gradient_rise": 0.95, "gradient_scale": 0.9}
    plain = {
        **{name: np.full(n, name in true) for name in (*true, *false, "probabilities")},
        **{name: np.full(n, value) for name, value in (numbers | dict.fromkeys(zeros, 0.0)).items()},
        "otherwise": np.zeros((n, len(READINGS)), dtype=bool),
        "second_opinion": np.zeros((n, 2)),
        "fgsm_broken": np.ones((n, 6), dtype=bool),
    }
    for norm in ("linf", "l2"):
        plain |= {f"{norm}_epsilon": np.full(n, 1 / 255), f"{norm}_margin": np.ones(n)}
        plain[f"{norm}_by"] = np.full(n, "ce", dtype="U40")
    return Trials(columns={name: values for name, values in {**plain, **columns}.items() if name not in without})
