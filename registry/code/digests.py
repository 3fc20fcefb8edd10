"""Digests of code, for keys: of the program's components, and of whatever else decides a number."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from registry.code.closure import closure_digest
from registry.code.components import (
    Locked,
    Stamp,
    component_digest,
    component_of,
    identity,
    read_lock,
    tree_stamp,
)
from registry.code.files import Files, plugin_packages
from registry.code.values import Describer


@dataclass
class Codes:
    """Digests of code, each made once: one object serves one run, and what is edited later counts for the next."""

    lock: dict[str, Locked] = field(default_factory=read_lock)
    _files: Files = field(default_factory=lambda: Files(plugin_packages()))
    _stamp: Stamp = field(default_factory=tree_stamp)
    _components: dict[str, str] = field(default_factory=dict)
    _closures: dict[frozenset[tuple[str, str]], str] = field(default_factory=dict)
    _made: dict[tuple[tuple[int, ...], bool], tuple[tuple[Any, ...], str]] = field(
        default_factory=dict
    )

    def component(self, label: str) -> str:
        """A component by its version where its code is as it was checked, else by the digest of its code."""
        if label not in self._components:
            now, then = component_digest(label, self._stamp), self.lock.get(label)
            known = then is not None and then.digest == now
            self._components[label] = (
                f"{label}@{then.version}:{then.since}" if then and known else now
            )
        return self._components[label]

    def token(self, module: str) -> str | None:
        """What stands for a module of the program; None where its code is looked into."""
        label = component_of(module)
        found = self.component(label) if label else ""
        return found if "@" in found else identity(module)

    def of(self, *values: Any, data: bool = True) -> str:
        """Digest of functions, classes or objects: their code, all of their own package and of the program that it may
        reach, and what they hold (captured values, partial arguments, fields).

        data False: of what they hold, further code alone. Comments, docstrings, layout and the names of files and
        modules do not count; installed packages count by what is named of them, and by their versions in the
        environment of a run.
        """
        key = (tuple(map(id, values)), data)
        if key not in self._made:
            self._made[key] = (values, self._of(values, data))  # what is kept keeps its id
        return self._made[key][1]

    def _of(self, values: tuple[Any, ...], data: bool) -> str:
        describer = Describer(self._files.installed, self.token, data)
        described = [describer.value(one) for one in values]
        roots = frozenset(describer.roots)
        if roots not in self._closures:
            self._closures[roots] = closure_digest(roots, self.token, self._files) if roots else ""
        text = json.dumps([described, self._closures[roots]], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def code_digest(*values: Any) -> str:
    """Digest of functions and what they reach and hold, as the files are now (see `Codes.of`)."""
    return Codes().of(*values)
