"""Attacks of a plug-in (entry-point group `bench.attacks`), and `check_attack(ATTACK)`: what they must keep."""

from suites.adversarial.attack_plugins import Attack
from suites.adversarial.conformance import check_attack

__all__ = ["Attack", "check_attack"]
