"""Weights files inside installed packages, found without importing those packages (or torch)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from registry.errors import WeightsError


def package_file(reference: str, install: str) -> Path:
    """The file of "package:PACKAGE/PATH" (PATH may be a glob), found without importing the package.

    Raises WeightsError where the package or the file is absent; `install` says how to get it.
    """
    package, _, inside = reference.removeprefix("package:").partition("/")
    try:
        # Only top-level names: the parents of others would be imported.
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"weights of package '{package}' are not installed. Get them: {install}."
        )
    for location in spec.submodule_search_locations:
        found = _matching(Path(location), inside)
        if found:
            return found[0]
    raise WeightsError(f"package '{package}' holds no {inside}. Reinstall it: {install}.")


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Files of the folder that fit a pattern, sorted; none for a pattern that is none, or that leads out of it."""
    try:
        found = sorted(folder.glob(pattern))
        root = folder.resolve()
        return [path for path in found if path.resolve().is_relative_to(root)]
    except (ValueError, NotImplementedError, OSError, RuntimeError):
        return []
