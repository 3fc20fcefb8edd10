"""Runs of toys on the pretended device: copies to the processor and waits for the device per cell, and the share of
the time that a queue of 3 ms a batch keeps it busy. Prints them as JSON."""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pretend_device
from engine_toys import HALF, Bench, make_stimuli, network, toy_suite

from benchmark.contracts import Block
from benchmark.engine import devices, inference, model_view
from benchmark.transforms.corruptions import CORRUPTIONS
from benchmark.transforms.imagenet_c import corruption

BATCH_SECONDS = 0.003
FROST = [np.full((256, 256, 3), 40 * i, np.uint8) for i in range(1, 6)]


def blocks(stimuli, names, severities):
    """The clean images, and every corruption at the severities."""
    plain = Block(stimuli=stimuli, role="toys")
    cells = [(name, level) for name in names for level in severities]
    made = [replace(plain, transform=corruption(*cell, FROST), condition="/".join(map(str, cell))) for cell in cells]
    return (plain, *made)


def counted(bench, shown, batch):
    """What one run costs from its first cell to its last."""
    clock, feed, loop = pretend_device.CLOCK, devices.feed, inference.InferenceLoop.show
    spent = {}

    def slow(*arguments, **options):
        fed = feed(*arguments, **options)

        def run(images):
            clock.work(BATCH_SECONDS)
            return fed.run(images)

        return replace(fed, run=run)

    def measured(*arguments):
        before = dict(vars(clock))
        clock.began = clock.ends = 0.0
        yield from loop(*arguments)
        spent.update({name: value - before[name] for name, value in vars(clock).items()})
        spent["seconds"] = clock.ends - clock.began

    devices.feed, inference.InferenceLoop.show = slow, measured
    try:
        report = bench.run([network("net", "Readout")], [toy_suite(shown)], batch=batch, device="pretend")
    finally:
        devices.feed, inference.InferenceLoop.show = feed, loop
    assert report.counts == {"done": 1}, report
    chunks = -(-len(shown[0].stimuli) // 256)
    return {"cells": len(shown) * chunks, **{name: spent[name] for name in ("copies", "waits", "busy", "seconds")}}


def told(folder, device, kind):
    """How a run of a network ends, and its answers."""
    bench = Bench(Path(folder) / f"{device}-{kind}")
    # The other network is shown other pixels, so that none are shared.
    other = network("other", "Pooled").model_copy(update={"preprocess": HALF.model_copy(update={"resize": 40})})
    shown = (Block(stimuli=make_stimuli(300), role="toys", presentation="card"),)
    report = bench.run([network("net", kind), other], [toy_suite(shown)], batch=16, device=device)
    trials = bench.trials("net")
    assert not (report.failed and bench.scores("net")), kind
    return [*report.failed.values()], [trials[name].tolist() for name in ("response", "probability") if name in trials]


if __name__ == "__main__":
    kept = pretend_device.install()
    devices.REPLAYED, model_view.NEAR_TIE = 16, 0.01
    with tempfile.TemporaryDirectory() as folder:
        every = [name for name in CORRUPTIONS if name not in sys.argv[1:]]
        runs = {}
        for name in ("cold", "every corruption"):  # tables that are kept come to the device in the first
            shown = blocks(make_stimuli(4, name=name, side=64), every, (1, 5))
            runs[name] = counted(Bench(Path(folder) / name), shown, 4)
        light = blocks(make_stimuli(512), ("gaussian_noise", "contrast", "jpeg_compression"), (2, 5))
        # Other work on the machine takes time of this thread also, so the best of a few runs counts.
        runs["a queue"] = max(
            (counted(Bench(Path(folder) / f"queue {i}"), light, 32) for i in range(3)),
            key=lambda run: run["busy"] / run["seconds"],
        )
        model_view.NEAR_TIE = 0.2
        for kind in ("Readout", "Late", "Moody", "Broken"):
            runs[kind] = [told(folder, device, kind) for device in ("cpu", "pretend")]
    print(json.dumps(runs))
