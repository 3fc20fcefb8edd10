"""One source file as normalised syntax: what is left once words, layout and positions are gone.

The text is our own dump of the syntax tree, not `ast.dump`, so that it is the same on every version of Python that
parses the file: fields that a version adds are empty or absent, and both are left out.
"""

import ast
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

#: How one imports a module whose name is computed: then every module beside it counts.
IMPORTING = frozenset(
    {"__import__", "import_module", "iter_modules", "run_module", "run_path", "walk_packages"}
)
#: How one reaches a module's own functions without naming them: then all of it counts.
DYNAMIC = IMPORTING | {
    "__dict__",
    "compile",
    "dir",
    "eval",
    "exec",
    "getmembers",
    "globals",
    "locals",
    "vars",
}
_METHODS = frozenset({"compile", "eval"})  # `re.compile`, `network.eval()`: another thing
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
#: Calls that make a value and do nothing else.
_MAKING = frozenset({"Metric", "Suite", "dict", "frozenset", "replace", "set", "tuple"})
_DEEPEST = 150  # nodes above a node: four calls each, of Python's 1,000
_LONG = 200  # characters of a string that names no file and no module
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Import:
    """One name that an import binds. module: absolute; name: imported from it ("" where it is the module itself, "*");
    bound: what it is called here ("" for `import a.b`, which binds `a`)."""

    module: str
    name: str
    bound: str


@dataclass(frozen=True)
class Statement:
    """One statement of a module. text: its normalised syntax; mentions: every name, attribute and word of a string in
    it; binds: the names that it gives a value; imports: those inside it, in order; strings: those with a dot in them;
    idle: it does nothing until somebody names what it binds (a plain function, a constant).
    """

    text: str
    mentions: frozenset[str]
    binds: frozenset[str]
    imports: tuple[Import, ...]
    strings: tuple[str, ...]
    idle: bool

    @property
    def dynamic(self) -> bool:
        """Whether it may reach functions of its module without naming them."""
        return bool(self.mentions & _MARKS)

    @property
    def importing(self) -> bool:
        """Whether it may import modules whose name is computed."""
        return "<importing>" in self.mentions


#: What `mentions` holds beside words.
_MARKS = frozenset({"<dynamic>", "<importing>"})


@dataclass(frozen=True)
class Function:
    """A function or lambda of a file: its qualified name, and how many of that name come before it."""

    node: ast.AST
    name: str
    number: int


@dataclass(frozen=True)
class Source:
    """A file: the imports at its top, and every other statement in order."""

    imports: tuple[Import, ...]
    statements: tuple[Statement, ...]


def read_source(path: Path, package: str) -> Source:
    """The normalised file. package: the one that relative imports start from. Raises OSError, SyntaxError."""
    return _read(str(path), package, stamp_of(path))


def stamp_of(path: str | Path) -> tuple[int, ...]:
    """What changes whenever a file is another one or is written to. Raises OSError."""
    state = os.stat(path)  # noqa: PTH116 - hundreds of paths as text, not objects
    return (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=4096)
def _read(path: str, package: str, _stamp: tuple[int, ...]) -> Source:
    return parse_source(Path(path).read_bytes(), package)


def parse_source(text: bytes, package: str) -> Source:
    """As `read_source`, of a text."""
    worded = b"__doc__" in text or b"getdoc" in text  # then its docstrings are data
    imports: list[Import] = []
    statements: list[Statement] = []
    for node in _executed(ast.parse(text).body, worded):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports += imports_of(node, package)
        else:
            statements.append(_statement(node, package, worded))
    return Source(tuple(imports), tuple(statements))


