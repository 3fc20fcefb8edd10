"""Does my network see like a person, and does it break like a machine? The public face.

    import gestaltbench as gb

    gb.run(models="tf_efficientnet_lite0", suites="cue-conflict")
    gb.rank("cue-conflict").frame()
    gb.Leaderboard("results.db").rank("cue-conflict").where(recipe="stylised").to("latex")
    gb.compare("tf_efficientnet_lite0", "resnet50")

What `bench` runs, ranks, compares and imports is a function here, with the same names and the same results. Results
print themselves short, show themselves as tables in a notebook, and give tidy pandas tables by `.frame()`.

Plug-ins import what they need from `gestaltbench.contracts`, `.stats`, `.stimuli`, `.errors` and `.testing`.
"""

from gestaltbench.own_rooms import claim

claim()

from typing import TYPE_CHECKING, Any  # noqa: E402  # the rooms are claimed before they are used

from registry import OWN_PACKAGES  # noqa: E402

OWN_PACKAGES.add(__name__)

from benchmark.version import __version__  # noqa: E402

if TYPE_CHECKING:
    from gestaltbench.verbs import *

__all__ = [
    "Leaderboard", "__version__", "ask", "compare", "consistency", "correlate", "data", "diff", "export", "gallery",
    "import_leaderboard", "import_scores", "import_trials", "measures", "models", "plot", "power", "provenance", "rank",
    "reference", "register", "report", "reported", "reproduce", "rescore", "run", "show", "suites", "summary", "sweep",
    "training_curves", "transfer", "trials",
]  # fmt: skip
#: A verb of older versions -> what took its place.
_RENAMED = {"probe": "register(NAME, BACKBONE, probe=FOLDER)", "watch": "sweep(FOLDER, follow=True)"}


def __getattr__(name: str) -> Any:
    """A verb, loaded on first use: the command `bench` comes through here, too, and starts at once."""
    if name not in __all__:
        new = f": it is gestaltbench.{_RENAMED[name]} now" if name in _RENAMED else ""
        raise AttributeError(f"module 'gestaltbench' has no attribute '{name}'{new}")
    from gestaltbench import verbs

    return getattr(verbs, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
