"""Plans in parts: who gets what, the same everywhere."""

import itertools

import engine_toys as toys
import pytest
import torch
from engine_toys import ideal, network
from torch.utils.flop_counter import FlopCounterMode

from benchmark.contracts import CHUNK, Block, EarlyStop, Policy
from benchmark.engine.costs import operations
from benchmark.engine.tasks import Task, cut_shards, plan_digest
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import forward_flops, load_network


def plan(cards, sizes=(10, 20, 30), passes=1.0):
    stimuli = [toys.make_stimuli(n, f"set-{n}") for n in sizes]
    suite = toys.toy_suite(tuple(Block(stimuli=one, role=one.name) for one in stimuli), passes=passes)
    return [Task(card=card, suite=suite, space="world16", plan=suite.plan(None, None)) for card in cards]


def flat(tasks):
    return [(task.card.name, block.role) for task in tasks for block in task.shown.values()]


def test_each_block_is_in_one_part_in_the_order_of_the_plan():
    tasks = plan([network(f"net-{i}", "Readout", seed=i) for i in range(4)])
    for n in (1, 2, 3, 4, 7, 20):
        parts = cut_shards(tasks, n, lambda task, block: len(block.stimuli))
        assert len(parts) == n and list(itertools.chain(*map(flat, parts))) == flat(tasks)
        assert all(task.trials for part in parts for task in part)


@pytest.mark.parametrize(("costs", "n", "parts"), [
    ("1111", 2, "0011"), ("811111111", 3, "011122222"), ("123456789", 3, "000001122"), ("5", 4, "2"),
    ("000", 2, "000"), ("", 2, ""),
])  # fmt: skip
def test_cuts(costs, n, parts):
    tasks = plan([ideal()], range(1, len(costs) + 1))
    stretches = cut_shards(tasks, n, lambda task, block: int(costs[len(block.stimuli) - 1]))
    assert "".join(str(part) for part, some in enumerate(stretches) for _ in flat(some)) == parts


def test_a_large_block_is_cut_at_chunks_but_one_that_may_be_settled_is_not():
    stimuli = toys.make_stimuli(2 * CHUNK + 10, side=8)
    for settled, shares in ((None, [CHUNK, CHUNK + 10]), (lambda *_: False, [0, 2 * CHUNK + 10])):
        suite = toys.toy_suite(stimuli, stopping=EarlyStop(settled=settled))
        task = Task(card=ideal(), suite=suite, space="world16", plan=suite.plan(None, None))
        parts = cut_shards([task], 2, operations([task]))
        assert [sum(one.trials for one in part) for part in parts] == shares


@pytest.mark.parametrize("name", ["world-standard-0", "world-detector-0", "world-reader-0"])
def test_operations_of_own_networks_are_those_that_torch_counts(name):
    card = builtin_cards()[name]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        load_network(card, WeightSources(weights_folder="unused")).module(torch.zeros(1, 3, 64, 64))
    assert forward_flops(card) == counter.get_total_flops()


def test_the_digest_names_the_plan_and_how_it_is_run():
    def digest(name="net", sizes=(10, 20, 30), seed=0, costs=operations):
        tasks = plan([network(name, "Readout", seed=1)], sizes)
        return plan_digest(tasks, Policy(device="cpu", seed=seed), costs(tasks))

    assert digest() == digest() and len(digest()) == 12
    even = {"costs": lambda _tasks: lambda task, block: 1}
    others = [digest(seed=1), digest(**even), digest(sizes=(10, 20, 29), **even), digest("other", **even)]
    assert len({digest(), *others}) == 5
