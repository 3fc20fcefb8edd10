"""One digest of foreign code: its files, their local imports, data beside them, and captured values.

Comments, docstrings, annotations, code for type checkers, and file paths do not count. Installed packages count by
name, the program's own code by the versions that keys hold. Changes that files do not show are found by asking networks
for stored answers again: docs/identity.md."""

import ast
import importlib.util
import io
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from registry import OWN_PACKAGES
from registry.files import digest_data, digest_file

#: Beside code, but nothing that a number is made from: documents, compiled code, what runs leave behind.
_NO_DATA = (".py", ".pyc", ".pyi", ".pyo", ".md", ".rst", ".typed", ".part", ".lock", ".db", ".log", ".sqlite")
_MEMBERS = frozenset(["__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"])
_FOR_TYPES = ("__future__", "typing", "typing_extensions")
_INSTALLED = ("site-packages", "dist-packages")
#: What the name that an import binds is there, and the file that it is from or the name of an installed module.
Edge = tuple[str, Path | str]


def is_installed(module: str) -> bool:
    """Return whether a module is of the standard library, or of an installed package that is not a plug-in of
    gestaltbench."""
    top = module.partition(".")[0]
    if top in OWN_PACKAGES or top in _plugin_packages():
        return False
    return top in sys.stdlib_module_names or any({*_INSTALLED} & {*place.parts} for place in _places(top))


@cache
def _plugin_packages() -> frozenset[str]:
    every = entry_points()
    groups = (every.select(group=name) for name in every.groups if name.startswith("bench."))
    return frozenset(entry.module.partition(".")[0] for group in groups for entry in group)


def _places(top: str) -> list[Path]:
    """Return the folders of a package; of a module its file without ".py"."""
    if loaded := getattr(sys.modules.get(top), "__file__", None):
        path = Path(loaded)
        return [path.parent if path.stem == "__init__" else path.with_suffix("")]
    with suppress(ImportError, ValueError, AttributeError):
        if spec := importlib.util.find_spec(top):
            folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
            return folders or ([Path(str(spec.origin)).with_suffix("")] if spec.has_location else [])
    return []


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file as it counts. text: without imports; imports: (bound name, module, name in it; "*": all); effects: whether
    importing it does more than define."""

    text: str
    imports: tuple[tuple[str, str, str], ...] = ()
    effects: bool = False


def _read(path: Path) -> SourceFile:
    state = path.stat()  # what changes whenever a file is another one or is written to
    return _parsed(path, (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=4096)
def _parsed(path: Path, _stamp: tuple[int, ...]) -> SourceFile:
    imports: set[tuple[str, str, str]] = set()
    try:
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            for name, value in ast.iter_fields(node):
                if isinstance(value, list):
                    setattr(node, name, list(_executed(value)))
                elif name in ("annotation", "returns"):
                    setattr(node, name, ast.Constant(None) if isinstance(node, ast.AnnAssign) else None)
        for node in ast.walk(tree):
            imports |= {*_imports(node, path)}
            for name, value in ast.iter_fields(node):
                if isinstance(value, list):
                    setattr(node, name, [item for item in value if not isinstance(item, ast.Import | ast.ImportFrom)])
        names = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign, ast.Assign)
        effects = not all(
            isinstance(node, names) and all(isinstance(to, ast.Name) for to in getattr(node, "targets", ()))
            for node in tree.body
        )
        return SourceFile(text=ast.unparse(tree), imports=tuple(sorted(imports)), effects=effects)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python cannot import it, or it is too deep
        return SourceFile(text=digest_file(path))


def _executed(body: list[Any]) -> Iterator[Any]:
    """Yield the executable statements: no docstrings, `pass` or code for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _executed(node.orelse)
        elif not isinstance(node, ast.Pass) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            yield node


