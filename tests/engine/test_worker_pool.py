"""The pool by itself, with workers in this process."""

import os
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
import worker_plans as plans
from engine_toys import Bench, make_stimuli, toy_suite

from benchmark.contracts import CHUNK, Block
from benchmark.engine.device import choose_devices
from benchmark.engine.executors import Facts
from benchmark.engine.jobs import Job, Resident
from benchmark.engine.workers import slots
from benchmark.engine.workers.cutting import items
from benchmark.engine.workers.messages import Drop, Hold, Ready, Rows, WorkerLost
from benchmark.engine.workers.pool import IN_FLIGHT, Pool
from benchmark.engine.workers.slots import open_slots
from benchmark.errors import BenchError, ModelFailure
from benchmark.identity import Codes
from benchmark.store import Chunk


def exactly(first, second):
    assert first.keys() == second.keys()
    for column, values in first.items():
        np.testing.assert_array_equal(values, second[column])


def alone_and_shared(folder, plan, **how):
    """The leaderboard of one process, that of workers in this process, and the latter's report."""
    boards = [Bench(folder / name) for name in ("alone", "shared")]
    for name in ("alone", "shared"):
        (folder / name).mkdir()
    plans.run(boards[0], plan)
    report = plans.run(boards[1], plan, plans.inline(boards[1].settings, plan, **how))
    return *boards, report


@pytest.mark.slow
def test_workers_that_are_lost_cost_nothing(tmp_path):
    alone, shared, report = alone_and_shared(tmp_path, plans.mixed, lose=[2, 3, 1, 4])
    assert report.counts == {"done": 6}
    for name in ("one", "two", "reader"):
        exactly(alone.trials(name), shared.trials(name))
        assert alone.scores(name) == shared.scores(name)


