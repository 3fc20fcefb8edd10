"""Which images are shown under which corruption, and what is kept of each answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Array, Block, Plan, Presentation, Shelf, Stimuli, View
from benchmark.errors import MissingStimuli, PluginError, unknown_name
from benchmark.stimuli.sets import restrict, subset
from benchmark.stimuli.shuffling import shuffled
from benchmark.transforms.listing import Entries, Entry, own_list, plugins, transform
from suites.corruption.cells import CLEAN, COMMON, EXTRA, world_list
from suites.corruption.config import Config, Folders

ROLE = "natural"
WORLD = "world16"
#: Key of `Plan.missing` where nothing but training images is there.
HELD_OUT = "natural (held out)"
#: Key of `Plan.missing` where a folder's images are of another size than the published ones.
SIZE_224 = "224 px"
#: Images of the built-in world: ten of each category.
WORLD_IMAGES = 160
SIDE = 224
BEST = 5
CROPS: Mapping[str, Presentation] = {"bilinear": "crop224", "bicubic": "crop224-bicubic"}


def plan(config: Config, shelf: Shelf) -> Plan:
    """The images as they are, and under every cell of the sweep. What cannot be made is missing, with the reason."""
    missing: dict[str, str] = {}
    stimuli = _natural(config, shelf, missing)
    how = "whole" if shelf.space == WORLD else CROPS[config.resize]
    blocks = [Block(stimuli, CLEAN, presentation=how, role=ROLE)]
    for entry in _chosen(config, shelf.space, missing):
        try:
            options = _options(entry, config, shelf)
            made = [transform(entry, level, **options) for level in _levels(entry, config)]
        except (MissingStimuli, PluginError) as error:
            missing[entry.name] = str(error)
            continue
        for level, one in zip(_levels(entry, config), made, strict=True):
            blocks.append(Block(stimuli, entry.condition(level), one, how, ROLE))
    if len(blocks) == 1:
        raise MissingStimuli(f"no corruption can be made: {'; '.join(missing.values())}")
    return Plan(tuple(blocks), missing)


def plan_folders(config: Folders, shelf: Shelf) -> Plan:
    """The parts of a folder set, and the same images as they are, where the held-out ones are on disk.

    Images of 224 px are shown as they are: they were cropped before they were corrupted.
    """
    parts, missing = shelf.parts(config.role), {}
    names = [name for name in parts if _wanted(name, config.corruptions)]
    if not names:
        raise MissingStimuli(f"'{config.role}' has none of {', '.join(config.corruptions)}")
    blocks = [
        Block(parts[name], name, presentation=presentation(parts[name]), role=name)
        for name in names
    ]
    other = [block.role for block in blocks if block.presentation != "whole"]
    if other:
        missing[SIZE_224] = f"{len(other)} parts hold images of another size, first {other[0]}"
    try:
        clean = _those(shelf.find(ROLE), blocks[0].stimuli)
    except MissingStimuli as error:
        missing[ROLE] = str(error)
    else:
        blocks.insert(0, Block(clean, CLEAN, presentation=presentation(clean), role=ROLE))
    return Plan(tuple(blocks), missing)


def observe(config: Config | Folders, view: View) -> Mapping[str, Array]:
    """Columns [n]: response; probability: of the image's category (NaN where it is none of the observer's);
    top5: whether it is among the five best; right16: for ImageNet's classes, whether the answer among Geirhos' 16
    categories is right (1, 0; -1: the class belongs to none); of: images of the block, where it may stop early.
    """
    probabilities = view.probabilities
    place = {name: at for at, name in enumerate(view.categories)}
    truth = np.array([place.get(name, -1) for name in view.labels["category"].tolist()], dtype=int)
    columns = {
        "response": np.asarray(view.responses),
        "probability": _of_truth(probabilities, truth),
        "top5": _among_best(probabilities, truth),
    }
    if view.block.stimuli.space == "imagenet1k" and len(view.categories) == 1000:
        columns["right16"] = _right16(probabilities, truth)
    if isinstance(config, Config) and config.half_width is not None:
        columns["of"] = np.full(len(truth), len(view.block.stimuli), dtype=np.int32)
    return columns


def presentation(stimuli: Stimuli) -> Presentation:
    """Whole where the images are 224 x 224 px already: a second resize and crop would show another image."""
    at = {0, len(stimuli) // 3, 2 * len(stimuli) // 3, len(stimuli) - 1} if len(stimuli) else set()
    ready = all(stimuli.decode(i).shape[:2] == (SIDE, SIDE) for i in at)
    return "whole" if ready else "crop224"


def _wanted(part: str, corruptions: tuple[str, ...]) -> bool:
    corruption, common = part.partition("/")[0], own_list("imagenet-c")
    known = corruption in common and common[corruption].family != EXTRA
    return bool({corruption, "all", *([COMMON] if known else [])} & set(corruptions))


def _those(clean: Stimuli, corrupted: Stimuli) -> Stimuli:
    """The clean images whose names a part has, so that both are of the same; all of them where it has none."""
    wanted = set(corrupted.ids)
    names = [name for name in clean.ids if name in wanted]
    return restrict(clean, names) if names else clean


def _natural(config: Config, shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    try:
        stimuli = shelf.find(ROLE)
    except MissingStimuli as error:
        if shelf.space != "imagenet1k":
            raise
        missing[HELD_OUT] = f"training images shown instead: {error}"
        try:
            stimuli = shelf.find("natural-training")
        except MissingStimuli:
            raise error from None
    images = config.images
    if shelf.space == WORLD and images is None and config.half_width is None:
        images = WORLD_IMAGES
    return _cut(shuffled(stimuli) if config.half_width is not None else stimuli, images)


def _cut(stimuli: Stimuli, images: int | None) -> Stimuli:
    return stimuli if images is None else subset(stimuli, images)


def _chosen(config: Config, space: str, missing: dict[str, str]) -> Iterator[Entry]:
    """The corruptions of the sweep, in the order of their list."""
    if config.source == "plugins":
        found = plugins()
        missing.update(found.broken)
        yield from found.entries.values()
    elif space == WORLD:
        yield from world_list().values()
    else:
        yield from choose(own_list(config.source), config.corruptions)


def choose(entries: Entries, wanted: tuple[str, ...]) -> Iterator[Entry]:
    """Entries by name, family, "common", "extra" or "all". Raises UnknownName."""
    families = {entry.family for entry in entries.values()}
    for name in wanted:
        if name not in {*entries, *families, COMMON, "all"}:
            raise unknown_name("corruption", name, (*entries, *families, COMMON, "all"))
    for entry in entries.values():
        groups = {entry.name, entry.family, "all", *([COMMON] if entry.family != EXTRA else [])}
        if groups & set(wanted):
            yield entry


def _levels(entry: Entry, config: Config) -> list[Any]:
    wanted = set(config.severities)
    return [level for level in entry.impaired if not wanted or str(level) in wanted]


def _options(entry: Entry, config: Config, shelf: Shelf) -> dict[str, Any]:
    options: dict[str, Any] = {"jpeg85": config.jpeg85}
    if config.quantise != "published":
        options["quantise"] = config.quantise
    if "frost" in entry.options:
        options["frost"] = shelf.textures("frost")
    return options


def _of_truth(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = np.arange(len(truth))
    found = probabilities[rows, np.maximum(truth, 0)].astype(np.float32)
    return np.where(truth < 0, np.float32(np.nan), found)


def _among_best(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether fewer than five categories come before the right one; of equal ones the first comes first."""
    mine = probabilities[np.arange(len(truth)), np.maximum(truth, 0)][:, None]
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    before = (probabilities > mine) | ((probabilities == mine) & earlier)
    return np.asarray((before.sum(axis=1) < BEST) & (truth >= 0), dtype=bool)


def _right16(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.int8]:
    """The decision of Geirhos et al. from the 1,000 probabilities: the largest mean over a category's classes."""
    from registry.labels import geirhos_groups

    groups = list(geirhos_groups().values())
    means = np.stack([probabilities[:, list(group)].mean(axis=1) for group in groups], axis=1)
    of_class = np.full(probabilities.shape[1], -1)
    for number, group in enumerate(groups):
        of_class[list(group)] = number
    wanted = np.where(truth < 0, -1, of_class[truth])
    right = means.argmax(axis=1) == wanted
    return np.where(wanted < 0, -1, right).astype(np.int8)
