"""The version of the package. CITATION.cff states both, too."""

__version__ = "1.0.0"
RELEASED = "2026-11-30"
