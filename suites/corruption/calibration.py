"""Whether confidence fits correctness, on images as they are and under corruption: from stored trials alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from benchmark.contracts import Array, Metric, Score, SuiteFigure
from benchmark.stats.calibration import (
    FEWEST,
    Estimate,
    calibration_error,
    mean_estimate,
    mean_loss,
    pooled,
    selective_accuracy,
)
from benchmark.stats.intervals import wilson
from suites.corruption.cells import CellTable

COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
#: Negative logarithm of the least probability that float32 holds: what a probability of 0 counts as.
MOST_NATS = 149 * float(np.log(2))
#: Confidence was not always kept: such trials have no numbers but the likelihood's.
NOT_KEPT = (
    "no confidence of its answers is stored: people and published networks only decide, and trials of older versions "
    "lack it (a run into a leaderboard of its own, --db, makes them again)"
)


def certainty(probabilities: Array, truth: Array) -> Mapping[str, Array]:
    """Columns [n]: confidence, the probability of the answer; brier, the sum over categories of the squared difference
    between probability and truth (Brier 1950), NaN where the truth is none of the categories.

    probabilities: [n, categories]; truth: [n] places among them, -1 for none."""
    own = probabilities[np.arange(len(truth)), np.maximum(truth, 0)].astype(float)
    brier = np.square(probabilities, dtype=float).sum(axis=1) - 2 * own + 1
    confidence = probabilities.max(axis=1, initial=0)
    return {"confidence": confidence.astype(np.float32), "brier": np.where(truth < 0, np.nan, brier).astype(np.float32)}


def _metrics() -> Iterator[Metric]:
    for prefix, title, where in (("", "", "mean over corrupted cells"), ("clean_", "clean ", "images as they are")):
        losses = (
            (
                "ece",
                "ECE",
                "expected calibration error of the answer's probability, 15 bins of equal mass, debiased",
                1.0,
            ),
            ("nll", "NLL", "negative log-likelihood of the image's category, nats", inf),
            ("brier", "Brier", "sum over categories of (probability - truth) squared", 2.0),
        )
        for name, short, text, most in losses:
            yield Metric(
                prefix + name, title + short, f"{text}; {where}", direction="lower", shown=False, span=(0.0, most)
            )
        text = "accuracy on the most confident tenth, two tenths, ... of the images, mean over the ten"
        yield Metric(
            f"{prefix}selective_accuracy", f"{title}selective", f"{text}; {where}", shown=False, span=(0.0, 1.0)
        )


CALIBRATION = tuple(_metrics())
SELECTIVE = SuiteFigure(
    "curve",
    "corruption-selective",
    "Accuracy on what is answered with confidence",
    "Accuracy on the most confident share of the images under corruption, mean over cells.",
    metrics=("selective_accuracy",),
    conditions="most confident (?P<share>[.0-9]+)",
    along="share",
    axes=("share of the images", "accuracy"),
    source="Geifman and El-Yaniv 2017",
)


@dataclass(frozen=True)
class _Cells:
    """The trials of some cells, cell by cell: each a list of arrays [n]. nats: NaN where the truth is no category."""

    images: list[Array]
    right: list[Array]
    confidence: list[Array]
    brier: list[Array]
    nats: list[Array]

    @classmethod
    def of(cls, table: CellTable, columns: Sequence[int]) -> "_Cells":
        blank = np.full(len(table.trials), np.nan)
        confidence, brier, probability = (
            np.asarray(table.trials.columns.get(name, blank), dtype=float)
            for name in ("confidence", "brier", "probability")
        )
        least = np.exp2(-149.0)
        nats = -np.log(np.maximum(probability, least, where=~np.isnan(probability), out=probability.copy()))
        right = table.hits["right"][table.row, table.column]
        places = [np.flatnonzero(table.column == at) for at in columns]
        each = [[values[place] for place in places] for values in (table.row, right, confidence, brier, nats)]
        return cls(*each)


def calibration(table: CellTable) -> Iterator[Score]:
    """All scores of one observer: over the corrupted cells, each counting alike, and on the clean images."""
    if table.impaired:
        yield from _scores("", _Cells.of(table, table.columns(table.impaired)), table.flags_of(table.impaired))
    if table.clean:
        yield from _scores("clean_", _Cells.of(table, [0]), table.flags)


def _scores(prefix: str, cells: _Cells, flags: tuple[str, ...]) -> Iterator[Score]:
    def score(name: str, parts: Sequence[Estimate], images: Sequence[Array], most: float, condition: str = "") -> Score:
        value, low, high = pooled(parts, images, (0.0, most))
        more = (*flags, *([] if low is not None else ["one image: no interval"]))
        n, left = sum(map(len, images)), sum(map(len, cells.images)) - sum(map(len, images))
        blank = Score(prefix + name, value, n=n, excluded=left, condition=condition, flags=more)
        return replace(blank, low=low, high=high, method="t, over images")

    for name, losses, most in (("nll", cells.nats, inf), ("brier", cells.brier, 2.0)):
        known = [~np.isnan(part) for part in losses]
        if not all(part.any() for part in known):
            yield Score(prefix + name, None, NOT_KEPT)
            continue
        images = [image[part] for image, part in zip(cells.images, known, strict=True)]
        row = score(name, [mean_loss(loss[part]) for loss, part in zip(losses, known, strict=True)], images, most)
        floor = sum(int((part >= MOST_NATS * (1 - 1e-6)).sum()) for part in losses) if name == "nll" else 0
        note = (f"{floor} probabilities of 0 count as {MOST_NATS:.0f} nats",) if floor else ()
        yield replace(row, flags=(*row.flags, *note))
    selective, whole = "selective_accuracy", len(np.unique(np.concatenate(cells.images)))
    if any(np.isnan(part).any() for part in cells.confidence):
        yield from (Score(prefix + name, None, NOT_KEPT) for name in ("ece", selective))
        return
    pairs = list(zip(cells.confidence, cells.right, strict=True))
    row = score("ece", [calibration_error(*pair) for pair in pairs], cells.images, 1.0)
    if row.high is not None and len(np.unique(np.concatenate(cells.right))) == 1:  # no spread is seen in all right
        row = replace(row, high=min(1.0, max(row.high, float(row.value or 0) + 1 - wilson(whole, whole)[0])))
    yield row
    if min(map(len, cells.images)) < FEWEST:
        yield Score(prefix + selective, None, f"needs {FEWEST} images under each condition")
        return
    curves = [selective_accuracy(*pair, COVERAGES) for pair in pairs]
    yield _spread(score(selective, [mean_estimate(curve) for curve in curves], cells.images, 1.0), whole // 2)
    for at, coverage in enumerate(COVERAGES):
        where = f"most confident {coverage:g}"
        row = score(selective, [curve[at] for curve in curves], cells.images, 1.0, where)
        yield _spread(row, int(coverage * whole))


def _spread(row: Score, images: int) -> Score:
    """A share of 0 or 1 of so many images, of which a t interval sees no spread."""
    if row.low is None or row.value not in (0.0, 1.0):
        return row
    low, high = wilson(images if row.value else 0, images)
    return replace(row, low=low, high=high, method="wilson (by image)")
