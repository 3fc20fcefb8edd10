"""Texts in an exported program that torch evaluates: sizes and guards. Only short arithmetic passes."""

from __future__ import annotations

import ast
import re

_METHODS = {"size", "shape", "stride", "storage_offset", "dim", "ndim"}
#: What torch writes into sizes: sympy's arithmetic and its own integer functions.
_FUNCTIONS = frozenset(
    {
        "Add", "Mul", "Mod", "PythonMod", "ModularIndexing", "FloorDiv", "CeilDiv", "CleanDiv", "CeilToInt",
        "FloorToInt", "TruncToInt", "RoundToInt", "ToFloat", "IntTrueDiv", "FloatTrueDiv", "Max", "Min",
        "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Where", "Rational", "Identity",
        "StrictGreaterThan", "GreaterThan", "StrictLessThan", "LessThan", "Equality", "Unequality",
        "Symbol", "Integer", "Float", "cast_symbool_to_symint_guardless",
    }
)  # fmt: skip
_NAMED_BY_TEXT = {"Symbol", "Integer", "Float"}
_TEXT = re.compile(r"[\w.+-]{1,80}")
_LONGEST = 2000
_LARGEST = 2**63
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Constant,
    ast.Name, ast.Subscript,
    ast.Call, ast.Attribute, ast.Load, ast.keyword, ast.Tuple, ast.cmpop, ast.boolop, ast.unaryop,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
)  # fmt: skip
_HIGHEST_POWER = 4


def is_plain(text: str) -> bool:
    """Whether `text` is short arithmetic or a comparison of sizes: nothing else may be evaluated."""
    if len(text) > _LONGEST:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    texts = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _NAMED_BY_TEXT:
            texts |= {id(argument) for argument in node.args}
    return all(_plain_node(node, texts) for node in nodes)


def _plain_node(node: ast.AST, texts: set[int]) -> bool:
    """`texts`: the constants that may be text (keys, and names of symbols and numbers)."""
    if not isinstance(node, _NODES):
        return False
    if isinstance(node, ast.Attribute):
        return node.attr in _METHODS
    if isinstance(node, ast.Name):
        return "__" not in node.id
    if isinstance(node, ast.Constant):
        return _plain_constant(node, texts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _small(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in _FUNCTIONS
    return not isinstance(node, ast.Call) or isinstance(node.func, ast.Attribute)


def _plain_constant(node: ast.Constant, texts: set[int]) -> bool:
    if isinstance(node.value, str):
        return id(node) in texts and bool(_TEXT.fullmatch(node.value))
    return isinstance(node.value, bool | int | float) and abs(node.value) < _LARGEST


def _small(power: ast.expr) -> bool:
    """A power that cannot make a number of a million digits."""
    return isinstance(power, ast.Constant) and power.value in range(_HIGHEST_POWER + 1)
