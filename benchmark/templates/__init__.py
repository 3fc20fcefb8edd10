"""Packages to begin with: a suite, a corruption, a map and an attack, which pass their own tests.

A template is a folder of `.tmpl` files in which `$name` and `$module` stand for the package's names; `__module__` in a
path stands for the module."""

import re
from importlib.util import find_spec
from pathlib import Path
from string import Template
from sys import stdlib_module_names
from typing import Literal, get_args

from benchmark.failures import BenchError

BOARD = Path(__file__).parent / "board"
Kind = Literal["suite", "corruption", "map", "attack"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_package(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the template of a kind to `folder`/NAME and return its files. Raises BenchError if the name is not free."""
    if not _NAME.fullmatch(name):
        raise BenchError(
            f"'{name}' cannot name a package: expected small letters, digits and single hyphens, such as 'my-suite'."
        )
    module, target = name.replace("-", "_"), folder / name
    if target.exists():
        raise BenchError(f"{target} exists already. Choose another name, or another --out folder.")
    if module in stdlib_module_names or find_spec(module) is not None:
        raise BenchError(f"a Python module '{module}' is installed already. Choose another name than '{name}'.")
    names, template = {"name": name, "module": module}, Path(__file__).parent / kind
    for source in sorted(template.rglob("*.tmpl")):
        place = Path(str(source.relative_to(template)).replace("__module__", module).removesuffix(".tmpl"))
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        text = Template(source.read_text(encoding="utf-8")).substitute(names)
        (target / place).write_text(text, encoding="utf-8")
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())
