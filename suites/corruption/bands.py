"""Critical bands: spatial frequencies that recognition needs (Subramanian et al. 2023; docs/suites/frequencies.md)."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import log, pi, sqrt

import numpy as np

from benchmark.contracts import Array, Block, Plan, Score, Shelf, Trials
from benchmark.contracts.declarations import declared_suite
from benchmark.failures import MissingStimuli
from benchmark.stats import ratio_score
from benchmark.stats.intervals import Floats, percentiles, t_quantile
from benchmark.stats.ratios import correct, share, under
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.roles import ROLE, natural_images, stand_in_flags
from benchmark.transforms.listing import own_list, transform
from suites.corruption.config import WORLD, CorruptionConfig
from suites.corruption.observe import observe
from suites.corruption.plan import CROPS, WORLD_IMAGES, of_classes

UNMASKED = "unmasked/0"
BANDS = tuple(name for name in own_list("bands") if name.startswith("band-"))
LEVELS = (0.02, 0.04, 0.08, 0.16)
LOWEST = 1.75  # cycles per image: the centre of band 0; each following is an octave higher
WORLD_BANDS = 5  # images of 64 px have no higher bands
RESAMPLES, SEED = 300, 0
#: What a threshold beyond the noise shown is.
TOO_STRONG = f"<= {LEVELS[0]:g}: the weakest noise shown halves the accuracy"
TOO_WEAK = f">= {LEVELS[-1]:g}: the strongest noise shown does not halve it"
LEAST_ERROR = 0.05  # octaves: thresholds count as known no better in the fit
FEW = 3  # with thresholds of fewer bands the width is a guess
#: Fourteen people (the authors' analysis of their data): mean and standard deviation over people.
PEOPLE = {"channel_width": (1.43, 0.54), "channel_centre": (39.13, 2.98)}
PERSONS = 14
CHANNEL = ("channel_width", "channel_centre", "peak_sensitivity")
#: Octaves from the strongest noise to the weakest: a threshold beyond is not measured, but bounded.
MOST = float(len(LEVELS) - 1)
#: Where the fit of a channel begins, at each band, and the largest height: noise far below a grey level.
SPREADS, HEIGHTS, HIGHEST, STEPS = (0.6, 1.5, 4.0), (2.0, 5.0), 8.0, 40


def plan(_config: CorruptionConfig, shelf: Shelf) -> Plan:
    """Plan the images without noise and in noise of each band; of ImageNet only the 16 categories' classes."""
    missing: dict[str, str] = {}
    stimuli, bands = natural_images(shelf, missing), BANDS
    if shelf.space == "imagenet1k":
        from registry.labels import geirhos_groups, label_space

        classes = label_space("imagenet1k").classes
        wanted = {classes[i] for group in geirhos_groups().values() for i in group}
        with suppress(MissingStimuli):
            stimuli = of_classes(stimuli, wanted, "the 16 categories")
    world = shelf.space == WORLD  # whose networks were never shown grey images, and fail on low contrast alone
    if world:
        stimuli, bands = restrict(stimuli, stimuli.ids[:WORLD_IMAGES]), BANDS[:WORLD_BANDS]
    entries, how = own_list("bands"), "whole" if world else CROPS["bilinear"]
    block = Block(stimuli=stimuli, presentation=how, role=ROLE)
    shown = ((entries[name], level) for name in ("unmasked", *bands) for level in entries[name].levels)
    blocks = (
        replace(block, condition=entry.condition(level), transform=transform(entry, level, whole=world))
        for entry, level in shown
    )
    return Plan(tuple(blocks), missing)


def thresholds(unmasked: Floats, accuracy: Floats) -> Floats:
    """Return [b, bands]: by how many octaves less noise than .16 halves the accuracy. Between two levels the log odds
    of its share of the unmasked one fall straight with the logarithm of the noise. The ends are bounds: 0, the
    strongest noise does not halve it; MOST: the weakest does. accuracy: [b, bands, levels], weakest first."""
    share = np.clip(accuracy / np.where(unmasked > 0, unmasked, 1.0)[:, None, None], 0.01, 0.99)
    under, odds = share <= 0.5, np.log(share / (1 - share))
    fall = np.maximum(under.argmax(axis=2), 1)  # the first level that halves it
    near, far = (np.take_along_axis(odds, at[..., None], 2)[..., 0] for at in (fall - 1, fall))
    part = np.divide(near, near - far, out=np.zeros_like(near), where=near > far)
    inside = np.where(under.any(axis=2), MOST - fall + 1 - part, 0.0)
    return np.where(under[..., 0], MOST, inside)


