"""The errors of this program; every one is a `BenchError`, whose text is one line for a person."""

from benchmark.failures import *  # noqa: F403  # the room keeps the list of what is public
