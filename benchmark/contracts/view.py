"""What `Suite.observe` sees of one chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts.shown import Array, Block

if TYPE_CHECKING:
    import torch


class View(Protocol):
    """What a suite sees of one chunk: at most CHUNK stimuli. Lazy fields are computed at most once, in device
    batches, and shared by all suites. A suite's own forward passes go in parts of `batch` images.
    """

    @property
    def block(self) -> Block:
        """What is shown."""

    @property
    def index(self) -> NDArray[np.int64]:
        """Positions of the chunk in `block.stimuli`."""

    @property
    def batch(self) -> int:
        """How many images the device takes at once, found by tuning or given by the user."""

    @property
    def labels(self) -> Mapping[str, Array]:
        """Label columns of the chunk."""

    @property
    def seeds(self) -> NDArray[np.uint64]:
        """One seed per stimulus: never depends on batch size, order or subset."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the decision space, in order."""

    @property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """outputs[c]: the columns of `logits` whose mean probability answers for `categories[c]`."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, categories] by the space's decision rule."""

    @property
    def responses(self) -> Array:
        """[n] str: the decided category. Near-ties were re-checked on the plain path."""

    @property
    def images(self) -> torch.Tensor:
        """NCHW float32 in [0,1] at the network's input, on the device."""

    @property
    def logits(self) -> torch.Tensor:
        """[n, classes] float32."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network on other images (attacks, gradients): NCHW in [0,1] -> float32 logits."""

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """As `forward`, without gradient, by the network as it was loaded: float32, nothing folded or compiled."""

    def picture(self, position: int) -> torch.Tensor:
        """The image at any position of `block.stimuli`, [3, h, w] as in `images`, without the block's transform."""

    def mask(self, position: int) -> NDArray[np.bool_]:
        """The object mask of any position of `block.stimuli` as the network's input shows it: [h, w] of `images`,
        through the same resize and crop with nearest neighbour. Raises MissingStimuli where the set has no masks.
        """

    def ignored(self, position: int) -> NDArray[np.bool_]:
        """The pixels that are neither object nor background, as `mask`; none where the set names none."""

    def importance(self, position: int) -> NDArray[np.float32]:
        """The graded human map, as `mask` but bilinear. Raises MissingStimuli where the set has no such maps."""