@pytest.mark.slow
def test_when_no_worker_starts_any_more_the_run_ends_and_another_goes_on(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr(slots, "RESTARTS", 0)
    starts = plans.inline(bench.settings, plans.mixed, number=1, lose=[3])
    with pytest.raises(BenchError, match="every worker is gone; the last: the worker on cpu"):
        plans.run(bench, plans.mixed, starts)
    assert plans.run(bench, plans.mixed).counts == {"done": 6}


@pytest.mark.slow
def test_one_place_that_is_out_of_order_leaves_its_work_to_the_others(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    monkeypatch.setattr(slots, "RESTARTS", 0)
    good, bad = plans.inline(bench.settings, plans.mixed), [1]
    report = plans.run(bench, plans.mixed, (good[0], partial(good[1].func, *good[1].args[:1], bad)))
    assert report.counts == {"done": 6} and bad == []


@pytest.mark.slow
def test_other_stimuli_in_a_worker_are_an_error_that_says_so(tmp_path):
    bench, parent = Bench(tmp_path), os.getpid()
    mine, theirs = partial(plans.other_stimuli, parent), partial(plans.other_stimuli, 0)
    report = plans.run(bench, mine, plans.inline(bench.settings, theirs))
    assert "other stimuli, weights or code than the run itself" in report.failed["one under toy"]


@pytest.mark.slow
def test_a_checkpoint_that_changes_under_the_run_fails_alone(tmp_path):
    bench = Bench(tmp_path)
    report = plans.run(bench, plans.fickle, plans.inline(bench.settings, plans.fickle))
    assert report.failed == {"fickle under toy": "fickle is not the same network on every worker"}
    assert report.counts == {"failed": 1, "done": 1}


@pytest.mark.slow
def test_a_start_that_fails_is_one_clear_error(tmp_path):
    def start():
        raise WorkerLost("the worker on cuda:1 was killed (SIGKILL)")

    bench = Bench(tmp_path)
    good = plans.inline(bench.settings, plans.mixed, number=1)
    with pytest.raises(BenchError, match=r"the worker on cuda:1 was killed \(SIGKILL\)"):
        plans.run(bench, plans.mixed, (*good, start))


class Told(plans.Silent):
    """Counts what it is told."""

    def __init__(self):
        self.trials, self.passes = Counter(), Counter()

    def advance(self, observer, trials):
        self.trials[observer] += trials

    def work(self, observer, passes):
        self.passes[observer] += passes


@pytest.mark.slow
def test_progress_is_that_of_the_whole_run(tmp_path):
    (tmp_path / "alone").mkdir()
    one, many = Told(), Told()
    alone, bench = Bench(tmp_path / "alone"), Bench(tmp_path)
    plans.run(alone, plans.mixed, reporter=one)
    plans.run(bench, plans.mixed, plans.inline(bench.settings, plans.mixed), reporter=many)
    assert one.trials == many.trials and one.passes == many.passes


def jobs_of(n, blocks, residents, passes=1.0):
    """Jobs of some residents on blocks of one set of n images."""
    stimuli = make_stimuli(n, side=8)
    suite = toy_suite(stimuli, passes=passes)
    shown = [Block(stimuli, f"condition {i}", role="toys") for i in range(blocks)]
    chunks = frozenset(range(-(-n // CHUNK)))
    return [
        Job(one, suite, "world16", block, f"{one.name} {block.condition}", chunks)
        for one in residents
        for block in shown
    ]


@pytest.mark.parametrize(("n", "blocks"), [(5 * CHUNK, 12), (40 * CHUNK, 2), (10, 1)])
def test_items_are_every_chunk_of_every_job_once(n, blocks):
    jobs = jobs_of(n, blocks, [Resident("one", None), Resident("two", None)])
    cut = list(items(jobs, 4, Codes()))
    found = Counter((job.key, chunk) for item in cut for job in item.jobs for chunk in item.chunks)
    assert found == Counter((job.key, chunk) for job in jobs for chunk in job.chunks)
    assert len(cut) >= min(4 * 8, blocks * 2 * -(-n // CHUNK))


@pytest.mark.slow
def test_a_large_set_is_cut_by_its_chunks_so_that_decoding_is_shared():
    jobs = jobs_of(200 * CHUNK, 3, [Resident("one", None)])
    cut = list(items(jobs, 2, Codes()))
    assert {len(item.jobs) for item in cut} == {3}
    assert {len(item.chunks) for item in cut} == {4}


def test_what_shares_a_forward_pass_is_in_one_item():
    stimuli, one = make_stimuli(CHUNK, side=8), Resident("one", None)
    block = Block(stimuli, role="toys")
    suites = [toy_suite(stimuli, name) for name in ("a", "b")]
    jobs = [Job(one, suite, "world16", block, suite.name, frozenset({0})) for suite in suites]
    assert [item.jobs for item in items(jobs, 8, Codes())] == [tuple(jobs)]


def gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_devices_by_name(monkeypatch):
    gpus(monkeypatch, 3)
    assert choose_devices("cuda:all") == ("cuda:0", "cuda:1", "cuda:2")
    assert choose_devices("cuda:0, cuda:2") == ("cuda:0", "cuda:2")
    assert choose_devices("cpu,cpu") == ("cpu", "cpu")
    assert choose_devices("cuda:1") == ("cuda:1",)


@pytest.mark.parametrize(
    ("count", "wanted", "message"),
    [
        (0, "cuda:all", "device 'cuda:all' is not available here (found: cpu"),
        (2, "cuda:7", "device 'cuda:7' is not available here: there is only cuda:0, cuda:1."),
        (2, "cuda:0,cuda:7", "device 'cuda:7' is not available here"),
        (2, "cpu,cuda:0", "the devices of one run are of one kind"),
        (2, "cuda:0,", "device '' is not available here"),
        (2, "cuda:any", "device 'cuda:any' is not available here"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, count, wanted, message):
    gpus(monkeypatch, count)
    with pytest.raises(BenchError) as raised:
        choose_devices(wanted)
    assert message in str(raised.value)


class Eager:
    """A worker that answers as fast as it is let: `made` counts its replies."""

    name, ready = "cpu", Ready({}, 1)

    def __init__(self):
        self.made = 0

    def submit(self, request):
        for order in request.orders:
            for chunk in order.chunks:
                self.made += 1
                columns = {"response": np.array(["cat"])}
                yield Rows(chunk, (Chunk(order.key, chunk, chunk * CHUNK, columns),))

    def close(self):
        pass


def test_workers_wait_for_a_store_that_is_behind():
    jobs, eager = jobs_of(4 * CHUNK, 50, [Resident("one", None)]), Eager()
    pool = Pool(open_slots([lambda: eager]), plans.Silent(), Codes(), lambda job: job.failed)
    answers = pool.show(jobs)
    next(answers)
    while (
        eager.made < IN_FLIGHT + 2
    ):  # one is stored, as many wait, and one more is in the worker's hands
        pass
    assert eager.made == IN_FLIGHT + 2
    found = Counter((row.key, row.index) for made in answers for row in made.rows)
    assert sum(found.values()) == eager.made - 1 == 199 and set(found.values()) == {1}
    pool.close()


class Doomed(Eager):
    """A worker that dies as soon as it is asked for anything."""

    def submit(self, request):
        raise WorkerLost("the worker on cpu is gone")
        yield


class Steady(Eager):
    """A worker that loads whatever it is asked for, and counts what it is to forget."""

    def submit(self, request):
        match request:
            case Hold(card):
                yield Facts(card.name, {}, True, 1)
            case Drop(names):
                self.made += len(names)


def pool_of(*workers):
    starts = [lambda worker=worker: worker for worker in workers]
    return Pool(open_slots(starts), plans.Silent(), Codes(), lambda job: job.failed)


def test_a_place_that_is_lost_while_loading_leaves_the_others(monkeypatch):
    monkeypatch.setattr(slots, "RESTARTS", 0)
    pool = pool_of(Doomed(), Steady())
    resident, facts = pool.load(plans.ideal())
    assert (resident.name, facts.identity) == ("reader", "reader")


def test_without_any_worker_loading_and_showing_say_so(monkeypatch):
    monkeypatch.setattr(slots, "RESTARTS", 0)
    pool = pool_of(Doomed(), Doomed())
    with pytest.raises(ModelFailure, match=r"every worker is gone\. What was answered is stored"):
        pool.load(plans.ideal())
    with pytest.raises(BenchError, match="every worker is gone"):
        next(iter(pool.show(jobs_of(10, 1, [Resident("one", None)]))))


def test_what_kills_the_worker_that_loads_it_is_forgotten_by_the_others():
    steady = Steady()
    with pytest.raises(ModelFailure, match="is gone each time that it was loaded or tuned"):
        pool_of(steady, Doomed()).load(plans.ideal())
    assert steady.made == 1
