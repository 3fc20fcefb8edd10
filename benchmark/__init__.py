"""How it is run, stored, scored, ranked and shown. The public face is the package `gestaltbench`."""

from registry import OWN_PACKAGES

OWN_PACKAGES.add(__name__)
