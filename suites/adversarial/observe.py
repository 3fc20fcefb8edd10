"""Observe the columns of each image. Reading a leaderboard imports this module, so torch is imported only when
called."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.adversarial.config import AdversarialConfig


def observe(config: AdversarialConfig, view: View) -> Mapping[str, Array]:
    """Return columns [n]. An image that is answered incorrectly is not attacked: it is broken at epsilon 0.

    response, clean_correct; loss, margin, gradient_norm: cross entropy at the image, its margin (negative: correct), L2
    norm of the gradient; repeat_difference: between two forward passes of the same image; exact_correct: correct in
    float32 by the network as it was loaded, if the run's precision differs; probabilities, bounded, tied: the outputs
    are a distribution, are between two ends, the largest two are equal; not_finite: some answer or gradient under
    attack was NaN or infinite (the image then counts as broken); probed, gradient_error, gradient_spread,
    gradient_company, gradient_rise, gradient_scale, company_difference, alone_difference: whether the image was probed
    (`trust.probes`), and the results; second_opinion: [n, attacks], the result of the attacks of
    `AdversarialConfig.opinion` on an image with an odd gradient (-1: not attacked, 0: held, 1: broken); asked,
    otherwise: whether other normalisations were tried, and which of them gave a correct answer [n, readings]; passes,
    forwards: gradient and plain passes; fgsm_broken, transfer_broken: [n, epsilons]; and for each norm, as `linf_...`:
    epsilon (the smallest that breaks it, or infinite), by (name of the attack), size (norm of the smallest perturbation
    found), held (the largest smaller epsilon that did not break it), loss and margin of the last point judged."""
    from suites.adversarial.attack_images import attack_columns

    return attack_columns(config, view)
