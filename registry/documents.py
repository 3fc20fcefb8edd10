"""YAML files that people write (cards, label mappings), read as plain data at a bounded cost.

A few lines of YAML can stand for gigabytes (aliases of aliases), for a number that takes minutes to
print, or for a file that never ends. Such a document is refused before anything is built from it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import yaml

from registry.errors import BenchError
from registry.files import absence

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from registry.errors import BenchError


#: Largest file, in bytes; a mapping of 22,000 classes with their groups has 1 MB.
MOST_BYTES = 4 * 2**20
#: Values, each alias counted as often as it stands for them.
MOST_VALUES = 200_000
MOST_LEVELS = 20
_WHOLE = 2**63
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")
_TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Text, numbers, truth values, lists and mappings. Dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Refused(ValueError):
    """Why a document is not read."""


def unprintable(text: str) -> str:
    """The first character that must not reach a terminal, or "": controls, line and paragraph
    separators, lone surrogates, and what turns the direction of writing (which can hide text).
    """
    return next((c for c in text if c in _TURNS or unicodedata.category(c) in _CONTROLS), "")


def texts_in(value: Any) -> Iterator[str]:
    """Every text of nested plain data, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts_in(key)
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


def shown(text: object) -> str:
    """Text for a message: what must not reach a terminal is written as an escape."""
    return "".join(c.encode("unicode_escape").decode() if unprintable(c) else c for c in str(text))


def _levels(text: str) -> None:
    """Raise where the text nests too deeply: what follows is recursive."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_LEVELS:
            raise _Refused(f"it nests more than {MOST_LEVELS} levels deep")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _values(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node stands for. `sizes` remembers nodes; 0 is one that is being counted."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _Refused("an alias stands inside what it names")
        return sizes[id(node)]
    sizes[id(node)] = 0
    count = 1 + sum(_values(child, sizes) for child in _children(node))
    if count > MOST_VALUES:
        raise _Refused(f"it stands for more than {MOST_VALUES} values")
    sizes[id(node)] = count
    return count


def _require_plain(value: Any) -> None:
    """Raise for anything but text, numbers of 64 bits, truth values, lists and mappings of these."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _require_plain(key)
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif isinstance(value, int):
        if abs(value) >= _WHOLE:
            raise _Refused("a whole number has more than 63 bits")
    elif not isinstance(value, str | float | None):
        raise _Refused(f"a {type(value).__name__} stands where text, a number or a list should")


def _parsed(text: str) -> Any:
    _levels(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _values(node, {})
        value = loader.construct_document(node)
    finally:
        loader.dispose()
    _require_plain(value)
    return value


def read_document(path: Path, what: str, error: type[BenchError]) -> Any:
    """The content of a YAML file as plain data.

    what: as a person calls the file ("card file"). Raises `error` naming the file: not there, no regular
    file, larger than `MOST_BYTES`, no valid YAML, or more than plain data.
    """
    place = f"{what} {shown(path)}"
    try:
        if not path.is_file():
            raise error(f"{place} {absence(path)}.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise error(f"{place} cannot be read: {problem.strerror}.") from problem
    return parse_document(content, place, error)


def parse_document(content: bytes, place: str, error: type[BenchError]) -> Any:
    """As `read_document`, of a file's content. place: as messages call the file."""
    try:
        if len(content) > MOST_BYTES:
            raise error(f"{place} is larger than {MOST_BYTES // 2**20} MiB: not read.")
        return _parsed(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        line = " ".join(shown(problem).split())
        raise error(f"{place} is not valid YAML: {line:.400}.") from problem
    except _Refused as problem:
        raise error(f"{place} is not read: {problem}.") from problem
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as problem:
        # PyYAML's constructors: numbers of thousands of digits, numbers without any, keys that cannot be keys.
        line = " ".join(shown(problem).split())
        raise error(f"{place} holds a value that cannot be used: {line:.200}.") from problem


# Files that people write, held against a type: pydantic's findings in the program's words.


T = TypeVar("T")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")


def validated(kind: type[T], data: Mapping[str, Any], wrong: Callable[[str], BenchError]) -> T:
    """Plain data as a value of a dataclass. wrong: makes the error of a text like "field 'unit': expected: ...".

    Raises that error for the first field that does not fit its type, is missing, or is none of the class.
    """
    from dataclasses import fields

    from pydantic import ValidationError

    try:
        value: T = _adapter(cast(Hashable, kind)).validate_python(dict(data))
        return value
    except ValidationError as error:
        known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        raise wrong(problems(error, known)[0]) from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Built once for a type: it costs as much as hundreds of values."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def problems(error: ValidationError, known: Iterable[str], whole: str = "") -> list[str]:
    """One text per field: "field 'size': expected: ..., found ...". known: names of the fields; whole: what the data
    are called where no single field is at fault."""
    return [_clause(dict(problem), known, whole) for problem in error.errors()]


def _clause(problem: Mapping[str, Any], known: Iterable[str], whole: str) -> str:
    field = shown(".".join(map(str, problem["loc"])) or whole)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in _UNKNOWN:
        return f"field '{field}': expected: no such field; fields are {', '.join(known)}"
    if problem["type"] in _MISSING:
        return f"field '{field}' is missing"
    if not field:
        return str(message)
    return f"field '{field}': expected: {message}, found {str(problem['input'])[:60]!r}"
