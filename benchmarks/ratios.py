"""What every benchmark prints, and how it says what it lacks."""

import importlib.util
from typing import NoReturn


def ratio(name: str, value: float, baseline: str) -> None:
    """One result: RATIO NAME VALUE (BASELINE). The name has no blanks, so that lines are read by their fields."""
    if len(name.split()) != 1:
        raise ValueError(f"a ratio's name has no blanks: {name!r}")
    print(f"RATIO {name} {value:.3f} ({baseline})", flush=True)


def slug(*parts: str) -> str:
    return "_".join(" ".join(parts).replace(",", "").replace("=", "").split())


def needs(what: str) -> NoReturn:
    """End in one line where something is missing."""
    raise SystemExit(f"needs {what}")


def need_packages(*names: str) -> None:
    """End where a package is not installed; before it is imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            needs(f"the package {name}: pip install {name}")
