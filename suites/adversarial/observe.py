"""Observe the columns of each image. A leaderboard is read without torch, which is imported when this is called."""

from collections.abc import Mapping

from benchmark.contracts import Array, View
from suites.adversarial.config import AdversarialConfig


def observe(config: AdversarialConfig, view: View) -> Mapping[str, Array]:
    """Return columns [n]. An image that is answered incorrectly is not attacked: it is broken at epsilon 0.

    Of the image: response, loss, margin (negative: correct), gradient_norm, what probes and other normalisations found,
    and the cost (passes, forwards). Of attacks: second_opinion [n, attacks] (-1 not attacked, 0 held, 1 broken),
    fgsm_broken and transfer_broken [n, epsilons]. Of each norm, as `linf_...`: epsilon (the smallest that breaks it, or
    infinite), by (the attack), size (of that perturbation). Also held (the largest smaller epsilon that did not), loss
    and margin at the end."""
    from suites.adversarial.attack_images import attack_columns

    return attack_columns(config, view)
