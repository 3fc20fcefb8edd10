"""Which stimuli are shown."""

from dataclasses import replace

from benchmark.contracts import Block, Plan, Shelf
from benchmark.failures import MissingStimuli
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.roles import sets_of
from benchmark.transforms.listing import own_list, transform
from suites.human_comparison.shown_experiments import WORLD_LEVELS, WORLD_ROLES, shown

WORLD = "world16"
#: Natural images of the built-in world under each condition: four of each category.
WORLD_IMAGES = 64


def plan(config: Experiment | None, shelf: Shelf) -> Plan:
    """Plan one block per installed experiment, whole images, no transform; the others are missing with a reason."""
    world = config is None and shelf.space == WORLD
    roles = WORLD_ROLES if world else tuple(shown(config))
    sets, missing = sets_of(shelf, roles)
    blocks = [Block(stimuli=stimuli, presentation="whole", role=role) for role, stimuli in sets.items()]
    if world:
        # The world's natural images under the experiments' own degradations.
        natural = shelf.find("natural")
        stimuli = replace(restrict(natural, natural.ids[:WORLD_IMAGES]), whole=WORLD_IMAGES)  # categories take turns
        for graded, levels in WORLD_LEVELS.items():
            changes = ((level, transform(own_list("human")[graded], level)) for level in levels)
            blocks += [
                Block(stimuli=stimuli, condition=level, transform=change, presentation="whole", role=graded)
                for level, change in changes
            ]
    if not blocks:
        first = next(iter(missing.values()), "")
        raise MissingStimuli(f"none of the {len(roles)} experiments is on this disk; the first: {first}")
    return Plan(tuple(blocks), missing)
