"""A loaded network maps pixels in [0,1] to float32 logits."""

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_leaves, tree_map

from registry.cards import Interpolation, Margin, ModelCard, Preprocess
from registry.files import digest_data
from registry.labels import LabelSpace, spaces_of_size
from registry.user_errors import AnswerError, LabelError, reason, shown, some_of

# The logits in what a network returns: a tensor, or a mapping, sequence or object that holds tensors.

#: How deep outputs hold other outputs: ("aux": {"logits": ...}).
_DEPTH = 4


def named_outputs(output: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of an output with its name: "logits", "1", "aux.logits"; "" for a bare tensor."""
    if isinstance(output, Tensor):
        yield name, output
        return
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(output, Mapping):  # transformers' output objects, too
        parts = output.items()
    elif isinstance(output, list | tuple):
        parts = zip(getattr(output, "_fields", range(len(output))), output, strict=True)
    elif not isinstance(output, type | nn.Module):
        parts = getattr(output, "__dict__", {}).items()
    for part, value in parts if depth < _DEPTH else ():
        yield from named_outputs(value, f"{name}.{part}" if name else str(part), depth + 1)


def logits_in(output: Any, shape: tuple[int, int], chosen: str | None = None, *, space: str = "its labels") -> Tensor:
    """Return the logits [images, classes] of an output as float32: the only tensor of that shape, in the `chosen` part
    if one is named. Raises LabelError if there is none, or several that differ; it names the `space`."""
    every = dict(named_outputs(output))
    named = [name for name in every if chosen is None or f"{name}.".startswith(f"{chosen}.")]
    fitting = {name: every[name] for name in named if tuple(every[name].shape) == shape}
    returned = some_of([f"{name} {tuple(part.shape)}".lstrip() for name, part in every.items()], 5)
    if chosen is not None and not fitting:
        raise LabelError(f"has no output '{shown(chosen)}' of shape {shape} (--output): returned {returned or 'none'}.")
    if not fitting:
        wanted = f"{shape[0]} images, expected logits {shape} for label space '{space}'"
        count = next((int(tensor.shape[1]) for tensor in every.values() if tensor.dim() == 2), 0)
        hint = (
            "A classifier returns a logit for each class of --labels; `bench register --probe` fits one to a backbone"
        )
        if spaces := spaces_of_size(count):
            hint = f"{count} outputs are those of label space {' or '.join(spaces)}"
        raise LabelError(f"returned {returned or type(output).__name__} for {wanted}. {hint}.")
    first, *others = fitting.values()
    if any(other is not first and not torch.equal(other, first) for other in others):
        words = " or ".join(f"--output {name}" for name in map(shown, [*fitting][:3]))
        raise LabelError(f"returned {len(fitting)} outputs of shape {shape}. Choose the one that classifies: {words}.")
    return first.float()


# Preprocessing that a network brings with it: any callable from a PIL image to what the network takes of one image.

Transform = Callable[[Image.Image], Any]
#: What a network takes: a tensor, or a mapping of them (patches of NaFlex); of one image, or of several.
Given = Tensor | dict[str, Tensor]


def network_input(transform: Transform, pixels: Tensor) -> Given:
    """Return what a network takes of one image [3, h, w], uint8 or float32 in [0,1]. Raises AnswerError."""
    levels = pixels if pixels.dtype == torch.uint8 else (pixels.detach().float().clamp(0, 1) * 255).round().byte()
    image = Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()))
    try:
        made = transform(image)
        if isinstance(made, Mapping) and set(made) != {"pixel_values"}:
            return {str(name): _tensor(value) for name, value in made.items()}
        tensor = _tensor(made["pixel_values"] if isinstance(made, Mapping) else made)
        return tensor[0] if tensor.dim() == 4 and len(tensor) == 1 else tensor
    except (Exception, SystemExit) as error:
        size = f"{image.width} x {image.height} px"
        raise AnswerError(f"the network's own transform fails on an image of {size} ({reason(error)}).") from error


def _tensor(value: Any) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def by_shape(each: Sequence[Given], run: Callable[[Given], Tensor]) -> Tensor:
    """Return the answers [n, ...] to single inputs: those of one shape are given to `run` together."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, given in enumerate(each):
        groups.setdefault(tuple(part.shape for part in tree_leaves(given)), []).append(i)
    answers = torch.cat([run(input_batch([each[i] for i in rows])) for rows in groups.values()])
    order = torch.tensor([i for rows in groups.values() for i in rows], device=answers.device)
    return answers[order.argsort()]


def input_batch(each: Sequence[Given]) -> Given:
    """Return single inputs of one shape as a batch."""
    return cast(Given, tree_map(lambda *parts: torch.stack(parts), *each))


def on_device(given: Given, device: torch.device) -> Given:
    """Return the input where the network is."""
    return cast(Given, tree_map(lambda part: part.to(device), given))


def count(given: Given) -> int:
    """Return of how many images it is."""
    return len(tree_leaves(given)[0])


# What reaches the network: resizing and cropping of images (uint8) and, in the same way, of their masks.
#
# Presentations: "whole": as it is, resized to the network's input only where it takes no other size; "card": the card's
# own resizing and centre crop; "crop224": shorter side 256, centre crop 224 (the published corruption protocol;
# "crop224-bicubic": with that filter instead of bilinear; "square224": both sides scaled to 224, no crop), resized to
# the network's input afterwards by `fit`, after any transform.

#: Images as they are shown: uint8 or in [0,1], [n, 3, h, w]; a list of [1, 3, h, w] where sizes differ.
Shown = Tensor | list[Tensor]
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Presentation = Literal["whole", "card", "crop224", "crop224-bicubic", "square224"]
Pixels = NDArray[np.uint8]
#: Bytes of an image or a mask, or the numbers of a graded map.
Plane = TypeVar("Plane", np.uint8, np.float32)

#: Presentations that end at 224 px, and their filter.
CROPS_224: Mapping[Presentation, Interpolation] = {
    "crop224": "bilinear", "crop224-bicubic": "bicubic", "square224": "bilinear",
}  # fmt: skip


def _resized(pixels: NDArray[Plane], size: tuple[int, int], interpolation: Interpolation) -> NDArray[Plane]:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[interpolation.upper()]))


