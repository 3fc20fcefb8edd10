"""Single-line changes of a syntax tree: operators, comparisons, constants, conditions, dropped and swapped parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.mutation import ROOT

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or,
    ast.Or: ast.And, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SYMMETRIC = (
    *("max", "min", "maximum", "minimum", "logical_and", "logical_or", "isclose", "hypot"),
    *("transpose", "swapaxes", "array_equal", "equal"),
)
#: `zip(..., strict=True)` guards what the lines above have settled, and TYPE_CHECKING is never true: no test can tell.
GUARDS = ("strict", "TYPE_CHECKING")
NOT_RUN = ("annotation", "returns", "decorator_list", "type_params")


@dataclass(frozen=True)
class Mutant:
    """One change. place: which of the file's places that can be changed; first, last: the lines of its statement
    (of its head where it has a body); at_import: whether they run when the module is imported."""

    file: str
    place: int
    line: int
    code: str
    change: str
    first: int
    last: int
    at_import: bool

    @property
    def name(self) -> str:
        """How the list of equal mutants calls it: independent of line numbers."""
        return f"{self.file} | {self.code} | {self.change}"


@dataclass(frozen=True)
class Change:
    """What a change does to its tree. field of node becomes value."""

    node: ast.AST
    field: str
    value: object
    words: str
    line: int


def changes_at(node: ast.AST) -> Iterator[Change]:
    """The changes that one node offers. All additions of a tree share one `ast.Add`: the holder is changed."""
    for made in (_operator, _constant, _condition, _call):
        yield from made(node)


def _operator(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        other = SWAPS[type(node.op)]
        yield Change(node, "op", other(), _words(node.op, other), node.lineno)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        other = SWAPS[type(node.ops[0])]
        swapped = [other(), *node.ops[1:]]
        yield Change(node, "ops", swapped, _words(node.ops[0], other), node.lineno)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield Change(node, "op", ast.UAdd(), "minus dropped", node.lineno)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        twice = ast.UnaryOp(node.op, node.operand)
        yield Change(node, "operand", twice, "not dropped", node.lineno)


def _constant(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = node.value
        other = not value if isinstance(value, bool) else value * 1.5 if value % 1 else value + 1
        yield Change(node, "value", other, f"{value} -> {other}", node.lineno)


def _condition(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield Change(node, "test", negated, "condition negated", node.test.lineno)


def _call(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        name = ast.unparse(node.func).rpartition(".")[2]
        plain = not any(isinstance(one, ast.Starred) for one in (first, second))
        if plain and name not in SYMMETRIC and ast.dump(first) != ast.dump(second):
            swapped = [second, first, *rest]
            yield Change(node, "args", swapped, f"arguments of {name} swapped", node.lineno)


def _dropped(body: list[ast.stmt], holder: ast.AST, field: str) -> Iterator[Change]:
    """Calls, sums and jumps that stand as a statement, each replaced by `pass`."""
    for at, node in enumerate(body):
        call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if call or isinstance(node, ast.AugAssign | ast.Continue | ast.Break | ast.Raise):
            without = [*body[:at], ast.Pass(), *body[at + 1 :]]
            yield Change(holder, field, without, "statement dropped", node.lineno)


def _words(old: ast.AST, new: type[ast.AST]) -> str:
    return f"{type(old).__name__} -> {new.__name__}"


@dataclass(frozen=True)
class Site:
    """Where a change stands: the statement around it, and whether that runs at import."""

    change: Change
    first: int
    last: int
    at_import: bool


def sites(tree: ast.AST) -> list[Site]:
    """Every change of a tree, in its order."""
    return list(_below(tree, 1, 1, True))


def _below(node: ast.AST, first: int, last: int, at_import: bool) -> Iterator[Site]:
    for name, value in ast.iter_fields(node):
        if name in NOT_RUN or _guard(node):
            continue
        runs_later = isinstance(node, ast.FunctionDef | ast.Lambda) and name == "body"
        parts = value if isinstance(value, list) else [value]
        if parts and isinstance(parts[0], ast.stmt):
            for change in _dropped(parts, node, name):
                yield Site(change, change.line, change.line, at_import and not runs_later)
        for part in (one for one in parts if isinstance(one, ast.AST)):
            span = _head(part) if isinstance(part, ast.stmt) else (first, last)
            found = () if _guard(part) else changes_at(part)
            yield from (Site(one, *span, at_import and not runs_later) for one in found)
            yield from _below(part, *span, at_import and not runs_later)


def _guard(node: ast.AST) -> bool:
    named = isinstance(node, ast.keyword) and node.arg in GUARDS
    return named or (isinstance(node, ast.If) and ast.unparse(node.test) in GUARDS)


def _head(statement: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement, without its body."""
    body = getattr(statement, "body", None)
    last = statement.end_lineno or statement.lineno
    return statement.lineno, max(statement.lineno, body[0].lineno - 1) if body else last


def mutants_of(file: str) -> Iterator[Mutant]:
    """Every mutant of a file of the tree."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    for place, site in enumerate(sites(ast.parse(text))):
        line, words = site.change.line, site.change.words
        code = lines[line - 1].strip()
        yield Mutant(file, place, line, code, words, site.first, site.last, site.at_import)


def mutated(text: str, place: int) -> ast.Module:
    """A file's tree with one change."""
    tree = ast.parse(text)
    change = sites(tree)[place].change
    setattr(change.node, change.field, change.value)
    return ast.fix_missing_locations(tree)
