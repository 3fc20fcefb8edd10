"""What a run's precision changes: a sample of its images is answered in float32 as well."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from benchmark.contracts import Trials
from benchmark.contracts.trials import stacked_tables
from benchmark.engine.devices import full_precision
from benchmark.engine.inference import InferenceLoop, Job
from benchmark.engine.reporters import Silent
from benchmark.engine.scoring import AGAINST, BEYOND
from benchmark.engine.tasks import chunk_index
from benchmark.failures import ModelFailure
from benchmark.stats import compare_ratio
from benchmark.store import Store
from registry.files import digest_data

#: Images of a suite that are answered again, and of one that takes gradients, at least; the share of a long set. Of
#: 2,048 equal answers the interval of a share is within 0.002.
IMAGES, GRADIENTS, SHARE = 2048, 1, 0.02
WITHIN = 0.002  # is how far a headline may move: `BEYOND` says otherwise


def precision_remark(store: Store, loop: InferenceLoop, jobs: Sequence[Job], precision: str) -> str:
    """Answer a sample of images in float32, and return a line on how many decisions agree and how much each headline
    moves. jobs: of one observer and suite, with the chunks that are stored. Raises ModelFailure if it fails there."""
    suite, quiet = jobs[0].suite, replace(loop, reporter=Silent())
    alone = replace(jobs[0].loaded, failures={})
    least = GRADIENTS if suite.needs == "gradients" else IMAGES
    some = [replace(job, loaded=alone, chunks=part) for job, part in _sampled(jobs, least)]
    with full_precision(torch.device(loop.device).type):
        again = [answer for _, _, answers in quiet.show(some) for answer in answers]
    if failed := alone.failure or next(iter(alone.failures.values()), ""):
        raise ModelFailure(failed)
    pairs = list[tuple[Mapping[str, Any], Mapping[str, Any]]]()  # columns of the stored trials, and in float32
    for job in some:
        answers = sorted((answer for answer in again if answer.key == job.key), key=attrgetter("index"))
        columns, trials = stacked_tables([answer.columns for answer in answers]), store.trials((job.key,))
        shown = np.concatenate([chunk_index(job.block.stimuli, answer.index) for answer in answers])
        place = {job.block.stimuli.ids[i]: row for row, i in enumerate(shown.tolist())}
        trials = trials.where(np.isin(trials["stimulus"], [*place]))
        rows = [place[name] for name in trials["stimulus"].tolist()]
        pairs.append((trials.columns, {**trials.columns, **{name: values[rows] for name, values in columns.items()}}))
    ours, exact = (Trials(columns=stacked_tables(side)) for side in zip(*pairs, strict=True))
    agreeing = np.asarray(ours["response"] == exact["response"], dtype=bool) if "response" in ours.columns else None
    same = "" if agreeing is None else f", {100 * agreeing.mean():.2f} % of decisions agree"
    # A shard of a run may have no trials of a headline.
    moved = []
    for metric in (metric for metric in suite.metrics if metric.headline and len(metric.own(ours))):
        found = compare_ratio(metric, ours, exact)
        if found.difference is None or found.low is None or found.high is None:
            moved.append(f"{metric.title} cannot be compared ({found.reason}), {BEYOND}")
            continue
        beyond = "" if found.low >= -WITHIN and found.high <= WITHIN else f", {BEYOND}"
        moved.append(f"{metric.title} moves by {found.difference:+.4f} [{found.low:.4f}, {found.high:.4f}]{beyond}")
    return f"{precision} {AGAINST} on {len(ours):,} trials{same}; {'; '.join(moved) or 'no headline is among them'}"


def _sampled(jobs: Sequence[Job], least: int) -> list[tuple[Job, frozenset[int]]]:
    """Choose chunks at random, always the same: one of each role, and more until they have `least` images and the share
    of all."""
    cells = [(job, chunk) for job in jobs for chunk in sorted(job.chunks)]
    sizes = [len(chunk_index(job.block.stimuli, chunk)) for job, chunk in cells]
    random = np.random.default_rng(int(digest_data([job.key for job in jobs])[:16], 16))
    drawn = random.permutation(len(cells)).tolist()
    firsts = [*{cells[i][0].block.role: i for i in drawn[::-1]}.values()]
    order = [*firsts, *(i for i in drawn if i not in firsts)]
    count = int(np.searchsorted(np.cumsum(np.array(sizes)[order]), max(least, SHARE * sum(sizes)))) + 1
    chosen = [cells[i] for i in sorted(order[: max(count, len(firsts))])]
    return [(job, frozenset(c for other, c in chosen if other is job)) for job in dict.fromkeys(j for j, _ in chosen)]
