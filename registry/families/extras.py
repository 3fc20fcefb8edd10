"""Libraries that only some families need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from registry.errors import CardError


def library(module: str, extra: str, what: str) -> ModuleType:
    """The library, imported. Raises CardError naming the extra that brings it; what: that needs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise CardError(
            f"{what} needs the package '{module}', which is not installed: pip install 'gestaltbench[{extra}]'"
        ) from error