def channel(fallen: Floats, octaves: Floats, error: float) -> tuple[Floats, Floats, Floats]:
    """Return ([b] width at half height in octaves, [b] centre in cycles per image, [b] peak sensitivity 2 ** (height -
    4)) of the most likely Gaussian over octaves, given the thresholds [b, bands]. Thresholds have the standard error
    `error` between the ends of the ladder, and are bounds at its ends (Tobin 1958, Econometrica 26:24). NaN if no
    threshold is between the ends. octaves: [bands], from band 0."""
    starts = np.array(np.meshgrid(octaves, np.log(SPREADS), np.log(HEIGHTS), indexing="ij")).reshape(3, -1).T
    first = np.repeat(fallen[:1], len(starts), axis=0)
    shapes, loss = _most_likely(first, octaves, error, starts)
    shapes, _ = _most_likely(fallen, octaves, error, np.repeat(shapes[[loss.argmin()]], len(fallen), axis=0))
    seen = np.where(((fallen > 0) & (fallen < MOST)).any(axis=1), 1.0, np.nan)
    centre, spread, height = shapes.T * seen
    return 2 * sqrt(log(4)) * np.exp(spread), LOWEST * 2**centre, 2 ** (np.exp(height) - len(LEVELS))


def _most_likely(fallen: Floats, octaves: Floats, error: float, shape: Floats) -> tuple[Floats, Floats]:
    """Return ([b, 3] centre, log spread, log height by damped Fisher scoring, [b] negative log-likelihood there)."""
    from scipy.special import log_ndtr

    least = np.array([-2, log(0.2), log(0.1)])
    most = np.array([8, log(8), log(HIGHEST)])
    way = (fallen >= MOST) * 1.0 - (fallen <= 0)  # at least MOST, at most 0, or 0: as it is

    def at(shape: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        away = octaves - shape[:, :1]
        scaled = away * np.exp(-shape[:, 1:2])
        bell = np.exp(shape[:, 2:] - scaled**2 / 2)
        z = np.where(way == 0, bell - fallen, way * (bell - fallen)) / error
        beyond = log_ndtr(z)
        mills = np.exp(-(z**2) / 2 - beyond) / sqrt(2 * pi)
        pull = np.where(way == 0, z, -way * mills)
        bend = np.where(way == 0, 1.0, mills * (mills + z))
        by = np.stack([bell * scaled * np.exp(-shape[:, 1:2]), bell * scaled**2, bell], axis=2) / error
        return np.where(way == 0, z**2 / 2, -beyond).sum(axis=1), pull, bend, by

    damping, eye = np.full((len(shape), 1, 1), 1e-3), np.eye(3)
    loss, pull, bend, by = at(shape)
    for _ in range(STEPS):
        slope, curve = (by.swapaxes(1, 2) @ pull[..., None])[..., 0], by.swapaxes(1, 2) @ (bend[..., None] * by)
        lifted = curve + damping * (1 + np.einsum("bjj->b", curve)[:, None, None]) * eye
        tried = np.clip(shape - np.linalg.solve(lifted, slope[..., None])[..., 0], least, most)
        new = at(tried)
        better = new[0] < loss
        damping = np.clip(np.where(better[:, None, None], damping / 4, damping * 4), 1e-9, 1e9)
        shape, loss, pull, bend, by = (
            np.where(better.reshape(-1, *[1] * (now.ndim - 1)), then, now)
            for then, now in zip((tried, *new), (shape, loss, pull, bend, by), strict=True)
        )
        if not better.any() and damping.min() > 1e6:
            break
    return shape, loss


def _right(trials: Trials) -> Array:
    """Return answers among the 16 categories if they are stored, otherwise those of the label space."""
    sixteen = trials.columns.get("right16")
    if sixteen is not None and np.isin(sixteen, (0, 1)).any():
        return np.asarray(sixteen == 1)
    return correct(trials)


def score(_config: CorruptionConfig, trials: Trials) -> Sequence[Score]:
    """Return every band's threshold, the channel with intervals over images, and every condition's accuracy."""
    conditions = trials.coded("condition").used if len(trials) else []
    if UNMASKED not in conditions:
        metrics = BANDS_SUITE.metrics
        return [Score(metric=own.name, value=None, reason="no trials without noise", role=ROLE) for own in metrics]
    flags = stand_in_flags(trials.missing)
    scores = [*_channel(trials, conditions)]
    for cell in conditions:
        metric = BANDS_SUITE.metric("unmasked_accuracy" if cell == UNMASKED else "masked_accuracy")
        whole = ratio_score(metric, trials.where(trials["condition"] == cell))
        scores.append(replace(whole, condition="" if cell == UNMASKED else cell))
    for name, (mean, deviation) in PEOPLE.items():
        half = t_quantile(0.95, PERSONS - 1) * deviation / sqrt(PERSONS)
        row = Score(metric=name, value=mean, reason="", n=PERSONS, condition="people", method=f"t ({PERSONS} people)")
        scores.append(replace(row, low=mean - half, high=mean + half))
    return [replace(part, role=ROLE, flags=(*flags, *part.flags)) for part in scores]


def _channel(trials: Trials, conditions: Collection[str]) -> Iterator[Score]:
    bands = [band for band in BANDS if {f"{band}/{level}" for level in LEVELS} <= {*conditions}]
    names, row = np.unique(trials["stimulus"], return_inverse=True)
    table, n = np.zeros((len(names), 1 + len(bands) * len(LEVELS))), len(names)
    for column, cell in enumerate([UNMASKED, *(f"{band}/{level}" for band in bands for level in LEVELS)]):
        here = trials["condition"] == cell
        table[row[here], column] = _right(trials)[here]
    if not bands or not table[:, 0].any():
        reason = "no image is answered rightly without noise" if bands else "no band was shown at every level"
        yield from (Score(metric=name, value=None, reason=reason, n=n) for name in CHANNEL)
        return
    weights = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    shares = np.vstack([np.ones(n), weights]) @ table / n
    fallen = thresholds(shares[:, 0], shares[:, 1:].reshape(len(shares), len(bands), len(LEVELS)))
    for band, of in zip(bands, fallen.T, strict=True):
        blank = Score(metric="threshold", value=None, n=n, condition=band)
        if of[0] in (0, MOST):
            yield replace(blank, reason=TOO_STRONG if of[0] else TOO_WEAK)
        else:
            yield _spread(blank, LEVELS[-1] / 2**of, of)
    matter, beyond = int((fallen[0] > 0).sum()), int((fallen[0] == MOST).sum())
    inside = fallen[:, (fallen[0] > 0) & (fallen[0] < MOST)]
    if not inside.size:
        reason = (
            f"threshold {TOO_STRONG}, in every band that matters" if matter else "noise of no band halves the accuracy"
        )
        yield from (Score(metric=name, value=None, reason=reason, n=n) for name in CHANNEL)
        return
    error = max(LEAST_ERROR, float(np.sqrt(inside[1:].var(axis=0).mean())))
    few = (f"noise of {matter} bands alone halves the accuracy",) if matter < FEW else ()
    censored = (f"threshold {TOO_STRONG}, in {beyond} bands: the fit takes them as bounds",) if beyond else ()
    octaves = np.array([float(band.removeprefix("band-")) for band in bands])
    for name, values in zip(CHANNEL, channel(fallen, octaves, error), strict=True):
        yield _spread(Score(metric=name, value=None, n=n, flags=(*few, *censored)), values)


def _spread(blank: Score, values: Floats, fallen: Floats | None = None) -> Score:
    """Return the first value with the percentiles of the others; no interval where one ends beyond the noise shown."""
    value, method = float(values[0]), f"bootstrap ({RESAMPLES} resamples, by image)"
    low, high = percentiles(values[1:], blank.level)
    if fallen is not None and not all(0 < end < MOST for end in percentiles(fallen[1:], blank.level)):
        return replace(blank, value=value, flags=("interval open at the ends of the levels shown",))
    return replace(blank, value=value, low=min(low, value), high=max(high, value), method=method)


BANDS_SUITE = declared_suite(
    "suites.corruption", "bands", {"unmasked_accuracy": under(UNMASKED, _right), "masked_accuracy": share(_right)},
    plan=plan, observe=observe, score=score, config=CorruptionConfig(source="bands", corruptions=("all",)),
)  # fmt: skip
