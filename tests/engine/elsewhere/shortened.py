"""One plan after another, few steps of each attack, one severity: `shortened.py REQUESTS`, a JSON list of requests.

Prints what failed, and what did nothing without a reason.
"""

import json
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
    if parts.get("source") == "imagenet-c":
        parts["severities"] = ("5",)
    return replace(value, **{k: min(v, FEW[k]) if FEW.get(k) else shortened(v) for k, v in parts.items()})


def run(asked):
    prepared = api.prepare(api.RunRequest(**asked), read_settings(asked["db"]))
    tasks = [replace(t, suite=replace(t.suite, config=shortened(t.suite.config))) for t in prepared.tasks]
    report = api.execute(replace(prepared, tasks=tasks), api.Silent())
    ended = report.counts.get("done") or report.counts.get("not applicable")
    return {**report.failed, **({} if ended else {"nothing": f"was done of {asked}"})}


if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        for work, why in run(words).items():
            print(work, why)
