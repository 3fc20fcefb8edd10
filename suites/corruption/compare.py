"""Mean corruption error against a reference that was measured on the same images, beside the published one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.contracts import Score, Trials
from benchmark.stats.intervals import Floats
from suites.corruption.cells import CellTable, Shares
from suites.corruption.config import CorruptionConfig, Folders
from suites.corruption.definitions import lacking, mean_ce, normalised
from suites.corruption.score import role_of, valued, without


def compare(config: CorruptionConfig | Folders, trials: Trials, references: Mapping[str, Trials]) -> Sequence[Score]:
    """mCE against the first reference, both resampled on the same images; nothing where there is none."""
    if not len(trials) or not references:
        return []
    name, theirs = next(iter(references.items()))
    own, reference, blank = CellTable(trials), CellTable(theirs), Score("", None, role=role_of(config))
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
