"""The rooms of this installation, whatever else is called `benchmark`, `registry` or `suites`.

The three inner packages have common names. A user's `benchmark.py` or `registry/` in the working folder or on
`PYTHONPATH` would be found first; so our packages are imported once with our own folder in front, and from then on they
are found in `sys.modules`."""

import sys
from importlib import import_module
from pathlib import Path

ROOMS = ("benchmark", "registry", "suites")
HOME = Path(__file__).resolve().parents[1]


def claim(home: Path = HOME) -> None:
    """Import the rooms from `home`. ImportError where another module of such a name is imported already."""
    sys.path.insert(0, str(home))
    try:
        for room in ROOMS:
            file = getattr(import_module(room), "__file__", None) or "(no file)"
            if not Path(file).resolve().is_relative_to(home):
                raise ImportError(
                    f"gestaltbench needs its own package '{room}', but another one is imported already: {file}. "
                    "Import gestaltbench before it, or rename it."
                )
    finally:
        sys.path.remove(str(home))
