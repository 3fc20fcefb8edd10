"""Does my network see like a person, and does it break like a machine? The Python API.

    import gestaltbench as gb

    gb.run(models=["world-standard-0", "world-stylised-0"], suites="cue-conflict", limit=160)
    gb.rank("cue-conflict").frame()
    gb.Leaderboard("results.db").rank("cue-conflict").where(recipe="stylised").to("latex")
    gb.compare("world-standard-0", "world-stylised-0")

Every command of `bench` is a function here, with the same names and results. Results print themselves short, are tables
in a notebook, and become tidy pandas tables with `.frame()`. Plug-ins import what they need from
`gestaltbench.contracts`, `.stats`, `.stimuli`, `.errors` and `.testing`.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any


def check_package_names(home: Path) -> None:
    """Import the packages from `home`. Raise ImportError if another module of that name is imported already.

    A user's `benchmark.py` in the working folder or on `PYTHONPATH` would be found first, so ours are imported with
    their folder in front; from then on `sys.modules` has them."""
    sys.path.insert(0, str(home))
    try:
        for name in ("benchmark", "registry", "suites"):
            file = getattr(import_module(name), "__file__", None) or "(no file)"
            if not Path(file).resolve().is_relative_to(home):
                raise ImportError(f"another package '{name}' is imported already: {file}. Import gestaltbench first.")
    finally:
        sys.path.remove(str(home))


check_package_names(Path(__file__).resolve().parents[1])

from registry import OWN_PACKAGES  # noqa: E402  # after the names are checked

OWN_PACKAGES.add(__name__)

from benchmark.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from gestaltbench.verbs import *

__all__ = [
    "Leaderboard", "__version__", "ask", "badge", "cite", "claims", "compare", "compare_recipes", "consistency",
    "correlate", "data", "diff", "doses", "evaluate", "export", "gallery", "import_leaderboard", "import_scores",
    "import_trials", "measures", "models", "no_worse", "plot", "power", "provenance", "rank", "recipe_power", "recipes",
    "reference", "register", "report", "reported", "reproduce", "rescore", "run", "show", "suites", "summary", "sweep",
    "training_curves", "transfer", "trials", "verdict",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a function on first use, so that the command `bench` starts at once."""
    if name not in __all__:
        raise AttributeError(f"module 'gestaltbench' has no attribute '{name}'")
    from gestaltbench import verbs

    return getattr(verbs, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
