"""Attacks of other packages, and perturbations made on other networks, projected into the ball and the box."""

import logging
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.contracts import OtherNetwork
from benchmark.failures import BenchError, PluginError
from registry.user_errors import foreign
from suites.adversarial.attack_plugins import ATTACKS, Attack
from suites.adversarial.attacks.balls import BALLS, wide
from suites.adversarial.attacks.losses import cross_entropy, gradient_of
from suites.adversarial.attacks.problem import Forward, Problem, Truths, Verdicts, device_batches, fallen, per_category
from suites.adversarial.config import AutoAttack, NormName, PluggedIn

BATCH = 32  # the packages use one generator per batch: AutoAttack's are of one size on every device, from one seed
SEED = 0
ROUNDING = 1.2e-7  # what a float32 pixel of at most 1 may be off by
ROOM = 1 + 1e-4  # over epsilon: what a float32 sum over many entries may be off by


class AttackedNetwork(nn.Module):
    """The attacked network as packages expect it. passes, forwards: images shown with and without a gradient."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem
        self.passes = 0
        self.forwards = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, all finite: NaN and infinity become zero and are judged afterwards."""
        if torch.is_grad_enabled() and images.requires_grad:
            self.passes += len(images)
            through = images.view_as(images)
            # Packages call `view` on the gradient.
            through.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
            return self.problem.forward(through).nan_to_num(0.0, 0.0, 0.0)
        self.forwards += len(images)
        with torch.no_grad():
            return self.problem.forward(images).nan_to_num(0.0, 0.0, 0.0)


def foreign_attack(problem: Problem, norm: NormName, epsilon: Tensor, recipe: AutoAttack | PluggedIn) -> Verdicts:
    """Attack every image by an attack of another package within epsilon [n]; its passes are divided evenly."""
    verdicts = Verdicts.none(len(problem.images))
    for bound in sorted(set(epsilon.tolist())):
        rows = np.flatnonzero((epsilon == bound).cpu().numpy())
        some = problem.at(rows)
        network = AttackedNetwork(some)
        if isinstance(recipe, PluggedIn):
            reached = plugged_points(ATTACKS[recipe.attack], network, bound)
        else:  # AutoAttack (Croce & Hein 2020) returns images that no attack broke unchanged
            images, package = some.images.contiguous(), import_module("pyautoattack")
            options = {**dict(recipe.options), "seed": SEED, "device": str(images.device), "version": recipe.version}
            logger = logging.getLogger("auto-attack")
            with own_randomness(images.device), ExitStack() as stack:
                # Its warnings are not shown: the trust report has checks of its own. It removes a tracing debugger.
                stack.callback(setattr, logger, "disabled", logger.disabled)
                stack.callback(sys.settrace, sys.gettrace())
                logger.disabled = True
                attack = package.AutoAttack(network, norm=norm.capitalize(), eps=bound, **options)
                classes = network(images[:1]).shape[1]
                for targeted in (attack.apgd_targeted, attack.fab):  # nine in the paper; there may be fewer
                    targeted.n_target_classes = min(targeted.n_target_classes, classes - 1)
                reached = attack.run_standard_evaluation(images, some.labels, batch_size=BATCH)[0]
        for part in device_batches(some):
            at, origin = rows[part], some.images[part]
            delta = (reached.detach()[part] - origin).nan_to_num(0.0, 0.0, 0.0)
            delta = BALLS[norm].project(delta, torch.full((len(part),), bound, device=origin.device))
            point = (origin + delta).clamp(0.0, 1.0)
            with torch.no_grad():
                z = problem.forward(point)
            verdicts.judge(problem, norm, at, point, z)
            verdicts.forwards[at] += 1
        for total, shared in ((network.passes, verdicts.passes), (network.forwards, verdicts.forwards)):
            shared[rows] += total // len(rows) + (np.arange(len(rows)) < total % len(rows))
    return verdicts


