"""The conformance kit: `check_suite(SUITE)` runs what a suite must keep on toy stimuli."""

from benchmark.testing import *  # noqa: F403  # the room keeps the list of what is public
