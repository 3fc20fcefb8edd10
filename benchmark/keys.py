"""What a stored answer depends on, as digests.

A cache keyed by names hands back the answers of code and weights that no longer exist. So an observation's key
holds content: weights, preprocessing, stimuli, configuration, and the code that planned and observed.
"""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from benchmark.contracts import CHUNK, Block, Policy, Suite

Function = Callable[..., Any]


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
    """Digest of functions and of every function of their own top-level package that they name.

    Comments, docstrings and layout do not count (the syntax tree is hashed); other packages are recorded
    as versions in the environment row instead.
    """
    found: dict[str, str] = {}
    for function in functions:
        _collect(function, function.__module__.partition(".")[0], found)
    return digest(found)


def _collect(function: Function, package: str, found: dict[str, str]) -> None:
    name = f"{function.__module__}.{function.__qualname__}"
    if name in found:
        return
    found[name] = _syntax(function)
    for other in _named(function):
        if other.__module__.partition(".")[0] == package:
            _collect(other, package, found)


def _syntax(function: Function) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (
        OSError,
        TypeError,
        SyntaxError,
    ):  # made in a notebook's exec or frozen: the bytecode stands in
        return function.__code__.co_code.hex()
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _named(function: Function) -> Iterator[Function]:
    code, scope = function.__code__, function.__globals__
    for name in sorted(_names(code)):
        value = scope.get(name)
        if inspect.isfunction(value):
            yield value


def _names(code: Any) -> set[str]:
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
