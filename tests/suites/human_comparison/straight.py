"""Agreement of two who were right or wrong on the same images, in a straight line; a, b: [n] of 0 and 1."""

import numpy as np


def kappa(a, b):
    same, p, q = np.mean(a == b), np.mean(a), np.mean(b)
    chance = p * q + (1 - p) * (1 - q)
    return 1.0 if same == 1 else (same - chance) / (1 - chance)


MEASURES = {
    "error_consistency": kappa,
    "observed_consistency": lambda a, b: np.mean(a == b),
    "accuracy_difference": lambda a, b: (np.mean(a) - np.mean(b)) ** 2,
}
