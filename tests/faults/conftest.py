"""Toys of the engine's tests, for all files here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "engine"))
