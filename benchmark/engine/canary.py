"""Canary answers: what a network says to 16 fixed pictures, kept with every observation whose trials it made.

Code and weights may be the same and answers others: an environment variable, a data file by a computed path, a patch,
another version of a library. So each time a network is loaded it is shown the pictures again, as its suite presents
images; where it answers otherwise than when its trials were stored, these are not taken for its own.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Block, Transform
from benchmark.engine.device import full_precision
from benchmark.engine.model_view import unit
from benchmark.errors import FAILURES
from registry.code import is_own
from registry.files import digest_data
from registry.model import LoadedModel, Presentation
from registry.soundness import TOLERANCE, pictures

COUNT = 16
_NUMBERS = 2  # of each picture: random sums of its logits, which any other logits move
_STEPS = 32767


@dataclass
class Canary:
    """A network's canary answers, each computed once."""

    model: LoadedModel
    device: str
    _answers: dict[tuple[str, int], str] = field(default_factory=dict)

    def key(self, key: str, block: Block, stored: Mapping[str, str]) -> tuple[str, str]:
        """(key, canary answers) of an observation: `key`, or one that follows from it where the trials that are stored
        under it were made by a network that answered otherwise. stored: key -> canary answers."""
        now = self.answers(block)
        while now and stored.get(key) and differ(stored[key], now):
            key = digest_data([key, "answers otherwise"])
        return key, now

    def answers(self, block: Block) -> str:
        """To the pictures as the block presents images, and through its transform if that is foreign code; "" where the
        network fails, which the run itself will say."""
        transform = block.transform
        if transform is not None and is_own(transform.apply):
            transform = None
        what = (block.presentation, id(transform))
        if what not in self._answers:
            try:
                self._answers[what] = self._shown(block.presentation, transform)
            except FAILURES:
                self._answers[what] = ""
        return self._answers[what]

    def _shown(self, presentation: Presentation, transform: Transform | None) -> str:
        shown = pictures(COUNT, self.model.preprocess.size).permute(0, 2, 3, 1) * 255
        images = list(shown.round().to(torch.uint8).numpy())
        pixels = self.model.present(images, presentation).to(self.device)
        with torch.inference_mode(), full_precision(torch.device(self.device).type):
            if transform is not None:
                given = pixels if transform.stored else unit(pixels)
                pixels = transform.apply(given, np.arange(COUNT, dtype=np.uint64))
            return written(_forward(self.model, self.model.fit(unit(pixels))).cpu())


def _forward(model: LoadedModel, images: torch.Tensor) -> torch.Tensor:
    """The plain network; on a CPU a few images at a time with channels last, in half the time where it takes that."""
    if images.device.type == "cpu":
        with suppress(RuntimeError):
            last = images.contiguous(memory_format=torch.channels_last)
            parts = [last[at : at + 4] for at in range(0, COUNT, 4)]
            return torch.cat([model.forward(part) for part in parts])
    return model.forward(images.contiguous())


def written(values: torch.Tensor) -> str:
    """Few numbers of each row as text of a hundred characters; float noise moves them by less than `differ` sees."""
    generator = torch.Generator().manual_seed(COUNT)
    signs = torch.randint(2, (values.shape[1], _NUMBERS), generator=generator) * 2.0 - 1
    sums = (torch.nan_to_num(values) @ signs).numpy().astype(np.float64)
    scale = float(np.abs(sums).max()) or 1.0
    steps = np.rint(sums / scale * _STEPS).astype("<i2")
    return f"{scale:.7g} {base64.b64encode(steps.tobytes()).decode()}"


def differ(then: str, other: str) -> bool:
    """Whether canary answers differ beyond float noise; also where one of them is not to be read."""
    a, b = _read(then), _read(other)
    if a is None or b is None or a.shape != b.shape:
        return True
    largest = max(float(np.abs(a).max()), float(np.abs(b).max()))
    return float(np.abs(a - b).max()) > TOLERANCE * largest


def _read(text: str) -> NDArray[np.float64] | None:
    scale, _, steps = text.partition(" ")
    try:
        numbers = np.frombuffer(base64.b64decode(steps, validate=True), dtype="<i2")
        return numbers.astype(np.float64) * (float(scale) / _STEPS)
    except ValueError:
        return None
