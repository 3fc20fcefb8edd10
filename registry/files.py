"""Files that appear whole or not at all, and are changed by one process at a time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
#: In the name of a file that was made of another.
CONVERTED = ".converted"


def expanded(path: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by their folders; unchanged for an unknown user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises RuntimeError there


def is_file(path: Path) -> bool:
    """Return whether a regular file exists; a name that is invalid on this file system does not exist."""
    return os.path.isfile(path)  # noqa: PTH113 - Path's own raises OSError there


def is_folder(path: Path) -> bool:
    """Return whether a folder exists; a name that is invalid on this file system does not exist."""
    return os.path.isdir(path)  # noqa: PTH112


def absence(path: Path) -> str:
    """Describe a path that is not a regular file: a pipe, a device, a folder, or nothing."""
    return "is not a regular file" if os.path.exists(path) else "is not there"  # noqa: PTH110 - never raises OSError


@dataclass(frozen=True)
class Caches:
    """Folders of other libraries' downloads. A folder that is None is not searched."""

    torch: Path | None = None  # torch.hub's checkpoints
    hub: Path | None = None  # files of the Hugging Face hub

    def torch_file(self, name: str) -> Path | None:
        """Return the checkpoint NAME, where torch has downloaded it."""
        path = self.torch / name if self.torch and name else None
        return path if path and is_file(path) else None

    def hub_has(self, repository: str) -> bool:
        """Return whether the hub's cache holds weights of ORG/NAME."""
        if self.hub is None:
            return False
        snapshots = self.hub / f"models--{repository.replace('/', '--')}" / "snapshots"
        suffixes = {".safetensors", ".bin", ".pth"}
        with suppress(OSError):  # another user's, as in a container
            return any(path.suffix in suffixes for path in snapshots.glob("*/*"))
        return False


@dataclass(frozen=True, kw_only=True)
class WeightSources:
    """Sources of weights."""

    weights_folder: Path
    mirror: str | None = None  # a folder or URL asked first
    caches: Caches = Caches()  # download folders of other libraries
    secret: Callable[[str], str | None] | None = None  # the value of an environment variable that holds a key


def digest_state(state: Mapping[str, Tensor]) -> str:
    """Return the digest of weights: every name, dtype, shape and byte, in sorted order of names. Neither the order of
    the keys nor device, memory layout or file format changes it."""
    import torch

    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu").contiguous()
        head = f"{name}|{str(tensor.dtype).removeprefix('torch.')}|{tuple(tensor.shape)}|"
        total.update(head.encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def mappings_in(content: Any) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield the place ("args.data") and entries of each mapping inside others, the outermost first, and each once."""
    waiting, seen = [("", content, 8)], set[int]()
    while waiting:
        place, part, levels = waiting.pop()
        if isinstance(part, Mapping) and levels and id(part) not in seen:
            seen.add(id(part))
            yield place, part
            named = [(name, value) for name, value in part.items() if isinstance(name, str)]
            waiting += [(f"{place}.{name}".lstrip("."), value, levels - 1) for name, value in reversed(named)]


def parts_in(content: Any, kind: type[T]) -> Iterator[T]:
    """Yield every value of `kind` in content: in its mappings (keys too), lists and tuples, each of these once."""
    waiting, seen = [content], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            yield part
        if isinstance(part, Mapping | list | tuple) and id(part) not in seen:
            seen.add(id(part))
            waiting += (*part, *part.values()) if isinstance(part, Mapping) else part


def canonical(value: Any, *, ascii: bool = True) -> str:
    """Return canonical JSON: equal values give equal text. Keys sorted, no spaces, numbers as Python prints them.
    Dataclasses and mappings are objects, tuples and sets lists, numpy's values plain. TypeError on anything else."""

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        if hasattr(value, "tolist"):  # numpy's scalars and arrays
            return value.tolist()
        raise TypeError(f"{type(value).__name__} is not plain data: {value!r:.80}")

    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii, default=plain)