@lru_cache(maxsize=256)
def functions_of(path: Path, _stamp: tuple[int, ...]) -> dict[int, tuple[Function, ...]]:
    """First line -> the functions and lambdas of a file that begin there."""
    found: dict[int, tuple[Function, ...]] = {}
    counts: Counter[str] = Counter()
    for node, name in _functions(ast.parse(path.read_bytes())):
        here = _first(node)
        found[here] = (*found.get(here, ()), Function(node, name, counts[name]))
        counts[name] += 1
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every function and lambda of a file, with its qualified name. Without recursion: a long sum is a deep tree."""
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, above = waiting.pop()
        name = getattr(node, "name", "<lambda>")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node, above + name
            above = f"{above}{name}.<locals>."
        elif isinstance(node, ast.ClassDef):
            above = f"{above}{name}."
        waiting += [(inside, above) for inside in reversed(list(ast.iter_child_nodes(node)))]


def text_of(node: ast.AST, package: str) -> str:
    """The normalised syntax of one function."""
    return _statement(node, package, False).text


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> list[Import]:
    """What an import statement binds. package: the one that relative imports start from."""
    if isinstance(node, ast.Import):
        return [Import(one.name, "", one.asname or "") for one in node.names]
    parts = package.split(".") if node.level else []
    above = parts[: len(parts) - node.level + 1] if node.level else []
    module = ".".join([*above, *([node.module] if node.module else [])])
    return [Import(module, one.name, one.asname or one.name) for one in node.names]


def _first(node: ast.AST) -> int:
    """The line at which Python says that a function begins: that of its first decorator."""
    decorators = getattr(node, "decorator_list", ())
    return min(one.lineno for one in (node, *decorators))  # type: ignore[no-any-return]


def _executed(body: Sequence[Any], worded: bool) -> Iterator[Any]:
    """The statements of a body that do something: no docstrings, no `pass`, nothing for type checkers alone."""
    for node in body:
        if isinstance(node, ast.Pass):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if worded and isinstance(node.value.value, str):
                yield node
            continue
        if isinstance(node, ast.If) and _for_types_alone(node.test):
            yield from _executed(node.orelse, worded)
            continue
        yield node


def _for_types_alone(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statement(node: ast.AST, package: str, worded: bool) -> Statement:
    dump = _Dump(package, worded)
    try:
        dump.node(node)
    except _TooDeepError:
        return _by_levels(node, package)
    return Statement(
        "".join(dump.text),
        frozenset(dump.mentions),
        frozenset(_bound(node)),
        tuple(dump.imports),
        tuple(dump.strings),
        _idle(node),
    )


def _by_levels(node: ast.AST, package: str) -> Statement:
    """A statement that is nested too deep to be gone through by recursion, written level by level. Words in it count,
    and it may reach whatever code may."""
    dump = _Dump(package, worded=True)
    imports: list[Import] = []
    for one in ast.walk(node):
        if isinstance(one, ast.Import | ast.ImportFrom):
            imports += imports_of(one, package)
        elif isinstance(one, ast.Call) and (plainly := _imports_plainly(one)):
            imports.append(Import(plainly, "", ""))
        dump.text.append(f" {type(one).__name__}")
        for name, value in ast.iter_fields(one):
            if value is None or value == [] or name in _SKIPPED:
                continue
            parts = value if isinstance(value, list) else [value]
            dump.text.append(f" {name}{len(parts)} ")
            for part in parts:
                if not isinstance(part, ast.AST):
                    dump.constant(part)
    mentions = frozenset(dump.mentions | _MARKS)
    bound = frozenset(_bound(node))
    return Statement(
        "".join(dump.text), mentions, bound, tuple(imports), tuple(dump.strings), idle=False
    )


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    for inside in ast.walk(node):
        if isinstance(inside, ast.Name) and not isinstance(inside.ctx, ast.Load):
            yield inside.id
        elif isinstance(inside, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield inside.name


def _idle(node: ast.AST) -> bool:
    """Whether a statement only gives names a value: a function without decorators, an assignment that calls nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = [*node.args.defaults, *node.args.kw_defaults]
        return not node.decorator_list and all(map(_calls_nothing, filter(None, given)))
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and (
            node.value is None or _calls_nothing(node.value)
        )
    if isinstance(node, ast.Assign):
        return all(map(_plain_target, node.targets)) and _calls_nothing(node.value)
    return False


