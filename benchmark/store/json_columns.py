"""Columns that hold JSON: written in one form, and read as what they are."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from registry.files import canonical

T = TypeVar("T")


def dump(value: Any) -> str:
    """Canonical JSON, readable as it stands: equal values give equal text."""
    return canonical(value, ascii=False)


def parsed(text: str, kind: type[T]) -> T:
    """JSON of one kind of value. ValueError on others."""
    value = json.loads(text)
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} where {kind.__name__} is written")
    return value


def texts(text: str) -> tuple[str, ...]:
    """A JSON list of texts. ValueError on what is none."""
    values = parsed(text, list)
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list holds what is no text")
    return tuple(values)


def named_texts(text: str) -> dict[str, str]:
    """A JSON object whose values are texts. ValueError on what is none."""
    values = parsed(text, dict)
    if not all(isinstance(value, str) for value in values.values()):
        raise ValueError("an object holds what is no text")
    return values
