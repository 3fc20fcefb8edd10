"""Foreign code as one digest: whole files as syntax trees, what they import locally, data beside them, captured values.

Comments, docstrings, annotations, imports for type checkers, and the names and places of files do not count. Installed
packages count by name, the program's own code by the versions that keys hold. What no reading of files can see
(environment, computed paths, patches) is left to canary answers: docs/identity.md."""

import ast
import functools
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from registry import OWN_PACKAGES
from registry.files import digest_file

#: Beside code, but nothing that a number is made from: documents, compiled code, what runs leave behind.
_NO_DATA = (".py", ".pyc", ".pyi", ".pyo", ".md", ".rst", ".typed", ".part", ".lock", ".db", ".log", ".sqlite")
_UNREAD = frozenset(["annotation", "returns", "type_comment", "type_params", "type_ignores", "ctx", "kind"])
_MEMBERS = frozenset(["__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"])
#: What is imported; the local file that it is from, or the name of an installed module.
Edge = tuple[str, Path | str]


def is_installed(module: str) -> bool:
    """Whether a module is of the standard library, or of an installed package that is no plug-in of the program."""
    top = module.partition(".")[0]
    if top in OWN_PACKAGES or top in _plugin_packages():
        return False
    if top in sys.stdlib_module_names:
        return True
    for place in _places(top):  # into Python's folder, or with `pip install --target` into another
        folder = place.parent
        if {"site-packages", "dist-packages"} & set(place.parts):
            return True
        if folder.is_dir() and top in _recorded(str(folder), folder.stat().st_mtime_ns):
            return True
    return False


@cache
def _plugin_packages() -> frozenset[str]:
    every = entry_points()
    groups = (every.select(group=name) for name in every.groups if name.startswith("bench."))
    return frozenset(entry.module.partition(".")[0] for group in groups for entry in group)


@lru_cache(maxsize=64)
def _recorded(folder: str, _stamp: int) -> frozenset[str]:
    lines = (line for file in Path(folder).glob("*.dist-info/RECORD") for line in file.open(errors="replace"))
    return frozenset(re.split("[/.,]", line.lstrip('"'), maxsplit=1)[0] for line in lines)


def _places(top: str) -> list[Path]:
    if loaded := getattr(sys.modules.get(top), "__file__", None):
        path = Path(loaded)
        return [path.parent if path.stem == "__init__" else path.with_suffix("")]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None or not (spec.has_location or spec.submodule_search_locations):
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return folders or [Path(str(spec.origin)).with_suffix("")]


@dataclass(frozen=True)
class SourceFile:
    """A file as it counts. text: its syntax, in which imported local modules are numbers; edges: what it imports;
    strings: those that may name a file; effects: whether importing it does more than define."""

    text: str
    edges: tuple[tuple[str, str, str], ...]  # bound name, module, name in it ("*": all)
    strings: tuple[str, ...]
    effects: bool


def _read(path: Path) -> SourceFile:
    state = path.stat()  # what changes whenever a file is another one or is written to
    return _parsed(path, (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=4096)
def _parsed(path: Path, _stamp: tuple[int, ...]) -> SourceFile:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python cannot import it
        return SourceFile(sha256(path.read_bytes()).hexdigest(), (), (), False)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if name in _UNREAD:
                setattr(node, name, None)
            elif isinstance(value, list):
                setattr(node, name, list(_executed(value)))
    imports = sorted(_imports(tree, path), key=lambda item: (item[0], item[2]))
    bound = {name: module for name, module, inner in imports if inner == "*" and name}
    text, used, strings = _dump(tree, {b: m for b, m in bound.items() if _located(path, m)})
    edges = [("", bound[name], "*") for name in used] + [item for item in imports if item[0] not in used]
    # Statements that only give names to things have no effect.
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign)
    effects = not all(
        all(isinstance(target, ast.Name) for target in node.targets)
        if isinstance(node, ast.Assign)
        else isinstance(node, kinds)
        for node in tree.body
    )
    return SourceFile(text, tuple(edges), tuple(strings), effects)


def _executed(body: list[Any]) -> Iterator[Any]:
    """What does something: no docstrings, no `pass`, nothing for type checkers alone."""
    for node in body:
        if isinstance(node, ast.If) and _dotted(node.test).endswith("TYPE_CHECKING"):
            yield from _executed(node.orelse)
        elif not isinstance(node, ast.Pass) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            yield node


