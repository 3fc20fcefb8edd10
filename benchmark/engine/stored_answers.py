"""Whether a network still gives its stored answers, which an environment variable, a patch or another version of a
library may change: a seeded sample of their images is answered again before they are served or continued."""

from collections.abc import Mapping
from math import ceil

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, Suite, View
from benchmark.engine.devices import ROUNDING, TunedModel, working_threads
from benchmark.engine.inference import InferenceLoop, LoadedObserver
from benchmark.engine.tasks import Task, chunk_index
from benchmark.failures import FAILURES
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
