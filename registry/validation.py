"""Files that people write, held against a type: pydantic's findings in the program's words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from registry.documents import shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from registry.errors import BenchError

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