def _imports(tree: ast.Module, path: Path) -> Iterator[tuple[str, str, str]]:
    """(bound name, module, name in it) of every import of a file, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((item.asname or item.name, item.name, "*") for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for item in node.names:
                inside = f"{module}{'.' if node.module else ''}{item.name}"
                whole = item.name != "*" and _located(path, inside)
                names = (inside, "*") if whole else (module, item.name)
                yield (item.asname or item.name, *names)
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith(("import_module", "__import__")):
            texts = [item for item in map(_dotted, node.args[:1]) if item[:1] in "'\""]
            yield from ((text, ast.literal_eval(text), "*") for text in texts if text)


def _dump(tree: ast.Module, modules: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """A tree's text, the names of modules in the order of their first use, and its strings.

    Without recursion, for a long sum is a deep tree; not `ast.dump`, whose text is another one on each Python."""
    parts: list[str] = []
    used: list[str] = []
    strings: list[str] = []
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            kept = [item for item in node if not isinstance(item, ast.Import | ast.ImportFrom)]
            parts.append(f"[{len(kept)}]")
            waiting += reversed(kept)
        elif isinstance(node, ast.AST) and (dotted := _dotted(node)) in modules:
            used += [] if dotted in used else [dotted]
            parts.append(f"module {used.index(dotted)}")
        elif isinstance(node, ast.AST):
            shown = [(k, v) for k, v in ast.iter_fields(node) if v is not None and v != []]
            strings += [v for _, v in shown if isinstance(node, ast.Constant) and type(v) is str]
            parts.append(f"{type(node).__name__}/{len(shown)}")
            waiting += [part for pair in reversed(shown) for part in reversed(pair)]
        else:
            parts.append(hex(node) if type(node) is int else repr(node))
    return " ".join(parts), used, strings


def _dotted(node: ast.AST) -> str:
    """ "a.b.c" of such an expression, a string with its quotes; "" of any other."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return repr(node.value)
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _located(by: Path, module: str) -> Path | None:
    """The file of a local module that `by` imports; None for the program's, an installed one and what is not there."""
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
    """The folders of the packages that a file is in, the innermost first."""
    folders = list(path.parents)
    depth = next(n for n, item in enumerate(folders) if not (item / "__init__.py").is_file())
    return folders[:depth]


def _target(by: Path, module: str, name: str, depth: int = 0) -> Edge:
    """Where `from module import name` leads, through packages that only pass the name on."""
    path = _located(by, module)
    if path is not None and path.name == "__init__.py" and name != "*" and depth < 32:
        for bound, further, inner in reversed(_read(path).edges):
            if bound == name:
                return _target(path, further, inner, depth + 1)
    return name, path or module


def file_label(root: Path) -> str:
    """Digest of a file with everything local that it reaches, circles included; no name of a file or module."""
    edges: dict[Path, list[Edge]] = {}
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if path not in edges:
            # Everything that it imports, and packages around it whose import does more than define.
            targets = [(bound, *_target(path, module, name)) for bound, module, name in _read(path).edges]
            above = [folder / "__init__.py" for folder in _packages(path)]
            edges[path] = [(f"{bound} {inner}", place) for bound, inner, place in targets]
            edges[path] += [("", item) for item in above if item != path and _read(item).effects]
            waiting += [place for _, place in edges[path] if isinstance(place, Path)]
    labels: dict[Path | str, str] = {p: _hash(_read(p).text, *_data(p)) for p in edges}
    groups = 0
    while groups < (groups := len(set(labels.values()))):  # until no two are told apart further
        ends = {p: [f"{n}={labels.get(to, to)}" for n, to in there] for p, there in edges.items()}
        labels = {path: _hash(labels[path], *ends[path]) for path in edges}
    return _hash(labels[root], *sorted(labels.values()))


def _data(path: Path) -> list[str]:
    """Names and digests of the data that a file may read: in its packages' folders; of a script, whose folder is the
    user's desk, what one of its strings names there."""
    files = {str(item.relative_to(folder)): item for folder in _packages(path) for item in _data_below(folder)}
    for text in _read(path).strings:
        plain = 0 < len(text) < 200 and text[0] not in "/~." and not {"\0", "\\"} & set(text)
        if plain and _is_data(path.parent / text):
            files[text] = path.parent / text
    return sorted(f"{name} {digest_file(item)}" for name, item in files.items())


