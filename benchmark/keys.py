"""What a stored answer depends on, as digests.

A cache keyed by names hands back the answers of code and weights that no longer exist. So an observation's key
holds content: weights, preprocessing, stimuli, configuration, and the code that planned and observed.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from benchmark.contracts import CHUNK, Block, Policy, Suite

Function = Callable[..., Any]
Scope = Mapping[str, Any]  # a module's names


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value` (dataclasses as dicts, tuples as lists). Hex, 64 characters."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be part of a key: use plain data")


def code_digest(*functions: Function) -> str:
    """Digest of functions, and of every function, class and constant of their own top-level package that they name.

    Comments, docstrings and layout do not count (the syntax tree is hashed); other packages are recorded
    as versions in the environment row instead. A constant counts by the expression that its module assigns.
    """
    found: set[tuple[str, str]] = set()
    seen: set[Any] = set()
    for function in functions:
        _collect(function, function.__module__.partition(".")[0], found, seen)
    return digest(sorted(found))


def _collect(thing: Any, package: str, found: set[tuple[str, str]], seen: set[Any]) -> None:
    """Add a function or class of `package`, then whatever of the package it names."""
    thing = inspect.unwrap(thing) if callable(thing) else thing  # what a cache or decorator wraps
    if not _ours(thing, package) or thing in seen:
        return
    seen.add(thing)
    found.add((f"{thing.__module__}.{thing.__qualname__}", _syntax(thing)))
    if inspect.isclass(thing):
        for part in (*thing.__bases__, *map(_plain_function, vars(thing).values())):
            _collect(part, package, found, seen)
        return
    names = _names(thing.__code__)
    for scope in _scopes(thing.__globals__, names, package):
        for name in sorted(names & scope.keys()):
            _collect_name(scope, name, package, found, seen)
    for module, name in _local_imports(thing, package):
        _collect_name(vars(importlib.import_module(module)), name, package, found, seen)


def _collect_name(
    scope: Scope, name: str, package: str, found: set[tuple[str, str]], seen: set[Any]
) -> None:
    value = scope.get(name)
    if callable(value) and _ours(inspect.unwrap(value), package):
        _collect(value, package, found, seen)
        return
    module, original = _imported(scope.get("__file__")).get(name, ("", name))
    if (
        module.partition(".")[0] == package
    ):  # a constant of another module: by what is assigned there
        scope, name = vars(importlib.import_module(module)), original
    if (written := _assignments(scope.get("__file__")).get(name)) is not None:
        found.add((f"{scope['__name__']}.{name}", written))


def _ours(thing: Any, package: str) -> bool:
    known = inspect.isfunction(thing) or inspect.isclass(thing)
    return known and str(thing.__module__).partition(".")[0] == package


def _plain_function(member: Any) -> Any:
    """The function below a property, cached property, class or static method."""
    for name in ("fget", "func", "__func__"):
        member = getattr(member, name, None) or member
    return member


@functools.cache
def _local_imports(function: Function, package: str) -> list[tuple[str, str]]:
    """(module, name) of each `from package... import name` inside the function."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    return sorted(
        origin for origin in _origins(tree).values() if origin[0].partition(".")[0] == package
    )


def _origins(tree: ast.AST) -> dict[str, tuple[str, str]]:
    """Name -> (module, name there) of every absolute `from module import name`."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }


@functools.cache
def _imported(path: str | None) -> Mapping[str, tuple[str, str]]:
    """What a source file imports by name, from where."""
    try:
        return _origins(ast.parse(Path(path or "").read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError):
        return {}


def _scopes(scope: Scope, names: set[str], package: str) -> Iterator[Scope]:
    """The function's own module, and the package's modules that it names (`helpers.f`)."""
    yield scope
    for name in sorted(names & scope.keys()):
        module = scope[name]
        if inspect.ismodule(module) and module.__name__.partition(".")[0] == package:
            yield vars(module)


@functools.cache
def _assignments(path: str | None) -> Mapping[str, str]:
    """Module-level names of a source file -> the expression that they are assigned, as a syntax tree."""
    try:
        tree = ast.parse(Path(path or "").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {t.id: ast.dump(node.value) for t in targets if isinstance(t, ast.Name)}
    return found


@functools.cache
def _syntax(function: Any) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        if inspect.isclass(function):
            return repr(sorted(vars(function)))
        return _bytecode(function.__code__)  # a lambda inside a call, or made in a notebook's exec
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _bytecode(code: CodeType) -> str:
    """Instructions, the names and the constants that they refer to; no line numbers, no addresses."""
    constants = [
        _bytecode(one)
        if inspect.iscode(one)
        else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    return digest([code.co_code.hex(), code.co_names, code.co_varnames, constants])


def _names(code: CodeType) -> set[str]:
    nested = (constant for constant in code.co_consts if inspect.iscode(constant))
    return set(code.co_names).union(*map(_names, nested))


def block_key(block: Block) -> str:
    """Identity of what is shown: equal blocks are walked once. The role is the suite's own word and not in it."""
    return digest(_block(block))


def _block(block: Block) -> dict[str, Any]:
    transform = block.transform
    return {
        "stimuli": block.stimuli.digest,
        "condition": block.condition,
        "presentation": block.presentation,
        "transform": transform
        and {
            "name": transform.name,
            "params": transform.params,
            "code": code_digest(_function(transform.apply)),
        },
        **({"networks": sorted(one.identity for one in block.networks)} if block.networks else {}),
    }


def _function(apply: Function) -> Function:
    """The plain function below functools.partial layers."""
    while hasattr(apply, "func"):
        apply = apply.func
    return apply


def observation_key(identity: str, block: Block, suite: Suite, policy: Policy) -> str:
    """Key of one observer's answers to one block under one suite. No name, path, host, batch size or worker count."""
    return digest(
        {
            "observer": identity,
            "block": _block(block),
            "suite": [suite.name, suite.version, block.role],
            "code": code_digest(suite.plan, suite.observe),
            "config": suite.config,
            "policy": policy,
            "chunk": CHUNK,
        }
    )


def score_code(suite: Suite) -> str:
    """Digest of what turns trials into scores: rescoring is due when it changes."""
    ratios = [metric.ratio for metric in suite.metrics]
    functions = (suite.score, suite.compare, suite.group, *ratios)
    return code_digest(*(function for function in functions if function is not None))
