"""What all suites cost on photographs, by a model that is checked against runs here: docs/costs.csv.

    python benchmarks/suite_costs.py

Seconds = tasks x loading and scoring + images x showing + images x passes x a pass, as the program estimates a run
(`benchmark/engine/costs.py`). Checked in CPU seconds of one thread, on the stimulus sets that are on disk.
"""

import argparse
import csv
from collections.abc import Iterator

import numpy as np
import torch
from overhead import harness
from ratios import KEPT, by_turns, cpu, processor

from benchmark import api
from benchmark.contracts import Policy
from benchmark.engine import costs
from benchmark.engine.devices import Tuning, feed, limit_malloc, numerics
from benchmark.plugins import find_suites
from benchmark.variables import read_settings
from registry.architectures import build_network
from registry.loading import load_network

FILE = KEPT.with_name("costs.csv")
HEAD = ("what", "network", "suite", "device", "images", "predicted", "measured", "price")
#: Images of each suite in full, with all its stimulus sets. Corruption: clean and 75 cells.
SHOWN = {
    "cue-conflict": 1_600,
    "human-comparison": 18_080,
    "saliency": 640,
    "adversarial": 128,
    "corruption": 3_800_000,
}
CHECKED = {"world-standard-0": 16, "efficientnet-lite0": 4}  # network -> limit
BATCH = 4
#: Images a second with mixed precision: timm, results/benchmark-infer-amp-nhwc-pt240-cu124-rtx4090.csv.
GPU = {"timm:resnet50": 5088.39, "timm:vit_large_patch16_224": 903.87}
#: Dollars an hour: c5.2xlarge (4 cores), Amazon EC2 Auto Scaling User Guide; RTX 4090 on demand, RunPod, March 2026.
CORES, PRICES = 4, {"processor": 0.34, "1 GPU": 0.60, "8 GPUs": 4.80}
FEEDING = 8  # cores that decode and transform for each GPU


def pass_seconds(run: torch.nn.Module, side: int) -> float:
    """CPU seconds of one image's forward pass."""
    images = torch.rand(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return float(np.median(by_turns([lambda: cpu(lambda: run(images)), lambda: 1.0], 10)[:, 0])) / BATCH


def checked(name: str, limit: int) -> Iterator[tuple[str, int, float, float, float]]:
    """(suite, images, predicted and measured CPU seconds, seconds to show an image) of a network under each suite."""
    settings = read_settings()
    for suite in SHOWN:
        plan = api.prepare(api.RunRequest(models=name, suites=suite, limit=limit), settings)
        tasks = [task for task in plan.tasks if task.plan.blocks]
        if not tasks:
            print(f"{name}, {suite}: left out: {plan.tasks[0].reason if plan.tasks else 'no task'}")
            continue
        model = load_network(tasks[0].card, settings.place)
        each = pass_seconds(feed(model, Tuning(BATCH, 1), device="cpu").run, tasks[0].card.preprocess.size)
        images = sum(task.trials for task in tasks)
        showing = costs.SHOWN * images
        predicted = costs.SCORING * len(tasks) + showing + each * sum(task.suite.passes * task.trials for task in tasks)
        with numerics(Policy()):
            harness(plan, settings)  # its images are decoded or drawn
            yield suite, images, predicted, cpu(lambda p=plan: harness(p, settings)), showing / images


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    limit_malloc()
    torch.set_num_threads(1)
    rows, showing = [], 0.0  # seconds of an image, where it takes longest
    for name, limit in CHECKED.items():
        for suite, images, predicted, measured, show in checked(name, limit):
            showing = max(showing, show)
            rows.append(("checked", name, suite, processor(), images, f"{predicted:.1f}", f"{measured:.1f}", ""))
            print(rows[-1], flush=True)
    shelf = find_suites(list(SHOWN))
    for arch, speed in GPU.items():
        with torch.device("cpu"):
            each = pass_seconds(build_network(arch, 1000, {}).eval().to(memory_format=torch.channels_last), 224)
        for suite, images in SHOWN.items():
            passes = shelf.suites[suite].passes
            shown = showing * images
            one = max(images * passes / speed, shown / FEEDING)
            seconds = {"processor": (shown + images * passes * each) / CORES, "1 GPU": one, "8 GPUs": one / 8}
            for device, taken in seconds.items():
                taken += costs.SCORING
                price = taken / 3600 * PRICES[device]
                rows.append(("whole", arch, suite, device, images, f"{taken / 3600:.4f}", "", f"{price:.3f}"))
        rows.append(("pass", arch, "", processor(), 1, f"{each:.4f}", "", ""))
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
