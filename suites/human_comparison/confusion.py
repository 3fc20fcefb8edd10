"""Which answers are given, right or wrong: response shares and their entropy.

Geirhos et al. 2018 (NeurIPS, arXiv:1808.08750), section 4 and figure 4: under strong noise networks fall back on
one category while people keep guessing among all of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array
from benchmark.stimuli.catalogue import GEIRHOS16, NO_ANSWER


@dataclass(frozen=True)
class Shares:
    """Answers by category. counts [16]; total: answers that name a category; na: trials without an answer."""

    counts: NDArray[np.int64]
    na: int

    @property
    def total(self) -> int:
        """Answers without "na"."""
        return int(self.counts.sum())

    @property
    def largest(self) -> tuple[str, float] | None:
        """The most frequent answer (ties: the first by name) and its share; None without answers."""
        if not self.total:
            return None
        at = int(self.counts.argmax())
        return GEIRHOS16[at], float(self.counts[at] / self.total)

    @property
    def entropy(self) -> float | None:
        """Entropy of the answers in bits, 0 to 4; None without answers."""
        if not self.total:
            return None
        p = self.counts[self.counts > 0] / self.total
        return max(0.0, -float((p * np.log2(p)).sum()))


def response_shares(responses: Array) -> Shares:
    """The answers [n], text, by category."""
    counts = np.array([int((responses == category).sum()) for category in GEIRHOS16])
    return Shares(counts, int((responses == NO_ANSWER).sum()))
