"""Which images are shown under which corruption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmark.contracts import Block, Plan, Presentation, Shelf, Stimuli
from benchmark.errors import MissingStimuli, PluginError, unknown_name
from benchmark.stimuli.datasets import restrict, shuffled, subset
from benchmark.stimuli.roles import ROLE, natural_images
from benchmark.transforms.listing import Entries, Entry, own_list, plugins, transform
from suites.corruption.cells import CLEAN, COMMON, EXTRA, world_list
from suites.corruption.config import SIZE_224, WORLD, Config, Folders

#: Images of the built-in world: ten of each category.
WORLD_IMAGES = 160
SIDE = 224
CROPS: Mapping[str, Presentation] = {"bilinear": "crop224", "bicubic": "crop224-bicubic"}


def plan(config: Config, shelf: Shelf) -> Plan:
    """The images as they are, and under every cell of the sweep. What cannot be made is missing, with the reason."""
    missing: dict[str, str] = {}
    stimuli = _images(config, shelf, missing)
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
    blocks = [Block(parts[name], name, presentation=presentation(parts[name]), role=name) for name in names]
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


def _images(config: Config, shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    stimuli = natural_images(shelf, missing)
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
