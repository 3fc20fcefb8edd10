"""Import the packages of this installation, whatever else is called `benchmark`, `registry` or `suites`.

A user's `benchmark.py` in the working folder or on `PYTHONPATH` would be found first, so ours are imported with their
folder in front; from then on `sys.modules` has them."""

import sys
from importlib import import_module
from pathlib import Path

PACKAGES = ("benchmark", "registry", "suites")
HOME = Path(__file__).resolve().parents[1]


def check_package_names(home: Path = HOME) -> None:
    """Import the packages from `home`. Raise ImportError if another module of that name is imported already."""
    sys.path.insert(0, str(home))
    try:
        for name in PACKAGES:
            file = getattr(import_module(name), "__file__", None) or "(no file)"
            if not Path(file).resolve().is_relative_to(home):
                raise ImportError(f"another package '{name}' is imported already: {file}. Import gestaltbench first.")
    finally:
        sys.path.remove(str(home))
