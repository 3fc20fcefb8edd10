"""Documents from elsewhere (YAML, JSON) as plain data, and the error for what is wrong in them.

Sizes are bounded before anything is built."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_type_hints

import yaml

from registry.files import absence, is_file, parts_in, public
from registry.user_errors import BenchError, foreign, shown

if TYPE_CHECKING:  # pydantic takes as long to import as a ranked table to print
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

#: Largest file, in bytes; a mapping of 22,000 classes with their groups has 1 MB.
MOST_BYTES = 4 * 2**20
MOST_LEVELS = 20
#: Values of a JSON file: each costs some 60 bytes of memory, of which a file may have as few as three.
MOST_PARTS = 20_000_000


def read_bytes(path: Path, what: str, error: type[BenchError], most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes. what: as a person calls the file ("card file")."""
    with foreign(what, path, error):
        if not is_file(path):
            raise error(f"{what} {shown(path)} {absence(path)}. Check the path.")
        with path.open("rb") as file:
            content = file.read(most + 1)
    if len(content) > most:
        raise error(f"{what} {shown(path)} is larger than {most // 2**20} MiB: not read.")
    return content


def read_json(
    path: Path,
    what: str,
    error: type[BenchError],
    expected: str = "",
    most: int = MOST_BYTES,
    content: bytes | None = None,
) -> Any:
    """Return a JSON file, or its `content`, as plain data; a repeated name in one object is refused."""
    content = read_bytes(path, what, error, most) if content is None else content
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise error(f"{what} {shown(path)} holds more than {MOST_PARTS} values: not read.")

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        if len(whole) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"'{shown(twice)[:80]}' appears twice in one object")
        return whole

    with foreign(what, path, error, expected):
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Text, numbers, truth values, lists and mappings. Dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def own_table(name: str) -> Any:
    """Return what `registry/NAME.yaml` holds. All callers share it."""
    content = (Path(__file__).parent / f"{name}.yaml").read_bytes()
    return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader


def read_document(path: Path, what: str, error: type[BenchError], content: bytes | None = None) -> Any:
    """Return a YAML file, or its `content`, as plain data. Raises `error` as `read_bytes`, or for anything else."""
    with foreign(what, path, error, "It is not valid YAML of text, numbers, lists and mappings."):
        text = (read_bytes(path, what, error) if content is None else content).decode("utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):  # what follows is recursive
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_LEVELS:
                raise ValueError(f"it nests more than {MOST_LEVELS} levels deep")
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can expand to gigabytes
                raise ValueError("an alias (*name) is not read")
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
        for part in parts_in(value, object):
            if isinstance(part, int) and abs(part) >= 2**63:
                raise ValueError("a whole number has more than 63 bits")
            if not isinstance(part, dict | list | str | float | int | None):
                raise ValueError(f"a {type(part).__name__} was found instead of text, a number or a list")
        return value


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    """Return what reads a dataclass: to build it costs as much as hundreds of values."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def validated(kind: type[T], data: Mapping[str, Any], wrong: Callable[[str], BenchError]) -> T:
    """Return plain data as a value of a dataclass or pydantic's model. Raises the error that `wrong` makes of a text
    like "field 'unit': expected: ...", for the first field that does not fit its type, is missing, or is unknown."""
    from pydantic import ValidationError

    try:
        value: T = _adapter(cast(Hashable, kind)).validate_python(dict(data))
        return value
    except ValidationError as error:
        within: Any = kind  # of a nested field, the dataclass that has it
        for part in error.errors()[0]["loc"][:-1]:
            hint = get_type_hints(within).get(str(part))
            within = next(filter(is_dataclass, (hint, *get_args(hint))), within)
        known = [field.name for field in fields(within)] if is_dataclass(within) else within.model_fields
        raise wrong(field_problems(error, known)[0]) from error


def field_problems(error: "ValidationError", known: Iterable[str]) -> list[str]:
    """Return a text for each problem. known: names of the fields."""
    clauses = []
    for problem in error.errors():
        field = shown(".".join(map(str, problem["loc"])))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            message = f"field '{field}': expected: no such field; fields are {', '.join(known)}"
        elif problem["type"] in ("missing", "missing_argument"):
            message = f"field '{field}' is missing"
        elif field:
            message = f"field '{field}': expected: {message}, found {public(str(problem['input']))[:60]!r}"
        clauses.append(message)
    return clauses
