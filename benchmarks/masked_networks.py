"""Networks whose gradients are masked on purpose, and honest ones: which of them does the trust report flag?

The networks are those of the built-in world behind a mask: the forward pass answers as before (or nearly so), attacks
that follow the gradient are led astray, and robust accuracy is too high. Prints a table in Markdown.

    python benchmarks/masked_networks.py
    python benchmarks/masked_networks.py --images 128 --model world-standard-1
"""

import argparse
import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ratios import ratio
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from benchmark.contracts import DISTRUST, Block, Trials
from benchmark.engine.model_view import NetworkView
from benchmark.engine.tuning import TunedModel, Tuning, feed
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.generated import generated_set
from registry.caches import Place
from registry.card_files import builtin_cards
from registry.load import load_model
from registry.model import LoadedModel
from suites.adversarial import SUITE
from suites.adversarial.metrics import robust_at
from suites.adversarial.trust.report import flags

Run = Callable[[Tensor], Tensor]
Way = Callable[[Tensor, Tensor], Tensor]  # (gradient, input) -> gradient passed on
HONEST = (
    "world-standard-1",
    "world-stylised-0",
    "world-adversarial-0",
    "world-uniform-noise-0",
    "world-salt-and-pepper-0",
)


class _Instead(torch.autograd.Function):
    """One function forward, another one backward."""

    @staticmethod
    def forward(ctx, x, forward, backward):  # type: ignore[no-untyped-def]
        ctx.backward_way = backward
        ctx.save_for_backward(x)
        return forward(x.detach())

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return ctx.backward_way(gradient, x), None, None


def instead(run: Run, backward: Way, forward: Run = torch.clone) -> Run:
    """A network whose input goes through `forward`, and whose gradient through `backward`."""
    return lambda x: run(_Instead.apply(x, forward, backward))  # type: ignore[no-untyped-call]


def blocks(gradient: Tensor, _: Tensor) -> Tensor:
    """Averaged over blocks of 8 x 8."""
    return interpolate(avg_pool2d(gradient, 8), scale_factor=8)


def noisy(gradient: Tensor, x: Tensor) -> Tensor:
    """Beside three times as much noise, drawn anew for every input, the same for the same input."""
    seeds = (x.double().abs().sum(dim=(1, 2, 3)) * 1e6).long().tolist()
    drawn = [
        torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds
    ]
    return gradient + 3 * gradient.std() * torch.stack(drawn)


def columns(gradient: Tensor, _: Tensor) -> Tensor:
    """A quarter of the columns."""
    kept = torch.zeros_like(gradient)
    kept[..., ::4] = gradient[..., ::4]
    return kept


def flipped(gradient: Tensor, _: Tensor) -> Tensor:
    """Three signs of ten turned, always the same ones."""
    drawn = torch.rand(gradient.shape[1:], generator=torch.Generator().manual_seed(0))
    return torch.where(drawn < 0.3, -gradient, gradient)


def one_channel(gradient: Tensor, _: Tensor) -> Tensor:
    """Red alone."""
    kept = torch.zeros_like(gradient)
    kept[:, 0] = gradient[:, 0]
    return kept


def at_rest_only(gradient: Tensor, x: Tensor) -> Tensor:
    """Nothing but where every pixel is a whole grey level, as in the images themselves."""
    whole = ((x * 255 - (x * 255).round()).abs() < 1e-3).flatten(1).all(dim=1)
    return gradient * whole[:, None, None, None]


def jpeg(x: Tensor) -> Tensor:
    """Stored as JPEG (quality 75) and read back."""
    return torch.stack([_stored(image) for image in x])


