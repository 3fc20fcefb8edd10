"""Feature reliance: the loss without shape, texture, colour (Burgert et al. 2025; docs/suites/suppression.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Metric, Ratio, Score, Trials, View
from benchmark.contracts.declarations import declared_suite
from benchmark.stats import paired_difference, ratio_score
from benchmark.stats.ratios import correct, fall, share, under
from benchmark.stimuli.roles import stand_in_flags
from benchmark.transforms.listing import own_list
from suites.corruption.cells import CLEAN
from suites.corruption.config import CorruptionConfig
from suites.corruption.observe import observe
from suites.corruption.plan import plan

#: The strength at which cues are compared: the fourth of the six steps at which the paper takes shape and texture away
#: together (cells a side, filter's diameter), and all colour, as in each of its pairs. Eight cells divide 224 px.
MATCHED = {"shape": "patch-shuffle/8", "texture": "bilateral/10", "colour": "grey/1"}
PAIRS = {
    "shape_texture": "bilateral+patch-shuffle/8",
    "shape_colour": "patch-shuffle+grey/8",
    "texture_colour": "bilateral+grey/10",
}
MEASURED = 8  # one image in so many is measured for what a filter takes away: that is the same for every observer
WINDOW, RADIUS = 15, 15
LUMINANCE = (0.2125, 0.7154, 0.0721)
KEPT = ("variance_kept", "power_kept", "gradient_kept")


def observed(config: CorruptionConfig, view: View) -> Mapping[str, Array]:
    """Return the suite's `observe`, with the texture that remains in some images if texture is removed, or NaN."""
    kept = np.full((3, len(view.index)), np.nan, dtype=np.float32)
    name = view.block.condition.partition("/")[0]
    if name != CLEAN and own_list("suppression")[name].family == "texture":
        for row in np.flatnonzero(view.index % MEASURED == 0).tolist():
            whole, shown = view.picture(int(view.index[row])), view.images[row]
            kept[:, row] = left(*(np.tensordot(LUMINANCE, x.cpu().double().numpy(), 1) for x in (whole, shown)))
    return {**observe(config, view), **dict(zip(KEPT, kept, strict=True))}


def left(whole: NDArray[np.float64], shown: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return what remains of a grey image [h, w] (NaN: it had none): mean variance in windows of 15 px, spectral power
    beyond 15 cycles per image, and the correlation of gradients over x and y."""

    def variance(grey: NDArray[np.float64]) -> float:
        side = min(WINDOW, *grey.shape)
        return float(np.lib.stride_tricks.sliding_window_view(grey, (side, side)).var(axis=(-2, -1)).mean())

    def power(grey: NDArray[np.float64]) -> float:
        spectrum = np.abs(np.fft.fftshift(np.fft.fft2(grey))) ** 2
        y, x = (np.arange(side) - side // 2 for side in grey.shape)
        return float(spectrum[np.hypot(y[:, None], x) >= RADIUS].sum() / spectrum.sum())

    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.float64(part(shown)) / np.float64(part(whole)) for part in (variance, power)]
        pairs = zip(np.gradient(whole), np.gradient(shown), strict=True)
        edges = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    variance_left, power_left, gradient = (x if np.isfinite(x) else np.nan for x in (*parts, edges))
    return float(variance_left), float(power_left), float(gradient)


#: Both conditions have the same images, so the difference is taken image by image.
_fall = partial(fall, of=CLEAN)


def _right16(trials: Trials) -> Array:
    return np.asarray(trials.columns.get("right16", np.full(len(trials), -1)) == 1)


def _mean(column: str) -> Ratio:
    def ratio(trials: Trials) -> tuple[Array, Array]:
        values = np.asarray(trials.columns.get(column, np.full(len(trials), np.nan)), dtype=float)
        return np.nan_to_num(values), np.isfinite(values)

    return ratio


def _bounded(score: Score, metric: Metric, images: int) -> Score:
    """Return the score with its interval cut at the metric's bounds."""
    if score.low is None or score.high is None or metric.span is None:
        return score
    low, high, method = score.low, score.high, score.method
    if low == high and score.value is not None:
        low, high = (score.value + side * images / score.n for side in paired_difference(0, 0, images))
        method = "score interval of paired differences"
    return replace(score, low=max(low, metric.span[0]), high=min(high, metric.span[1]), method=method)


def score(_config: CorruptionConfig, trials: Trials) -> Sequence[Score]:
    """Return the reliances over all images, then accuracy and what remains under every condition."""
    flags = stand_in_flags(trials.missing)
    sixteen = len(trials) > 0 and bool((trials.columns.get("right16", np.zeros(1)) == 1).any())
    images = int((trials["condition"] == CLEAN).sum()) if len(trials) else 0
    scores = [
        _bounded(ratio_score(metric, trials, flags=flags), metric, images)
        for metric in SUPPRESSION.metrics
        if metric.ratio is not None and (sixteen or not metric.name.endswith("16"))
    ]
    order = [entry.condition(level) for entry in own_list("suppression").values() for level in entry.levels]
    shown = trials.coded("condition").used if len(trials) else []
    for cell in (name for name in order if name in shown):
        part = trials.where(np.isin(trials["condition"], [cell, CLEAN]))
        own = part.where(part["condition"] == cell)
        by_cell = [("suppressed_accuracy", share(correct), own), ("accuracy_kept", _fall(cell, "", correct), part)]
        by_cell += [("accuracy_kept16", _fall(cell, "", _right16), part)] if sixteen else []
        by_cell += [(name, _mean(name), own) for name in KEPT if _mean(name)(own)[1].any()]
        for name, ratio, of in by_cell:
            metric = replace(SUPPRESSION.metric(name), ratio=ratio)
            scores.append(replace(_bounded(ratio_score(metric, of, flags=flags), metric, images), condition=cell))
    return scores


SUPPRESSION = declared_suite(
    "suites.corruption", "feature_reliance",
    {
        **{f"{name}_reliance": _fall(CLEAN, cell, correct) for name, cell in {**MATCHED, **PAIRS}.items()},
        **{f"{cue}_reliance16": _fall(CLEAN, cell, _right16) for cue, cell in MATCHED.items()},
        "shape_over_texture": _fall(MATCHED["texture"], MATCHED["shape"], correct),
        "clean_accuracy": under(CLEAN, correct),
    },
    plan=plan, observe=observed, score=score,
    config=CorruptionConfig(source="suppression", corruptions=("all",), resize="square"),
)  # fmt: skip
