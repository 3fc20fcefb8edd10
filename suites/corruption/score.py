"""From stored trials to scores: every cell, then the measures, with intervals over images; and against a reference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.contracts.trials import alike
from benchmark.stats import wilson
from benchmark.stats.intervals import Floats, confidence_sequence, percentiles
from benchmark.stimuli.roles import ROLE
from suites.corruption.calibration import calibration, exact_share
from suites.corruption.cells import FAMILIES, RESAMPLES, SEEN, CellTable, Flags, Shares, What, by_corruption
from suites.corruption.config import WORLD, CorruptionConfig, Sweep, shown_corruptions
from suites.corruption.metrics import RATIOS, lacking, mean_ce, metrics, normalised, over_alexnet

NO_MEAN = "no mean over corruptions of other packages: it would depend on which are installed"
METHOD = f"bootstrap ({RESAMPLES} resamples, by image)"


def score(config: Sweep, trials: Trials) -> Sequence[Score]:
    """Return the scores of one observer."""
    role = ROLE if isinstance(config, CorruptionConfig) else ""  # of one set, or of a set in many folders
    if not len(trials):
        return [Score(metric=metric.name, value=None, reason="no trials", role=role) for metric in metrics()]
    if isinstance(config, CorruptionConfig) and config.source != "plugins":
        # What these trials lack, by the nearer of two label spaces' lists.
        shown = {condition.partition("/")[0] for condition in trials.coded("condition").used}
        lists = (shown_corruptions(config, space) for space in ("", WORLD))
        shorter = min(([name for name in entries if name not in shown] for entries in lists), key=len)
        lacking_then = dict.fromkeys(shorter, "these trials lack it: run it again")
        trials = replace(trials, missing={**lacking_then, **trials.missing})
    table = CellTable(trials)
    scores = [replace(part, role=role) for parts in (_cells, _means, calibration) for part in parts(table)]
    if isinstance(config, CorruptionConfig) and config.source == "plugins":
        own = {cell.corruption for cell in table.cells} | table.absent.keys()
        scores = [part for part in scores if part.metric[:6] == "clean_" or part.condition.partition("/")[0] in own]
        return [Score(metric="corruption_accuracy", value=None, reason=NO_MEAN, role=role), *scores]
    return scores


def settled(config: CorruptionConfig, trials: Trials) -> bool:
    """Return whether a condition's accuracy is known well enough: its confidence sequence for all its images."""
    if config.half_width is None or not len(trials):
        return False
    right = int(alike(trials.coded("response"), trials.coded("category")).sum())
    low, high = confidence_sequence(right, len(trials), size=int(trials["of"].max()))
    return bool((high - low) / 2 <= config.half_width)


def _cells(table: CellTable) -> Iterator[Score]:
    """Yield what is missing; accuracy and top-5 of each cell and of the clean images."""
    for name, reason in table.absent.items():
        yield Score(metric="corruption_accuracy", value=None, reason=reason, condition=name)
    if not table.clean:
        for name in ("clean_accuracy", "clean_top5_accuracy", "relative_robustness"):
            yield Score(metric=name, value=None, reason=table.no_clean)
    if normalised(table):
        gone = lacking(table)
        reason = f"all 15 corruptions x 5 severities at 224 px are needed; missing: {', '.join(gone)}"
        if gone:
            yield Score(metric="mce", value=None, reason=reason)
        if gone or not table.clean:
            yield Score(metric="relative_mce", value=None, reason=reason if gone else table.no_clean)
    what: What
    places = zip((cell.condition for cell in table.impaired), table.columns(table.impaired), strict=True)
    for condition, at in [*places, *([("", 0)] if table.clean else [])]:
        n, of = int(table.n[at]), int(table.of[at])
        flags = (*table.flags, *([SEEN] if condition in table.seen else []))
        for metric, what in (("accuracy", "right"), ("top5_accuracy", "top5")):
            if what == "right" or not condition:
                metric = f"{'corruption' if condition else 'clean'}_{metric}"
            hits = int(table.hits[what][:, at].sum())
            low, high = wilson(hits, n)
            blank, method = Score(metric=metric, value=None, n=n, condition=condition, flags=flags), "wilson"
            if n < of:
                (low, high), method = confidence_sequence(hits, n, size=of), f"confidence sequence for all {of} images"
                blank = replace(blank, flags=(*flags, f"stopped early ({n} of {of})"))
            yield replace(blank, value=hits / n, reason="", low=low, high=high, method=method)


