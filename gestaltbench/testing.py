"""The conformance kit: `check_suite(SUITE)` runs what a suite must keep on toy stimuli."""

from benchmark.testing import (
    Check,
    ToyShelf,
    ToyView,
    check_suite,
    toy_stimuli,
    toy_trials,
)

__all__ = [
    "Check",
    "ToyShelf",
    "ToyView",
    "check_suite",
    "toy_stimuli",
    "toy_trials",
]
