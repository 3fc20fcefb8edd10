"""Networks whose gradients are masked on purpose, and honest ones, for the trust report to judge."""

import copy
import io
from collections.abc import Callable

import numpy as np
import torch
from adversarial_world import World, shown
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from registry.model import LoadedModel

Run = Callable[[Tensor], Tensor]
Way = Callable[[Tensor, Tensor], Tensor]  # (gradient, input) -> gradient passed on
HONEST = ("world-standard-1", "world-uniform-noise-0", "world-detector-0")


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


def ripples(x: Tensor) -> Tensor:
    """Fine waves on the pixels, too small to be seen; half the slopes point the other way."""
    return x + 0.004 * torch.sin(2000 * x)


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


def in_company(more_than: int) -> Way:
    return lambda gradient, x: blurred(gradient) if len(x) > more_than else gradient


def all_but_first(gradient: Tensor, _: Tensor) -> Tensor:
    return torch.cat([gradient[:1], blurred(gradient[1:])])


def anew(gradient: Tensor, _: Tensor) -> Tensor:
    return gradient + 5 * gradient.std() * torch.randn_like(gradient)


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


def masked(model: LoadedModel, run: Run, other: Run) -> dict[str, Run]:
    same: Way = lambda gradient, _: gradient  # noqa: E731 - beside the others
    blur, noise = instead(run, blurred), random_inputs(run)
    return {
        "gradient blurred, 5 x 5": blur,
        "gradient beside noise drawn by input": instead(run, noisy),
        "no gradient": lambda x: run(x.detach()),
        "JPEG, straight-through gradient": instead(run, same, jpeg),
        "8 levels, straight-through gradient": instead(run, same, levels),
        "ripples on the pixels": lambda x: run(ripples(x)),
        "batch statistics": batch_statistics(model),
        "probabilities": lambda x: run(x).softmax(dim=1),
        "blurred in batches of two and more": instead(run, in_company(1)),
        "blurred in batches of nine and more": instead(run, in_company(8)),
        "blurred for all but the first": instead(run, all_but_first),
        "blurred, 1e6 on all logits": lambda x: blur(x) + 1e6,
        "random inputs, 1e6 on all logits": lambda x: noise(x) + 1e6,
        "blurred, probabilities": lambda x: blur(x).softmax(dim=1),
        "sigmoid of twice the logits": lambda x: (2 * run(x)).sigmoid(),
        "logits cut to [0, 1]": lambda x: (run(x) / 8 + 0.5).clamp(0, 1),
        "logits in whole numbers": lambda x: straight(torch.round)(run(x)),
        "gradient of another network": lambda x: run(x).detach() + other(x) - other(x).detach(),
        "gradient beside noise drawn anew": instead(run, anew),
        "gradient mirrored": instead(run, lambda g, _: g.flip(-1)),
        "gradient with its channels exchanged": instead(run, lambda g, _: g.roll(1, dims=1)),
        "gradient shifted by three pixels": instead(run, lambda g, _: g.roll(3, dims=-1)),
        "a fifth of the gradient's pixels": instead(run, dropped),
        "4 levels, straight-through gradient": instead(run, same, lambda x: levels(x, 4)),
        "median of 3 x 3, gradient blurred": lambda x: instead(run, blurred)(median(x)),
        # a referee's
        "small entries turned": instead(run, small_turned),
        "blurred on bright images": instead(run, on_bright),
        "blurred where confident": where_confident(run),
        "low frequencies of the gradient": instead(run, low_pass),
        "turned near the boundary": near_boundary(run),
        "gradient of the next image": instead(run, lambda g, _: g.roll(1, dims=0)),
        "moved by its own digest": moved_by_digest(run),
        "blurred, a class never given": never(blur),
        "random inputs, a class never given": never(noise),
        "batch statistics, a class never given": never(batch_statistics(model)),
        "blurred, over a million": lambda x: 1e-6 * blur(x),
        "blurred, brightness on all logits": lambda x: blur(x) + 1e5 * x.mean(dim=(1, 2, 3))[:, None],
        "256 levels, no gradient": lambda x: run(levels(x, 256)),
        "one hot": lambda x: torch.nn.functional.one_hot(run(x).argmax(dim=1), 16).float(),
        "softmax of 20 times the logits": lambda x: (20 * run(x)).softmax(dim=1),
        "sigmoid of 20 times the logits": lambda x: (20 * run(x)).sigmoid(),
        "tanh": lambda x: run(x).tanh(),
        "10 sigmoids": lambda x: 10 * (2 * run(x)).sigmoid(),
        "100 softmaxes": lambda x: 100 * (3 * run(x)).softmax(dim=1),
    }


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


def vision_transformer(images: Tensor, labels: Tensor) -> Run:
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
        known = features(images)
    mean = known.mean(dim=0)
    wanted = torch.nn.functional.one_hot(labels, 16).float() - 1 / 16
    square = (known - mean).T @ (known - mean) + 1e-2 * torch.eye(known.shape[1])
    readout = torch.linalg.solve(square, (known - mean).T @ wanted)
    return lambda x: 10 * (features(x) - mean) @ readout


def honest(model: LoadedModel, run: Run, other: Run, images: Tensor, labels: Tensor) -> dict[str, Run]:
    return {
        "as it is": run,
        "log probabilities": lambda x: run(x).log_softmax(dim=1),
        "8-bit layers, straight-through": eight_bit_layers(model),
        "8-bit inputs, straight-through": lambda x: run(straight(lambda p: levels(p, 256))(x)),
        "half-precision weights": in_dtype(model, torch.float16, True),
        "bfloat16 throughout": in_dtype(model, torch.bfloat16, False),
        "ensemble of two": lambda x: (run(x) + other(x)) / 2,
        "mean over the mirror image": lambda x: (run(x) + run(x.flip(-1))) / 2,
        "median of 3 x 3": lambda x: run(median(x)),
        "detector": windows(run),
        "vision transformer": vision_transformer(images, labels),
        "logits times 1000": lambda x: 1000 * run(x),
        "logits times 30": lambda x: 30 * run(x),
        # a referee's
        "weights in 8 bits": rounded_weights(model),
        "weights of a moving average": averaged(model),
        "half-precision inputs": lambda x: run(x.half().float()),
        "ensemble of probabilities": lambda x: ((run(x).softmax(dim=1) + other(x).softmax(dim=1)) / 2).log(),
        "mean over crops": mean_of_crops(run),
        "log probabilities, cut off": lambda x: run(x).softmax(dim=1).clamp_min(1e-3).log(),
        "temperature 3": lambda x: (run(x) / 3).log_softmax(dim=1),
        "logits over 10,000": lambda x: run(x) / 1e4,
        "dropout off": lambda x: torch.nn.functional.dropout(run(x), 0.5, training=False),
        "a class never given": never(run),
        "grey inputs": lambda x: run(x.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)),
        "half the resolution": lambda x: run(interpolate(avg_pool2d(x, 2), scale_factor=2)),
    }


def cases(name: str, count: int) -> dict[str, tuple[World, Run]]:
    """The network of that name behind every mask, and with every honest change; and the honest networks of the
    world."""
    world, other = shown(name, count), shown(HONEST[0], count).feed.run
    model, run = world.feed.model, world.feed.run
    changed = masked(model, run, other) | honest(model, run, other, world.pixels, world.labels)
    others = {name: shown(name, count) for name in HONEST}
    return {change: (world, run) for change, run in changed.items()} | {
        name: (world, world.feed.run) for name, world in others.items()
    }
