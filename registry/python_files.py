"""Factories in a file that no package holds: "python:/home/me/net.py:build".

The file is imported under its own stem, with its folder at the end of the path, so that its neighbours can be imported
as they are where it is run as a script. Two modules of one name cannot live in one process: a file, or a neighbour that
it imports, whose name is taken is refused, for another network would be built in silence.
"""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from registry.documents import shown
from registry.errors import CardError
from registry.places import absence, expanded, is_file


def is_file_name(name: str) -> bool:
    """Whether "FILE:FUNCTION" names a file, not a module."""
    place = name.rpartition(":")[0]
    return place.endswith(".py")


def whole_arch(arch: str) -> str:
    """`arch` with the whole path where it is "python:FILE:FUNCTION", so that it means the same from every folder.

    Raises CardError where there is no such file.
    """
    kind, _, name = arch.partition(":")
    if kind != "python" or not is_file_name(name):
        return arch
    place, _, function = name.rpartition(":")
    path = expanded(place)
    if not is_file(path):
        raise CardError(f"arch '{shown(arch)}': there is no file {shown(path)}. Check the path.")
    return f"python:{path.resolve()}:{function}"


def module_of_file(place: str) -> ModuleType:
    """The module of a .py file by its whole path; imported once. Whatever its code raises passes through; CardError
    where its name or a neighbour's is taken by another module.
    """
    path = Path(place)
    if not path.is_absolute() or not is_file(path):
        raise CardError(f"{shown(path)} {absence(path)}: expected the whole path of a .py file.")
    if not path.stem.isidentifier():
        raise CardError(
            f"{shown(path)}: '{shown(path.stem)}' cannot name a module. Rename the file."
        )
    _require_free(path.stem, path)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    if path.stem not in sys.modules:
        for name, neighbour in _neighbours(path).items():
            _require_free(name, neighbour)
        _execute(path)
    return sys.modules[path.stem]


def _execute(path: Path) -> None:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # a .py file has a loader
    module = sys.modules[path.stem] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def _require_free(name: str, path: Path) -> None:
    """Raise CardError where importing `name` would give, or gave, another file than `path`."""
    loaded = sys.modules.get(name)
    spec = find_spec(name) if loaded is None else None
    if loaded is None and spec is None:
        return
    there: str | None = getattr(loaded, "__file__", None) if spec is None else spec.origin
    if there is None or Path(there).resolve() != path.resolve():
        raise CardError(
            f"{shown(path)}: another module is called '{shown(name)}' ({shown(there or 'no file')}), and one process "
            "holds one of a name. Rename the file."
        )


def _neighbours(path: Path) -> dict[str, Path]:
    """Modules beside a file that it imports, and those that these import: name -> file."""
    found: dict[str, Path] = {}
    left = [path]
    while left:
        for name in _imported(left.pop()):
            beside = (path.parent / f"{name}.py", path.parent / name / "__init__.py")
            place = next((one for one in beside if one.is_file()), None)
            if place is not None and name not in found and place != path:
                found[name] = place
                left.append(place)
    return found


def _imported(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
