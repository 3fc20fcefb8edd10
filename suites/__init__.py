"""The suites: one package per suite, each registered under the entry-point group `bench.suites`."""

from registry import OWN_PACKAGES

OWN_PACKAGES.add(__name__)
