"""Corruption: how much of an observer's accuracy is left when images are noisy, blurred, weathered or degraded?
(Geirhos et al. 2018; Hendrycks and Dietterich 2019)

Definition, protocol, numbers and deviations: docs/suites/corruption.md.
"""

from suites.corruption.suite import SUITE

__all__ = ["SUITE"]
