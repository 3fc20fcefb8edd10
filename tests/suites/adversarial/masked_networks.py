"""Networks whose gradients are masked on purpose, and honest ones, for the trust report to judge."""

import copy
import io
from collections import namedtuple

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, one_hot, pad

#: What masks are put before: a loaded network, its forward pass, that of another one, and images with their labels. A
#: mask is a function of it that gives a forward pass; a way, of (gradient, input), gives the gradient passed on.
Network = namedtuple("Network", "model run other images labels")


class _Instead(torch.autograd.Function):
    """One function forward, another one backward."""

    @staticmethod
    def forward(ctx, x, forward, backward):
        ctx.backward_way = backward
        ctx.save_for_backward(x)
        return forward(x.detach())

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return ctx.backward_way(gradient, x), None, None


def instead(run, backward, forward=torch.clone):
    """A network whose input goes through `forward`, and whose gradient through `backward`."""
    return lambda x: run(_Instead.apply(x, forward, backward))


def backward(change):
    """The gradient is changed, the answers are not."""
    return lambda n: instead(n.run, change)


def outputs(change):
    return lambda n: lambda x: change(n.run(x))


def inputs(change):
    return lambda n: lambda x: n.run(change(x))


def through(change):
    """The inputs are changed, and the gradient passes as if they were not."""
    return lambda n: instead(n.run, lambda gradient, _: gradient, change)


def straight(forward):
    """A change of values that passes the gradient on as it is."""
    return lambda x: x + (forward(x) - x).detach()


def where(run, other, masked):
    """The gradient of another network on images whose logits ask for it."""

    def answer(x):
        z, led = run(x), other(x)
        return z.detach() + torch.where(masked(z.detach())[:, None], led - led.detach(), z - z.detach())

    return answer


def changed(change):
    """A copy of the network's module, changed in place."""

    def mask(n):
        module = copy.deepcopy(n.model.module)
        with torch.no_grad():
            change(module)
        return lambda x: module(n.model.normalise(x))

    return mask


def blurred(gradient, _=None):
    return avg_pool2d(gradient, 5, 1, 2)


def blurred_beyond(count):
    return lambda gradient, x: blurred(gradient) if len(x) > count else gradient


def noisy(gradient, x):
    """Beside three times as much noise, drawn anew for every input, the same for the same input."""
    seeds = (x.double().abs().sum(dim=(1, 2, 3)) * 1e6).long().tolist()
    drawn = [torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return gradient + 3 * gradient.std() * torch.stack(drawn)


def weakest(share, change):
    """The smallest entries, which together hold a share of the gradient's energy, are changed."""

    def back(gradient, _):
        size = gradient.flatten(1).abs()
        energy = size.sort(dim=1).values.square().cumsum(dim=1)
        least = (energy <= share * energy[:, -1:]).sum(dim=1, keepdim=True).clamp_min(1) - 1
        cut = size.sort(dim=1).values.gather(1, least).view(-1, 1, 1, 1)
        return torch.where(gradient.abs() <= cut, change(gradient), gradient)

    return backward(back)


def at_rest_alone(n):
    """No gradient a step away from the images."""

    def answer(x):
        at_rest = torch.cdist(x.detach().flatten(1), n.images.flatten(1)).amin(dim=1) < 1e-3
        return n.run(torch.where(at_rest[:, None, None, None], x, x.detach()))

    return answer


def levels(x, count=8):
    return (x * (count - 1)).round() / (count - 1)


def jpeg(x):
    stored = []
    for pixels in (x.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).to(torch.uint8).numpy():
        Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG", quality=75)
        stored.append(np.asarray(Image.open(file), dtype=np.float32) / 255)
    return torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2)


def median(x):
    windows = pad(x, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(-2).median(dim=-1).values


def random_inputs(n):
    generator = torch.Generator().manual_seed(0)
    return lambda x: n.run(x + 0.02 * torch.randn(x.shape, generator=generator))


def detector(n):
    """Of each category the best score of five places."""
    places = ((0, 0), (4, 4), (4, -4), (-4, 4), (-4, -4))
    return lambda x: torch.stack([n.run(x.roll(by, dims=(2, 3))) for by in places]).amax(dim=0)


def batch_statistics(module):
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train()
            part.momentum = 0.0


def eight_bit_layers(module):
    """What every convolution gives in 255 steps of an image's own largest value, gradients straight through."""

    def rounded(_, __, out):
        step = out.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
        return straight(lambda z: (z / step).round() * step)(out)

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(rounded)


def eight_bit_weights(module):
    """In 255 steps of each output's largest."""
    for weights in (one for one in module.parameters() if one.ndim > 1):
        step = weights.flatten(1).abs().amax(dim=1).clamp_min(1e-9) / 127
        step = step.view(-1, *[1] * (weights.ndim - 1))
        weights.copy_((weights / step).round() * step)


def bfloat16(n):
    module = copy.deepcopy(n.model.module).bfloat16()
    return lambda x: module(n.model.normalise(x).bfloat16()).float()


def vision_transformer(n):
    """Patches of 8 x 8, two layers of attention as they were drawn, and the readout that fits the images."""
    torch.manual_seed(0)
    patches = torch.nn.Conv2d(3, 64, 8, 8)
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, 0.0, "gelu", batch_first=True)
    body = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    for parameter in (*patches.parameters(), *body.parameters()):
        parameter.requires_grad_(False)

    def features(x):
        tokens = body(4 * patches(x - 0.5).flatten(2).mT)
        return torch.cat([tokens.mean(dim=1), tokens.std(dim=1), tokens.amax(dim=1)], dim=1)

    with torch.no_grad():
        known = features(n.images)
    mean = known.mean(dim=0)
    wanted = one_hot(n.labels, 16).float() - 1 / 16
    square = (known - mean).T @ (known - mean) + 1e-2 * torch.eye(known.shape[1])
    readout = torch.linalg.solve(square, (known - mean).T @ wanted)
    return lambda x: 10 * (features(x) - mean) @ readout


