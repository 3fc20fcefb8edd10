"""Networks whose gradients are masked on purpose, and honest ones, for the trust report to judge."""

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from registry.model import LoadedModel

Run = Callable[[Tensor], Tensor]
Way = Callable[[Tensor, Tensor], Tensor]  # (gradient, input) -> gradient passed on


@dataclass(frozen=True)
class Network:
    """What masks are put before: a loaded network, its forward pass, that of another one, and images with their
    labels."""

    model: LoadedModel
    run: Run
    other: Run
    images: Tensor
    labels: Tensor


Mask = Callable[[Network], Run]


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


def noisy(gradient: Tensor, x: Tensor) -> Tensor:
    """Beside three times as much noise, drawn anew for every input, the same for the same input."""
    seeds = (x.double().abs().sum(dim=(1, 2, 3)) * 1e6).long().tolist()
    drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return gradient + 3 * gradient.std() * torch.stack(drawn)


def jpeg(x: Tensor) -> Tensor:
    return torch.stack([_stored(image) for image in x])


def _stored(image: Tensor) -> Tensor:
    pixels = (image.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    read = np.asarray(Image.open(file), dtype=np.float32) / 255
    return torch.from_numpy(read).permute(2, 0, 1)


def levels(x: Tensor, count: int = 8) -> Tensor:
    return (x * (count - 1)).round() / (count - 1)


def batch_statistics(model: LoadedModel) -> Run:
    module = copy.deepcopy(model.module)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train()
            part.momentum = 0.0
    return lambda x: module(model.normalise(x))


def random_inputs(run: Run) -> Run:
    generator = torch.Generator().manual_seed(0)
    return lambda x: run(x + 0.02 * torch.randn(x.shape, generator=generator))


def blurred(gradient: Tensor, _: Tensor | None = None) -> Tensor:
    return avg_pool2d(gradient, 5, 1, 2)


def dropped(gradient: Tensor, _: Tensor) -> Tensor:
    """One pixel of five is left, always the same ones."""
    drawn = torch.rand(gradient.shape[1:], generator=torch.Generator().manual_seed(1))
    return gradient * (drawn < 0.2)


def straight(forward: Run) -> Run:
    """A change of values that passes the gradient on as it is."""
    return lambda x: x + (forward(x) - x).detach()


def small_turned(gradient: Tensor, _: Tensor) -> Tensor:
    """The sign of the smallest three quarters turned: the length hardly changes, steps along signs lead astray."""
    size = gradient.abs()
    cut = size.flatten(1).quantile(0.75, dim=1)[:, None, None, None]
    return torch.where(size < cut, -gradient, gradient)


def on_bright(gradient: Tensor, x: Tensor) -> Tensor:
    bright = (x.mean(dim=(1, 2, 3)) > 0.5)[:, None, None, None]
    return torch.where(bright, blurred(gradient), gradient)


def low_pass(gradient: Tensor, _: Tensor) -> Tensor:
    waves = torch.fft.rfft2(gradient)
    waves[..., 8:-8, :] = 0
    waves[..., 8:] = 0
    return torch.fft.irfft2(waves, s=gradient.shape[-2:])


def where_confident(run: Run) -> Run:
    """Blurred on images that are answered with a probability above .9."""
    blur = instead(run, blurred)

    def answer(x: Tensor) -> Tensor:
        z, soft = run(x), blur(x)
        sure = (z.softmax(dim=1).amax(dim=1, keepdim=True) > 0.9).detach()
        return z.detach() + torch.where(sure, soft - soft.detach(), z - z.detach())

    return answer


def moved_by_digest(run: Run) -> Run:
    """Every input rolled by a few pixels, which its own sum decides."""

    def answer(x: Tensor) -> Tensor:
        sums = (x.detach().double().sum(dim=(1, 2, 3)) * 1e7).long().tolist()
        pairs = zip(x, sums, strict=True)
        return run(torch.stack([one.roll((n % 5 - 2, n // 7 % 5 - 2), (1, 2)) for one, n in pairs]))

    return answer


def near_boundary(run: Run) -> Run:
    turned = instead(run, lambda g, _: -g)

    def answer(x: Tensor) -> Tensor:
        z, back = run(x), turned(x)
        top = z.detach().topk(2, dim=1).values
        near = (top[:, 0] - top[:, 1] < 2)[:, None]
        return z.detach() + torch.where(near, back - back.detach(), z - z.detach())

    return answer


def never(run: Run, logit: float = -1e9) -> Run:
    return lambda x: torch.cat([(z := run(x))[:, :-1], torch.full_like(z[:, -1:], logit)], dim=1)


def median(x: Tensor) -> Tensor:
    windows = pad(x, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(-2).median(dim=-1).values


def eight_bit_layers(model: LoadedModel) -> Run:
    """What every convolution gives in 255 steps of an image's own largest value, gradients straight through."""
    module = copy.deepcopy(model.module)

    def rounded(_: object, __: object, out: Tensor) -> Tensor:
        step = out.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
        return straight(lambda z: (z / step).round() * step)(out)

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(rounded)
    return lambda x: module(model.normalise(x))


def in_dtype(model: LoadedModel, dtype: torch.dtype, weights_only: bool) -> Run:
    module = copy.deepcopy(model.module).to(dtype)
    if weights_only:
        module = module.float()
        return lambda x: module(model.normalise(x))
    return lambda x: module(model.normalise(x).to(dtype)).float()


def rounded_weights(model: LoadedModel) -> Run:
    """Weights in 255 steps of each output's largest."""
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        for weights in (one for one in module.parameters() if one.ndim > 1):
            step = weights.flatten(1).abs().amax(dim=1).clamp_min(1e-9) / 127
            step = step.view(-1, *[1] * (weights.ndim - 1))
            weights.copy_((weights / step).round() * step)
    return lambda x: module(model.normalise(x))


def averaged(model: LoadedModel) -> Run:
    """Weights half a per cent off, as those of a moving average are."""
    module = copy.deepcopy(model.module)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in module.parameters():
            weights.mul_(1 + 0.005 * torch.randn(weights.shape, generator=generator))
    return lambda x: module(model.normalise(x))


def mean_of_crops(run: Run) -> Run:
    """Log probabilities averaged over four places."""
    places = ((0, 0), (3, 0), (0, 3), (-3, -3))
    return lambda x: torch.stack([run(x.roll(by, dims=(2, 3))).log_softmax(dim=1) for by in places]).mean(dim=0)


def windows(run: Run) -> Run:
    """As a detector: of each category the best score of five places."""
    places = ((0, 0), (4, 4), (4, -4), (-4, 4), (-4, -4))
    return lambda x: torch.stack([run(x.roll(by, dims=(2, 3))) for by in places]).amax(dim=0)


def vision_transformer(n: Network) -> Run:
    """Patches of 8 x 8, two layers of attention as they were drawn, and the readout that fits the images."""
    torch.manual_seed(0)
    patches = torch.nn.Conv2d(3, 64, 8, 8)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, 0.0, "gelu", batch_first=True)
    body = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    for parameter in (*patches.parameters(), *body.parameters()):
        parameter.requires_grad_(False)

    def features(x: Tensor) -> Tensor:
        tokens = body(4 * patches(x - 0.5).flatten(2).mT)
        return torch.cat([tokens.mean(dim=1), tokens.std(dim=1), tokens.amax(dim=1)], dim=1)

    with torch.no_grad():
        known = features(n.images)
    mean = known.mean(dim=0)
    wanted = torch.nn.functional.one_hot(n.labels, 16).float() - 1 / 16
    square = (known - mean).T @ (known - mean) + 1e-2 * torch.eye(known.shape[1])
    readout = torch.linalg.solve(square, (known - mean).T @ wanted)
    return lambda x: 10 * (features(x) - mean) @ readout


def backward(change: Way) -> Mask:
    """The gradient is changed, the answers are not."""
    return lambda n: instead(n.run, change)


def outputs(change: Run) -> Mask:
    """The outputs are changed."""
    return lambda n: then(n.run, change)


def inputs(change: Run) -> Mask:
    """The inputs are changed."""
    return lambda n: lambda x: n.run(change(x))


def through(change: Run) -> Mask:
    """The inputs are changed, and the gradient passes as if they were not."""
    return lambda n: instead(n.run, lambda gradient, _: gradient, change)


def then(run: Run, change: Run) -> Run:
    """A network whose outputs are changed."""
    return lambda x: change(run(x))


def blur(n: Network) -> Run:
    return instead(n.run, blurred)


def blurred_beyond(count: int) -> Way:
    return lambda gradient, x: blurred(gradient) if len(x) > count else gradient


def at_rest_alone(n: Network) -> Run:
    """No gradient a step away from the images."""

    def answer(x: Tensor) -> Tensor:
        at_rest = torch.cdist(x.detach().flatten(1), n.images.flatten(1)).amin(dim=1) < 1e-3
        return n.run(torch.where(at_rest[:, None, None, None], x, x.detach()))

    return answer


#: Masks that make a number wrong, and how the flags begin that say so.
WRONG: dict[str, tuple[Mask, tuple[str, ...]]] = {
    "blurred in batches of two and more": (backward(blurred_beyond(1)), ("trust: batch: gradients", "trust: masked")),
    "blurred in batches of nine and more": (backward(blurred_beyond(8)), ("trust: batch: gradients",)),
    "blurred for all but the first": (
        backward(lambda g, _: torch.cat([g[:1], blurred(g[1:])])),
        ("trust: batch: gradients", "trust: masked"),
    ),
    "blurred, 1e6 on all logits": (lambda n: lambda x: blur(n)(x) + 1e6, ("trust: masked",)),
    "random inputs, 1e6 on all logits": (lambda n: then(random_inputs(n.run), lambda z: z + 1e6), ("trust: random",)),
    "blurred, probabilities": (
        lambda n: lambda x: blur(n)(x).softmax(dim=1),
        ("trust: masked", "trust: outputs are probabilities"),
    ),
    "logits cut to [0, 1]": (outputs(lambda z: (z / 8 + 0.5).clamp(0, 1)), ("trust: ",)),
    "gradient of another network": (
        lambda n: lambda x: n.run(x).detach() + n.other(x) - n.other(x).detach(),
        ("trust: masked",),
    ),
    "gradient beside noise drawn anew": (backward(lambda g, _: g + 5 * g.std() * torch.randn_like(g)), ("trust: ",)),
    "gradient mirrored": (backward(lambda g, _: g.flip(-1)), ("trust: masked",)),
    "gradient with its channels exchanged": (backward(lambda g, _: g.roll(1, dims=1)), ("trust: masked",)),
    "gradient shifted by three pixels": (backward(lambda g, _: g.roll(3, dims=-1)), ("trust: masked",)),
    "a fifth of the gradient's pixels": (backward(dropped), ("trust: masked",)),
    "median of 3 x 3, gradient blurred": (lambda n: lambda x: blur(n)(median(x)), ("trust: masked",)),
    "gradient blurred, 5 x 5": (backward(blurred), ("trust: masked",)),
    "gradient beside noise drawn by input": (backward(noisy), ("trust: masked",)),
    # fine waves on the pixels, too small to be seen; half the slopes point the other way
    "ripples on the pixels": (inputs(lambda x: x + 0.004 * torch.sin(2000 * x)), ("trust: masked",)),
    "no gradient": (inputs(torch.detach), ("trust: zero gradient: 100%", "trust: black box beats white box")),
    "16 levels": (
        inputs(lambda x: levels(x, 16)),
        (
            "trust: zero gradient: 100% of images",
            "trust: more steps are not stronger than one",
            "trust: linf: the loss does not rise on 100% of unbroken images",
            "trust: black box beats white box: square on",
        ),
    ),
    "gradient turned round": (backward(lambda g, _: -g), ("trust: linf: the loss does not rise",)),
    "gradient at the images alone": (at_rest_alone, ("trust: FGSM beats PGD",)),
    "batch statistics": (lambda n: batch_statistics(n.model), ("trust: batch: answers",)),
}
#: What is odd about these, whatever their number is worth.
ODD: dict[str, tuple[Mask, str]] = {
    "sigmoid of twice the logits": (outputs(lambda z: (2 * z).sigmoid()), "outputs lie between two ends"),
    "probabilities": (outputs(lambda z: z.softmax(dim=1)), "outputs are probabilities"),
    "8 levels, straight-through gradient": (through(levels), "rough gradient"),
    "4 levels, straight-through gradient": (through(lambda x: levels(x, 4)), "rough gradient"),
    "JPEG, straight-through gradient": (through(jpeg), "rough gradient"),
    "logits in whole numbers": (outputs(straight(torch.round)), "rough gradient"),
}
#: Masks of a referee, judged at two budgets.
OTHERS: dict[str, tuple[Mask, str]] = {
    "small entries turned": (backward(small_turned), "trust: masked"),
    "blurred on bright images": (backward(on_bright), "trust: masked"),
    "blurred where confident": (lambda n: where_confident(n.run), "trust: masked"),
    "low frequencies of the gradient": (backward(low_pass), "trust: masked"),
    "turned near the boundary": (lambda n: near_boundary(n.run), "trust: masked"),
    "gradient of the next image": (backward(lambda g, _: g.roll(1, dims=0)), "trust: batch: gradients"),
    "moved by its own digest": (lambda n: moved_by_digest(n.run), "trust: "),
    "blurred, a class never given": (lambda n: never(blur(n)), "trust: masked"),
    "random inputs, a class never given": (lambda n: never(random_inputs(n.run)), "trust: random"),
    "batch statistics, a class never given": (lambda n: never(batch_statistics(n.model)), "trust: batch: answers"),
    "blurred, over a million": (lambda n: lambda x: 1e-6 * blur(n)(x), "trust: masked"),
    "blurred, brightness on all logits": (
        lambda n: lambda x: blur(n)(x) + 1e5 * x.mean(dim=(1, 2, 3))[:, None],
        "trust: ",
    ),
    "256 levels, no gradient": (inputs(lambda x: levels(x, 256)), "trust: "),
    "one hot": (outputs(lambda z: torch.nn.functional.one_hot(z.argmax(dim=1), 16).float()), "trust: "),
    "softmax of 20 times the logits": (outputs(lambda z: (20 * z).softmax(dim=1)), "trust: "),
    "sigmoid of 20 times the logits": (outputs(lambda z: (20 * z).sigmoid()), "trust: exact ties"),
}
#: Saturated outputs, attacked through what they come from.
SATURATED: dict[str, Mask] = {
    "tanh": outputs(torch.tanh),
    "10 sigmoids": outputs(lambda z: 10 * (2 * z).sigmoid()),
    "100 softmaxes": outputs(lambda z: 100 * (3 * z).softmax(dim=1)),
}
#: Changes that mask nothing; of some the gradient is odd.
HONEST: dict[str, Mask] = {
    "as it is": lambda n: n.run,
    "log probabilities": outputs(lambda z: z.log_softmax(dim=1)),
    "8-bit inputs, straight-through": inputs(straight(lambda x: levels(x, 256))),
    "half-precision weights": lambda n: in_dtype(n.model, torch.float16, True),
    "bfloat16 throughout": lambda n: in_dtype(n.model, torch.bfloat16, False),
    "ensemble of two": lambda n: lambda x: (n.run(x) + n.other(x)) / 2,
    "mean over the mirror image": lambda n: lambda x: (n.run(x) + n.run(x.flip(-1))) / 2,
    "detector": lambda n: windows(n.run),
    "vision transformer": vision_transformer,
}
ROUNDED: dict[str, Mask] = {
    "8-bit layers, straight-through": lambda n: eight_bit_layers(n.model),
    "median of 3 x 3": inputs(median),
    "logits times 1000": outputs(lambda z: 1000 * z),
}
#: ... and those of a referee, judged at two budgets.
OTHERS_HONEST: dict[str, Mask] = {
    "weights in 8 bits": lambda n: rounded_weights(n.model),
    "weights of a moving average": lambda n: averaged(n.model),
    "half-precision inputs": inputs(lambda x: x.half().float()),
    "ensemble of probabilities": lambda n: lambda x: ((n.run(x).softmax(1) + n.other(x).softmax(1)) / 2).log(),
    "mean over crops": lambda n: mean_of_crops(n.run),
    "log probabilities, cut off": outputs(lambda z: z.softmax(dim=1).clamp_min(1e-3).log()),
    "temperature 3": outputs(lambda z: (z / 3).log_softmax(dim=1)),
    "logits over 10,000": outputs(lambda z: z / 1e4),
    "dropout off": outputs(lambda z: torch.nn.functional.dropout(z, 0.5, training=False)),
    "a class never given": lambda n: never(n.run),
    "grey inputs": inputs(lambda x: x.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)),
    "half the resolution": inputs(lambda x: interpolate(avg_pool2d(x, 2), scale_factor=2)),
}