def shorter_side(pixels: NDArray[Plane], side: int, interpolation: Interpolation) -> NDArray[Plane]:
    """Scale so that the shorter side is `side` pixels; the longer one is rounded down."""
    height, width = pixels.shape[:2]
    longer = int(side * max(height, width) / min(height, width))
    return _resized(pixels, (side, longer) if width <= height else (longer, side), interpolation)


def centre_crop(pixels: NDArray[Plane], side: int, margin: Margin = "nearest") -> NDArray[Plane]:
    """Return the middle square of `side` px; odd margins split like torchvision's, or transformers' ("down")."""
    top, left = (rest // 2 if margin == "down" else round(rest / 2) for rest in (n - side for n in pixels.shape[:2]))
    return pixels[top : top + side, left : left + side]


def presented(
    plane: NDArray[Plane], how: Preprocess, presentation: Presentation, interpolation: Interpolation | None = None
) -> NDArray[Plane]:
    """Present an image or its mask, which has an `interpolation` of its own, by the geometry of a `presentation`."""
    interpolation = interpolation or CROPS_224.get(presentation, how.interpolation)
    if presentation == "square224":
        return _resized(plane, (224, 224), interpolation)
    if presentation in CROPS_224:
        return centre_crop(shorter_side(plane, 256, interpolation), 224)
    if presentation == "whole" or how.resize_mode == "own":
        return plane
    if how.resize_mode == "squash":
        return centre_crop(_resized(plane, (how.resize, how.resize), interpolation), how.size, how.margin)
    if how.resize_mode == "shortest":
        return centre_crop(shorter_side(plane, how.resize, interpolation), how.size, how.margin)
    # The longer side is scaled; what the shorter one lacks is filled, an odd rest to the right and below, and planes
    # without channels with 0.
    height, width = plane.shape[:2]
    ratio = max(height, width) / how.resize
    scaled: NDArray[Plane] = _resized(plane, (round(width / ratio), round(height / ratio)), interpolation)
    height, width = scaled.shape[:2]
    rows, columns = max(how.size, height), max(how.size, width)
    whole = np.zeros((rows, columns, *scaled.shape[2:]), scaled.dtype)
    if scaled.ndim == 3:
        whole[:] = how.fill
    top, left = (rows - height) // 2, (columns - width) // 2
    whole[top : top + height, left : left + width] = scaled
    return centre_crop(whole, how.size, how.margin)


def present_plane(
    plane: NDArray[Any], how: Preprocess, presentation: Presentation, size: tuple[int, int]
) -> NDArray[Any]:
    """Return a mask or graded map [h, w] of an image by the geometry of the network's input of `size` (height, width).
    A bool mask uses the nearest neighbour. Numbers become float32 by the bilinear filter, which keeps their range."""
    flags = plane.dtype == np.bool_
    interpolation: Interpolation = "nearest" if flags else "bilinear"
    numbers: NDArray[Any] = plane.astype(np.uint8 if flags else np.float32)
    shown = _resized(presented(numbers, how, presentation, interpolation), (size[1], size[0]), interpolation)
    return shown.astype(np.bool_) if flags else shown


@dataclass(kw_only=True)
class LoadedModel:
    """A loaded network is ready to answer."""

    card: ModelCard
    module: nn.Module  # in evaluation mode, no parameter requires a gradient
    digest: str  # of its state dict
    labels: LabelSpace  # the meaning of its outputs
    code: str = ""  # digest of its code, if the architecture's name does not identify it
    transform: Transform | None = None  # that makes its input instead of the card

    @property
    def preprocess(self) -> Preprocess:
        """Return how pixels become the network's input."""
        assert self.card.preprocess is not None
        return self.card.preprocess

    @cached_property
    def identity(self) -> str:
        """Return the digest of everything that decides the answers: weights, preprocessing, labels, architecture. Names
        and paths are excluded; a Python factory counts by its name and `code`."""
        arch = self.card.arch
        if arch.startswith(("python:", "predict:")):
            arch = f"{arch.partition(':')[0]}:{arch.rpartition(':')[2]}"
        how, kwargs = self.preprocess.model_dump(mode="json"), self.card.options.get("kwargs", {})
        parts = {"weights": self.digest, "preprocess": how, "labels": self.labels.digest}
        chosen = {name: value for name, value in self.card.options.items() if name == "output"}
        return digest_data({**parts, **chosen, "arch": arch, "kwargs": kwargs, "code": self.code})

    def present(self, images: Sequence[Pixels], presentation: Presentation, each: Each = map) -> Shown:
        """Map images [h, w, 3] uint8 -> [n, 3, h', w'] uint8 on the CPU, by the presentation's geometry, laid out
        channels-last as the pixels were. Whole images of different sizes are all brought to the card's size, as they
        cannot be stacked; a transform of the network's own gets a list of single ones. `each` is as `map`."""
        how, shown = self.preprocess, list(images)
        square, sizes = (how.size, how.size), {image.shape[:2] for image in images}
        if presentation != "whole":
            shown = [*each(lambda image: presented(image, how, presentation), images)]
        elif how.resize_mode != "own" and (len(sizes) > 1 or (how.fixed_size and sizes != {square})):
            shown = [*each(lambda image: _resized(image, square, "bicubic"), images)]
        if len({image.shape for image in shown}) > 1:
            return [torch.from_numpy(image)[None].permute(0, 3, 1, 2) for image in shown]
        return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)

    def prepare(self, images: Sequence[Pixels], presentation: Presentation) -> Tensor:
        """Do as `present`, but float32 in [0,1], of one size."""
        shown = self.present(images, presentation)
        return (shown if isinstance(shown, Tensor) else torch.cat(shown)).to(torch.float32).div_(255)

    def inputs(self, images: Sequence[Pixels]) -> list[Given]:
        """Return what the module takes of each photograph [h, w, 3] uint8."""
        device = next((value.device for value in self.module.state_dict().values()), torch.device("cpu"))
        if self.transform is None:
            return [*self.normalise(self.fit(self.prepare(images, "card").to(device)))]
        each = (network_input(self.transform, torch.from_numpy(image).permute(2, 0, 1)) for image in images)
        return [on_device(given, device) for given in each]

    def fit(self, batch: Tensor) -> Tensor:
        """Bring a batch [n, 3, h, w] in [0,1] to the network's input, if it accepts only one size. Antialiased; the
        result is rounded to 256 grey levels, as if the resized image had been stored."""
        how = self.preprocess
        square = (how.size, how.size)
        if not how.fixed_size or tuple(batch.shape[-2:]) == square:
            return batch
        if how.interpolation == "nearest":
            return functional.interpolate(batch, square, mode="nearest")
        resized = functional.interpolate(batch, square, mode=how.interpolation, align_corners=False, antialias=True)
        return torch.round(resized.clamp(0, 1) * 255) / 255

    def normalise(self, x: Tensor) -> Tensor:
        """Return [n, 3, h, w] in [0,1] -> the module's input: channel order, scale, mean and standard deviation."""
        how = self.preprocess
        if how.channels == "bgr":
            x = x.flip(1)
        if how.scale != 1.0:
            x = x * how.scale
        with torch.inference_mode(mode=False):  # else autograd could not use them
            # not `device=`, which waits for all that the device has to do
            mean, std = (torch.tensor(v).to(x.device, non_blocking=True).view(1, 3, 1, 1) for v in (how.mean, how.std))
        return (x - mean) / std

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, 3, h, w] float32 in [0,1] -> logits [n, classes] float32. Differentiable. Raises LabelError if the
        network's outputs are not one per class of its label space."""
        if self.transform is None:
            return self.answer(self.normalise(x))
        inputs = [network_input(self.transform, image) for image in x]
        return by_shape(inputs, lambda given: self.answer(on_device(given, x.device)))

    def answer(self, given: Given) -> Tensor:
        """Return the logits [n, classes] float32 of the module's input. Raises LabelError as `forward`."""
        shape, chosen = (count(given), len(self.labels.classes)), self.card.options.get("output")
        try:
            return logits_in(self.module(given), shape, chosen, space=self.labels.name)
        except LabelError as error:
            raise LabelError(f"model '{self.card.name}' {error}") from error


