"""What is measured: one room per suite, each plugged in through the entry-point group `bench.suites`."""

from registry import OWN_PACKAGES

OWN_PACKAGES.add(__name__)
