"""Which images are attacked, and what is kept of each. Imports no torch: reading a leaderboard imports this."""

from collections.abc import Mapping

from benchmark.contracts import Array, Block, Plan, Shelf, Stimuli, View
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


def observe(config: Config, view: View) -> Mapping[str, Array]:
    """Columns [n]. An image that is answered wrongly is not attacked: it is broken at epsilon 0.

    response, clean_correct; loss, margin, gradient_norm: cross entropy at the image, how far the answer is from
    falling (negative: it holds), L2 norm of the gradient; repeat_difference: between two forward passes of the same
    image; exact_correct: answered rightly in float32 by the network as it was loaded, where the run's precision
    differs from it; probabilities: the outputs are a distribution already; not_finite: some answer or gradient under
    attack was NaN or infinite (the image counts as broken there); probed, gradient_error, company_difference,
    alone_difference: whether the image was asked for slopes and company (`differences`), and the answers; asked,
    otherwise: whether it was shown normalised otherwise, and which readings were answered rightly [n, readings];
    passes, forwards: gradient and plain passes; fgsm_broken, transfer_broken: [n, epsilons]; and for each norm, as
    `linf_...`: epsilon (the smallest that breaks it, infinite where none does), by (which attack), size (norm of the
    smallest perturbation found), held (the largest epsilon below that did not break it), loss and margin of the last
    point judged.
    """
    from suites.adversarial.observing import observed

    return observed(config, view)
