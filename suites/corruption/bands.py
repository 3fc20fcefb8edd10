"""Critical-band masking: the channel of spatial frequencies that recognition needs (Subramanian et al. 2023).

Definition, numbers and deviations: docs/suites/frequencies.md."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import inf, log, sqrt

import numpy as np

from benchmark.contracts import Array, Block, Metric, Plan, Score, Shelf, Suite, SuiteFigure, Trials
from benchmark.stats import ratio_score
from benchmark.stats.intervals import Floats, percentiles, t_quantile
from benchmark.stats.ratios import correct, share
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.roles import HELD_OUT, ROLE, natural_images
from benchmark.transforms.listing import own_list, transform
from suites.corruption.config import WORLD, CorruptionConfig
from suites.corruption.observe import observe
from suites.corruption.plan import CROPS, WORLD_IMAGES

UNMASKED = "unmasked/0"
BANDS = tuple(name for name in own_list("bands") if name.startswith("band-"))
LEVELS = (0.02, 0.04, 0.08, 0.16)
LOWEST = 1.75  # cycles per image: the centre of band 0; each following is an octave higher
#: Images of 64 px have no higher bands.
WORLD_BANDS = 5
RESAMPLES, SEED = 300, 0
#: With thresholds of fewer bands the width is a guess.
FEW = 3
#: Fourteen people (the authors' analysis of their data): mean and standard deviation over people.
PEOPLE = {"channel_width": (1.43, 0.54), "channel_centre": (39.13, 2.98)}
PERSONS = 14
#: Where a channel is looked for: centres in octaves from band 0, deviations in octaves.
CENTRES, SPREADS = np.arange(-2, 8.01, 0.1), np.geomspace(0.2, 8, 60)


def plan(_config: CorruptionConfig, shelf: Shelf) -> Plan:
    """The images without noise and in noise of each band; of ImageNet those of the 16 categories' classes."""
    missing: dict[str, str] = {}
    stimuli, bands = natural_images(shelf, missing), BANDS
    if shelf.space == "imagenet1k":
        from registry.labels import geirhos_groups, label_space

        classes = label_space("imagenet1k").classes
        wanted = {classes[i] for group in geirhos_groups().values() for i in group}
        category = stimuli.labels["category"].tolist()
        names = [name for name, label in zip(stimuli.ids, category, strict=True) if label in wanted]
        stimuli = restrict(stimuli, names) if names else stimuli
    world = shelf.space == WORLD  # whose networks were never shown grey images, and fail on low contrast alone
    if world:
        stimuli, bands = restrict(stimuli, stimuli.ids[:WORLD_IMAGES]), BANDS[:WORLD_BANDS]
    entries, how = own_list("bands"), "whole" if world else CROPS["bilinear"]
    blocks = [
        Block(stimuli, entries[name].condition(level), transform(entries[name], level, whole=world), how, ROLE)
        for name in ("unmasked", *bands)
        for level in entries[name].levels
    ]
    return Plan(tuple(blocks), missing)


def thresholds(unmasked: Floats, accuracy: Floats) -> Floats:
    """[b, bands]: by how many octaves less noise than .16 halves the accuracy; 0: not even that, 4: any. Between two
    levels the accuracy is taken to fall straight with the logarithm of the noise. unmasked: [b]; accuracy: [b, bands,
    levels], from the weakest noise."""
    half, count = unmasked[:, None] / 2, accuracy.shape[2]
    # No noise stands one octave below the weakest, and so ends the ladder.
    whole = np.concatenate([np.broadcast_to(2 * half[..., None], (*accuracy.shape[:2], 1)), accuracy], axis=2)
    under = whole <= half[..., None]
    fall = np.maximum(under.argmax(axis=2), 1)  # the first level that halves it
    near, far = (np.take_along_axis(whole, at[..., None], 2)[..., 0] for at in (fall - 1, fall))
    part = np.divide(near - half, near - far, out=np.zeros_like(near), where=near > far)
    return np.where(under.any(axis=2), count - fall + 1 - part, 0.0)


def channel(fallen: Floats, octaves: Floats) -> tuple[Floats, Floats, Floats]:
    """([b] width at half height in octaves, [b] centre in cycles per image, [b] peak sensitivity 2 ** (height - 4)) of
    the Gaussian over octaves that comes nearest to the thresholds [b, bands]: least squares over a grid of centres and
    spreads, the height at most 4. NaN where all thresholds are 0. octaves: [bands], from band 0."""
    centre, spread = (x.reshape(1, -1) for x in np.meshgrid(CENTRES, SPREADS, indexing="ij"))
    near = _nearest(fallen, octaves, centre, spread)
    across, along = (x.reshape(1, -1) for x in np.meshgrid(*2 * [np.linspace(-0.1, 0.1, 21)], indexing="ij"))
    centre, spread, height = _nearest(fallen, octaves, near[0] + across, near[1] * np.exp(along))
    top = np.where(fallen.max(axis=1) > 0, height[:, 0], np.nan)
    width, middle = 2 * sqrt(log(4)) * spread[:, 0], LOWEST * 2 ** centre[:, 0]
    seen = np.where(np.isnan(top), np.nan, 1.0)
    return width * seen, middle * seen, 2 ** (top - len(LEVELS))


