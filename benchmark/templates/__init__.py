"""Packages to begin with: a suite, a corruption, a map, an attack of a third party that pass their own tests.

A template is a folder of `.tmpl` files in which `$name` and `$module` stand for the package's names; `__module__` in a
path stands for the module.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template
from sys import stdlib_module_names
from typing import Literal, get_args

from benchmark.errors import BenchError

Kind = Literal["suite", "corruption", "map", "attack"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_package(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the template of a kind to `folder`/NAME. Returns the files, relative to it.

    Raises BenchError where the name is none, where a Python module of that name is installed already, or where the
    folder is there.
    """
    if not _NAME.fullmatch(name):
        raise BenchError(
            f"'{name}' cannot name a package: expected small letters, digits and single hyphens, such as 'my-suite'."
        )
    module, target = name.replace("-", "_"), folder / name

    if target.exists():
        raise BenchError(f"{target} is there already. Choose another name, or another --out folder.")
    if module in stdlib_module_names or find_spec(module) is not None:
        raise BenchError(f"a Python module '{module}' is installed already. Choose another name than '{name}'.")
    names = {"name": name, "module": module}
    written = []
    for path, source in _sources(files("benchmark.templates").joinpath(kind), Path()):
        place = Path(str(path).replace("__module__", module).removesuffix(".tmpl"))
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        text = Template(source.read_text(encoding="utf-8")).substitute(names)
        (target / place).write_text(text, encoding="utf-8")
        written.append(place)
    return sorted(written)


def _sources(folder: Traversable, below: Path) -> list[tuple[Path, Traversable]]:
    found: list[tuple[Path, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _sources(entry, below / entry.name)
        elif entry.name.endswith(".tmpl"):
            found.append((below / entry.name, entry))
    return found
