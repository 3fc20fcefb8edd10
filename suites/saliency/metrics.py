"""The ratios of the metrics that `metrics.yaml` declares: intervals, paired tests and rescoring derive from them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from benchmark.contracts import Array, Ratio, Trials
from benchmark.contracts.declarations import declared_metrics, package_data
from benchmark.stimuli.image_names import exemplars
from suites.saliency.config import BOARDS, EVIDENCE, LARGEST, NATURAL, PARTNER, RANKED, SMALLEST, columns_of
from suites.saliency.maps.localisation import objects

#: How well people's maps of clicks agree with one another (Fel et al. 2022), by which alignment is divided.
CEILING = 0.65753


def exchange_clusters(trials: Trials) -> Mapping[str, Array]:
    """Return `exemplars`; and the two images that exchanged with one another, which share what pasting them gave."""
    if PARTNER not in trials.columns:
        return exemplars(trials)
    both = np.stack([trials["stimulus"].astype(str), trials[PARTNER].astype(str)])
    named = np.array(["|".join(sorted(pair)) for pair in both.T.tolist()])
    return {**exemplars(trials), "pair": np.where(both[1] == "", "", named)}


def board_roles(trials: Trials) -> tuple[str, ...]:
    """Return the roles with a board: the built-in world's natural images, otherwise all installed roles."""
    present = trials.coded("role").used if len(trials) else []
    roles = tuple(role for role in BOARDS if role in present)
    return roles[:1] if NATURAL in roles else roles


def stored(trials: Trials, column: str) -> Array:
    """Return [n] numbers of a column; NaN if the trials are older than its source (another package's measure)."""
    values = trials.columns.get(column)
    return np.full(len(trials), np.nan) if values is None else values.astype(float)


def reliance(trials: Trials) -> Array:
    """Return [n] (O - P) / (|O| + |P|); 0 if only the background changes the margin. O is the object's contribution to
    the margin of its category, P that of another image's outline at the same position and size (`exchange`)."""
    of_object, _, of_place = (stored(trials, name) for name in EVIDENCE)
    return _share(of_object, of_place)


def split(trials: Trials) -> Array:
    """Return [n] (O - G) / (|O| + |G|): G the background's contribution. It ignores position."""
    of_object, of_ground, _ = (stored(trials, name) for name in EVIDENCE)
    return _share(of_object, of_ground)


def _share(of_object: Array, of_other: Array) -> Array:
    """Return the share; NaN where there was no exchange, or none that moved the network: nothing is stored there."""
    size = np.abs(of_object) + np.abs(of_other)
    share = np.where(np.isfinite(size), 0.0, np.nan)
    return np.asarray(np.divide(of_object - of_other, size, out=share, where=np.isfinite(size) & (size > 0)))


def names_object(trials: Trials) -> Array:
    """Return [n] whether the answer is the object's category."""
    return np.asarray(trials["response"] == objects(trials.columns), dtype=float)


def mean(values: Callable[[Trials], Array], *, masked: bool = True, main: bool = True) -> Ratio:
    """Return the mean of values [n] over the images that count. These have a defined value and (masked) an object that
    covers between 1 % and 95 %; with `main` only the main role counts, if a table holds several."""

    def ratio(trials: Trials) -> tuple[Array, Array]:
        own = values(trials)
        counts = np.isfinite(own)
        if masked:
            area = stored(trials, "area")
            counts = counts & (area >= SMALLEST) & (area <= LARGEST)
        if main:
            counts = counts & (trials["role"] == next(iter(board_roles(trials)), ""))
        return np.where(counts, own, 0.0), counts

    return ratio


def mean_of(column: str, *, masked: bool = True) -> Ratio:
    """Return the mean of a column."""
    return mean(lambda trials: stored(trials, column), masked=masked)


def mean_excess(name: str, *, main: bool = True) -> Ratio:
    """Return the mean of a map's AUC against the own mask less its mean AUC against masks of other categories."""
    own, other = columns_of(name)
    return mean(lambda trials: stored(trials, own) - stored(trials, other), main=main)


HEADLINE = "object_reliance"
EXCHANGED = (HEADLINE, "ranked_reliance", "object_share")  # numbers that hang on the picture that lent its ground, too
_DECLARED = package_data("suites.saliency", "metrics")
_COLUMNS = _DECLARED["columns"]  # metric -> column, or map
RATIOS: Mapping[str, Ratio] = {
    HEADLINE: mean(reliance),
    "ranked_reliance": mean(lambda trials: _share(*(stored(trials, name) for name in RANKED))),  # 0: no rank moves
    "object_accuracy": mean(names_object),
    "object_share": mean(split),
    "target_contrast": mean(lambda trials: stored(trials, "grad_auc") - stored(trials, "texture_auc"), main=False),
    "clickme_alignment": mean(lambda trials: stored(trials, "clickme") / CEILING, masked=False, main=False),
    **{name: mean_of(column) for name, column in _COLUMNS["on_masks"].items()},
    **{name: mean_of(column, masked=False) for name, column in _COLUMNS["on_all"].items()},
    **{name: mean_excess(image_map) for name, image_map in _COLUMNS["excess"].items()},
    # The gradient on the object where the built-in world says which pixels can matter.
    **{f"object_auc_excess_{alpha}": mean_excess("grad", main=False) for alpha in ("alpha0", "alpha1")},
}
METRICS = tuple(
    replace(metric, clusters=exchange_clusters) if metric.name in EXCHANGED else metric
    for metric in declared_metrics(_DECLARED["metrics"], RATIOS, clusters=exemplars)
)
