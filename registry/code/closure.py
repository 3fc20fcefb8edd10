"""What a piece of code may reach: the modules that it imports, theirs, and the data beside them, as one digest.

A module is taken apart into statements. All of them count, since importing the module runs them; a plain function
counts once somebody names it. Names are all that is compared, so more may count than is ever run, never less.

A module's name is not in the digest: it stands for what it holds. Every module's label starts as its own text and is
then refined by the labels of what it imports until no two modules can be told apart any further, circles included.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from registry.code.files import BUILT_IN, Files, data_named, file_digest, siblings, top_of
from registry.code.syntax import Import, Source, Statement, read_source

ALL = "*"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+(:\w+(\.\w+)*)?")
#: A module's name -> what stands for it instead of its source; None: its source counts.
Boundary = Callable[[str], str | None]
_NAME = re.compile(r"N'(\w+)'")


@dataclass(frozen=True)
class Target:
    """Where an import leads: another module of the closure, or a fixed text (an installed package, a boundary)."""

    module: str = ""
    name: str = ""
    text: str = ""


@dataclass
class _Module:
    """A module of the closure: which of its names are wanted, "*" for all."""

    source: Source | None
    wanted: set[str] = field(default_factory=set)


def closure_digest(
    roots: Iterable[tuple[str, str]], boundary: Boundary, files: Files | None = None
) -> str:
    """Digest of what (module, name) pairs reach; "*" is everything in a module. Names of modules do not count."""
    closure = Closure(files or Files(frozenset()), boundary)
    for module, name in sorted(set(roots)):
        closure.want(module, name)
    return closure.digest()


@dataclass
class Closure:
    """The modules that are reached so far."""

    files: Files
    boundary: Boundary
    modules: dict[str, _Module] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def want(self, module: str, name: str) -> None:
        """Add a name of a module, and whatever that needs."""
        waiting = self._asked(module, name)
        while waiting:
            at = next(iter(waiting))
            del waiting[at]
            for target in list(self._needed(at)):
                waiting |= self._asked(*target)

    def _asked(self, module: str, name: str) -> dict[str, None]:
        """Note that a name of a module is wanted: the modules of which more is wanted than before."""
        known = self.modules.get(module)
        if known is not None and {name, ALL} & known.wanted:
            return {}
        if (token := self.boundary(module)) is not None:
            self.fixed.add(f"{token}:{name}")
            return {}
        path = self.files.place(module)
        if path is None:
            return {}
        more: dict[str, None] = {}
        if known is None:
            known = self.modules[module] = _Module(self._read(module, path))
            for above in _above(module):
                more |= self._asked(above, "") if self.boundary(above) is None else {}
        known.wanted.add(name)
        return {**more, module: None}

    def digest(self) -> str:
        """Digest of all that is reached."""
        contents = {name: self._content(name) for name in self.modules}
        labels = {name: _hash("module", text) for name, (text, _) in contents.items()}
        groups = 0
        while groups < len(set(labels.values())):
            groups = len(set(labels.values()))
            labels = {
                name: _refined(labels[name], targets, labels)
                for name, (_, targets) in contents.items()
            }
        kept = sorted({labels[name] for name, content in contents.items() if any(content)})
        return _hash("closure", *kept, *sorted(self.fixed), *self._data())

    def _read(self, module: str, path: Path) -> Source | None:
        if path.suffix != ".py":
            return None
        try:
            return read_source(path, self.files.package(module))
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python cannot import it
            return None

    def _needed(self, module: str) -> Iterator[tuple[str, str]]:
        """Where what is wanted of a module leads."""
        known = self.modules[module]
        if known.source is None:
            return
        statements = self._counted(module)
        # `import package` reaches every module that the package has imported
        whole = ALL in known.wanted and self.files.is_package(module)
        for one in self._imports(module, statements):
            target = self._target(one)
            if target.module:
                yield target.module, ALL if whole else target.name
                if not one.name and not one.bound:  # `import a.b` binds `a`
                    yield from ((above, ALL) for above in _above(target.module))
            elif target.text:
                self.fixed.add(target.text)
        for statement in statements:
            for text in statement.strings:
                yield from self._named(text, module)
        if any(statement.importing for statement in statements):
            package = self.files.package(module)
            path = self.files.place(module)
            for other in siblings(path) if package and path else ():
                yield f"{package}.{other}", ALL

    def _counted(self, module: str) -> list[Statement]:
        """The statements of a module that count: all but plain functions that nothing names."""
        known = self.modules[module]
        source = known.source
        if source is None:
            return []
        if ALL in known.wanted:
            return list(source.statements)
        # Python calls it for names that nobody wrote; the program's own do nothing but import late
        named = known.wanted | (set() if top_of(module) in BUILT_IN else {"__getattr__"})
        optional = {at: one for at, one in enumerate(source.statements) if one.idle}
        kept = [one for at, one in enumerate(source.statements) if at not in optional]
        named.update(*(one.mentions for one in kept))
        while found := [at for at, one in optional.items() if one.binds & named]:
            for at in found:
                named |= optional.pop(at).mentions
        kept = [one for at, one in enumerate(source.statements) if at not in optional]
        return list(source.statements) if any(one.dynamic for one in kept) else kept

    def _imports(self, module: str, statements: list[Statement]) -> Iterator[Import]:
        """The imports that count: those whose name is used, those made for their effect, and those inside what counts.

        A package's `__init__` that imports a name and does not use it passes it on; any other module that does so
        wants the import to have happened.
        """
        known = self.modules[module]
        assert known.source is not None
        named = known.wanted.union(*(one.mentions for one in statements))
        used = frozenset().union(*(one.mentions for one in known.source.statements))
        passes_on = self.files.is_package(module)
        for one in known.source.imports:
            bound = one.bound or top_of(one.module)
            whole = (
                one.name in ("", ALL) or self.files.place(f"{one.module}.{one.name}") is not None
            )
            effect = bound not in used and (whole or not passes_on)
            if bound in named or ALL in known.wanted or effect:
                yield one
        for statement in statements:
            yield from statement.imports

    def _target(self, one: Import, depth: int = 0) -> Target:
        """Where an import leads, through packages that only pass a name on."""
        if not self.files.followed(one.module):
            return Target(text=f"{one.module}:{one.name}")
        if (token := self.boundary(one.module)) is not None:
            return Target(text=f"{token}:{one.name}")
        if not one.name or one.name == ALL:
            return Target(one.module, ALL)
        if self.files.is_package(one.module):
            if self.files.place(f"{one.module}.{one.name}") is not None:
                return Target(f"{one.module}.{one.name}", ALL)
            if (passed := self._passed_on(one)) is not None and depth < 32:
                return self._target(passed, depth + 1)
        if self.files.place(one.module) is None:
            return Target(text=f"{one.module}:{one.name}")
        return Target(one.module, one.name)

    def _passed_on(self, one: Import) -> Import | None:
        """The import by which a package has a name that it does not make itself."""
        path = self.files.place(one.module)
        source = self._read(one.module, path) if path else None
        if source is None or any(one.name in statement.binds for statement in source.statements):
            return None
        found = [other for other in source.imports if other.bound == one.name and other.name]
        return found[-1] if found else None

    def _named(self, text: str, by: str) -> Iterator[tuple[str, str]]:
        """The module and the name that a string such as "package.module:name" stands for.

        by: the module with the string. The program's own strings name nothing of others: "corruptions.yaml" is a file,
        whatever module `corruptions` somebody has on his path.
        """
        module, _, name = text.partition(":")
        if not _DOTTED.fullmatch(text) or top_of(module) == module:
            return
        if top_of(by) in BUILT_IN and top_of(module) not in BUILT_IN:
            return
        if not self.files.followed(module):
            return
        if self.files.place(module) is not None:
            yield module, name.partition(".")[0] or ALL
            return
        above, _, last = module.rpartition(".")
        if not name and self._binds(above, last):
            yield above, last

    def _binds(self, module: str, name: str) -> bool:
        """Whether a module may have a name: one of its own, or what it makes on demand. "train.csv" is a file, though
        somebody may have a module `train`."""
        path = self.files.place(module)
        source = self._read(module, path) if path else None
        if source is None:
            return path is not None
        imports = [*source.imports, *(i for one in source.statements for i in one.imports)]
        names = {one.bound or top_of(one.module) for one in imports}
        names.update(*(one.binds for one in source.statements))
        return (
            name in names
            or "__getattr__" in names
            or any(one.name == ALL for one in imports)
            or any(one.dynamic for one in source.statements)
        )

    def _content(self, module: str) -> tuple[str, list[Target]]:
        """A module's text without the names of modules, and where its imports lead, in order."""
        known = self.modules[module]
        if known.source is None:
            path = self.files.place(module)
            return (file_digest(path) if path else ""), []
        statements = self._counted(module)
        text = "\n".join(one.text for one in statements)
        found = [(one, self._target(one)) for one in self._imports(module, statements)]
        inside = sum(len(one.imports) for one in statements)
        top, nested = found[: len(found) - inside], found[len(found) - inside :]
        bound = {one.bound: target for one, target in top if target.name == ALL and one.bound}
        order = [name for name in dict.fromkeys(_NAME.findall(text)) if name in bound]
        text = _NAME.sub(lambda m: f"@{order.index(m[1])}" if m[1] in bound else m[0], text)
        named = sorted(
            ((f"{one.bound}={one.name}", target) for one, target in top if one.bound not in bound),
            key=lambda pair: (pair[0], pair[1].text),
        )
        header = " ".join(name for name, _ in named)
        targets = [bound[name] for name in order] + [target for _, target in named]
        return f"{header}\n{text}".strip(), targets + [target for _, target in nested]

    def _data(self) -> list[str]:
        """What lies beside the modules, and what a string in them names there."""
        found = set()
        for module in self.modules:
            path = self.files.place(module)
            if path is not None:
                strings = [text for one in self._counted(module) for text in one.strings]
                for name, file in {
                    **self.files.data(path.parent),
                    **dict(data_named(path, strings)),
                }.items():
                    found.add(f"{name} {file_digest(file)}")
        return sorted(found)


def _refined(label: str, targets: list[Target], labels: dict[str, str]) -> str:
    ends = [labels.get(one.module, "") + one.name if one.module else one.text for one in targets]
    return _hash("refined", label, *ends)


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _hash(*texts: str) -> str:
    total = sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()
