"""Trials made by hand, and the agreement of two who were right or wrong on the same images, in a straight line."""

import numpy as np

from benchmark.contracts import Trials


def build(right, role="contrast", condition="c50", start=0, **more):
    """Trials of "cat" from a list of 0/1: wrong answers say "dog"."""
    n = len(right)
    columns = {"role": role, "condition": condition, "category": "cat"}
    columns = {name: np.full(n, text) if isinstance(text, str) else np.array(text) for name, text in columns.items()}
    columns["stimulus"] = np.array([f"image{start + i:04d}" for i in range(n)])
    return Trials(columns={**columns, "response": np.where(np.array(right, dtype=bool), "cat", "dog"), **more})


def joined(*parts):
    return Trials(columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns})


def kappa(a, b):
    """a, b: [n] of 0 and 1."""
    same, p, q = np.mean(a == b), np.mean(a), np.mean(b)
    chance = p * q + (1 - p) * (1 - q)
    return 1.0 if same == 1 else (same - chance) / (1 - chance)


MEASURES = {
    "error_consistency": kappa,
    "observed_consistency": lambda a, b: np.mean(a == b),
    "accuracy_difference": lambda a, b: (np.mean(a) - np.mean(b)) ** 2,
}
