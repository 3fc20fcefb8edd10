"""Which stimuli are shown."""

from benchmark.contracts import Block, Plan, Shelf
from benchmark.errors import MissingStimuli

#: Shown beside the conflict set wherever they are on disk.
COMPANIONS = ("edges", "silhouettes")
#: The built-in world alone has these: cues that agree, and conflict sets with no texture on the ground / all over it.
WORLD_COMPANIONS = ("natural", "cue-conflict-alpha0", "cue-conflict-alpha1")


def plan(_config: None, shelf: Shelf) -> Plan:
    """The conflict set, which must be there, and its companions, which may be missing with a reason."""
    blocks = [Block(shelf.find("cue-conflict"), presentation="whole", role="cue-conflict")]
    missing: dict[str, str] = {}
    for role in (*COMPANIONS, *(WORLD_COMPANIONS if shelf.space == "world16" else ())):
        try:
            blocks.append(Block(shelf.find(role), presentation="whole", role=role))
        except MissingStimuli as error:
            missing[role] = str(error)
    return Plan(tuple(blocks), missing)