# Batch normalisation folded into the convolution before it: the same function with fewer passes over memory.
#
# Which convolution feeds which normalisation is observed in an actual forward pass, not guessed from names: a pair is
# folded only where the very tensor that a convolution returned enters the normalisation and nothing else that was
# observed. The copy is kept only if its logits agree with the original's.

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
#: (module, example) -> its logits.
Answer = Callable[[nn.Module, Tensor], Tensor]


def _foldable(module: nn.Module, example: Tensor, answer: Answer) -> tuple[list[tuple[str, str]], Tensor]:
    """Return pairs (convolution, the normalisation that alone reads it), and the logits of `example`."""
    calls: Counter[str] = Counter()
    readers: Counter[int] = Counter()
    maker: dict[int, str] = {}
    inputs_of: dict[str, int] = {}
    alive: list[Tensor] = []  # so that no identity is used twice

    def watch(name: str, part: nn.Module, inputs: Any, output: Any) -> None:
        calls[name] += 1
        for value in inputs:
            if isinstance(value, Tensor):
                readers[id(value)] += 1
                alive.append(value)
                if isinstance(part, _BatchNorm):
                    inputs_of[name] = id(value)
        if isinstance(part, _CONVOLUTIONS) and isinstance(output, Tensor):
            maker[id(output)] = name
            alive.append(output)

    parts = dict(module.named_modules())
    handles = [
        part.register_forward_hook(partial(watch, name))
        for name, part in parts.items()
        if isinstance(part, (_BatchNorm, *_CONVOLUTIONS)) or not any(part.children())
    ]
    try:
        with torch.no_grad():
            logits = answer(module, example)
    finally:
        for handle in handles:
            handle.remove()
    pairs = []
    for name, value in inputs_of.items():
        if readers[value] == calls[name] == calls[maker.get(value, "")] == 1:
            conv, norm = parts[maker[value]], cast(Any, parts[name])
            hooked = conv._forward_hooks or conv._forward_pre_hooks
            stats = norm.running_mean is not None and not norm.training
            if stats and not hooked and conv.out_channels == norm.num_features:
                pairs.append((maker[value], name))
    return pairs, logits


