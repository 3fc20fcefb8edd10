"""Measure from stored trials whether confidence matches correctness, on clean and on corrupted images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf, log

import numpy as np

from benchmark.contracts import Array, Metric, Score, Trials
from benchmark.contracts.declarations import filled, package_data
from benchmark.contracts.trials import alike
from benchmark.stats.confidence import FEWEST, Estimate, calibration_error, pooled_estimate, selective_accuracy
from benchmark.stats.intervals import wilson
from benchmark.stimuli.roles import ROLE
from suites.corruption.cells import CellTable

COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
LEAST = 2.0**-149  # the least probability above 0 that float32 holds: what 0 counts as
MOST_NATS = -log(LEAST)
#: Confidence was not always kept: such trials have no numbers but the likelihood's.
NOT_KEPT = (
    "no confidence of its answers is stored: people, published networks and others that only decide have none, and "
    "trials of older versions lack it (a run into a leaderboard of its own, --db, makes them again)"
)


def certainty(probabilities: Array, truth: Array) -> dict[str, Array]:
    """Return columns [n]: confidence, the probability of the answer; brier, the sum over categories of the squared
    difference between probability [n, categories] and truth [n] (-1: absent, NaN; Brier 1950)."""
    own = probabilities[np.arange(len(truth)), np.maximum(truth, 0)].astype(float)
    brier = np.square(probabilities, dtype=float).sum(axis=1) - 2 * own + 1
    confidence = probabilities.max(axis=1, initial=0)
    return {"confidence": confidence.astype(np.float32), "brier": np.where(truth < 0, np.nan, brier).astype(np.float32)}


def calibration_metrics(role: str, where: str = "mean over corrupted cells") -> tuple[Metric, ...]:
    """Return the metrics on a role, and beside them those on the images as they are."""
    return tuple(
        Metric(
            name=prefix + name,
            role=on,
            shown=False,
            **{"direction": "lower", **filled(own, prefix=prefix.replace("_", " "), where=where)},
        )
        for prefix, where, on in (("", where, role), ("clean_", "images as they are", ROLE))
        for name, own in package_data("suites.corruption", "calibration").items()
    )


def calibration(table: CellTable) -> Iterator[Score]:
    """Yield all scores of one observer: over the corrupted cells, each counting alike, and on the clean images."""
    right = table.hits["right"][table.row, table.column]
    at, clean = table.columns(table.impaired), [0] if table.clean else []
    for prefix, columns, flags in (("", at, table.flags_of(table.impaired)), ("clean_", clean, table.flags)):
        places = [np.flatnonzero(table.column == column) for column in columns]
        if places:
            yield from _scores(prefix, _columns(table.trials, table.row, right), places, flags)


def set_calibration(trials: Trials, role: str, flags: tuple[str, ...]) -> Iterator[Score]:
    """Yield the same of a set of other pictures and of the photographs, as far as they were shown."""
    for prefix, own, more in (("", role, flags), ("clean_", ROLE, ())):
        part = trials.of(own)
        if len(part):
            right = alike(part.coded("response"), part.coded("category"))
            columns = _columns(part, part.coded("stimulus").codes, right)
            yield from (replace(row, role=own) for row in _scores(prefix, columns, [np.arange(len(part))], more))


def _columns(trials: Trials, images: Array, right: Array) -> list[Array]:
    """Return images, right answers, confidence, Brier loss and likelihood in nats, [n] each, NaN where unknown."""
    bare = bool(np.isin(trials.columns.get("confidence", np.nan), (0, 1)).all())  # decisions, stored as certain
    kept, blank = {} if bare else trials.columns, np.full(len(trials), np.nan)
    names = "confidence", "brier", "probability"
    confidence, brier, own = (np.asarray(kept.get(name, blank), dtype=float) for name in names)
    return [images, right, confidence, brier, -np.log(np.where(own < LEAST, LEAST, own))]


def _scores(prefix: str, columns: Sequence[Array], places: Sequence[Array], flags: tuple[str, ...]) -> Iterator[Score]:
    everything, right, confidence, brier, nats = ([values[place] for place in places] for values in columns)

    def score(name: str, parts: Sequence[Estimate], images: Sequence[Array], most: float, condition: str = "") -> Score:
        value, low, high = pooled_estimate(parts, images, (0.0, most))
        more = (*flags, *([] if low is not None else ["one image: no interval"]))
        n, left = sum(map(len, images)), sum(map(len, everything)) - sum(map(len, images))
        blank = Score(metric=prefix + name, value=value, n=n, excluded=left, condition=condition, flags=more)
        return replace(blank, low=low, high=high, method="t, over images")

    for name, losses, most in (("nll", nats, inf), ("brier", brier, 2.0)):
        known = [(at[~np.isnan(loss)], loss[~np.isnan(loss)]) for at, loss in zip(everything, losses, strict=True)]
        if not all(len(images) for images, _ in known):
            yield Score(metric=prefix + name, value=None, reason=NOT_KEPT)
            continue
        means = [Estimate(value=float(x.mean()), influence=(x - x.mean()) / len(x)) for _, x in known]
        row = score(name, means, [images for images, _ in known], most)
        floor = sum(int((part >= MOST_NATS * (1 - 1e-6)).sum()) for part in losses) if name == "nll" else 0
        note = f"{floor} probabilities of 0 count as {MOST_NATS:.0f} nats"
        yield replace(row, flags=(*row.flags, note)) if floor else row
    selective, whole = "selective_accuracy", len(np.unique(np.concatenate(everything)))
    if any(np.isnan(part).any() for part in confidence):
        yield from (Score(metric=prefix + name, value=None, reason=NOT_KEPT) for name in ("ece", selective))
        return
    errors = [calibration_error(*pair) for pair in zip(confidence, right, strict=True)]
    row = score("ece", errors, everything, 1.0)
    note = f"of a calibrated network it would be {np.mean([part.calibrated for part in errors]):.3f}"
    row = replace(row, flags=(*row.flags, note))
    if row.high is not None and len(np.unique(np.concatenate(right))) == 1:  # no spread is seen in all right
        row = replace(row, high=min(1.0, max(row.high, float(row.value or 0) + 1 - wilson(whole, whole)[0])))
    yield row
    if min(map(len, everything)) < FEWEST:
        yield Score(metric=prefix + selective, value=None, reason=f"needs {FEWEST} images under each condition")
        return
    curves = [selective_accuracy(*pair, COVERAGES) for pair in zip(confidence, right, strict=True)]
    parts = (zip(*((point.value, point.influence) for point in curve), strict=True) for curve in curves)
    means = [Estimate(value=float(np.mean(v)), influence=np.mean(influence, axis=0)) for v, influence in parts]
    yield exact_share(score(selective, means, everything, 1.0), whole // 2)
    for at, coverage in enumerate(COVERAGES):
        row = score(selective, [curve[at] for curve in curves], everything, 1.0, f"most confident {coverage:g}")
        yield exact_share(row, int(coverage * whole))


def exact_share(row: Score, images: int) -> Score:
    """Return a share of 0 or 1 of so many images with Wilson's interval: it shows no spread of its own."""
    if row.low is None or row.value not in (0.0, 1.0):
        return row
    low, high = wilson(images if row.value else 0, images)
    return replace(row, low=low, high=high, method="wilson (by image)")
