"""Images that are answered again: a seeded sample of those with stored answers, before these are served or continued,
because an environment variable, a patch or another version of a library may change a network's answers; and a sample in
float32 beside a run's lower precision."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, Suite, Trials, View
from benchmark.contracts.trials import stacked_tables
from benchmark.engine.devices import ROUNDING, TunedModel, full_precision, working_threads
from benchmark.engine.inference import InferenceLoop, Job, LoadedObserver
from benchmark.engine.reporters import Silent
from benchmark.engine.scoring import AGAINST, BEYOND
from benchmark.engine.tasks import Task, chunk_index
from benchmark.failures import FAILURES, ModelFailure
from benchmark.stats import compare_ratio
from benchmark.store import Store
from registry.determinism_checks import logit_range
from registry.files import digest_data

#: Images of a suite that are shown again, and the share of a long set; images at once, as no batch is tuned yet.
LEAST, SHARE, BATCH = 64, 0.02, 16
#: One image in four may move by ten times what rounding explains: a quantising layer takes another step.
SOME, TIMES = 0.25, 10.0
#: The largest difference of log probabilities that rounding explains.
MOST = 0.5


def changed_answers(
    store: Store, loop: InferenceLoop, task: Task, loaded: LoadedObserver, blocks: Mapping[str, Block], precision: str
) -> tuple[int, int]:
    """Count the images to which the network no longer gives the answer stored under their keys, and the images that it
    was shown again; (0, n) if answers differ only by rounding. A failure is noted on the observer, as in a run."""
    stored = {
        key: np.concatenate([chunk_index(block.stimuli, chunk) for chunk in sorted(chunks)])
        for key, block in blocks.items()
        if (chunks := store.chunks(key))
    }
    if not stored:
        return 0, 0
    # Always the same images for the same chunks.
    owner, whole = np.repeat(np.arange(len(stored)), [*map(len, stored.values())]), np.concatenate([*stored.values()])
    random = np.random.default_rng(int(digest_data([len(owner), *stored])[:16], 16))
    count = min(len(owner), max(LEAST, ceil(SHARE * len(owner))))
    chosen = np.sort(random.choice(len(owner), count, replace=False))
    parts = [np.ones((0, 2), dtype=bool)]
    try:
        for i, key in enumerate(stored):
            if len(index := whole[chosen[owner[chosen] == i]]):
                parts.append(agreement_at(store, loop, task, loaded, (key, blocks[key], index), precision))
    except FAILURES as error:  # the boundary of one observer's work
        loaded.fail(task.suite.name, task.space, error)
        return 0, 0
    rows = np.concatenate(parts)
    strictly, roughly = (~rows).sum(axis=0).tolist()
    return (strictly if roughly or strictly > SOME * len(rows) else 0), len(rows)


def agreement_at(
    store: Store,
    loop: InferenceLoop,
    task: Task,
    loaded: LoadedObserver,
    shown: tuple[str, Block, NDArray[np.int64]],
    precision: str,
) -> NDArray[np.bool_]:
    """Show a network images again, and return [n, 2]: whether it gives its stored answer, strictly and roughly. shown:
    the key of the stored answers, its block, and positions in it [n]."""
    feed, (key, block, index) = loaded.observer, shown
    assert isinstance(feed, TunedModel)
    stored, agreeing = store.answers(key, index), np.zeros((len(index), 2), dtype=bool)
    space = task.space, tuple(task.suite.categories.items())
    with working_threads(feed.tuning.threads):
        for rows, view in loop.views_again(feed, block, space, index, BATCH):
            before = {name: values[rows] for name, values in stored.items()}
            agreeing[rows] |= _agreement(task.suite, before, view, ROUNDING[precision])
            if agreeing.all():
                break
    return agreeing


def _agreement(suite: Suite, before: Mapping[str, Array], view: View, rounding: float) -> NDArray[np.bool_]:
    """Return [n, 2]: whether the answer and the probabilities are those stored `before` except for rounding, and
    except for `TIMES` as much. Suites of gradients compare only answers: other columns cost hundreds of passes."""
    now = {"response": view.responses} if suite.needs == "gradients" else suite.observe(suite.config, view)
    probabilities, n = view.probabilities.astype(np.float64), len(view.index)
    answers = [np.asarray(each.get("response", np.zeros(n))) for each in (before, now)]
    index_of = {name: i for i, name in enumerate(view.categories)}
    chosen = np.array([index_of.get(name, -1) for name in answers[0].tolist()], dtype=np.int64)
    second = np.sort(probabilities, axis=1)[:, -2:][:, 0]  # for an answer that is not a category
    own = np.where(chosen < 0, second, probabilities[np.arange(n), chosen])
    scale, agreeing = logit_range(view.logits).cpu().numpy(), []
    for times in (1.0, TIMES):
        slack = np.minimum(MOST, 2 * times * rounding * scale)
        same = (answers[0] == answers[1]) | (own * np.exp(slack) >= probabilities.max(axis=1))
        for name in before.keys() & now.keys():
            if name.endswith("probability") or name == "confidence":
                a, b = (np.asarray(each[name], dtype=np.float64).reshape(n, -1) for each in (before, now))
                room = np.expm1(slack)[:, None] * np.maximum(a, b) + 1e-4
                same &= ((np.abs(a - b) <= room) | (np.isnan(a) & np.isnan(b))).all(axis=1)
        agreeing.append(same)
    return np.stack(agreeing, axis=1)


#: Images of a suite that are answered again in float32, and of one that takes gradients, at least. Of 2,048 equal
#: answers the interval of a share is within 0.002.
IMAGES, GRADIENTS = 2048, 1
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
    """Choose chunks, always the same: one of each role, and more up to `least` images and the share of all."""
    cells = [(job, chunk) for job in jobs for chunk in sorted(job.chunks)]
    sizes = [len(chunk_index(job.block.stimuli, chunk)) for job, chunk in cells]
    random = np.random.default_rng(int(digest_data([job.key for job in jobs])[:16], 16))
    drawn = random.permutation(len(cells)).tolist()
    firsts = [*{cells[i][0].block.role: i for i in drawn[::-1]}.values()]
    order = [*firsts, *(i for i in drawn if i not in firsts)]
    count = int(np.searchsorted(np.cumsum(np.array(sizes)[order]), max(least, SHARE * sum(sizes)))) + 1
    chosen = [cells[i] for i in sorted(order[: max(count, len(firsts))])]
    return [(job, frozenset(c for other, c in chosen if other is job)) for job in dict.fromkeys(j for j, _ in chosen)]