def digest_data(value: Any) -> str:
    """Return the digest of plain data: of its canonical JSON. Hex, 64 characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_url(text: str | None) -> bool:
    """Return whether a card's `weights` is to be downloaded."""
    return bool(text) and str(text).lower().startswith(("http://", "https://"))


def file_name(url: str) -> str:
    """Return the file's name in the last part of the URL's path, percent-decoded: one plain name. Raises ValueError if
    decoding makes anything else of it: a path, a hidden file, nothing."""
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="strict")
    plain = name.isprintable() and len(name.encode()) <= 200
    if not name or name.startswith(".") or set(name) & set('/\\:*?"<>|') or not plain:
        raise ValueError(f"a URL that ends in a plain file name, not in {name[:80]!r}")
    return name


#: An address up to its query, as far as it is well-formed; and one whose password has a "/", "?" or "#" in it.
_ADDRESS = re.compile(r"(https?://)(?:[^/?#]*@)?([^/?#@:]*(?::\d*)?(?:/[^?#]*)?)(?=[?#]|$)", re.IGNORECASE)
_UNQUOTED = re.compile(r"(https?://)\S*@([^?#]*)", re.IGNORECASE)


def public(url: str) -> str:
    """Return an address without what only its owner may know: user, password, query. Other text stays as it is."""
    found = is_url(url) and (_ADDRESS.match(url) or _UNQUOTED.match(url) or re.match(r"()([^?#]*)", url))
    return f"{found[1]}{found[2]}" if found else url


# Secrets of addresses anywhere in a text: the password after a user's name, in data base addresses too whose scheme or
# slashes are mistyped; a token before the host; the query of an address of the web; a data base's password option; the
# header of a login.
_BEFORE = r"(?<![^\s'\"(=<,])"
_SECRETS = tuple((re.compile(pattern, re.IGNORECASE), mask) for pattern, mask in (
    (_BEFORE + r"((?:[a-z][\w+.-]*:?[/\\]+|(?:postgres\w*|mysql|mariadb|https?|s?ftp):)[^\s:/\\@]*):(?!/)\S*@"
     r"|(?<=://)([^:/@\s]*):\S*@|" + _BEFORE + r"([^\s:/@'\"]+):[^\s/@]+@(?=[\w.-]+[:/]\w)", r"\1\2\3:***@"),
    (r"(https?:/+)[^\s:/@?#'\"]+@", r"\1***@"),
    (r"\b(?!postgres|mysql|mariadb|sqlite)([a-z][\w+.-]*:/+[^\s?#'\"]*)[?#](?!id=[\w-]+(?:\W|$))"
     r"\S+?(?=[).,;:'\"]*(?:\s|$))", r"\1?***"),
    (r"(?<=[?&])((?:ssl)?password=)[^&\s'\"]*", r"\1***"),
    (r"(authorization\W+\w+|bearer)\s+[^\s'\"]+", r"\1 ***"),
))  # fmt: skip


def redacted(text: str) -> str:
    """Return the text in which every secret of an address, or of a request's header, is replaced by asterisks."""
    for pattern, mask in _SECRETS if set(":@?") & set(text) or " " in text else ():
        text = pattern.sub(mask, text)
    return text


@contextmanager
def replacing(target: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Open a file that replaces `target` when the block succeeds. private: for no other user. Raises OSError."""
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    try:
        with new.open("xb") as file:
            if private:
                new.chmod(0o600)
            yield file
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def conversions(path: Path) -> set[str]:
    """Return the whole paths of the files that were made of this one."""
    return {str(file.resolve()) for file in path.parent.glob(f"{path.name}{CONVERTED}*")}


def write_whole(target: Path, content: str | bytes, *, private: bool = False) -> None:
    """Put text (UTF-8) or bytes at `target` in one move; make its folder. private: as `replacing`. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Let one process at a time into the block for this folder, if the system and the disk have locks."""
    place.mkdir(parents=True, exist_ok=True)
    number = os.open(place, os.O_RDONLY)
    try:
        lock(number, wait=True)
        yield
    finally:
        os.close(number)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Return whether this process now has the file's lock until it is closed; False without locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True
