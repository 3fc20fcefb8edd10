"""One digest of foreign code: the files that it reaches by its imports, data beside them, and captured values.

Comments, docstrings, annotations, and names of files do not count. What files do not show is found by asking networks
for stored answers again: docs/identity.md."""

import ast
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from inspect import getsource
from pathlib import Path
from textwrap import dedent
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from registry import OWN_PACKAGES
from registry.files import canonical, digest_data, digest_file

#: Beside code, but nothing that a number is made from: documents, compiled code, what runs leave behind.
NO_DATA = (".py", ".pyc", ".pyi", ".pyo", ".md", ".rst", ".typed", ".part", ".lock", ".db", ".log", ".sqlite")
_MEMBERS = ("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__")
_FOR_TYPES = ("__future__", "typing", "typing_extensions")
INSTALLED = {"site-packages", "dist-packages"}


@cache
def _plugin_packages() -> frozenset[str]:
    every = entry_points()
    groups = (every.select(group=name) for name in every.groups if name.startswith("bench."))
    return frozenset(entry.module.partition(".")[0] for group in groups for entry in group)


def source_file(module: str) -> Path | None:
    """Return the file of a foreign module or any plug-in; None for the program's own, installed and missing ones."""
    top = module.partition(".")[0]
    if top in OWN_PACKAGES or top in sys.stdlib_module_names:
        return None
    place = getattr(sys.modules.get(module), "__file__", None)
    if module not in sys.modules:
        with suppress(ImportError, ValueError, AttributeError):
            spec = importlib.util.find_spec(module)
            place = spec and spec.origin
    path = Path(place or "")
    is_installed = bool(INSTALLED & {*path.parts}) and top not in _plugin_packages()
    return None if is_installed or path.suffix != ".py" or not path.is_file() else path


class _SourceCode(ast.NodeTransformer):
    """The code of a file that is executed: text without imports, docstrings, annotations and code for type checkers.
    Imports are (bound name, module, name in it); `effects`: whether importing the file does more than define."""

    def __init__(self, content: bytes, package: str = "") -> None:
        self.package, self.imports, self.effects = package, set[tuple[str, str, str]](), False
        defines = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign, ast.Assign)
        try:
            tree = self.visit(ast.parse(content))
            self.text = ast.unparse(tree)
            for node in tree.body:
                plain = all(isinstance(to, ast.Name) for to in getattr(node, "targets", ()))
                self.effects |= not (isinstance(node, defines) and plain)
        except (SyntaxError, ValueError, ImportError, RecursionError, MemoryError):  # not for Python, or too deep
            self.text, self.imports = sha256(content).hexdigest(), set()

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return [self.visit(inner) for inner in node.orelse]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.imports |= {(item.asname or item.name, item.name, "") for item in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module not in _FOR_TYPES:
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), self.package)
            self.imports |= {(item.asname or item.name, module, item.name) for item in node.names}

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def imported_modules(content: bytes) -> set[str]:
    """Return the modules that a file's code imports by their whole names."""
    return {module for _, module, _ in _SourceCode(content).imports}


