"""Canary answers: what a network says to 16 fixed pictures, kept with every observation whose trials it made.

Code and weights may be the same and answers others: an environment variable, a data file by a computed path, a patch,
another version of a library. So each time a network is loaded it is shown the pictures again, as its suite presents
images; where it answers otherwise than when its trials were stored, these are not taken for its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmark.contracts import Block, Transform
from benchmark.engine.devices import full_precision
from benchmark.engine.model_view import unit
from benchmark.errors import FAILURES
from registry.code import Codes
from registry.determinism_checks import canaries_differ, canary_text, pictures
from registry.files import digest_data
from registry.model import LoadedModel, Presentation

COUNT = 16


@dataclass
class Canary:
    """A network's canary answers, each computed once."""

    model: LoadedModel
    device: str
    codes: Codes
    _texts: dict[tuple[str, int], str] = field(default_factory=dict)

    def key(self, key: str, block: Block, stored: Mapping[str, str]) -> tuple[str, str]:
        """(key, canary answers) of an observation: `key`, or one that follows from it where the trials that are stored
        under it were made by a network that answered otherwise. stored: key -> canary answers."""
        now = self.answers(block)
        while now and stored.get(key) and canaries_differ(stored[key], now):
            key = digest_data([key, "answers otherwise"])
        return key, now

    def answers(self, block: Block) -> str:
        """To the pictures as the block presents images; and what its transform makes of them, if that is foreign code.
        "" where either fails, which the run itself will say, and of an endpoint: it would be paid for each time, and
        its replies say themselves when another model gives them."""
        if self.model.card.source == "api":
            return ""
        transform = block.transform
        foreign = transform is not None and not self.codes.own(transform.apply)
        texts = []
        for shown in (None, transform) if foreign else (None,):
            place = (block.presentation, id(shown))
            if place not in self._texts:
                try:
                    self._texts[place] = canary_text(self._output(block.presentation, shown).cpu())
                except FAILURES:
                    self._texts[place] = ""
            texts.append(self._texts[place])
        return ";".join(texts) if all(texts) else ""

    def _output(self, presentation: Presentation, transform: Transform | None) -> torch.Tensor:
        """Logits of the pictures; with a transform, their pixels after it."""
        shown = pictures(COUNT, self.model.preprocess.size).permute(0, 2, 3, 1) * 255
        images = list(shown.round().to(torch.uint8).numpy())
        pixels = self.model.present(images, presentation).to(self.device)
        with torch.inference_mode(), full_precision(torch.device(self.device).type):
            if transform is None:
                return self.model.forward(self.model.fit(unit(pixels)).contiguous())
            given = pixels if transform.stored else unit(pixels)
            return transform.apply(given, np.arange(COUNT, dtype=np.uint64)).float().flatten(1)
