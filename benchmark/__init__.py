"""How it is run, stored, scored, ranked and shown. The public names are loaded on first use (start-up time)."""

from typing import Any

__version__ = "0.1.0"

_API = (
    "compare",
    "load_model",
    "models",
    "rank",
    "register",
    "rescore",
    "run",
    "show",
    "transfer",
    "trials",
)
__all__ = [*_API, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _API:
        from benchmark import api

        return getattr(api, name)
    raise AttributeError(f"module 'benchmark' has no attribute '{name}'")
