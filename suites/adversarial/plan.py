"""Which images are attacked."""

from benchmark.contracts import Block, Plan, Shelf, Stimuli
from benchmark.errors import MissingStimuli, PluginError
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.roles import ROLE, natural_images
from suites.adversarial.added import ADDED
from suites.adversarial.config import Config, Library, PluggedIn
from suites.adversarial.metrics import LISTED


def plan(config: Config, shelf: Shelf) -> Plan:
    """Natural images, shown as the card says. What stands in for a set that is not there is said in `missing`."""
    missing: dict[str, str] = {}
    stimuli = _images(config, shelf, missing)
    if config.images is not None:
        stimuli = subset(stimuli, config.images)
    others = shelf.networks(config.transfer.networks) if config.transfer is not None else ()
    return Plan((Block(stimuli, presentation="card", role=ROLE, networks=others),), missing)


def plan_foreign(config: Config, shelf: Shelf) -> Plan:
    """As `plan`, for attacks of other packages. Raises PluginError where one is not installed or cannot be used."""
    for recipe in config.attacks:
        if isinstance(recipe, PluggedIn) and recipe.attack in ADDED.broken:
            raise PluginError(f"the attack '{recipe.attack}': {ADDED.broken[recipe.attack]}")
        if isinstance(recipe, Library):
            from suites.adversarial.attacks.autoattack import check

            check(recipe)
    return plan(config, shelf)


def _images(config: Config, shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    """RobustBench's images if they are asked for, else held-out ones, else images of ImageNet's training set."""
    if config.listed and shelf.space == "imagenet1k":
        try:
            return shelf.find("natural-robustbench")
        except MissingStimuli as error:
            missing[LISTED] = f"evenly spaced images shown instead: {error}"
    return natural_images(shelf, missing)
