"""Stimuli of the twelve parametric experiments made again from the ImageNet photographs that they were made from.

The trial tables name the photograph of each trial ("n02134084_5274", ILSVRC-2012 training set) and its condition; who
has ImageNet can degrade it with `benchmark.transforms.geirhos`. The result is not the published files (cropping and
random draws differ), so it is a set of its own: another digest, and a label column "made" that flags every score.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli, Trials
from benchmark.errors import MissingStimuli, StimuliError
from benchmark.stimuli.digests import set_digest, text_digest
from benchmark.stimuli.names import WNID, stimulus_id
from benchmark.stimuli.pixels import write_png

if TYPE_CHECKING:
    from benchmark.contracts import Transform

SIDE, SHORTER = 224, 256
REGENERATED = "regenerated"  # the value of the label "made"


@dataclass(frozen=True)
class Photograph:
    """A stimulus to make: its name in the set, the photograph's name without suffix, condition, category."""

    stimulus: str
    source: str
    condition: str
    category: str


def photographs(role: str, trials: Trials) -> list[Photograph]:
    """What an experiment's trials were made from, by name, each stimulus once.

    Raises StimuliError where the experiment is not made by degrading, or a name is no ImageNet photograph's.
    """
    _known(role)
    mine = trials.of(role)
    rows = zip(
        *(mine[name].tolist() for name in ("stimulus", "condition", "category")), strict=True
    )
    return [_photograph(*row) for row in sorted(set(rows))]


def regenerate(role: str, trials: Trials, source: Stimuli) -> Stimuli:
    """The experiment's stimuli from the photographs in `source` (an ImageNet set, ids like "n02134084_5274.JPEG").

    Photographs that `source` lacks are left out; `whole` is the full number, so that a part shows as a part.
    Raises MissingStimuli where it has none of them.
    """
    wanted = photographs(role, trials)
    at = {PurePath(name).stem: i for i, name in enumerate(source.ids)}
    there = [one for one in wanted if one.source in at]
    if not there:
        raise MissingStimuli(
            f"'{source.name}' has none of the {len(wanted)} photographs of '{role}'; they are of the ImageNet-1k "
            "training set. Add that with `bench data add imagenet-train FOLDER`."
        )
    index = tuple(at[one.source] for one in there)
    return _set(role, there, index, source, len(wanted))


@dataclass(frozen=True)
class Degraded:
    """decode(i): the i-th photograph, shorter side 256, centre 224 x 224, degraded; HWC uint8 RGB."""

    role: str
    source: Stimuli
    index: tuple[int, ...]
    conditions: tuple[str, ...]

    def __call__(self, index: int) -> NDArray[np.uint8]:
        """HWC uint8 RGB. The random draws follow from the photograph's content and the condition."""
        import torch

        at = self.index[index]
        image = torch.tensor(cropped(self.source.decode(at))).permute(2, 0, 1)[None].float() / 255
        seed = int(text_digest(f"0:{self.source.items[at]}")[:16], 16)
        made = _transform(self.role, self.conditions[index]).apply(
            image, np.array([seed], np.uint64)
        )
        pixels: NDArray[np.uint8] = (made[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        return pixels


def cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 -> the central [224, 224, 3] after scaling the shorter side to 256 (bilinear, antialiased)."""
    from registry.geometry import (  # brings Pillow, which reading scores does not need
        centre_crop,
        shorter_side,
    )

    return centre_crop(shorter_side(image, SHORTER, "bilinear"), SIDE)


def write_set(stimuli: Stimuli, folder: Path) -> None:
    """Write a set as a folder of layout labels-csv: `images/` and `labels.csv`, last, once all images are there.

    Images that are there already are kept, so that an interrupted run goes on. All are PNG, whatever they are called.
    """
    for i, name in enumerate(stimuli.ids):
        path = folder / "images" / name
        if path.exists():
            continue
        write_png(path, stimuli.decode(i))
    columns = list(stimuli.labels)
    rows = zip(stimuli.ids, *(stimuli.labels[name].tolist() for name in columns), strict=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", *columns], *map(list, rows)])


def parametric() -> Sequence[str]:
    """The experiments that can be made again: the twelve that people did with degraded photographs."""
    from benchmark.transforms.geirhos import GEIRHOS

    return [name for name, experiment in GEIRHOS.items() if experiment.humans]


def _set(
    role: str, there: Sequence[Photograph], index: tuple[int, ...], source: Stimuli, whole: int
) -> Stimuli:
    ids = tuple(one.stimulus for one in there)
    conditions = tuple(one.condition for one in there)
    pairs = zip(conditions, index, strict=True)
    items = tuple(_item(role, condition, source.items[i]) for condition, i in pairs)
    labels = {
        "category": np.array([one.category for one in there]),
        "condition": np.array(conditions),
        "made": np.full(len(there), REGENERATED),
    }
    return Stimuli(
        name=f"{REGENERATED}-{role}",
        digest=set_digest(ids, items, labels),
        space="geirhos16",
        ids=ids,
        items=items,
        labels=labels,
        decode=Degraded(role, source, index, conditions),
        whole=whole,
        origin=REGENERATED,
    )


def _known(role: str) -> None:
    if role not in parametric():
        raise StimuliError(
            f"'{role}' is not made by degrading photographs; these are: {', '.join(parametric())}."
        )


def _photograph(stimulus: str, condition: str, category: str) -> Photograph:
    name = PurePath(stimulus)
    if not WNID.match(name.stem):
        raise StimuliError(
            f"'{stimulus}' does not name an ImageNet photograph such as n02134084_5274.png."
        )
    return Photograph(stimulus_id(condition, name.name), name.stem, condition, category)


@cache
def _transform(role: str, condition: str) -> Transform:
    from benchmark.transforms.geirhos import degradation

    return degradation(role, condition)


def _item(role: str, condition: str, source: str) -> str:
    made = _transform(role, condition)
    params = ",".join(f"{name}={made.params[name]}" for name in sorted(made.params))
    return text_digest(f"{source}|{SHORTER}|{SIDE}|{made.name}|{params}")