def fold_batch_norm(
    module: nn.Module,
    example: Tensor,
    layouts: Sequence[torch.memory_format] = (torch.contiguous_format,),
    answer: Answer = lambda module, x: module(x),
) -> tuple[nn.Module, torch.memory_format, Tensor] | None:
    """Return a copy of `module` with every foldable batch normalisation folded, the layout of its weights and images,
    and the logits of `module` on `example` (what `answer` takes). Return None if nothing could be folded, or if the
    copy's logits differ from these by more than 1e-4 of the largest. Of the `layouts`, the first that runs and agrees
    is taken."""
    if module.training or isinstance(module, torch.fx.GraphModule):
        return None
    pairs, logits = _foldable(module, example, answer)
    if not pairs:
        return None
    folded = copy.deepcopy(module)
    for names in pairs:
        conv, norm = (cast(Any, folded.get_submodule(name)) for name in names)
        # What stays of a normalisation: timm's BatchNormAct2d keeps its dropout and activation.
        left = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
        left = [part for part in left if not isinstance(part, nn.Identity)]
        stored = conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias
        weight, bias, mean, variance, scale, shift = (
            cast(Any, None if part is None else part.double()) for part in stored
        )
        fused = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)
        kind = conv.weight.dtype
        conv.weight, conv.bias = (nn.Parameter(part.to(kind), requires_grad=False) for part in fused)
        parent, _, last = names[1].rpartition(".")
        rest = nn.Identity() if not left else left[0] if len(left) == 1 else nn.Sequential(*left)
        setattr(folded.get_submodule(parent), last, rest)
    for layout in layouts:
        moved: nn.Module = cast(Any, folded).to(memory_format=layout)
        try:
            with torch.no_grad():
                gap = (answer(moved, example.contiguous(memory_format=layout)) - logits).abs().max()
            if bool(gap <= 1e-4 * logits.abs().max().clamp(min=1.0)):
                return moved, layout, logits
        except RuntimeError:  # a view of what lies otherwise in memory
            if layout == layouts[-1]:
                raise
    return None
