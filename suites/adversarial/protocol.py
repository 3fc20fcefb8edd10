"""Which images are attacked, and what is kept of each."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.contracts import Array, Block, Plan, Shelf, View
from benchmark.errors import MissingStimuli, ModelFailure
from benchmark.stimuli.sets import subset
from suites.adversarial.config import Config
from suites.adversarial.fast import Slope, fgsm, slope
from suites.adversarial.geometry import geometry
from suites.adversarial.pool import Pool, Problem, attack, likely_wrong
from suites.adversarial.programs import Program, sweep

ROLE = "natural"
#: Key of `Plan.missing` where nothing but training images is there.
HELD_OUT = "natural (held out)"
#: Images per device batch: beyond it a CPU gains nothing and needs the memory.
CPU_BATCH, GPU_BATCH = 32, 128


def plan(config: Config, shelf: Shelf) -> Plan:
    """Natural images, shown as the card says. Without held-out ImageNet images, training images, and it is said."""
    missing = {}
    try:
        stimuli = shelf.find("natural")
    except MissingStimuli as error:
        if shelf.space != "imagenet1k":
            raise
        missing[HELD_OUT] = f"training images shown instead: {error}"
        try:
            stimuli = shelf.find("natural-training")
        except MissingStimuli:
            raise error from None
    if config.images is not None:
        stimuli = subset(stimuli, config.images)
    return Plan((Block(stimuli, presentation="card", role=ROLE),), missing)


def observe(config: Config, view: View) -> Mapping[str, Array]:
    """Columns [n]. An image that is answered wrongly is not attacked: it is broken at epsilon 0.

    response, clean_correct; loss, margin, gradient_norm: cross entropy at the image, how far the answer is from
    falling (negative: it holds), L2 norm of the gradient; repeat_difference: between two forward passes of the same
    image; probabilities: the outputs are a distribution already; passes, forwards: gradient and plain passes;
    fgsm_broken: [n, epsilons]; and for each norm, as `linf_...`: epsilon (the smallest that breaks it, infinite where
    none does), by (which attack), size (norm of the perturbation found), loss and margin of the last point judged.
    """
    columns = _blank(config, view)
    rows = np.flatnonzero(columns["clean_correct"])
    if len(rows):
        for name, values in _attacked(config, view, rows).items():
            columns[name][rows] = values
    return columns


def _blank(config: Config, view: View) -> dict[str, Array]:
    """The columns of images that are not attacked."""
    n = len(view.index)
    right = np.asarray(view.responses == view.labels["category"], dtype=bool)
    columns: dict[str, Array] = {"response": np.asarray(view.responses), "clean_correct": right}
    for name in ("loss", "margin", "gradient_norm", "repeat_difference"):
        columns[name] = np.full(n, np.nan)
    columns |= {name: np.zeros(n, dtype=np.int64) for name in ("passes", "forwards")}
    columns["probabilities"] = np.zeros(n, dtype=bool)
    columns["fgsm_broken"] = np.ones((n, len(_fast_epsilons(config))), dtype=bool)
    for threat in config.threats:
        columns[f"{threat.norm}_epsilon"] = np.zeros(n)
        columns[f"{threat.norm}_by"] = np.full(n, "", dtype="U16")
        for name in ("size", "loss", "margin"):
            columns[f"{threat.norm}_{name}"] = np.full(n, np.nan)
    return columns


def _attacked(config: Config, view: View, rows: NDArray[np.int64]) -> dict[str, Array]:
    """The columns of the images at `rows`."""
    before = view.logits[rows]
    problem = _problem(view, rows)
    rest = slope(problem)
    problem = replace(problem, first=rest.gradient, targets=_targets(config, rest, problem))
    epsilons = _fast_epsilons(config)
    broken = fgsm(problem, rest.gradient, epsilons)
    columns = {**_at_rest(rest, before), "fgsm_broken": broken}
    columns["passes"] = np.ones(len(rows), dtype=np.int64)
    columns["forwards"] = np.full(len(rows), len(epsilons))
    for threat in config.threats:
        steps = sweep(threat, config)
        pool = attack(problem, geometry(threat.norm), steps)
        columns["passes"] = columns["passes"] + pool.passes
        columns["forwards"] = columns["forwards"] + pool.forwards
        curve = _curve(pool, steps)
        if threat.norm == "linf":
            curve = _with_fast(curve, broken, epsilons)
        columns |= {f"{threat.norm}_{name}": values for name, values in curve.items()}
    return columns


def _problem(view: View, rows: NDArray[np.int64]) -> Problem:
    """The images at `rows`, and a forward pass whose columns are the space's categories, in order."""
    skip = first_column(view.logits, view.probabilities)
    place = {name: i for i, name in enumerate(view.categories)}
    truth = [place[name] for name in view.labels["category"][rows].tolist()]
    images = view.images[rows].clone()  # also out of inference mode

    def forward(x: Tensor) -> Tensor:
        return view.forward(x)[:, skip:]

    labels = torch.tensor(truth, device=images.device)
    batch = GPU_BATCH if images.is_cuda else CPU_BATCH
    return Problem(forward, images, labels, view.seeds[rows], labels[:, None], batch=batch)


