"""The experiments that the suite shows, those of Geirhos et al. 2021 or an added one, and the built-in world's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmark.contracts import Block, Plan, Shelf, Trials
from benchmark.contracts.declarations import package_data
from benchmark.failures import MissingStimuli
from benchmark.stimuli.datasets import restrict
from benchmark.stimuli.experiments import Experiment, published_experiments
from benchmark.stimuli.roles import sets_of
from benchmark.transforms.listing import own_list, transform

#: Role -> experiment.
Shown = Mapping[str, Experiment]
#: Name -> trials.
Observers = Mapping[str, Trials]
BY_ROLE: Shown = {own.role: own for own in published_experiments().values() if own.title}

#: People's mean accuracy over the twelve undistorted controls, and the regimes of difficulty: the least that people are
#: right in them, as a share of that. The ends lie where the published conditions leave gaps.
UNDISTORTED = 0.865
REGIMES = {"reference": 0.95, "near": 0.6, "far": 0.35, "extreme": 0.0}
#: Stimulus set name -> role. People's tables call the silhouettes by their experiment, folders by their set.
SET_ROLES = {**{own.name: role for role, own in BY_ROLE.items()}, "filled-silhouettes": "silhouettes"}
#: Role in the built-in world -> its conditions, if it is made from the natural images.
WORLD_LEVELS: Mapping[str, Sequence[str]] = package_data("benchmark.stimuli", "experiments")["world"]


def experiments_shown(config: Experiment | None) -> Shown:
    """Return the experiments of a suite's configuration: the added one, or the published ones."""
    return BY_ROLE if config is None else {config.role: config}


WORLD = "world16"
#: Natural images of the built-in world under each condition: four of each category.
WORLD_IMAGES = 64


def plan(config: Experiment | None, shelf: Shelf) -> Plan:
    """Plan one block per installed experiment, whole images, no transform; the others are missing with a reason."""
    world = config is None and shelf.space == WORLD
    roles = [role for role, levels in WORLD_LEVELS.items() if not levels] if world else list(experiments_shown(config))
    sets, missing = sets_of(shelf, roles)
    blocks = [Block(stimuli=stimuli, presentation="whole", role=role) for role, stimuli in sets.items()]
    if world:
        # The world's natural images under the experiments' own degradations.
        natural = shelf.find("natural")
        stimuli = replace(restrict(natural, natural.ids[:WORLD_IMAGES]), whole=WORLD_IMAGES)  # categories take turns
        block = Block(stimuli=stimuli, presentation="whole")
        for graded, levels in WORLD_LEVELS.items():
            changes = ((level, transform(own_list("human")[graded], level)) for level in levels)
            blocks += (replace(block, condition=level, transform=change, role=graded) for level, change in changes)
    if not blocks:
        first = next(iter(missing.values()), "")
        raise MissingStimuli(f"none of the {len(roles)} experiments is on this disk; the first: {first}")
    return Plan(tuple(blocks), missing)
