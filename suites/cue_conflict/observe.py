"""The stored columns of each answer."""

from collections.abc import Mapping

from benchmark.contracts import Array, View


def observe(_config: None, view: View) -> Mapping[str, Array]:
    """Return the answer [n] and the probability of every category [n, 16]."""
    return {"response": view.responses, "probability": view.probabilities}
