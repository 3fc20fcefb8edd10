"""Views: a suite's access to one chunk. Everything is computed when it is first asked for, and only once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import CHUNK, Array, Block
from benchmark.engine.device_queue import Arriving, DeviceQueue
from benchmark.engine.devices import TunedModel, full_precision, replayed_row, require_replay
from benchmark.failures import MissingStimuli, ModelFailure
from benchmark.stimuli.datasets import seeds_of
from benchmark.stimuli.image_names import NO_ANSWER
from registry.determinism_checks import distance
from registry.labels import Grouping, decide
from registry.model import Shown, present_plane
from registry.simulated import IdealObserver
from registry.user_errors import some_of

#: Answers whose two best categories are closer than this (relative) are decided on the plain path, in float32 and
#: unfolded, so that batch size, layout, folding and the run's precision cannot tip them: one image at a time on the
#: processor, so many at a time (always, by showing some twice) elsewhere.
NEAR_TIE, TIES = 1e-3, 8


@dataclass(eq=False, kw_only=True)
class _ChunkOfStimuli:
    """The part of a view that observers share: the block, positions in it, their labels and seeds."""

    block: Block
    index: NDArray[np.int64]  # positions of the chunk's images in the set
    seed: int
    batch: int = CHUNK  # images at a time on the device

    @cached_property
    def labels(self) -> Mapping[str, Array]:
        """Label columns of the chunk."""
        return {name: values[self.index] for name, values in self.block.stimuli.labels.items()}

    @cached_property
    def seeds(self) -> NDArray[np.uint64]:
        """One seed per stimulus."""
        return seeds_of(self.block.stimuli, self.index, self.seed)


@dataclass(eq=False, kw_only=True)
class NetworkView(_ChunkOfStimuli):
    """A network on one chunk, which it sees in device batches of `batch` images."""

    feed: TunedModel
    pixels: Shown  # NCHW before the network's own resize, uint8 or float32 in [0,1]; a list: seen one at a time
    grouping: Grouping  # onto the label space that is asked
    device: str = "cpu"
    passed: Callable[[int], None] = lambda _passes: None  # called with the passes of each batch; a backward counts two
    #: Brings answers to the processor, for a loop that goes on meanwhile and shows images again itself; None: the view
    #: waits for them.
    queue: DeviceQueue | None = None

    def __post_init__(self) -> None:
        self.categories, self.outputs = self.grouping.categories, self.grouping.indices

    @cached_property
    def images(self) -> torch.Tensor:
        """NCHW in [0,1] at the network's input, the whole chunk."""
        return torch.cat([self._input(slice(i, i + self.batch)) for i in range(0, len(self.index), self.batch)])

    @cached_property
    def _given(self) -> torch.Tensor:
        """[n, classes] float32, not yet checked."""
        parts = []
        with torch.inference_mode():
            for i in range(0, len(self.index), self.batch):
                parts.append(self.feed.run(self._input(slice(i, i + self.batch))).float())
                self.passed(len(parts[-1]))
        return torch.cat(parts)

    @cached_property
    def arriving(self) -> Arriving:
        """Answers and whether their logits are finite, [n, alternatives + 1], once the network has computed them."""
        finite = torch.isfinite(self._given).all(dim=1, keepdim=True)
        return self._carried(torch.cat([decide(self._given, self._decided).float(), finite.float()], dim=1))

    def _carried(self, values: torch.Tensor) -> Arriving:
        return self.queue.add(values) if self.queue else values.cpu().numpy

    @cached_property
    def logits(self) -> torch.Tensor:
        """[n, classes] float32, finite; an image now and then is shown again by itself."""
        name, finite = self.feed.model.card.name, self.arriving()[:, -1] > 0
        if not finite.all():
            ids = [self.block.stimuli.ids[i] for i in self.index[~finite]]
            where = f"{len(ids)} of {len(finite)} images of '{self.block.stimuli.name}' ({some_of(ids, 3)})"
            raise ModelFailure(f"{name} gave NaN or infinite logits on {where}. `bench models check` tests it.")
        if self.queue is None and (again := self.again()):
            require_replay(name, distance(again[1], self.plain(again[0])), self._given.device.type)
        return self._given

    def again(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the input [1, 3, h, w] that is to be shown again by itself, and its logits; None without any."""
        row = replayed_row(self.seeds)
        return (self._input(row), self._given[row]) if row.stop else None

    @cached_property
    def _decided(self) -> Grouping:
        """The alternatives of the network's decision: the categories, and nothing if it may find nothing."""
        if self.grouping.nothing is None:
            return self.grouping
        outputs = (*self.outputs, (self.grouping.nothing,))
        return Grouping(space=self.grouping.space, categories=(*self.categories, NO_ANSWER), indices=outputs)

    @cached_property
    def undecided(self) -> tuple[NDArray[np.int64], Arriving] | None:
        """Rows of near-ties, and their answers on the plain path once they are computed; None without any."""
        assert self.logits is not None  # finite
        rows, parts = np.empty(0, dtype=np.int64), []
        if len(self._decided.indices) > 1:  # the best two of [n, alternatives], relative to the best
            second, first = np.partition(self.arriving()[:, :-1], -2, axis=1)[:, -2:].T
            rows = np.flatnonzero(first - second <= NEAR_TIE * first)
        step = 1 if isinstance(self.pixels, list) or self.device.startswith("cpu") else TIES
        for i in range(0, len(rows), step):
            some = rows[i : i + step]
            filled = torch.from_numpy(np.resize(some, step)).to(self.pixels[0].device, non_blocking=True)
            shown = self._input(slice(some[0], some[0] + 1) if step == 1 else filled)
            parts.append(decide(self.plain(shown), self._decided)[: len(some)])
        return (rows, self._carried(torch.cat(parts).float())) if parts else None

    @cached_property
    def _answers(self) -> NDArray[np.float32]:
        """[n, alternatives], near-ties from the plain path."""
        ties, values = self.undecided, self.arriving()[:, :-1].copy()
        if ties:
            values[ties[0]] = ties[1]()
        return values

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, categories], near-ties from the plain path."""
        return self._answers[:, : len(self.categories)]

    @cached_property
    def responses(self) -> Array:
        """[n] category names; "na" if a network that may find nothing found nothing."""
        return most_probable(self._decided.categories, self._answers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Run the tuned network on other images; differentiable."""
        logits = self.feed.run(images)
        self.passed(len(images) * (3 if images.requires_grad else 1))
        return logits

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """Run the network as it was loaded, in float32, on one batch; no gradient."""
        return plain_logits(self.feed, images)

    def picture(self, position: int) -> torch.Tensor:
        """Return the image at a position, [3, h, w] at the network's input, without the block's transform."""
        model, decoded = self.feed.model, self.block.stimuli.decode(position)
        return model.fit(model.prepare([decoded], self.block.presentation).to(self.device))[0]

    def mask(self, position: int) -> NDArray[np.bool_]:
        """Return the object mask of a position of the stimuli, [h, w] of the network's input."""
        return self._plane("mask", "object masks", position)

    def ignored(self, position: int) -> NDArray[np.bool_]:
        """Return the pixels that are neither object nor background, [h, w] of the network's input."""
        return self._plane("ignored", "", position)

    def importance(self, position: int) -> NDArray[np.float32]:
        """Return the graded human map of a position of the stimuli, [h, w] of the network's input."""
        return self._plane("importance", "maps of what people used", position)

    def _plane(self, name: str, lacking: str, position: int) -> NDArray[Any]:
        read, preprocess = getattr(self.block.stimuli, name), self.feed.model.preprocess
        height, width = (preprocess.size,) * 2 if preprocess.fixed_size else self.pixels[0].shape[-2:]
        if read is None and lacking:
            raise MissingStimuli(f"'{self.block.stimuli.name}' has no {lacking}")
        if read is None:
            return np.zeros((height, width), dtype=np.bool_)
        return present_plane(read(position), preprocess, self.block.presentation, (height, width))

    def _input(self, part: slice | torch.Tensor) -> torch.Tensor:
        shown = self.pixels[part]
        pixels = unit_pixels((shown[0] if isinstance(shown, list) else shown).to(self.device, non_blocking=True))
        with full_precision(pixels.device.type):
            return self.feed.model.fit(pixels)


