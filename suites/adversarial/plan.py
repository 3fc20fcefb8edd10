"""Which images are attacked."""

from importlib.util import find_spec

from benchmark.contracts import Block, Plan, Shelf
from benchmark.failures import PluginError
from benchmark.stimuli.datasets import subset
from benchmark.stimuli.roles import ROLE, natural_images, sets_of
from suites.adversarial.attack_plugins import BROKEN
from suites.adversarial.config import AdversarialConfig, AutoAttack, PluggedIn
from suites.adversarial.metrics import LISTED


def plan(config: AdversarialConfig, shelf: Shelf) -> Plan:
    """Plan RobustBench's images, otherwise held-out ones, otherwise ones of ImageNet's training set."""
    for recipe in config.attacks:
        if isinstance(recipe, PluggedIn) and recipe.attack in BROKEN:
            raise PluginError(f"the attack '{recipe.attack}': {BROKEN[recipe.attack]}")
        if isinstance(recipe, AutoAttack) and find_spec("pyautoattack") is None:
            raise PluginError(
                "this attack needs the package 'pyautoattack', which is not installed: "
                "pip install 'gestaltbench[autoattack]'"
            )
    found, gone = sets_of(shelf, ["natural-robustbench"] if config.listed and shelf.space == "imagenet1k" else [])
    missing = {LISTED: f"evenly spaced images shown instead: {next(iter(gone.values()))}"} if gone else {}
    stimuli = next(iter(found.values()), None) or natural_images(shelf, missing)
    if config.images is not None:
        stimuli = subset(stimuli, config.images)
    others = shelf.networks(config.transfer) if config.transfer else ()
    return Plan((Block(stimuli=stimuli, presentation="card", role=ROLE, networks=others),), missing)
