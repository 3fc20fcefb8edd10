"""Toy stimuli, a toy shelf and a toy observer, for the conformance kit and the tests of a plug-in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, OtherNetwork, Stimuli, Suite, Trials
from benchmark.contracts.trials import stacked_tables
from benchmark.stimuli.image_names import GEIRHOS16 as CATEGORIES
from registry.files import digest_data

TOY_SIZE, TOY_SIDE = 32, 32
TOY_CELLS = ("gaussian_noise/1", "fog/5")


@dataclass
class ToyShelf:
    """A shelf that has a toy set for every role: 32 random images, two per category, with masks and graded maps."""

    space: str
    asked: dict[str, Stimuli] = field(default_factory=dict)

    def find(self, role: str) -> Stimuli:
        """Return the toy set of a role; the same one every time."""
        return self.asked.setdefault(role, toy_stimuli(role, self.space))

    def networks(self, names: Sequence[str]) -> tuple[OtherNetwork, ...]:  # noqa: ARG002 - the contract's signature
        """Return no other network."""
        return ()

    def textures(self, role: str) -> tuple[NDArray[np.uint8], ...]:
        """Return six random pictures of 256 x 256 px; the same ones every time, others for another role."""
        draw = np.random.default_rng(list(role.encode()))
        return tuple(draw.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(6))

    def parts(self, role: str) -> Mapping[str, Stimuli]:
        """Return two toy cells of every role that lies in several folders."""
        return {cell: self.find(f"{role} {cell}") for cell in TOY_CELLS}


def toy_stimuli(role: str, space: str = "geirhos16", size: int = TOY_SIZE) -> Stimuli:
    """Return a labelled set of random images: columns category, shape (= category) and texture (mostly another)."""
    shape = np.array([CATEGORIES[i % 16] for i in range(size)])
    texture = np.array([CATEGORIES[(i + i // 16 + (i % 8 > 0)) % 16] for i in range(size)])
    ids = tuple(f"{role}-{i:04d}.png" for i in range(size))
    return Stimuli(
        name=f"toy-{role}",
        digest=digest_data([role, space, size]),
        space=space,
        ids=ids,
        items=tuple(digest_data(name) for name in ids),
        labels={"category": shape, "shape": shape, "texture": texture},
        decode=lambda i: np.random.default_rng(i).integers(0, 256, (TOY_SIDE, TOY_SIDE, 3)).astype(np.uint8),
        mask=_toy_mask,
        importance=_toy_importance,
        whole=size,
        origin="toy",
    )


def _toy_mask(index: int) -> NDArray[np.bool_]:
    mask = np.zeros((TOY_SIDE, TOY_SIDE), dtype=bool)
    mask[8 : 20 + index % 4, 8:24] = True
    return mask


def _toy_importance(index: int) -> NDArray[np.float32]:
    return np.random.default_rng(index).random((TOY_SIDE, TOY_SIDE), dtype=np.float32)


class ToyView:
    """A toy network on toy stimuli: fixed random weights, 16 classes; differentiable."""

    def __init__(self, block: Block, index: NDArray[np.int64]) -> None:
        self.block = block
        self.index = index
        self.categories = CATEGORIES
        self.outputs = tuple((column,) for column in range(len(CATEGORIES)))
        self.batch = 8
        self.seeds: NDArray[np.uint64] = index.astype(np.uint64) + np.uint64(1)
        self.labels: Mapping[str, Array] = {name: values[index] for name, values in block.stimuli.labels.items()}

    @cached_property
    def images(self) -> torch.Tensor:
        """[n, 3, 32, 32] in [0,1]."""
        stack = np.stack([self.block.stimuli.decode(int(i)) for i in self.index])
        pixels = torch.from_numpy(stack).permute(0, 3, 1, 2)
        transform = self.block.transform
        if transform is None:
            return pixels.float() / 255
        shown = transform.apply(pixels if transform.stored else pixels.float() / 255, self.seeds)
        return shown.float() / 255 if transform.stored else shown

    @cached_property
    def logits(self) -> torch.Tensor:
        """[n, 16]."""
        return self.forward(self.images).detach()

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """[n, 16]."""
        return np.asarray(self.logits.softmax(1), dtype=np.float32)

    @cached_property
    def responses(self) -> Array:
        """[n] category names."""
        names: Array = np.asarray(self.categories)
        return np.asarray(names[self.probabilities.argmax(axis=1)])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a fixed random linear readout of 8x8 means, in float64 so that batches agree."""
        pooled = torch.nn.functional.avg_pool2d(images.double(), 4).flatten(1)
        weights = torch.randn(pooled.shape[1], 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return (pooled.tanh() @ weights).float()

    def picture(self, position: int) -> torch.Tensor:
        """Return the toy image of a position."""
        pixels = torch.from_numpy(self.block.stimuli.decode(position))
        return pixels.permute(2, 0, 1).float() / 255

    mask = staticmethod(_toy_mask)
    importance = staticmethod(_toy_importance)

    def ignored(self, position: int) -> NDArray[np.bool_]:  # noqa: ARG002 - the contract's signature
        """Return no pixel: every pixel of a toy counts."""
        return np.zeros((TOY_SIDE, TOY_SIDE), dtype=bool)

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """Return the same readout: the toy has one precision."""
        return self.forward(images).detach()


def toy_trials(suite: Suite, shelf: ToyShelf, parts: int = 1) -> Trials:
    """Return the toy observer's trials under a suite, each block shown in `parts` batches."""
    plan = suite.plan(suite.config, shelf)
    tables = []
    for block in plan.blocks:
        n = len(block.stimuli)
        answers = [suite.observe(suite.config, ToyView(block, index)) for index in np.array_split(np.arange(n), parts)]
        shown = {"role": np.full(n, block.role), "condition": np.full(n, block.condition)}
        shown |= {"stimulus": np.asarray(block.stimuli.ids), **block.stimuli.labels}
        tables.append(shown | {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]})
    return Trials(columns=stacked_tables(tables), missing=plan.missing)
