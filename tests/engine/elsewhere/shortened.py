"""One plan after another, few steps of each attack, the last severity of each corruption: each line of stdin is JSON,
the environment's variables of the program and a list of requests.

Answers with a line: what failed, and what did nothing without a reason."""

import json
import os
import sys
from dataclasses import fields, is_dataclass, replace

from benchmark import api
from benchmark.variables import read_settings

FEW = {"steps": 2, "far_steps": 2, "queries": 4, "bisect": 1}


def shortened(value):
    """A protocol with the numbers of `FEW`, where it has more."""
    if isinstance(value, tuple):
        return tuple(map(shortened, value))
    if not is_dataclass(value):
        return value
    parts = {part.name: getattr(value, part.name) for part in fields(value)}
    return replace(value, **{k: min(v, FEW[k]) if FEW.get(k) else shortened(v) for k, v in parts.items()})


def few(plan, most):
    """A plan with the last level of each corruption. most: how many blocks at most (None: all)."""
    blocks = {
        (block.role, block.condition.partition("/")[0]) if "/" in block.condition else i: block
        for i, block in enumerate(plan.blocks)
    }
    return replace(plan, blocks=tuple(blocks.values())[:most])


def run(asked):
    """Carry out a request. Its "blocks", if any: suite -> how many blocks at most."""
    most = asked.pop("blocks", {})
    prepared = api.prepare(api.RunRequest(**asked), read_settings(asked["db"]))
    tasks = []
    for task in prepared.tasks:
        suite, plan = task.suite, few(task.plan, most.get(task.suite.name))
        tasks.append(replace(task, plan=plan, suite=replace(suite, config=shortened(suite.config))))
    report = api.execute(replace(prepared, tasks=tasks), api.Silent())
    ended = report.counts.get("done") or report.counts.get("not applicable")
    return {**report.failed, **({} if ended else {"nothing": f"was done of {asked}"})}


if __name__ == "__main__":
    for line in sys.stdin:
        variables, requests = json.loads(line)
        os.environ.pop("BENCH_DATA", None)
        os.environ.update(variables)
        print(json.dumps([[work, str(why)] for asked in requests for work, why in run(asked).items()]), flush=True)
