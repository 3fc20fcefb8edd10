"""Decision margin consistency: does what is a clear case for a network come easily to people?

The correlation (Pearson), over images, between a decision margin (how far the activation of the right category is
above the strongest other one) and the share of people who answer right. As in the toolbox model-vs-human-dmc it is
computed within conditions. Scale and origin of margins do not matter, their kind does: margins of logits and of
probabilities are different measures.

Intervals are about other images before the same people: drawing four people anew would add noise to their share, and
every resample would correlate less than the sample does.
"""

from __future__ import annotations

import zlib

import numpy as np

from benchmark.contracts import Array, Trials
from benchmark.stats.bootstrap import Floats
from suites.human_comparison.bootstrap import Draws, draw_image_weights
from suites.human_comparison.consistency import Table, Tables

MARGIN = "margin"  # a column of trials
NAME = "margin_consistency"


def margin_draws(trials: Trials, tables: Tables, draws: Draws) -> Floats | None:
    """Mean over the kept conditions, [1 + B]; None where margins are not known or a condition has no spread."""
    if MARGIN not in trials.columns:
        return None
    found = []
    for table in tables.tables:
        if table.kept:
            mine = trials.where(trials["condition"] == table.condition)
            margins = _in_order(mine, table)
            one = _condition(tables.role, table, margins, len(draws.people) - 1)
            if not np.isfinite(one[0]):
                return None
            found.append(one)
    return np.mean(found, axis=0) if found else None


def _in_order(trials: Trials, table: Table) -> Array:
    """Margins in the order of the table's images."""
    order = np.argsort(trials["stimulus"])
    at = order[np.searchsorted(trials["stimulus"][order], table.stimuli)]
    return np.asarray(trials[MARGIN][at], dtype=np.float64)


def _condition(role: str, table: Table, margins: Array, resamples: int) -> Floats:
    seed = zlib.crc32(f"{role} {table.condition} margins".encode())
    weights = draw_image_weights(table, resamples, np.random.default_rng(seed))
    share = table.right[:, 1:].mean(axis=1)
    return weighted_correlation(weights, margins[None, :], share[None, :])


def weighted_correlation(weights: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's r of each row, [m, n] each (or [1, n]) -> [m]; NaN where one of the two has no spread."""
    weights = weights / weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True)
    y = y - (weights * y).sum(axis=1, keepdims=True)
    both, xx, yy = ((weights * part).sum(axis=1) for part in (x * y, x * x, y * y))
    found: Floats = np.full(len(both), np.nan)
    np.divide(both, np.sqrt(xx * yy), out=found, where=(xx > 0) & (yy > 0))
    return found