def _stored(image: Tensor) -> Tensor:
    pixels = (image.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    read = np.asarray(Image.open(file), dtype=np.float32) / 255
    return torch.from_numpy(read).permute(2, 0, 1)


def levels(x: Tensor, count: int = 8) -> Tensor:
    """Rounded to so many levels."""
    return (x * (count - 1)).round() / (count - 1)


def ripples(x: Tensor) -> Tensor:
    """Fine waves on the pixels, too small to be seen; half the slopes point the other way."""
    return x + 0.004 * torch.sin(2000 * x)


def batch_statistics(model: LoadedModel) -> Run:
    """Batch normalisation by the batch at hand."""
    module = copy.deepcopy(model.module)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train()
            part.momentum = 0.0
    return lambda x: module(model.normalise(x))


def random_inputs(run: Run) -> Run:
    """Noise on the input, another one each time."""
    generator = torch.Generator().manual_seed(0)
    return lambda x: run(x + 0.02 * torch.randn(x.shape, generator=generator))


def masked(model: LoadedModel, run: Run) -> dict[str, Run]:
    """Masks by what they do."""
    same: Way = lambda gradient, _: gradient  # noqa: E731 - beside the others
    return {
        "gradient averaged over 8 x 8 blocks": instead(run, blocks),
        "gradient blurred, 5 x 5": instead(run, lambda g, _: avg_pool2d(g, 5, 1, 2)),
        "gradient beside noise drawn by input": instead(run, noisy),
        "a quarter of the gradient's columns": instead(run, columns),
        "30 % of the gradient's signs flipped": instead(run, flipped),
        "gradient of one channel": instead(run, one_channel),
        "gradient at the images alone": instead(run, at_rest_only),
        "gradient reversed": instead(run, lambda g, _: -g),
        "no gradient": lambda x: run(x.detach()),
        "JPEG, straight-through gradient": instead(run, same, jpeg),
        "8 levels, straight-through gradient": instead(run, same, levels),
        "16 levels": lambda x: run(levels(x, 16)),
        "ripples on the pixels": lambda x: run(ripples(x)),
        "batch statistics": batch_statistics(model),
        "random inputs": random_inputs(run),
        "probabilities": lambda x: run(x).softmax(dim=1),
        "logits times 100": lambda x: 100 * run(x),
    }


def honest(run: Run) -> dict[str, Run]:
    """Changes that mask nothing."""
    return {
        "as it is": run,
        "logits times 1.5": lambda x: 1.5 * run(x),
        "logits times 3": lambda x: 3 * run(x),
        "logits over 10": lambda x: run(x) / 10,
        "log probabilities": lambda x: run(x).log_softmax(dim=1),
        "input blurred, 3 x 3": lambda x: run(avg_pool2d(x, 3, 1, 1)),
    }


class Masked:
    """A loaded model with another forward pass."""

    def __init__(self, model: LoadedModel, run: Run) -> None:
        self._model = model
        self.forward = run

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


def network(name: str) -> TunedModel:
    """A network of the world, tuned."""
    model = load_model(builtin_cards()[name], Place(Path("weights")))
    return feed(model, Tuning(32), device="cpu")


def attacked(tuned: TunedModel, run: Run, count: int) -> Trials:
    """Trials of the default suite on so many natural images of the world."""
    stimuli = subset(generated_set("world-natural"), count)
    pixels = np.stack([stimuli.decode(i) for i in range(count)]).transpose(0, 3, 1, 2)
    grouping = tuned.model.labels.groupings["world16"]
    block = Block(stimuli, presentation="card", role="natural")
    shown = TunedModel(Masked(tuned.model, run), tuned.tuning, run)  # type: ignore[arg-type]
    index = np.arange(count)
    view = NetworkView(shown, block, index, torch.from_numpy(pixels), grouping, 0, batch=32)
    found = SUITE.observe(SUITE.config, view)
    return Trials({**found, "role": np.full(count, "natural"), "condition": np.full(count, "")})


def rows(name: str, count: int) -> Iterator[tuple[str, bool, Trials]]:
    """(network, masked?, trials) one after the other."""
    tuned = network(name)
    for mask, run in masked(tuned.model, tuned.run).items():
        yield mask, True, attacked(tuned, run, count)
    for change, run in honest(tuned.run).items():
        yield f"{name}, {change}", False, attacked(tuned, run, count)
    for other in HONEST:
        tuned = network(other)
        yield other, False, attacked(tuned, tuned.run, count)


def flags_of(trials: Trials) -> tuple[str, ...]:
    """What the trust report says."""
    return tuple(flag.removeprefix(DISTRUST) for flag in flags(SUITE.config, trials))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="world-standard-0", help="the network that is masked")
    parser.add_argument("--images", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    right = {True: 0, False: 0}
    total = {True: 0, False: 0}
    print("| network | robust at linf 4/255 | gradient error | flags |\n|---|---|---|---|")
    for name, is_masked, trials in rows(args.model, args.images):
        said = flags_of(trials)
        top, bottom = robust_at("linf", 4 / 255)(trials)
        error = trials["gradient_error"]
        typical = f"{np.nanmedian(error):.2f}" if np.isfinite(error).any() else ""
        print(
            f"| {name} | {top.sum() / bottom.sum():.2f} | {typical} | {'; '.join(said) or 'none'} |",
            flush=True,
        )
        right[is_masked] += bool(said) == is_masked
        total[is_masked] += 1
    print()
    ratio("masked_networks_caught", right[True] / total[True], f"{total[True]} masked networks")
    false = total[False] - right[False]
    ratio("false_alarms", false / total[False], f"{total[False]} honest networks")


if __name__ == "__main__":
    main()