def _means(table: CellTable) -> Iterator[Score]:
    """Yield all means over cells, from one set of resamples."""
    cells, shares = table.impaired, table.shares()
    drawn = table.resampled() if len(table.images) > 1 else None
    known, gone = normalised(table), lacking(table)

    def mean(metric: str, weights: Floats | None = None, condition: str = "", flags: Sequence[str] = ()) -> Score:
        of = RATIOS.get(metric, RATIOS["mce" if metric == "mce_partial" else "corruption_accuracy"])
        weights = of.weights(table) if weights is None else weights
        at = np.flatnonzero(weights[1:]) + 1  # the clean images do not count, unless nothing else does
        among = cells if of.what == "same" else [table.cells[i - 1] for i in at]
        counts = table.counts[of.what][:, at if len(at) else np.flatnonzero(weights)]
        blank = Score(metric=metric, value=None, condition=condition, flags=(*table.flags_of(among), *flags))
        draws = None if drawn is None else of.of(drawn, weights)
        return valued(blank, float(of.of(shares, weights)[0]), draws, counts, share=not (of.errors or of.of_clean))

    yield mean("corruption_accuracy")
    for corruption, part in by_corruption(cells).items():
        yield mean("corruption_accuracy", table.weights(part), corruption)
    yield from (mean(f"{family}_accuracy") for family in FAMILIES if any(cell.family == family for cell in cells))
    unseen = [cell for cell in cells if cell.condition not in table.seen]
    left = len(cells) - len(unseen)
    without_seen = (f"without {left} seen cell{'s' * (left > 1)}",) if left else ()
    yield mean("unseen_accuracy", table.weights(unseen), flags=without_seen)
    if known:  # the CE of each corruption and their mean: mCE if every cell is present, otherwise mCE*
        name = "mce_partial" if gone else "mce"
        parts = by_corruption(known).items()
        yield from (mean(name, over_alexnet(table, part), corruption) for corruption, part in parts)
        missing = without(what for what in gone if what not in table.absent)
        yield mean(name, over_alexnet(table, known), flags=missing)
    sixteen = table.counts["right16"]
    others = {
        "top5_accuracy": True, "mean_error": True, "relative_robustness": table.clean,
        "accuracy16": sixteen[:, table.columns(cells)].any(), "clean_accuracy16": sixteen[:, 0].any(),
        "flip_consistency": table.counts["same"].any(), "relative_mce": known and table.clean and not gone,
    }  # fmt: skip
    yield from (mean(name) for name, defined in others.items() if defined)


def without(names: Iterable[str]) -> tuple[str, ...]:
    """Return the flag that names the parts missing from a mean, if any."""
    listed = ", ".join(names)
    return (f"without {listed}",) if listed else ()


def valued(blank: Score, value: float, draws: Floats | None, counts: Flags, *, share: bool = False) -> Score:
    """Return a score with its value and the percentiles of its resamples. counts: [images, k], which answers count."""
    blank = replace(blank, n=int(counts.sum()))
    if np.isnan(value):
        reasons = {"relative_robustness": "clean accuracy is 0", "unseen_accuracy": "every cell was seen in training"}
        return replace(blank, reason=reasons.get(blank.metric, "no image counts" if counts.shape[1] else "no trials"))
    blank, images = replace(blank, value=value), int(counts.any(axis=1).sum())
    if share and value in (0.0, 1.0):  # resampling sees no spread
        return exact_share(replace(blank, low=value, high=value), images)
    if draws is None or images < 2 or np.isnan(draws).all():
        return replace(blank, flags=(*blank.flags, "one image: no interval"))
    low, high = percentiles(draws, blank.level)
    return replace(blank, low=min(low, value), high=max(high, value), method=METHOD)


def over_reference(config: Sweep, trials: Trials, references: Mapping[str, Trials]) -> Sequence[Score]:
    """Return mCE relative to the first reference, both resampled on the same images; nothing without a reference."""
    if not len(trials) or not references:
        return []
    role, (name, theirs) = ROLE if isinstance(config, CorruptionConfig) else "", next(iter(references.items()))
    own, reference, blank = CellTable(trials), CellTable(theirs), Score(metric="", value=None, role=role)
    cells, metrics = normalised(own), {"mce_measured": False, "relative_mce_measured": True}
    if not cells:
        return []
    known = {cell.condition for cell in reference.cells}
    gone = [cell.condition for cell in cells if cell.condition not in known]
    same = np.array_equal(own.images, reference.images)
    if gone or not same:
        reason = f"{name}: was {f'not measured under {gone[0]}' if same else 'measured on other images'}"
        return [replace(blank, metric=metric, reason=reason) for metric in metrics]
    at, scores = own.columns(cells), []
    data, drawn = (own.shares(), reference.shares()), (own.resampled(), reference.resampled())
    for metric, relative in metrics.items():
        if relative and not (own.clean and reference.clean):
            scores.append(replace(blank, metric=metric, reason=own.no_clean))
            continue

        def errors(table: CellTable, shares: Shares, relative: bool = relative) -> Floats:
            right = shares["right"]
            return (right[:, :1] if relative else 1.0) - right[:, table.columns(cells)]

        value, draws = (mean_ce(errors(own, ours), errors(reference, other), cells) for ours, other in (data, drawn))
        score = replace(blank, metric=metric, flags=(*own.flags_of(cells), f"against {name}", *without(lacking(own))))
        scores.append(valued(score, float(value[0]), draws, own.counts["right"][:, at]))
    return scores