def _imports(node: ast.AST, path: Path) -> Iterator[tuple[str, str, str]]:
    """(bound name, module, name in it) of an import, or of a string that names a local module, which is then empty."""
    if isinstance(node, ast.Import):
        yield from ((item.asname or item.name, item.name, "*") for item in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module not in _FOR_TYPES:
        module = "." * node.level + (node.module or "")
        for item in node.names:
            inside = f"{module}{'.' if node.module else ''}{item.name}"
            whole = item.name != "*" and _located(path, inside)
            yield (item.asname or item.name, *((inside, "*") if whole else (module, item.name)))
    elif isinstance(node, ast.Constant) and _named_module(path, node.value):
        yield "", str(node.value), "*"
        node.value = ""


def _named_module(path: Path, text: Any) -> bool:
    named = isinstance(text, str) and re.fullmatch(r"\w+(\.\w+)+", text)
    return bool(named) and _located(path, text) is not None


def _located(by: Path, module: str) -> Path | None:
    """Return the file of a local module that `by` imports; None for gestaltbench's own, installed and missing
    modules."""
    parts = [part for part in module.split(".") if part]
    if level := len(module) - len(module.lstrip(".")):
        places = [by.parents[level - 1]]
    elif not parts or parts[0] in OWN_PACKAGES:
        return None
    else:
        top, *parts = parts
        home = [folder for folder in _packages(by)[-1:] if folder.name == top]
        places = home or ([] if is_installed(top) else _places(top))
    for place in (item.joinpath(*parts) for item in places):
        for path in (place / "__init__.py", place.parent / f"{place.name}.py"):
            if path.is_file():
                return path
    return None


def _packages(path: Path) -> list[Path]:
    """Return the folders of the packages that a file is in, the innermost first."""
    folders = list(path.parents)
    depth = next(n for n, item in enumerate(folders) if not (item / "__init__.py").is_file())
    return folders[:depth]


def _target(by: Path, module: str, name: str, depth: int = 0) -> Edge:
    """Return where `from module import name` leads, through packages that only pass the name on."""
    path = _located(by, module)
    if path is not None and path.name == "__init__.py" and name != "*" and depth < 32:
        for bound, further, inner in _read(path).imports:
            if bound == name:
                return _target(path, further, inner, depth + 1)
    return name, path or module


def file_label(root: Path) -> str:
    """Digest of a file with everything local that it reaches; no name of a file or module."""
    edges: dict[Path, list[tuple[str, Edge]]] = {}
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if path not in edges:
            # Everything that it imports, and packages around it whose import does more than define.
            edges[path] = [(bound, _target(path, module, name)) for bound, module, name in _read(path).imports]
            above = [folder / "__init__.py" for folder in _packages(path)]
            edges[path] += [("", ("", item)) for item in above if item != path and _read(item).effects]
            waiting += [place for _, (_, place) in edges[path] if isinstance(place, Path)]
    own: dict[Path | str, str] = {path: digest_data([_read(path).text, _data(path)]) for path in edges}
    ends = {path: sorted([bound, name, own.get(to, to)] for bound, (name, to) in edges[path]) for path in edges}
    labels = {path: digest_data([own[path], ends[path]]) for path in edges}
    return digest_data([labels[root], sorted(labels.values())])


def _data(path: Path) -> list[str]:
    """Return the names and digests of the data in the folders of a file's packages."""
    files = {str(item.relative_to(folder)): item for folder in _packages(path) for item in _data_below(folder)}
    return sorted(f"{name} {digest_file(item)}" for name, item in files.items())


def _data_below(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__pycache__")) or entry.is_symlink():
            continue
        if entry.is_file() and entry.suffix not in _NO_DATA:
            yield entry
        elif entry.is_dir() and not any(entry.glob("*.py")):
            yield from _data_below(entry)


_OPENED: ContextVar[set[Path] | None] = ContextVar("opened", default=None)


@contextmanager
def opened_files() -> Iterator[set[Path]]:
    """Collect the data files opened within the block, except files of the system and of installed packages."""
    _listen()
    opened = set[Path]()
    token = _OPENED.set(opened)
    try:
        yield opened
    finally:
        _OPENED.reset(token)


@cache
def _listen() -> None:
    sys.addaudithook(_note_opened)


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or (opened := _OPENED.get()) is None or not isinstance(arguments[0], str):
        return
    path, mode = Path(arguments[0]).absolute(), arguments[1] or "r"
    system = path.is_relative_to(sys.base_prefix) or path.parts[1:2] in (("proc",), ("sys",), ("dev",), ("etc",))
    if not (system or {*_INSTALLED} & {*path.parts} or {*"wax+"} & {*mode} or path.suffix in _NO_DATA):
        opened.add(path)


def opened_digest(opened: set[Path]) -> str:
    """Digest of the content of files that were read; "" of none. No name or place counts."""
    return digest_data(sorted(map(digest_file, filter(Path.is_file, opened)))) if opened else ""


@dataclass
class Codes:
    """Digests of code, each computed once. One object serves one run; later edits count for the next run.

    Values are described as plain data, the same in every process: no addresses, no names of files."""

    _digests: dict[tuple[tuple[int, ...], bool], tuple[Any, str]] = field(default_factory=dict)
    _labels: dict[Path, str] = field(default_factory=dict)

    def of(self, *values: Any, data: bool = True) -> str:
        """Return the digest of functions, classes or objects: their files and held values (captured values, partial
        arguments, fields). data False: of held values only foreign code counts."""
        key = (tuple(map(id, values)), data)
        if key not in self._digests:
            foreign: list[Any] = []
            digest = _Description(self.place, data, foreign, []).digest(values)
            self._digests[key] = (values, digest if data else digest_data(foreign))  # what is kept keeps its id
        return self._digests[key][1]

    def place(self, module: str) -> tuple[str, str]:
        """Return the label of a module: its name if it is installed, its file's label if it is foreign, nothing for a
        notebook."""
        if module.partition(".")[0] in OWN_PACKAGES:
            return ("own", "")
        path = Path(getattr(sys.modules.get(module), "__file__", None) or "")
        if module != "__main__" and is_installed(module):
            return ("installed", module)
        if module == "__main__" or path.suffix != ".py" or not path.is_file():
            return ("", "")
        if path not in self._labels:
            self._labels[path] = file_label(path)
        return ("file", self._labels[path])


class _Description(pickle.Pickler):
    """Pickles values to bytes that are only digested. No memo is used, so equal values give equal bytes. data: whether
    anything but foreign code counts; foreign: collects the labels of foreign code; above: functions and classes being
    described."""

    def __init__(
        self, place: Callable[[str], tuple[str, str]], data: bool, foreign: list[Any], above: list[Any]
    ) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, 4)
        self.fast = True
        self.place, self.data, self.foreign, self.above = place, data, foreign, above

    def digest(self, *values: Any) -> str:
        """Return the digest of all held values; values that contain themselves count as printed."""
        try:
            self.dump(values)
            return sha256(self.written.getvalue()).hexdigest()
        except (RecursionError, ValueError, TypeError, pickle.PicklingError):
            return digest_data(_printed(values))

    def persistent_id(self, value: Any) -> Any:
        """Return what is written in place of a value; None: the value itself, or its reduced form."""
        if type(value) in (str, int, float, bool, bytes, tuple, list, type(None)):
            return None
        if depth := sum(n for n, item in enumerate(self.above, 1) if item is value):
            return "above", depth
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return self._noted("module", *self.place(value.__name__))
        if isinstance(value, dict | MappingProxyType):
            return "mapping", sorted(value.items(), key=lambda pair: repr(pair[0]))
        if isinstance(value, set | frozenset):
            return "set", sorted(value, key=repr)
        if isinstance(value, Path):
            return "file", digest_file(value) if self.data and value.is_file() else value.name
        if isinstance(value, CodeType):  # no lines, no addresses
            return value.co_code, value.co_names, value.co_varnames, value.co_consts
        if callable(value) and getattr(value, "__wrapped__", None) is not None:  # a cache around a function
            return "wrapped", value.__wrapped__
        if hasattr(value, "tolist") and hasattr(value, "shape"):
            return self._array(value)
        said = getattr(value, "__dict__", {}).get("digest")
        return (type(value), said) if isinstance(said, str) else None

    def reducer_override(self, value: Any) -> Any:
        """Return the fields of a data class; what else an object is pickled from, or how it is printed."""
        if is_dataclass(value):
            return tuple, ((type(value), {item.name: getattr(value, item.name, None) for item in fields(value)}),)
        with suppress(TypeError, AttributeError, ValueError, NotImplementedError, RuntimeError):
            reduced = value.__reduce_ex__(4)
            return reduced if isinstance(reduced, tuple) else (str, (f"{value.__module__} {reduced}",))
        return str, (_printed(value),)

    def _inside(self, owner: Any, held: Any, data: bool) -> str:
        inner = _Description(self.place, data, self.foreign, [*self.above, owner]).digest(held)
        return inner if data else ""

    def _noted(self, *said: str) -> tuple[str, ...]:
        if said[0] == "file" or said[1] in ("file", ""):
            self.foreign.append(said)
        return said

    def _array(self, value: Any) -> Any:
        import numpy as np

        if not self.data:
            return "array"
        array = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
        return "array", str(array.dtype), array.shape, sha256(array.tobytes()).hexdigest()

    def _function(self, function: FunctionType) -> Any:
        code, (place, label) = function.__code__, self.place(function.__module__ or "")
        extra = {name: held for name, held in vars(function).items() if name != "__wrapped__"}
        captured = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # named, and not yet given a value
                captured[name] = cell.cell_contents
        held = [captured, function.__defaults__, function.__kwdefaults__, extra]
        if place == "own":
            before = len(self.foreign)
            self._inside(function, held, False)
            return "own", function.__qualname__, self.foreign[before:]
        if place:  # of several functions of one name, inside others, the file says not which
            which = self._inside(function, code, True) if "<" in function.__qualname__ else ""
            return self._noted(place, label, function.__qualname__, which, self._inside(function, held, self.data))
        names = sorted(_names(code) & function.__globals__.keys())
        reached = [code, {name: function.__globals__[name] for name in names}, held]
        return self._noted("", "", self._inside(function, reached, True))

    def _class(self, kind: type) -> Any:
        place, label = self.place(kind.__module__)
        if place:
            return self._noted(place, label, kind.__qualname__)
        members = {name: held for name, held in vars(kind).items() if name not in _MEMBERS}
        return self._noted("", "", kind.__qualname__, self._inside(kind, [kind.__bases__, members], True))


def _printed(value: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _names(code: CodeType) -> set[str]:
    nested = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*map(_names, nested))


def code_digest(*values: Any) -> str:
    """Return the digest of functions, the code that they reach and the values that they hold, with today's files (see
    `Codes.of`)."""
    return Codes().of(*values)
