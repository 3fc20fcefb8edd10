"""Which stimuli are shown."""

from benchmark.contracts import Block, Plan, Shelf
from benchmark.stimuli.experiments import Experiment
from benchmark.stimuli.roles import sets_of

#: Shown beside the conflict set wherever they are on disk.
COMPANIONS = ("edges", "silhouettes")
#: The built-in world alone has these: cues that agree, and conflict sets with no texture on the ground / all over it.
WORLD_COMPANIONS = ("natural", "cue-conflict-alpha0", "cue-conflict-alpha1")


def plan(config: Experiment | None, shelf: Shelf) -> Plan:
    """Return the conflict set, which must be there, and its companions, which may be missing with a reason; of an added
    experiment its own images alone."""
    if config is not None:
        return Plan((Block(stimuli=shelf.find(config.role), presentation="whole", role=config.role),))
    companions, missing = sets_of(shelf, (*COMPANIONS, *(WORLD_COMPANIONS if shelf.space == "world16" else ())))
    sets = {"cue-conflict": shelf.find("cue-conflict"), **companions}
    return Plan(
        tuple(Block(stimuli=stimuli, presentation="whole", role=role) for role, stimuli in sets.items()), missing
    )
