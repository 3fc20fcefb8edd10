"""The small classifier and the small detector that come with the built-in world, of images of 64 pixels. The detector
looks for objects at 64 places and reports the best box of each class."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# The small residual network that comes with the built-in world.
#
# Input: (n, 3, 64, 64) float, already normalised with mean 0.5 and standard deviation 0.25 (the registry does that from
# the card). Output: (n, classes) logits. About 175k parameters.

WIDTHS = (16, 24, 48, 96)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.project = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.project_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h/2, w/2)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.project_norm(self.project(x)))


class TinyResNet(nn.Module):
    """A 5x5 stem at stride 2, three residual blocks, a global mean and a linear head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(WIDTHS[0])
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(WIDTHS)))
        self.head = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (n, 3, h, w) to logits (n, classes)."""
        x = functional.relu(self.stem_norm(self.stem(x)))
        logits: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return logits


def tiny_resnet(num_classes: int = 16) -> nn.Module:
    """Return the network with random weights."""
    return TinyResNet(num_classes)


GRID = 8
STRIDE = 8  # pixels
_WIDTH = 64


class TinyDetector(nn.Module):
    """TinyResNet without its classifier, and a head on its last two blocks. num_classes: with the background."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = TinyResNet(1)
        del self.backbone.head
        self.joined = nn.Conv2d(WIDTHS[-2] + WIDTHS[-1], _WIDTH, 3, padding=1, bias=False)
        self.joined_norm = nn.BatchNorm2d(_WIDTH)
        self.inner = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(_WIDTH)
        self.classes = nn.Conv2d(_WIDTH, num_classes - 1, 1)
        self.sides = nn.Conv2d(_WIDTH, 4, 1)
        # Most places hold nothing (Lin et al. 2017, "Focal loss for dense object detection").
        nn.init.constant_(self.classes.get_parameter("bias"), -4.0)
        #: From this score on a box is reported.
        self.score_thresh = 0.05

    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [n, 3, 64, 64] to class logits [n, classes, 8, 8] and sides [n, 4, 8, 8] > 0, in grid cells."""
        x = functional.relu(self.backbone.stem_norm(self.backbone.stem(x)))
        first, second, third = self.backbone.blocks
        fine = second(first(x))
        coarse = functional.interpolate(third(fine), size=fine.shape[-2:], mode="nearest")
        y = functional.relu(self.joined_norm(self.joined(torch.cat([fine, coarse], dim=1))))
        y = functional.relu(self.inner_norm(self.inner(y)))
        return self.classes(y), functional.softplus(self.sides(y))

    def forward(self, images: Sequence[Tensor] | Tensor) -> list[dict[str, Tensor]]:
        """Map images, a tensor or a list of [3, 64, 64], to boxes, labels and scores of each."""
        batch = images if isinstance(images, Tensor) else torch.stack(list(images))
        logits, sides = self.raw(batch)
        scores, places = logits.sigmoid().flatten(2).max(2)
        boxes = boxes_of(sides).flatten(2)
        reported = []
        for best, place, corners in zip(scores, places, boxes, strict=True):
            order = best.argsort(descending=True, stable=True)
            order = order[best[order] > self.score_thresh]
            reported.append({"boxes": corners.T[place[order]], "labels": order + 1, "scores": best[order]})
        return reported


def boxes_of(sides: Tensor) -> Tensor:
    """Map sides [..., 4, h, w] in grid cells -> boxes [..., 4, h, w] in pixels (left, top, right, bottom)."""
    height, width = sides.shape[-2:]
    centres = (torch.arange(length, device=sides.device) + 0.5 for length in (height, width))
    rows, columns = torch.meshgrid(*centres, indexing="ij")
    left, top, right, bottom = sides.unbind(-3)
    corners = (columns - left, rows - top, columns + right, rows + bottom)
    return torch.stack(corners, dim=-3) * STRIDE


def tiny_detector(num_classes: int = 17) -> nn.Module:
    """Return the network with random weights; num_classes: with the background."""
    return TinyDetector(num_classes)
