"""timm and torchvision without torch's compiler: both import it for a decorator and a question about devices, and it is
more than half of all that `import timm` loads. Who compiles a network loads it then, as always.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from types import ModuleType
from typing import Any

_COMPILER, _SUPPORT = "torch._dynamo", "torch._dynamo.utils"
_ALONE = RLock()


def imported(name: str) -> ModuleType:
    """The module of that name; on the way there the compiler is not loaded."""
    if name in sys.modules or _COMPILER in sys.modules:
        return importlib.import_module(name)
    with _ALONE, _without_compiler():
        return importlib.import_module(name)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Stand-ins answer for the compiler. Whatever else they are asked, they make way for it and it is loaded."""
    importlib.import_module("torch")
    places: dict[str, ModuleType] = {}

    def leave() -> None:
        for name, module in places.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]

    def stand_in(name: str, known: Callable[..., Any]) -> ModuleType:
        def other(attribute: str) -> Any:
            submodule = name == _COMPILER and attribute == "__path__"
            if attribute.startswith("__") and not submodule:  # who looks at every module
                raise AttributeError(attribute)
            leave()
            return getattr(importlib.import_module(name), attribute)

        module = ModuleType(name)
        vars(module).update({known.__name__: known, "__getattr__": other})
        return module

    places |= {_COMPILER: stand_in(_COMPILER, disable)}
    places |= {_SUPPORT: stand_in(_SUPPORT, is_compile_supported)}
    sys.modules.update(places)
    try:
        yield
    finally:
        leave()


def disable(fn: Callable[..., Any] | None = None, recursive: bool = True, **_reason: Any) -> Any:
    """torch's own form of the compiler's decorator: it loads the compiler when the function is first called."""
    return importlib.import_module("torch._compile")._disable_dynamo(fn, recursive)


def is_compile_supported(device_type: str) -> bool:
    """The compiler's own answer."""
    return bool(importlib.import_module(_SUPPORT).is_compile_supported(device_type))