def first_column(logits: Tensor, probabilities: NDArray[np.float32]) -> int:
    """Where the categories begin among the outputs (1 where a background class comes first).

    Raises ModelFailure where the outputs are not the categories in order: an attack needs one output per category.
    """
    skip = int(logits.shape[1]) - int(probabilities.shape[1])
    if skip >= 0:
        soft = logits.double().softmax(dim=1)[:, skip:].float().cpu().numpy()
        if np.allclose(soft, probabilities, rtol=1e-2, atol=1e-3):
            return skip
    raise ModelFailure(
        f"its {logits.shape[1]} outputs are not the {probabilities.shape[1]} categories in order; an attack "
        "needs one output per category"
    )


def _targets(config: Config, rest: Slope, problem: Problem) -> Tensor:
    return likely_wrong(rest.z, problem.labels, max(one.targets for one in config.stages))


def _fast_epsilons(config: Config) -> tuple[float, ...]:
    found = [threat.epsilons for threat in config.threats if threat.norm == "linf"]
    return found[0] if found else ()


def _at_rest(rest: Slope, before: Tensor) -> dict[str, Array]:
    """What the trust report needs to know of the unattacked images. before: logits of another forward pass."""
    z = rest.z.double()
    other = before.double()[:, before.shape[1] - z.shape[1] :]
    gap = z / z.norm(dim=1, keepdim=True) - other / other.norm(dim=1, keepdim=True)
    shares = (z.amin(dim=1) > -1e-5) & ((z.sum(dim=1) - 1).abs() < 1e-5)
    found = {
        "loss": rest.loss,
        "margin": rest.margin,
        "gradient_norm": rest.gradient.double().flatten(1).norm(dim=1),
        "repeat_difference": gap.norm(dim=1),
        "probabilities": shares,
    }
    return {name: values.cpu().numpy() for name, values in found.items()}


def _curve(pool: Pool, steps: Program) -> dict[str, Array]:
    """The columns of one norm, from the step that broke each image."""
    fell = pool.broken >= 0
    names = np.array(steps.name)[pool.broken]
    return {
        "epsilon": np.where(fell, steps.epsilon[pool.broken], np.inf),
        "by": np.where(fell, names, ""),
        "size": pool.size,
        "loss": pool.loss,
        "margin": pool.margin,
    }


def _with_fast(
    curve: dict[str, Array], broken: NDArray[np.bool_], epsilons: tuple[float, ...]
) -> dict[str, Array]:
    """The worse of the curve and FGSM, image by image."""
    smallest = np.where(broken, np.array(epsilons), np.inf).min(axis=1, initial=np.inf)
    faster = smallest < curve["epsilon"]
    return {
        **curve,
        "epsilon": np.where(faster, smallest, curve["epsilon"]),
        "by": np.where(faster, "fgsm", curve["by"]),
        "size": np.where(faster, smallest, curve["size"]),
    }
