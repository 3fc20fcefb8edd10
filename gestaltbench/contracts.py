"""The public types of a plug-in: what a suite, a block, a trial table and a score are."""

from benchmark.contracts import *  # noqa: F403  # the room keeps the list of what is public
