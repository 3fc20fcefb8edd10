"""Plans that a run and its workers make alike, each where it is."""

import os
from functools import partial

import engine_toys as toys
import torch
from engine_toys import ideal, make_stimuli, network, toy_suite

from benchmark.api import Silent
from benchmark.contracts import CHUNK, Block, EarlyStop, Policy, Transform
from benchmark.engine import running
from benchmark.engine.planning import Task
from benchmark.engine.workers.device_worker import DeviceWorker
from benchmark.engine.workers.messages import Assignment, Rows, WorkerLost
from benchmark.engine.workers.process import ProcessWorker
from benchmark.store import open_store

CHUNKS = 6


def _tasks(cards, suites):
    return [Task(c, suite, "world16", suite.plan(None, None)) for c in cards for suite in suites]


def darker(images, seeds):
    return images * (0.5 + (torch.from_numpy(seeds.astype("int64")) % 7).view(-1, 1, 1, 1) / 14)


def mixed():
    """Two networks and an ideal observer under two suites, with a transform that draws from the seeds."""
    stimuli = make_stimuli(3 * CHUNK - 40, side=16)
    blocks = (
        Block(stimuli, "plain", role="toys"),
        Block(stimuli, "dark", Transform("dark", {}, darker), role="toys"),
        Block(make_stimuli(30, "few", side=16), "few", role="toys"),
    )
    cards = [network("one", "Normed", seed=1), network("two", "Readout", seed=2), ideal()]
    return _tasks(cards, [toy_suite(blocks), toy_suite(blocks[:1], "second")])


def content_after_two(_config, trials):
    return len(trials) >= 2 * CHUNK


def settling():
    """A suite that needs the first two of six chunks."""
    blocks = (Block(make_stimuli(CHUNKS * CHUNK, side=8), "easy", role="toys"),)
    suite = toy_suite(blocks, stopping=EarlyStop(settled=content_after_two))
    return _tasks([network("settled", "Readout", seed=1)], [suite])


def failing():
    """NaN in one network, code that raises in another, and one that is sound."""
    cards = [network("nan", "Broken"), network("raises", "Raising"), network("fine", "Readout")]
    return _tasks(cards, [toy_suite(make_stimuli(2 * CHUNK, side=8))])


def fickle():
    """A network that is another one each time that it is loaded, and one that is not."""
    cards = [network("fickle", "Fickle"), network("fine", "Readout")]
    return _tasks(cards, [toy_suite(make_stimuli(20))])


def greedy():
    """A network that fits only in batches of three images."""
    return _tasks([network("greedy", "Greedy", most=3)], [toy_suite(make_stimuli(300, side=8))])


def every():
    """All of these at once, each with its own networks."""
    return [*mixed(), *settling(), *failing(), *greedy()]


def dying(flag, times, name="one"):
    """A network whose first `times` passes over images kill their process; a file per death is kept in `flag`."""
    deadly = network(name, "Deadly", flag=str(flag), times=times)
    return _tasks([deadly, network("fine", "Readout")], [toy_suite(make_stimuli(600, side=8))])


def other_stimuli(parent):
    """Other pictures in the workers than in the run itself."""
    n = 20 if os.getpid() == parent else 21
    return _tasks([network("one", "Readout")], [toy_suite(make_stimuli(n))])


def workers(settings, plan, devices=("cpu", "cpu")):
    """Starts of a process for each device: the list of devices is all that is made up."""
    made = (Assignment(device, Policy("cpu"), 1, settings, plan) for device in devices)
    return tuple(partial(ProcessWorker, one) for one in made)


class Inline:
    """A worker in this process. lose: replies after which it is gone, once for each number, over all workers."""

    def __init__(self, assignment, lose=()):
        self.name, self._worker = assignment.device, DeviceWorker(assignment)
        self.ready, self._lose, self.replies = self._worker.ready(), lose, 0

    def submit(self, request):
        for reply in self._worker.serve(request):
            if isinstance(reply, Rows):
                self.replies += 1
                if self._lose and self.replies >= self._lose[0]:
                    self._lose.pop(0)
                    raise WorkerLost(f"the worker on {self.name} is gone")
            yield reply

    def close(self):
        pass


def inline(settings, plan, number=2, lose=()):
    """Starts of workers in this process."""
    made = Assignment("cpu", Policy("cpu"), 1, settings, plan)
    return tuple(partial(Inline, made, lose) for _ in range(number))


def run(bench, plan, starts=(), batch=8, reporter=None):
    """A plan carried out in this process, or by workers."""
    options = running.RunOptions("cpu", Policy("cpu"), batch, workers=tuple(starts))
    with open_store(bench.settings.db) as store:
        return running.execute(plan(), store, bench.settings, options, reporter or Silent())


def twice(folder, plan):
    """The same plan in one process and by workers: (bench, report) of each."""
    made = []
    for name in ("alone", "shared"):
        (folder / name).mkdir()
        bench = toys.Bench(folder / name)
        starts = workers(bench.settings, plan) if name == "shared" else ()
        made.append((bench, run(bench, plan, starts)))
    return made


def content(db):
    """Every trial's columns as bytes, and every score."""
    with open_store(str(db), write=False) as store:
        trials = {
            (row.observer_name, row.suite, row.key, name): values.tobytes()
            for row in store.observations()
            for name, values in store.trials((row.key,)).columns.items()
            if values.dtype.kind != "O"
        }
        scores = {
            (row.observer, row.suite, row.space, row.metric, row.role, row.condition): (
                row.value, row.low, row.high, row.n, row.reason
            )
            for row in store.latest_scores()
        }  # fmt: skip
    return trials, scores


def differing(one, other):
    """What two leaderboards hold otherwise: few short lines, where a comparison of the whole shows thousands."""
    pairs = zip(content(one), content(other), strict=True)
    return [
        (*key, str(mine.get(key))[:40], str(theirs.get(key))[:40])
        for mine, theirs in pairs
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
