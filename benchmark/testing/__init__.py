"""The conformance kit: what a suite must keep, ours and a third party's. `bench suites check NAME` runs it."""

from benchmark.testing.checks import check_suite, run_check
from benchmark.testing.toys import ToyShelf, ToyView, toy_stimuli, toy_trials
from registry.determinism_checks import Check

__all__ = ["Check", "ToyShelf", "ToyView", "check_suite", "run_check", "toy_stimuli", "toy_trials"]
