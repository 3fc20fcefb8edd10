"""Which images are attacked."""

from benchmark.contracts import Block, Plan, Shelf, Stimuli
from benchmark.errors import MissingStimuli
from benchmark.stimuli.sets import subset
from suites.adversarial.config import Config
from suites.adversarial.metrics import HELD_OUT, LISTED, ROLE


def plan(config: Config, shelf: Shelf) -> Plan:
    """Natural images, shown as the card says. What stands in for a set that is not there is said in `missing`."""
    missing: dict[str, str] = {}
    stimuli = _natural(config, shelf, missing)
    if config.images is not None:
        stimuli = subset(stimuli, config.images)
    others = shelf.networks(config.transfer.networks) if config.transfer is not None else ()
    return Plan((Block(stimuli, presentation="card", role=ROLE, networks=others),), missing)


def _natural(config: Config, shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    """RobustBench's images if they are asked for, else held-out ones, else images of ImageNet's training set."""
    imagenet = shelf.space == "imagenet1k"
    if config.listed and imagenet:
        try:
            return shelf.find("natural-robustbench")
        except MissingStimuli as error:
            missing[LISTED] = f"evenly spaced images shown instead: {error}"
    try:
        return shelf.find("natural")
    except MissingStimuli as error:
        if not imagenet:
            raise
        missing[HELD_OUT] = f"training images shown instead: {error}"
        try:
            return shelf.find("natural-training")
        except MissingStimuli:
            raise error from None