def module_digest(root: str) -> str:
    """Return the digest of a foreign module with everything foreign that it reaches; no name of a file or module."""

    @cache
    def source(module: str) -> _SourceCode | None:
        if (path := source_file(module)) is None:
            return None
        return _SourceCode(path.read_bytes(), module if path.name == "__init__.py" else module.rpartition(".")[0])

    def target(module: str, name: str) -> tuple[str, str]:
        """Return the module that defines an imported name, behind packages that only pass it on."""
        if name and source(f"{module}.{name}"):
            return f"{module}.{name}", ""
        package = source(module)
        is_package = package and hasattr(sys.modules.get(module), "__path__")
        for bound, further, inner in package.imports if package and is_package and name else ():
            if bound == name and further != module:
                return target(further, inner)
        return module, name

    def label(module: str) -> str:
        return digest_data(own.text) if (own := source(module)) else module

    edges = dict[str, list[tuple[str, str, str]]]()
    waiting = [root]
    while waiting:
        module = waiting.pop()
        if (own := source(module)) and module not in edges:
            # Everything that it imports, and packages around it whose import does more than define.
            above = [".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 1)]
            around = [("", name, "") for name in above if (package := source(name)) and package.effects]
            edges[module] = [*((bound, *target(other, name)) for bound, other, name in own.imports), *around]
            waiting += [to for _, to, _ in edges[module]]
    labels = [[label(m), sorted([bound, name, label(to)] for bound, to, name in ends)] for m, ends in edges.items()]
    data = sorted(entry for top in {module.partition(".")[0] for module in edges} for entry in _data_of(top))
    return digest_data([labels[0], sorted(labels), data])


def _data_of(package: str) -> list[str]:
    path = source_file(package)
    if path is None or path.name != "__init__.py":
        return []
    found = []
    for file in path.parent.rglob("*"):
        inside = file.relative_to(path.parent)
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        if not hidden and file.suffix not in NO_DATA and file.is_file() and not file.is_symlink():
            found.append(f"{inside} {digest_file(file)}")
    return found


@dataclass
class Codes:
    """Digests of code, each computed once. One object serves one run; later edits count for the next run."""

    _digests: dict[tuple[int, ...], tuple[Any, str]] = field(default_factory=dict)
    _modules: dict[str, str] = field(default_factory=dict)

    def of(self, *values: Any) -> str:
        """Return the digest of functions, classes or objects: their files, and what they hold."""
        key = tuple(map(id, values))
        if key not in self._digests:
            self._digests[key] = (values, digest_data(self._describe(values, [], ())))  # what is kept keeps its id
        return self._digests[key][1]

    def _place(self, module: str) -> list[str]:
        """Return what identifies a module: its kind, and its files' digest or an installed one's name."""
        if module.partition(".")[0] in OWN_PACKAGES:
            return ["own"]
        if module == "__main__":
            return []  # of a notebook, which has no file
        if source_file(module) is None:
            return ["installed", module] if hasattr(sys.modules.get(module), "__spec__") else []
        if module not in self._modules:
            self._modules[module] = module_digest(module)
        return ["file", self._modules[module]]

    def _describe(self, value: Any, found: list[Any], above: tuple[Any, ...]) -> Any:
        """Describe a value as plain data, equal in every process: no addresses, no names of files. found: collects what
        is foreign; above: the values that contain this one."""
        if isinstance(value, str | int | float | bytes | complex | type(None)) and type(value).__module__ == "builtins":
            return repr(value)
        if depth := sum(n for n, item in enumerate(above, 1) if item is value):
            return ["above", depth]

        def inner(held: Any) -> Any:
            return self._describe(held, found, (*above, value))

        if isinstance(value, FunctionType | type):
            return self._describe_code(value, found, inner)
        if isinstance(value, dict | MappingProxyType):
            return [[inner(key), inner(item)] for key, item in sorted(value.items(), key=lambda pair: repr(pair[0]))]
        if isinstance(value, list | tuple):
            return [type(value).__name__, *map(inner, value)]
        if isinstance(value, set | frozenset):
            return sorted((inner(item) for item in value), key=canonical)
        return self._describe_object(value, inner)

    def _describe_code(self, value: Any, found: list[Any], inner: Callable[[Any], Any]) -> list[Any]:
        place, name, before = self._place(value.__module__ or ""), value.__qualname__, len(found)
        held: Any = []
        if isinstance(value, FunctionType):
            code, captured = value.__code__, dict[str, Any]()
            for free, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
                with suppress(ValueError):  # named, and not yet given a value
                    captured[free] = cell.cell_contents
            held = {"captured": captured, "defaults": value.__defaults__, "keywords": value.__kwdefaults__}
            held["more"] = {key: own for key, own in vars(value).items() if key != "__wrapped__"}
            if not place or "<" in name:  # several may have one name
                held["code"] = code
            if not place:  # no file says what it reaches
                if "<" not in name:
                    with suppress(OSError, TypeError):  # typed in a notebook: its source counts
                        held["code"] = _SourceCode(dedent(getsource(value)).encode()).text
                held["names"] = {key: value.__globals__[key] for key in sorted(_names(code) & value.__globals__.keys())}
        elif not place:
            held = [value.__bases__, {key: own for key, own in vars(value).items() if key not in _MEMBERS}]
        held = inner(held)
        if place == ["own"]:  # its values are described by parameters and versions: what is foreign in it counts
            return [*place, name, found[before:]]
        if not place or place[0] == "file":
            found.append([*place, name, held])
        return [*place, name, held]

    def _describe_object(self, value: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(value, ModuleType):
            return self._place(value.__name__)
        if isinstance(value, Path):
            return digest_file(value) if value.is_file() else value.name
        if isinstance(value, CodeType):  # no lines, no addresses
            return inner((value.co_code, value.co_names, value.co_varnames, value.co_consts))
        if callable(value) and getattr(value, "__wrapped__", None) is not None:  # a cache around a function
            return inner(value.__wrapped__)
        if hasattr(value, "tolist") and hasattr(value, "shape"):
            import numpy as np

            array = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
            return [str(array.dtype), str(array.shape), sha256(array.tobytes()).hexdigest()]
        if isinstance(said := getattr(value, "__dict__", {}).get("digest"), str):
            return [inner(type(value)), said]
        if is_dataclass(value):  # its own fields, not what is cached beside them
            return inner((type(value), {item.name: getattr(value, item.name, None) for item in fields(value)}))
        with suppress(TypeError, AttributeError, ValueError, NotImplementedError, RuntimeError):
            reduced = value.__reduce_ex__(4)
            if isinstance(reduced, tuple):  # what it would be pickled from
                return [inner(list(part) if isinstance(part, Iterator) else part) for part in reduced]
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _names(code: CodeType) -> set[str]:
    nested = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*map(_names, nested))


def code_digest(*values: Any) -> str:
    """Return the digest of functions, their code and the values that they hold, with today's files."""
    return Codes().of(*values)
