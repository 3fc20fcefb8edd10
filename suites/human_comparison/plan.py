"""Which stimuli are shown."""

from benchmark.contracts import Block, Plan, Shelf
from benchmark.errors import MissingStimuli
from suites.human_comparison.experiments import EXPERIMENTS, WORLD_ROLES


def plan(_config: None, shelf: Shelf) -> Plan:
    """One block per experiment that is there, whole images, no transform; the others are missing with a reason.

    Conditions are a label column of the published sets. Raises MissingStimuli where no experiment is there.
    """
    roles = WORLD_ROLES if shelf.space == "world16" else tuple(e.role for e in EXPERIMENTS)
    blocks, missing = [], {}
    for role in roles:
        try:
            blocks.append(Block(shelf.find(role), presentation="whole", role=role))
        except MissingStimuli as error:
            missing[role] = str(error)
    if not blocks:
        first = next(iter(missing.values()), "")
        raise MissingStimuli(
            f"none of the {len(roles)} experiments is on this disk; the first: {first}"
        )
    return Plan(tuple(blocks), missing)