MASKED, BATCH = "trust: masked", "trust: batch: gradients"
STAIRS = (
    "trust: zero gradient: 100% of images", "trust: more steps are not stronger than one",
    "trust: linf: the loss does not rise on 100% of unbroken images", "trust: black box beats white box: square on",
)  # fmt: skip
#: Masks that make a number wrong, and how a flag, or each of several flags, begins that says so.
WRONG = {
    "blurred in batches of two and more": (backward(blurred_beyond(1)), (BATCH, MASKED)),
    "blurred for all but the first": (backward(lambda g, _: torch.cat([g[:1], blurred(g[1:])])), (BATCH, MASKED)),
    "gradient of another network": (lambda n: where(n.run, n.other, lambda z: z.isfinite().all(dim=1)), MASKED),
    "gradient blurred, 5 x 5": (backward(blurred), MASKED),
    "gradient beside noise drawn by input": (backward(noisy), MASKED),
    # fine waves on the pixels, too small to be seen; half the slopes point the other way
    "ripples on the pixels": (inputs(lambda x: x + 0.004 * torch.sin(2000 * x)), MASKED),
    "no gradient": (inputs(torch.detach), ("trust: zero gradient: 100%", "trust: black box beats white box")),
    "16 levels": (inputs(lambda x: levels(x, 16)), STAIRS),
    "gradient turned round": (backward(lambda g, _: -g), "trust: linf: the loss does not rise"),
    "gradient at the images alone": (at_rest_alone, "trust: FGSM beats PGD"),
    "random inputs": (random_inputs, "trust: random"),
    "batch statistics": (changed(batch_statistics), "trust: batch: answers"),
    # of a referee
    "smallest entries turned, 3 %": (weakest(0.03, lambda g: -g), MASKED),
    "no smallest entries, 20 %": (weakest(0.2, torch.zeros_like), MASKED),
    "blurred where confident": (
        lambda n: where(n.run, backward(blurred)(n), lambda z: z.softmax(1).amax(1) > 0.9),
        MASKED,
    ),
    "gradient of the next image": (backward(lambda g, _: g.roll(1, dims=0)), BATCH),
    "one hot": (outputs(lambda z: one_hot(z.argmax(dim=1), 16).float()), "trust: "),
    "sigmoid of 20 times the logits": (outputs(lambda z: (20 * z).sigmoid()), "trust: exact ties"),
}
#: What is odd about these, whatever their number is worth.
ODD = {
    "sigmoid of twice the logits": (outputs(lambda z: (2 * z).sigmoid()), "outputs lie between two ends"),
    "probabilities": (outputs(lambda z: z.softmax(dim=1)), "outputs are probabilities"),
    "8 levels, straight-through gradient": (through(levels), "rough gradient"),
    "JPEG, straight-through gradient": (through(jpeg), "rough gradient"),
    "logits in whole numbers": (outputs(straight(torch.round)), "rough gradient"),
}
#: Changes that mask nothing, and of which no gradient is odd.
HONEST = {
    "as it is": lambda n: n.run,
    "log probabilities": outputs(lambda z: z.log_softmax(dim=1)),
    "8-bit inputs, straight-through": inputs(straight(lambda x: levels(x, 256))),
    "bfloat16 throughout": bfloat16,
    "ensemble of two": lambda n: lambda x: (n.run(x) + n.other(x)) / 2,
    "detector": detector,
    "vision transformer": vision_transformer,
    # of a referee
    "weights in 8 bits": changed(eight_bit_weights),
    "ensemble of probabilities": lambda n: lambda x: ((n.run(x).softmax(1) + n.other(x).softmax(1)) / 2).log(),
}
#: ... and of which gradients are odd.
ROUNDED = {
    "8-bit layers, straight-through": changed(eight_bit_layers),
    "median of 3 x 3": inputs(median),
    "gradient over 10^12": backward(lambda g, _: 1e-12 * g),
    "logits times 1000": outputs(lambda z: 1000 * z),
}