def plugged_points(attack: Attack, network: AttackedNetwork, epsilon: float) -> Tensor:
    """Return the images as an added attack perturbs them, one device batch at a time."""
    parts, problem, images = [], network.problem, network.problem.images.contiguous()
    for rows in device_batches(problem):
        with foreign("the attack", f"'{attack.title}'", PluginError, failed="failed"), own_randomness(images.device):
            reached = attack.points(network, images[rows].clone(), problem.labels[rows], epsilon, problem.seeds[rows])
        part, measure = images[rows], BALLS[attack.norm].size
        fits = isinstance(reached, Tensor) and reached.shape == part.shape and reached.is_floating_point()
        points = reached.detach().to(images) if fits else torch.full_like(part, float("nan"))
        inside = float(points.amin()) >= 0 and float(points.amax()) <= 1
        bound = epsilon * ROOM + float(measure(torch.full_like(part[:1], ROUNDING)).max())
        if not inside or float(measure(points - part).max()) > bound:
            raise PluginError(
                f"the attack '{attack.title}' must return a floating-point tensor of shape {list(part.shape)} with "
                f"values in [0, 1], at most {epsilon:.4g} from the images in {attack.norm}."
            )
        parts.append(points)
    return torch.cat(parts)


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python, and put them back afterwards."""
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(SEED)
        yield


# Perturbations made on other networks: masked gradients do not stop them (Papernot et al. 2017).

STEPS = 10  # of momentum FGSM (Dong et al. 2018), all of them taken
SAME = 1e-3  # relative distance of logits below which two networks are one
KEPT = 1.0  # of the gradients before, in each step (the decay of momentum FGSM)


def transferred(
    problem: Problem, surrogates: list[Forward], epsilons: tuple[float, ...], z: Tensor
) -> tuple[Truths, int]:
    """Return [n, epsilons], whether perturbations made on some other network within that Linf epsilon broke the image.
    Also return the forward passes of the attacked network for each image. z: its logits at the images."""
    some = slice(0, 8)
    with torch.no_grad():
        apart = [(run(problem.images[some]) - z[some]).abs().amax() for run in surrogates]
    others = [run for run, far in zip(surrogates, apart, strict=True) if not bool(far <= SAME * z[some].abs().amax())]
    if not others:
        raise BenchError(
            "no other network to make perturbations on: none of those named answers in this label space, has its "
            "weights on disk and differs from the attacked one"
        )
    broken = np.zeros((len(problem.images), len(epsilons)), dtype=np.bool_)
    for rows in device_batches(problem):
        for run in others:
            for column, epsilon in enumerate(epsilons):
                for point in crafted(run, problem.images[rows], problem.labels[rows], epsilon):
                    with torch.no_grad():
                        answers = problem.forward(point)
                    broken[rows, column] |= fallen(problem, rows, point, answers)
    return broken, 2 * len(others) * len(epsilons)


def surrogate(network: OtherNetwork, space: str, categories: tuple[str, ...], device: str) -> Forward:
    """Return a network on a device, with one logit for each of the categories."""
    model = network.load(device)
    grouping = model.labels.grouping(space)
    outputs = dict(zip(grouping.categories, grouping.indices, strict=True))
    answers = per_category(tuple(outputs[name] for name in categories))
    return lambda images: answers(model.forward(model.fit(images)))


def crafted(forward: Forward, images: Tensor, labels: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return points within Linf epsilon of the images that raise another network's cross entropy. One is made by one
    whole step (FGSM), one by `STEPS` steps of epsilon / STEPS along the signs of the summed gradients."""
    bound = torch.full((len(images),), epsilon, device=images.device)
    low, high = (images - wide(bound)).clamp_min(0.0), (images + wide(bound)).clamp_max(1.0)
    gathered, point, fast = torch.zeros_like(images), images, images
    for number in range(STEPS):
        at = point.detach().clone().requires_grad_()
        way = gradient_of(cross_entropy(forward(at), labels), at).nan_to_num(0.0, 0.0, 0.0)
        gathered = KEPT * gathered + way / wide(way.abs().flatten(1).sum(dim=1)).clamp_min(1e-12)
        if number == 0:
            fast = (images + epsilon * way.sign()).clamp(0.0, 1.0)
        point = (point + epsilon / STEPS * gathered.sign()).clamp(low, high)
    return fast, point