def _data_below(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__pycache__")) or entry.is_symlink():
            continue
        if _is_data(entry):
            yield entry
        elif entry.is_dir() and not any(entry.glob("*.py")):
            yield from _data_below(entry)


def _is_data(path: Path) -> bool:
    return path.suffix not in _NO_DATA and path.is_file()


def _hash(*texts: str) -> str:
    total = sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


@dataclass
class Codes:
    """Digests of code, each made once: one object serves one run, and what is edited later counts for the next.

    Values are described as plain data, the same in every process: no addresses, no names of files."""

    _digests: dict[tuple[tuple[int, ...], bool], tuple[Any, str]] = field(default_factory=dict)
    _labels: dict[Path, str] = field(default_factory=dict)
    _above: list[Any] = field(default_factory=list)

    def of(self, *values: Any, data: bool = True) -> str:
        """Digest of functions, classes or objects: their files, and what they hold (captured values, partial
        arguments, fields). data False: of what they hold, further foreign code alone."""
        key = (tuple(map(id, values)), data)
        if key not in self._digests:
            described = [self._value(item, data) for item in values]
            self._digests[key] = (values, _hash(json.dumps(described)))  # what is kept keeps its id
        return self._digests[key][1]

    def own(self, value: Any) -> bool:
        """Whether a function or object, with whatever code it holds, is the program's own."""
        return self._value(value, False) is None

    def _value(self, value: Any, data: bool) -> Any:
        """Plain data that stands for any value. data False: foreign code in it alone; None where there is none."""
        if value is None or type(value) in (bool, int, str):
            return value if data else None
        if type(value) in (float, bytes):
            return [type(value).__name__, repr(value)] if data else None
        if depth := sum(n for n, item in enumerate(self._above, 1) if item is value):
            return ["above", depth] if data else None
        self._above.append(value)
        try:
            return self._described(value, data)
        finally:
            self._above.pop()

    def _parts(self, kind: str, parts: Any, data: bool) -> Any:
        kept = [self._value(item, data) for item in parts]
        kept = kept if data else [item for item in kept if item is not None]
        return [kind, *kept] if data or kept else None

    def _described(self, value: Any, data: bool) -> Any:
        if isinstance(value, FunctionType):
            return self._function(value, data)
        if isinstance(value, type):
            return self._class(value, data)
        if isinstance(value, functools.partial):
            return self._parts("partial", [value.func, value.args, value.keywords], data)
        if isinstance(value, MethodType):
            return self._parts("method", [value.__func__, value.__self__], data)
        if callable(value) and getattr(value, "__wrapped__", None) is not None:  # a cache around a function
            return self._parts("wrapped", [value.__wrapped__], data)
        if isinstance(value, list | tuple):
            return self._parts("list", value, data)
        if isinstance(value, Mapping):
            parts = [self._parts("", pair, data) for pair in value.items()]
            parts = sorted((item for item in parts if item is not None), key=repr)
            return ["mapping", *parts] if data or parts else None
        if isinstance(value, set | frozenset):
            return ["set", *sorted([self._value(item, True) for item in value], key=repr)] if data else None
        if isinstance(value, ModuleType):
            place, label = self._place(value.__name__)
            return ["module", place, label] if data or place == "file" else None
        if hasattr(value, "tolist") and hasattr(value, "shape"):  # an array or tensor: type, shape, bytes
            import numpy as np

            array = np.ascontiguousarray(value.detach().cpu() if hasattr(value, "detach") else value)
            content = ["array", str(array.dtype), list(array.shape), sha256(array.tobytes()).hexdigest()]
            return content if data else None
        if isinstance(value, Path):
            text = digest_file(value) if data and value.is_file() else value.name
            return ["file", text] if data else None
        return self._instance(value, data)

    def _instance(self, value: Any, data: bool) -> Any:
        kind = self._class(type(value), data)
        if is_dataclass(value):
            state: Any = {item.name: getattr(value, item.name, None) for item in fields(value)}
        else:
            # What an object is pickled from; else how it is printed, without its address.
            try:
                parts = value.__reduce_ex__(4)
            except (TypeError, AttributeError, ValueError, NotImplementedError, RuntimeError):
                parts = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
            state = list(parts[1:3]) if isinstance(parts, tuple) else parts
        if data and isinstance(state, dict) and isinstance(state.get("digest"), str):
            data, kind = False, [kind, state["digest"]]  # it says itself what its data are
        held = self._value(state, data)
        return None if kind is None and held is None else [kind, held]

    def _place(self, module: str) -> tuple[str, str]:
        """What stands for a module: its name where others answer for it, the label of a file; nothing of a notebook."""
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

    def _function(self, function: FunctionType, data: bool) -> Any:
        code, (place, label) = function.__code__, self._place(function.__module__ or "")
        extra = {name: held for name, held in vars(function).items() if name != "__wrapped__"}
        captured = {}
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # named, and not yet given a value
                captured[name] = cell.cell_contents
        held = [captured, function.__defaults__, function.__kwdefaults__, extra]
        if place == "own":
            inside = self._value(held, False)
            return ["own", function.__qualname__, inside] if data or inside else None
        if place:  # of several functions of one name, inside others, the file says not which
            which = self._bytecode(code) if "<" in function.__qualname__ else ""
            return [place, label, function.__qualname__, which, self._value(held, data)]
        names = sorted(_names(code) & function.__globals__.keys())
        return [self._bytecode(code), self._value([{name: function.__globals__[name] for name in names}, held], True)]

    def _class(self, kind: type, data: bool) -> Any:
        place, label = self._place(kind.__module__)
        if place in ("own", "installed"):
            return [place, label, kind.__qualname__] if data else None
        if place:
            return [place, label, kind.__qualname__]
        members = {name: held for name, held in vars(kind).items() if name not in _MEMBERS}
        return ["", kind.__qualname__, self._value([kind.__bases__, members], True)]

    def _bytecode(self, code: CodeType) -> Any:
        """Instructions, and the names and constants that they refer to; no lines, no addresses."""
        constants = [
            self._bytecode(item) if isinstance(item, CodeType) else self._value(item, True) for item in code.co_consts
        ]
        return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _names(code: CodeType) -> set[str]:
    nested = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*map(_names, nested))


def code_digest(*values: Any) -> str:
    """Digest of functions and what they reach and hold, as the files are now (see `Codes.of`)."""
    return Codes().of(*values)
