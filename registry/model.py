"""A loaded network behind one boundary: pixels in [0,1] go in, float32 logits come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from registry import geometry
from registry.cards import ModelCard, Preprocess
from registry.digests import digest_data
from registry.errors import LabelError
from registry.geometry import Pixels, Presentation, present_mask
from registry.labels import LabelSpace
from registry.outputs import logits_in, misfit

__all__ = ["LoadedModel", "present_mask"]


@dataclass
class LoadedModel:
    """A network ready to answer.

    module: in evaluation mode, no parameter requires a gradient; digest: of its state dict; labels:
    what its outputs stand for; code: digest of what computes besides the weights, where the
    architecture's name does not say it (an exported program, the module of a Python factory);
    gradients: whether they reach the input.
    """

    card: ModelCard
    module: nn.Module
    digest: str
    labels: LabelSpace
    code: str = ""
    gradients: bool = True
    _stats: dict[tuple[torch.device, int], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def preprocess(self) -> Preprocess:
        """How pixels become the network's input."""
        assert self.card.preprocess is not None
        return self.card.preprocess

    @cached_property
    def identity(self) -> str:
        """Digest of what decides the answers: weights, preprocessing, labels, architecture. No name, no path: of a
        Python factory its own name alone, for `code` says the rest.
        """
        kind, _, name = self.card.arch.partition(":")
        return digest_data(
            {
                "weights": self.digest,
                "preprocess": self.preprocess.model_dump(mode="json"),
                "labels": self.labels.digest,
                "arch": [kind, name.rpartition(":")[2] if kind == "python" else name],
                "kwargs": self.card.options.get("kwargs", {}),
                "code": self.code,
            }
        )

    def present(self, images: Sequence[Pixels], presentation: Presentation) -> Tensor:
        """Images [h, w, 3] uint8 -> [n, 3, h', w'] uint8 on the CPU, by the presentation's geometry.

        The memory is laid out channels-last, as the pixels were.
        """
        shown = geometry.present(images, self.preprocess, presentation)
        return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)

    def prepare(self, images: Sequence[Pixels], presentation: Presentation) -> Tensor:
        """As `present`, but float32 in [0,1]."""
        return self.present(images, presentation).to(torch.float32).div_(255)

    def fit(self, batch: Tensor) -> Tensor:
        """Bring a batch [n, 3, h, w] in [0,1] to the network's input (see `geometry.fit`)."""
        return geometry.fit(batch, self.preprocess)

    def normalise(self, x: Tensor) -> Tensor:
        """[n, 3, h, w] in [0,1] -> what the module takes: channel order, scale, mean and standard
        deviation.
        """
        how = self.preprocess
        if how.channels == "bgr":
            x = x.flip(1)
        if how.scale != 1.0:
            x = x * how.scale
        mean, std = self._statistics(x.device, x.shape[-1] if x.stride(1) == 1 else 1)
        return (x - mean) / std

    def _statistics(self, device: torch.device, width: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation on `device`, [1, 3, 1, width], channels-last: a whole row goes
        with images of that layout in a third of the time of a pixel.

        Ordinary tensors, also when first asked for in inference mode, whose tensors autograd could
        not use later.
        """
        if (device, width) not in self._stats:
            with torch.inference_mode(mode=False):
                mean, std = (
                    torch.tensor(values, device=device)
                    .view(1, 3, 1, 1)
                    .expand(1, 3, 1, width)
                    .contiguous(memory_format=torch.channels_last)
                    for values in (self.preprocess.mean, self.preprocess.std)
                )
            self._stats[device, width] = (mean, std)
        return self._stats[device, width]

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3, h, w] float32 in [0,1] -> logits [n, classes] float32. Differentiable.

        Raises LabelError where the network's outputs are not one per class of its label space.
        """
        output = self.module(self.normalise(x))
        expected = (len(x), len(self.labels.classes))
        logits = logits_in(output, expected)
        if logits is None:
            reason = misfit(output, expected, self.labels)
            raise LabelError(f"model '{self.card.name}' {reason}")
        return logits.float()