def _nearest(fallen: Floats, octaves: Floats, centre: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
    """Of the Gaussians [b or 1, grid] the one that comes nearest to each row of thresholds: centre, spread and height,
    each [b, 1]."""
    bells = np.exp(-((octaves - centre[..., None]) ** 2) / (2 * spread[..., None] ** 2))
    power, overlap = (bells**2).sum(axis=2), (bells @ fallen[..., None])[..., 0]
    height = np.clip(overlap / power, 0, len(LEVELS))
    best = np.argmin(height**2 * power - 2 * height * overlap, axis=1)[:, None]
    places = [np.take_along_axis(np.broadcast_to(grid, height.shape), best, 1) for grid in (centre, spread, height)]
    return places[0], places[1], places[2]


def _right(trials: Trials) -> Array:
    """Answers among the 16 categories where they are kept, else the space's own."""
    sixteen = trials.columns.get("right16")
    if sixteen is not None and np.isin(sixteen, (0, 1)).any():
        return np.asarray(sixteen == 1)
    return correct(trials)


def score(_config: CorruptionConfig, trials: Trials) -> Sequence[Score]:
    """The channel with intervals over images, then every band's threshold and every condition's accuracy."""
    conditions = trials.coded("condition").used if len(trials) else []
    if UNMASKED not in conditions:
        return [Score(metric.name, None, "no trials without noise", role=ROLE) for metric in METRICS]
    flags, named = ("training images",) if HELD_OUT in trials.missing else (), {x.name: x for x in METRICS}
    scores = [*_channel(trials, conditions)]
    for cell in conditions:
        metric = named["unmasked_accuracy" if cell == UNMASKED else "masked_accuracy"]
        whole = ratio_score(metric, trials.where(trials["condition"] == cell))
        scores.append(replace(whole, condition="" if cell == UNMASKED else cell))
    for name, (mean, deviation) in PEOPLE.items():
        half = t_quantile(0.95, PERSONS - 1) * deviation / sqrt(PERSONS)
        row = Score(name, mean, "", mean - half, mean + half, method=f"t ({PERSONS} people)", n=PERSONS)
        scores.append(replace(row, condition="people"))
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
        yield from (Score(name, None, reason, n=n) for name in CHANNEL)
        return
    weights = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    shares = np.vstack([np.ones(n), weights]) @ table / n
    fallen = thresholds(shares[:, 0], shares[:, 1:].reshape(len(shares), len(bands), len(LEVELS)))
    fitted = channel(fallen, np.array([float(band.removeprefix("band-")) for band in bands]))
    draws = [(Score(name, None, n=n), values) for name, values in zip(CHANNEL, fitted, strict=True)]
    by_band = zip(bands, LEVELS[-1] / 2**fallen.T, strict=True)
    for blank, values in [*draws, *((Score("threshold", None, n=n, condition=band), of) for band, of in by_band)]:
        value = float(values[0])
        if np.isnan(value):
            yield replace(blank, reason="noise of no band halves the accuracy")
            continue
        low, high = percentiles(values[1:], blank.level)
        how, few = f"bootstrap ({RESAMPLES} resamples, by image)", int((fallen[0] > 0).sum())
        flags = (f"noise of {few} bands alone halves the accuracy",) if few < FEW and not blank.condition else ()
        yield replace(blank, value=value, low=min(low, value), high=max(high, value), method=how, flags=flags)


def _unmasked(trials: Trials) -> tuple[Array, Array]:
    plain = trials["condition"] == UNMASKED
    return _right(trials) & plain, plain


_FIT = "of the Gaussian over log frequency fitted to the noise that halves accuracy in each octave"
CHANNEL = ("channel_width", "channel_centre", "peak_sensitivity")
_plain = partial(Metric, role=ROLE, direction="none", span=(0.0, inf))
_share = partial(Metric, role=ROLE)
METRICS = (
    _plain(CHANNEL[0], "width, octaves", f"width at half height {_FIT}", headline=True),
    _plain(CHANNEL[1], "centre, c/image", f"centre, cycles per image, {_FIT}"),
    _plain(CHANNEL[2], "peak sensitivity", f"2 ** (height - 4) {_FIT}; 1: any noise halves it"),
    _share("unmasked_accuracy", "unmasked", "right answers without noise (grey, low contrast)", ratio=_unmasked),
    _plain("threshold", "threshold", "standard deviation of the noise that halves accuracy, by band", shown=False),
    _share("masked_accuracy", "masked", "right answers in noise, by band and level", ratio=share(_right), shown=False),
)

BANDS_SUITE = Suite(
    name="corruption:critical-bands",
    version=1,
    summary="Critical-band masking: centre and width of the spatial-frequency channel (Subramanian et al. 2023)",
    needs="logits",  # an ideal observer reads labels, which no noise covers
    metrics=METRICS,
    plan=plan,
    observe=observe,
    score=score,
    config=CorruptionConfig(source="bands", corruptions=("all",)),
    spaces=("imagenet1k", "geirhos16", "world16"),
    references={"people": "14 people (Subramanian et al. 2023)"},
    figures=(
        SuiteFigure(
            "curve",
            "critical-bands",
            "Noise that halves accuracy",
            "Standard deviation of the noise of one octave; band 0: 1.75 cycles per image, the next 3.5, and so on.",
            metrics=("threshold",),
            conditions="band-(?P<band>.)",
            along="band",
            axes=("band", "noise"),
            source="After Subramanian et al. (2023).",
        ),
    ),
)
