"""Which images are shown under which corruption."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from benchmark.contracts import Block, Plan, Presentation, Shelf, Stimuli
from benchmark.failures import MissingStimuli, PluginError
from benchmark.stimuli.datasets import restrict, shuffled, subset
from benchmark.stimuli.roles import ROLE, natural_images, sets_of
from benchmark.transforms.listing import plugins, transform
from suites.corruption.cells import CLEAN
from suites.corruption.config import SIZE_224, WORLD, CorruptionConfig, Folders, groups_of, shown_corruptions

WORLD_IMAGES = 160  # images of the built-in world: ten of each category
SIDE = 224
CROPS: Mapping[str, Presentation] = {"bilinear": "crop224", "bicubic": "crop224-bicubic", "square": "square224"}


def plan(config: CorruptionConfig, shelf: Shelf) -> Plan:
    """Plan the natural images as they are, and under every cell of the sweep."""
    missing: dict[str, str] = {}
    stimuli, images = natural_images(shelf, missing), config.images
    if config.half_width is not None:
        stimuli = shuffled(stimuli)
    elif images is None and shelf.space == WORLD:
        images = WORLD_IMAGES
    stimuli = stimuli if images is None else subset(stimuli, images)
    how = "whole" if shelf.space == WORLD else CROPS[config.resize]
    blocks = [Block(stimuli=stimuli, condition=CLEAN, presentation=how, role=ROLE)]
    entries, broken = plugins() if config.source == "plugins" else (shown_corruptions(config, shelf.space), {})
    missing.update(broken)
    for entry in entries.values():
        levels = [level for level in entry.impaired if not config.severities or str(level) in config.severities]
        options: dict[str, Any] = {"jpeg85": config.jpeg85}
        if config.quantise != "published":
            options["quantise"] = config.quantise
        try:
            if "frost" in entry.options:
                options["frost"] = shelf.textures("frost")
            changes = [transform(entry, level, **options) for level in levels]
        except (MissingStimuli, PluginError) as error:
            missing[entry.name] = str(error)
            continue
        pairs = zip(levels, changes, strict=True)
        blocks += (replace(blocks[0], condition=entry.condition(level), transform=change) for level, change in pairs)
    if len(blocks) == 1:
        raise MissingStimuli(f"no corruption can be made: {'; '.join(missing.values())}")
    return Plan(tuple(blocks), missing)


def plan_folders(config: Folders, shelf: Shelf) -> Plan:
    """Plan the parts of a folder set, and the same clean images if the held-out ones are on disk."""
    missing: dict[str, str] = {}
    blocks = [
        Block(stimuli=stimuli, condition=name, presentation=presentation(stimuli), role=name)
        for name, stimuli in shelf.parts(config.role).items()
        if groups_of(name.partition("/")[0]) & set(config.corruptions)
    ]
    if not blocks:
        raise MissingStimuli(f"'{config.role}' has none of {', '.join(config.corruptions)}")
    if other := [block.role for block in blocks if block.presentation != "whole"]:
        missing[SIZE_224] = f"{len(other)} parts hold images of another size, first {other[0]}"
    natural, gone = sets_of(shelf, [ROLE])
    for clean in natural.values():
        # Of the images that the parts are made of, if their names say so.
        there = set(blocks[0].stimuli.ids)
        names = [name for name in clean.ids if name in there]
        clean = restrict(clean, names) if names else clean
        blocks.insert(0, Block(stimuli=clean, condition=CLEAN, presentation=presentation(clean), role=ROLE))
    return Plan(tuple(blocks), missing | gone)


def of_classes(stimuli: Stimuli, classes: Collection[str], of: str) -> Stimuli:
    """Return the images of some classes. Raises MissingStimuli that names `of` if there are none."""
    categories = stimuli.labels["category"].tolist()
    names = [name for name, category in zip(stimuli.ids, categories, strict=True) if category in classes]
    if not names:
        raise MissingStimuli(f"'{stimuli.name}' shows none of the classes of {of}")
    return restrict(stimuli, names)


def presentation(stimuli: Stimuli) -> Presentation:
    """Return "whole" where the images are 224 x 224 px already: a second resize and crop would show another image."""
    at = {0, len(stimuli) // 3, 2 * len(stimuli) // 3, len(stimuli) - 1} if len(stimuli) else set()
    ready = all(stimuli.decode(i).shape[:2] == (SIDE, SIDE) for i in at)
    return "whole" if ready else "crop224"