def _plain_target(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(map(_plain_target, node.elts))
    return isinstance(node, ast.Name)


def _calls_nothing(node: ast.expr) -> bool:
    """Calls that only make a value do not count; what stands in a lambda is not called."""
    if isinstance(node, ast.Lambda):
        return True
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in _MAKING
        return (
            known
            and all(
                _calls_nothing(x) for x in ast.iter_child_nodes(node) if isinstance(x, ast.expr)
            )
            and all(_calls_nothing(k.value) for k in node.keywords)
        )
    if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
        return False
    inside = [x for x in ast.iter_child_nodes(node) if isinstance(x, ast.expr)]
    loops = [
        y
        for x in ast.iter_child_nodes(node)
        if isinstance(x, ast.comprehension)
        for y in (x.iter, *x.ifs)
    ]
    return all(map(_calls_nothing, inside + loops))


def _imports_plainly(node: ast.Call) -> str:
    """The module of `import_module("name")`; "" for any other call."""
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    first = node.args[0] if len(node.args) == 1 and not node.keywords else None
    known = called in ("import_module", "__import__") and isinstance(first, ast.Constant)
    name = first.value if known and isinstance(first, ast.Constant) else ""
    return name if isinstance(name, str) and not name.startswith(".") else ""


class _TooDeepError(Exception):
    """A statement is nested deeper than recursion may go, whoever asks."""


class _Dump:
    """Writes one statement, and notes what it names and imports. Raises _TooDeepError."""

    def __init__(self, package: str, worded: bool) -> None:
        self.text: list[str] = []
        self.mentions: set[str] = set()
        self.imports: list[Import] = []
        self.strings: list[str] = []
        self._plain: ast.expr | None = (
            None  # how a module is imported by a name that is written there
        )
        self._package = package
        self._worded = worded
        self._depth = 0

    def node(self, node: ast.AST) -> None:
        """Write a node and everything below it."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _TooDeepError
        self._written(node)
        self._depth -= 1

    def _written(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self._mention(node.id, DYNAMIC - ({node.id} if node is self._plain else set()))
            self.text.append(f"N'{node.id}'")
        elif isinstance(node, ast.Constant):
            self.constant(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found = imports_of(node, self._package)
            self.imports += found
            self.text.append(f"Import{[(one.name, one.bound) for one in found]}")
        else:
            self._fields(node)

    def _mention(self, name: str, dynamic: frozenset[str]) -> None:
        self.mentions.add(name)
        if name in dynamic:
            self.mentions.add("<importing>" if name in IMPORTING else "<dynamic>")

    def _fields(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute):
            of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys"
            marks = DYNAMIC - _METHODS | ({"modules"} if of_sys else set())
            self._mention(node.attr, marks - ({node.attr} if node is self._plain else set()))
        elif isinstance(node, ast.Call) and (name := _imports_plainly(node)):
            self._plain = node.func
            self.imports.append(Import(name, "", ""))
        self.text.append(type(node).__name__ + "(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _SKIPPED:
                continue
            self.text.append(name + "=")
            self._value(value)
        self.text.append(")")

    def _value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif isinstance(value, list):
            self.text.append("[")
            statements = bool(value) and isinstance(value[0], ast.stmt)
            for one in _executed(value, self._worded) if statements else value:
                self._value(one)
                self.text.append(",")
            self.text.append("]")
        else:
            if isinstance(value, str):
                self.mentions.add(value)
            self.text.append(repr(value))

    def constant(self, value: Any) -> None:
        """Write a value, and note the words in it."""
        if isinstance(value, str):
            self.mentions.update(_WORD.findall(value))
            if "." in value and len(value) < _LONG:
                self.strings.append(value)
        written = hex(value) if type(value) is int else repr(value)
        self.text.append(f"C{type(value).__name__} {written}")
