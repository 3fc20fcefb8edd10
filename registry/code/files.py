"""Where modules lie, found without importing them, and which of them are ours to follow."""

import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import entry_points
from pathlib import Path

#: This program's own packages, wherever they are installed.
BUILT_IN = frozenset({"benchmark", "gestaltbench", "registry", "suites"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})
#: Beside code, but nothing that a number is made from: documents, what runs leave behind.
_NO_DATA = frozenset(
    [
        ".py",
        ".pyc",
        ".pyi",
        ".pyo",
        ".md",
        ".rst",
        ".typed",
        ".part",
        ".lock",
        ".db",
        ".log",
        ".sqlite",
    ]
)
#: Data of this program whose content is part of an identity by itself.
_ELSEWHERE = frozenset({"cards_builtin", "world_checkpoints"})


@cache
def plugin_packages() -> frozenset[str]:
    """The top-level packages of all plug-ins: what an entry point of the program names."""
    every = entry_points()
    ours = [every.select(group=name) for name in every.groups if name.startswith("bench.")]
    return frozenset(top_of(one.module) for group in ours for one in group)


def top_of(module: str) -> str:
    """The top-level package of a dotted name."""
    return module.partition(".")[0]


@dataclass
class Files:
    """Modules on this disk. own: installed top-level packages to follow, too."""

    own: frozenset[str]
    _places: dict[str, Path | None] = field(default_factory=dict)
    _tops: dict[str, tuple[Path | None, list[str]]] = field(default_factory=dict)
    _data: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def followed(self, module: str) -> bool:
        """Whether a module's source counts: the program's, a plug-in's, or what no installer put there (a folder on
        the path, an editable installation). Of the standard library and other installed packages names alone count.

        A package that is not here counts by name, too: what is installed beside the program changes no digest.
        """
        top = top_of(module)
        return top in BUILT_IN or (bool(self._where(top)) and not self.installed(module))

    def installed(self, module: str) -> bool:
        """Whether a module is of the standard library, or of an installed package that is no plug-in."""
        top = top_of(module)
        if top in self.own or top in BUILT_IN:
            return False
        known = top in sys.stdlib_module_names
        return known or any(_installed(top, place) for place in self._where(top))

    def _where(self, top: str) -> list[Path]:
        place, folders = self._top(top)
        return [place] if place else [Path(folder) for folder in folders]

    def place(self, module: str) -> Path | None:
        """The file of a module: source, extension or package's `__init__`; None where there is none."""
        if module not in self._places:
            self._places[module] = self._find(module)
        return self._places[module]

    def is_package(self, module: str) -> bool:
        """Whether a module is a package: its relative imports start from itself."""
        path = self.place(module)
        return path is None or path.stem == "__init__"

    def package(self, module: str) -> str:
        """The package that a module's relative imports start from."""
        return module if self.is_package(module) else module.rpartition(".")[0]

    def data(self, folder: Path) -> dict[str, Path]:
        """The data that a module in a folder may read, by name: beside it, and in folders there without code."""
        if folder not in self._data:
            self._data[folder] = dict(_data_beside(folder))
        return self._data[folder]

    def _find(self, module: str) -> Path | None:
        loaded = getattr(sys.modules.get(module), "__file__", None)
        if loaded and Path(loaded).is_file():
            return Path(loaded)
        above, _, name = module.rpartition(".")
        if not above:
            return self._top(module)[0]
        parent = self.place(above)
        folders = [parent.parent] if parent and parent.stem == "__init__" else []
        folders += [Path(one) for one in self._top(above)[1]] if "." not in above else []
        if parent is None and "." in above:  # a folder without `__init__`
            root = self.place(top_of(above))
            roots = [root.parent] if root else [Path(o) for o in self._top(top_of(above))[1]]
            folders += [one.joinpath(*above.split(".")[1:]) for one in roots]
        return next((found for one in folders for found in _candidates(one, name)), None)

    def _top(self, top: str) -> tuple[Path | None, list[str]]:
        if top not in self._tops:
            try:
                spec = importlib.util.find_spec(top)
            except (ImportError, ValueError, AttributeError):
                spec = None
            origin = spec.origin if spec and spec.has_location else None
            folders = list(spec.submodule_search_locations or ()) if spec else []
            self._tops[top] = (Path(origin) if origin else None, folders)
        return self._tops[top]


def _installed(top: str, place: Path) -> bool:
    """Whether an installer has put a package there: into Python's folder, or with `pip install --target` into another.
    place: of the package, or of its `__init__`."""
    if _INSTALLED & set(place.parts):
        return True
    folder = place.parents[1] if place.stem == "__init__" else place.parent
    try:
        return top in _recorded(str(folder), folder.stat().st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=64)
def _recorded(folder: str, _stamp: int) -> frozenset[str]:
    """The top-level packages and modules that installers say they have put into a folder."""
    files = Path(folder).glob("*.dist-info/RECORD")
    lines = (line for file in files for line in file.read_text("utf-8", "replace").splitlines())
    names = (re.split("[/.,]", line.lstrip('"'), maxsplit=1)[0] for line in lines)
    return frozenset(names)


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    for suffix in (".py", *EXTENSION_SUFFIXES, ".pyc"):
        for path in (folder / name / f"__init__{suffix}", folder / f"{name}{suffix}"):
            if path.is_file():
                yield path


def siblings(path: Path) -> Iterator[str]:
    """The names of the modules in a file's folder."""
    for other in sorted(path.parent.glob("*.py")):
        if other != path and other.stem != "__init__":
            yield other.stem


def file_digest(path: Path) -> str:
    """Digest of a file's bytes, read again whenever the file is another one or was written to."""
    state = path.stat()
    return _digest(str(path), (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=4096)
def _digest(path: str, _stamp: tuple[int, ...]) -> str:
    with Path(path).open("rb") as file:
        total = sha256()
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def _data_beside(folder: Path) -> Iterator[tuple[str, Path]]:
    if not (folder / "__init__.py").is_file():
        return  # a script's folder is the user's desk, and no part of the script
    for entry in sorted(folder.iterdir()):
        if _hidden(entry):
            continue
        if entry.is_dir():
            yield from _data_below(entry, entry.name)
        elif _is_data(entry):
            yield entry.name, entry


def data_named(path: Path, strings: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """(name, file) of the data whose place, seen from a module's folder, is written in one of its strings."""
    for text in strings:
        if text.startswith(("/", "~", ".")) or "\0" in text or "\\" in text:
            continue
        file = path.parent / text
        try:
            if file.is_file() and _is_data(file):
                yield text, file
        except OSError:
            continue  # too long for a name


def _data_below(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    inside = sorted(folder.iterdir())
    if any(entry.suffix == ".py" for entry in inside):
        return  # a package of its own
    for entry in inside:
        if _hidden(entry) or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _data_below(entry, f"{name}/{entry.name}")
        elif _is_data(entry):
            yield f"{name}/{entry.name}", entry


def _hidden(path: Path) -> bool:
    return path.name.startswith((".", "__pycache__")) or path.name in _ELSEWHERE


def _is_data(path: Path) -> bool:
    compiled = any(path.name.endswith(suffix) for suffix in EXTENSION_SUFFIXES)
    return path.is_file() and path.suffix not in _NO_DATA and not compiled
