"""Frequency cue conflict: low frequencies of one image, high ones of another (docs/suites/frequencies.md)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, Plan, Score, Shelf, Stimuli, Trials, View
from benchmark.contracts.declarations import declared_suite
from benchmark.failures import MissingStimuli
from benchmark.stats import ratio_score
from benchmark.stats.ratios import shape_or_texture
from benchmark.stimuli.image_files import stimuli_of, text_digest
from benchmark.stimuli.roles import natural_images, stand_in_flags
from suites.cue_conflict.shape_bias import fraction

ROLE = "frequency-conflict"
#: Cycles per image at which one image gives way to the other; in the built-in world, of 64 px, an octave lower.
CUTS = (4, 8, 16, 32)
VERSION = 1


def decode_hybrid(index: int, *, source: Stimuli, other: Sequence[int], cycles: float) -> NDArray[np.uint8]:
    """Return an image with another's high frequencies: HWC uint8, 224 px unless both are squares of one size."""
    from benchmark.stimuli.regenerate import cropped
    from benchmark.transforms.frequencies import hybrid

    low, high = (source.decode(i) for i in (index, other[index]))
    if low.shape != high.shape or low.shape[0] != low.shape[1]:
        low, high = cropped(low), cropped(high)
    return hybrid(low, high, cycles)


def hybrids(source: Stimuli, cycles: float) -> Stimuli:
    """Combine each image of a set with the high frequencies of an image of another category. That is the next in the
    order of their digests, so that pairs follow only from the set. Columns are `shape` (= category), the low
    frequencies' category, and `texture`, the high ones'. Raises MissingStimuli if all images have one category."""
    category, n = source.labels["category"].tolist(), len(source)
    if len(set(category)) < 2:
        raise MissingStimuli(f"the images of '{source.name}' are all of one category: no two are in conflict")
    order = sorted(range(n), key=lambda i: text_digest(f"hybrid:{source.items[i]}"))
    other = [0] * n
    for at, i in enumerate(order):
        following = (order[(at + step) % n] for step in range(1, n))
        other[i] = next(j for j in following if category[j] != category[i])
    ids = tuple(f"{PurePath(source.ids[i]).stem}-{PurePath(source.ids[other[i]]).stem}.png" for i in range(n))
    items = tuple(text_digest(f"{source.items[i]}|{source.items[other[i]]}|{cycles}|{VERSION}") for i in range(n))
    low, high = np.array(category), np.array([category[i] for i in other])
    labels = {"category": low, "shape": low, "texture": high}
    return stimuli_of(
        name=f"{source.name} hybrids", space=source.space, ids=ids, items=items, labels=labels,
        decode=partial(decode_hybrid, source=source, other=tuple(other), cycles=cycles), whole=source.whole,
        origin="generated", sampled=source.sampled,
    )  # fmt: skip


def plan(_config: None, shelf: Shelf) -> Plan:
    """Return the hybrids of natural images at every cut."""
    missing: dict[str, str] = {}
    source = natural_images(shelf, missing)
    cuts = [cut / 2 for cut in CUTS] if shelf.space == "world16" else CUTS
    blocks = (
        Block(stimuli=hybrids(source, cut), condition=f"cut/{cut:g}", presentation="whole", role=ROLE) for cut in cuts
    )
    return Plan(tuple(blocks), missing)


def observe(_config: None, view: View) -> Mapping[str, Array]:
    """Return the answer and the probabilities of the two categories, each [n]; NaN of one that the network has not."""
    place = {name: at for at, name in enumerate(view.categories)}
    columns = {"response": np.asarray(view.responses)}
    for name, column in (("low", "shape"), ("high", "texture")):
        at = np.array([place.get(label, -1) for label in view.labels[column].tolist()])
        columns[f"{name}_probability"] = np.where(at < 0, np.nan, view.probabilities[np.arange(len(at)), at])
    return columns


def score(_config: None, trials: Trials) -> Sequence[Score]:
    """Return every metric over all cuts, the bias also at each."""
    flags = stand_in_flags(trials.missing)
    cuts = sorted(trials.coded("condition").used if len(trials) else (), key=lambda cut: float(cut.partition("/")[2]))
    return [
        *(ratio_score(metric, trials, flags=flags) for metric in FREQUENCY.metrics),
        *(ratio_score(FREQUENCY.headline, trials, condition=cut, flags=flags) for cut in cuts),
    ]


_FRACTIONS = {"low_fraction": fraction("shape"), "high_fraction": fraction("texture")}
FREQUENCY = declared_suite(
    "suites.cue_conflict", "frequency", {"low_frequency_bias": shape_or_texture, **_FRACTIONS},
    plan=plan, observe=observe, score=score,
)  # fmt: skip
