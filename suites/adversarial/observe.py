"""What is kept of each image: a door that opens without torch, for reading a leaderboard imports it."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.adversarial.config import AdversarialConfig


def observe(config: AdversarialConfig, view: View) -> Mapping[str, Array]:
    """Columns [n]. An image that is answered wrongly is not attacked: it is broken at epsilon 0.

    response, clean_correct; loss, margin, gradient_norm: cross entropy at the image, how far the answer is from falling
    (negative: it holds), L2 norm of the gradient; repeat_difference: between two forward passes of the same image;
    exact_correct: answered rightly in float32 by the network as it was loaded, where the run's precision differs from
    it; probabilities, bounded, tied: the outputs are a distribution, lie between two ends, the largest two are equal;
    not_finite: some answer or gradient under attack was NaN or infinite (the image counts as broken there); probed,
    gradient_error, gradient_spread, gradient_company, gradient_rise, gradient_scale, company_difference,
    alone_difference: whether the image was asked for slopes and company (`trust.probes`), and the answers;
    second_opinion: [n, attacks], what the attacks of
    `AdversarialConfig.opinion` did to an image of odd gradient (-1: not asked, 0: held, 1: broken); asked, otherwise:
    whether it was shown normalised otherwise, and which readings were answered rightly [n, readings]; passes, forwards:
    gradient and plain passes; fgsm_broken, transfer_broken: [n, epsilons]; and for each norm, as `linf_...`: epsilon
    (the smallest that breaks it, infinite where none does), by (which attack), size (norm of the smallest perturbation
    found), held (the largest epsilon below that did not break it), loss and margin of the last point judged."""
    from suites.adversarial.measured import measured

    return measured(config, view)
