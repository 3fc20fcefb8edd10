"""The stored columns of each answer."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from benchmark.stimuli.experiments import Experiment, probability_of_all


def observe(config: Experiment | None, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and the probability of every category [n, categories]."""
    return {"response": view.responses, "probability": probability_of_all(config, view)}
