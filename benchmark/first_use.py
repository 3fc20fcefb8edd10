"""Packages whose public names load on first use, so that a command imports what it needs and nothing else.

The names are listed once, as the imports under the package's `if TYPE_CHECKING:`; its `__getattr__` calls `load`.
"""

import ast
from functools import cache
from importlib import import_module
from pkgutil import get_data
from typing import Any


def load(package: str, name: str) -> Any:
    """The public name, from the module that the package's list says. Raises AttributeError."""
    home = homes(package).get(name)
    if home is None:
        raise AttributeError(f"module '{package}' has no attribute '{name}'")
    return getattr(import_module(home), name)


@cache
def homes(package: str) -> dict[str, str]:
    """Public name -> its module, as the package's source lists them."""
    parts = ast.walk(ast.parse(get_data(package, "__init__.py") or b""))
    listed = [part for part in parts if isinstance(part, ast.ImportFrom)]
    return {
        alias.name: str(part.module)
        for part in listed
        for alias in part.names
        if str(part.module).startswith(f"{package}.")
    }