@dataclass(eq=False, kw_only=True)
class IdealView(_ChunkOfStimuli):
    """An ideal observer on one chunk: its categories are all its classes, and its logits are its answers."""

    observer: IdealObserver
    categories: tuple[str, ...]

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, categories], all on the answer."""
        return self.observer.answer(self.labels, self.seeds, self.categories)

    @cached_property
    def responses(self) -> Array:
        """[n] category names."""
        return most_probable(self.categories, self.probabilities)

    @property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """One for each category."""
        return tuple((i,) for i in range(len(self.categories)))

    @property
    def logits(self) -> torch.Tensor:
        """[n, categories], the probabilities."""
        return torch.from_numpy(self.probabilities)

    def __getattr__(self, name: str) -> NoReturn:
        raise ModelFailure(f"an ideal observer has no {name}: the suite must state its needs")


def plain_logits(feed: TunedModel, images: torch.Tensor) -> torch.Tensor:
    """Return the logits of a batch from the network as it was loaded, in float32; no gradient."""
    with torch.no_grad(), full_precision(images.device.type):
        return feed.model.forward(images.contiguous())


def unit_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Return uint8 pixels as float32 in [0,1], and floating-point pixels as they are."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def most_probable(categories: Sequence[str], probabilities: NDArray[np.float32]) -> Array:
    """Return the [n] names of the most probable categories; exact ties go to the first."""
    return np.asarray(np.asarray(categories)[probabilities.argmax(axis=1)])
