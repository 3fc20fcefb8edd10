"""Functions, and what they hold that no source shows: captured names, partial arguments, the object of a method.

A value becomes plain data that is the same in every process: no addresses, no names of files. The modules behind the
functions and classes that are met on the way are collected, for their source is the rest of what they are.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from registry.code.files import file_digest
from registry.code.syntax import functions_of, stamp_of, text_of

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN = (type(None), bool, int, float, str)
#: A module's name -> what stands for its code, where that is known without looking into it.
Token = Callable[[str], str | None]


@dataclass
class Describer:
    """Describes values. installed: whether a module counts by its name alone; token: of code that is known, only what
    others gave it counts; data: whether what code holds counts, or only further code; roots: (module, name) of all
    code whose source is still to be looked into; sourceless: how much code was met that no file has."""

    installed: Callable[[str], bool]
    token: Token
    data: bool = True
    roots: set[tuple[str, str]] = field(default_factory=set)
    sourceless: int = 0
    _above: list[Any] = field(default_factory=list)

    def value(self, value: Any) -> Any:
        """Plain data that stands for any value."""
        if isinstance(value, Enum):
            return [*self._class(type(value)), value.name]
        if isinstance(value, _PLAIN):
            return ["float", value.hex()] if isinstance(value, float) else value
        for depth, one in enumerate(self._above):
            if one is value:
                return ["above", depth]
        self._above.append(value)
        try:
            return self._container(value)
        finally:
            self._above.pop()

    def _container(self, value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            return ["bytes", sha256(value).hexdigest()]
        if isinstance(value, tuple | list):
            kind = "list" if type(value) in (list, tuple) else type(value).__qualname__
            return [kind, *(self.value(one) for one in value)]
        if isinstance(value, Mapping):
            pairs = [[self.value(key), self.value(one)] for key, one in value.items()]
            return ["mapping", *sorted(pairs, key=repr)]
        if isinstance(value, set | frozenset):
            return ["set", *sorted((self.value(one) for one in value), key=repr)]
        if isinstance(value, Path):
            return ["file", file_digest(value) if value.is_file() else value.name]
        if isinstance(value, ModuleType):
            return self._module(value.__name__)
        return self._code(value)

    def _code(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, functools.partial):
            return [
                "partial",
                self.value(value.func),
                self._held(value.args),
                self._held(value.keywords),
            ]
        if isinstance(value, MethodType):
            return ["method", self.value(value.__func__), self.value(value.__self__)]
        if isinstance(value, property | classmethod | staticmethod | functools.cached_property):
            parts = (getattr(value, name, None) for name in ("fget", "fset", "__func__", "func"))
            return ["member", *(self.value(one) for one in parts)]
        if getattr(value, "__wrapped__", None) is not None:  # a cache around a function
            return ["wrapped", type(value).__qualname__, self.value(value.__wrapped__)]
        if hasattr(value, "tolist") and hasattr(value, "shape"):
            return _array(value)
        return self._instance(value)

    def _held(self, held: Any, known: bool = False) -> Any:
        """What code holds. Of known code, and where data do not count, further code alone."""
        if self.data and not known:
            return self.value(held)
        parts = held.values() if isinstance(held, Mapping) else held
        kept = []
        for one in parts:
            if callable(one) or (known and self.data):
                before = (len(self.roots), self.sourceless)
                text = self.value(one)
                if (len(self.roots), self.sourceless) != before:
                    kept.append(text)
        return kept

    def _instance(self, value: Any) -> Any:
        """An object by its class and its fields."""
        kind = type(value)
        known = self.token(kind.__module__) is not None
        state = _state(value)
        if state is None:
            return [*self._class(kind), self.value(_reduced(value))]
        if isinstance(named := state.get("digest"), str):  # it says itself what its data are
            return [*self._class(kind), named, self._code_alone(state)]
        return [*self._class(kind), self._held(state, known)]

    def _code_alone(self, held: Mapping[str, Any]) -> Any:
        before, self.data = self.data, False
        try:
            return self._held(held)
        finally:
            self.data = before

    def _function(self, function: FunctionType) -> Any:
        module = function.__module__ or ""
        given = {f"argument {at}": one for at, one in enumerate(_given(function))}
        held = {**_cells(function), **given, **_attributes(function)}
        if (token := self.token(module)) is not None:
            return ["known", token, function.__qualname__, self._held(held, known=True)]
        if module not in ("", "__main__") and self.installed(module):
            return ["function", module, function.__qualname__, self._held(held)]
        syntax = _syntax(function)
        if syntax is None:
            self.sourceless += 1
            code = self._bytecode(function.__code__)
            return ["function", code, self._named(function), self._held(held)]
        self.roots.add((module, _outermost(function)))
        return ["function", syntax, self._held(held)]

    def _named(self, function: FunctionType) -> Any:
        """What a function without a source file names in the place where it was made."""
        names = sorted(_names(function.__code__) & function.__globals__.keys())
        return self.value({name: function.__globals__[name] for name in names})

    def _class(self, kind: type) -> list[Any]:
        if (token := self.token(kind.__module__)) is not None:
            return ["known", token, kind.__qualname__]
        if kind.__module__ != "__main__" and self.installed(kind.__module__):
            return ["class", kind.__module__, kind.__qualname__]
        if _has_source(kind):
            self.roots.add((kind.__module__, kind.__qualname__.partition(".")[0]))
            return ["class", kind.__qualname__]
        self.sourceless += 1
        members = {name: one for name, one in vars(kind).items() if name not in _NOT_MEMBERS}
        return ["class", kind.__qualname__, self.value(kind.__bases__), self.value(members)]

    def _module(self, name: str) -> Any:
        if (token := self.token(name)) is not None:
            return ["module", token]
        if self.installed(name):
            return ["module", name]
        self.roots.add((name, "*"))
        return ["module"]

    def _bytecode(self, code: CodeType) -> Any:
        """Instructions, and the names and constants that they refer to; no lines, no addresses."""
        constants = [
            self._bytecode(one) if isinstance(one, CodeType) else self.value(one)
            for one in code.co_consts
        ]
        return ["code", code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


_NOT_MEMBERS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}
)


def _state(value: Any) -> dict[str, Any] | None:
    """The fields of an object; None where it has none that can be seen. What it remembers of itself does not count."""
    if is_dataclass(value):
        return {one.name: getattr(value, one.name, None) for one in fields(value)}
    kinds = type(value).__mro__
    remembered = {
        name
        for kind in kinds
        for name, one in vars(kind).items()
        if isinstance(one, functools.cached_property)
    }
    found = {**getattr(value, "__dict__", {})}
    slots = [name for kind in kinds for name in getattr(kind, "__slots__", ())]
    found |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {k: v for k, v in found.items() if k not in remembered} or None


def _reduced(value: Any) -> Any:
    """What an object of a compiled type is made from, as it is pickled; else how it is printed."""
    try:
        made = value.__reduce_ex__(4)
    except (TypeError, AttributeError, ValueError, NotImplementedError, RuntimeError):
        made = ""
    if isinstance(made, tuple):
        return list(made[1:3])
    return made or _ADDRESS.sub("", repr(value))


def _attributes(function: FunctionType) -> dict[str, Any]:
    return {name: one for name, one in function.__dict__.items() if name != "__wrapped__"}


def _array(value: Any) -> Any:
    """An array or tensor by its type, shape and bytes."""
    import numpy as np

    held = value.detach().cpu() if hasattr(value, "detach") else value
    array = np.ascontiguousarray(held)
    return ["array", str(array.dtype), list(array.shape), sha256(array.tobytes()).hexdigest()]


def _cells(function: FunctionType) -> dict[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # named, and not yet given a value
    return found


def _given(function: FunctionType) -> tuple[Any, ...]:
    return (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())


def _names(code: CodeType) -> set[str]:
    nested = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names, nested))


def _outermost(function: FunctionType) -> str:
    name = function.__qualname__.partition(".")[0]
    return "*" if name == "<lambda>" else name


def _has_source(kind: type) -> bool:
    if kind.__module__ in ("__main__", "builtins"):
        return False
    try:
        return Path(inspect.getfile(kind)).is_file()
    except (OSError, TypeError):
        return False


def _syntax(function: FunctionType) -> list[Any] | None:
    """Which function of its module it is; None where there is no file that has it."""
    path = Path(function.__code__.co_filename)
    if function.__module__ == "__main__" or path.suffix != ".py":
        return None
    try:
        found = functions_of(path, stamp_of(path)).get(function.__code__.co_firstlineno, ())
    except (OSError, SyntaxError):
        return None
    fitting = [one for one in found if one.name == function.__code__.co_qualname]
    if len(fitting) > 1:
        fitting = [one for one in fitting if _spans(one.node, function.__code__)]
    if len(fitting) != 1:
        return None
    only = fitting[0]
    return [text_of(only.node, "")] if "<lambda>" in only.name else [only.name, only.number]


def _spans(node: ast.AST, code: CodeType) -> bool:
    """Whether a lambda's body is where the code says that it is: several may stand in one line."""
    body = getattr(node, "body")  # noqa: B009
    at = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
    return at in set(code.co_positions())
