"""Read every environment variable that the program uses. docs/commands.md lists them. rich reads FORCE_COLOR and
TTY_COMPATIBLE, too, and a process that the program starts has PYTHONSAFEPATH."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.settings import Settings
from registry.files import Caches, expanded


def read_settings(db: str | None = None) -> Settings:
    """Return the settings of this process; `db` (a file or URL, from `--db`) precedes the environment."""
    from platformdirs import user_data_dir

    data, hub = os.environ.get("BENCH_DATA"), os.environ.get("HF_HUB_CACHE")
    where = str(db or os.environ.get("BENCH_DB") or "results.db")
    home = expanded(os.environ.get("BENCH_HOME") or user_data_dir("gestaltbench"))
    if expanded(where).absolute().parent == home.absolute():
        with suppress(OSError):  # a leaderboard's folder must exist; this one is the program's own
            home.mkdir(parents=True, exist_ok=True)
    return Settings(
        home=home,
        db=where if "://" in where else str(expanded(where)),
        mirror=os.environ.get("BENCH_MIRROR") or None,
        data=expanded(data) if data else None,
        caches=Caches(
            _cache("TORCH_HOME", "torch") / "hub" / "checkpoints",
            expanded(hub) if hub else _cache("HF_HOME", "huggingface") / "hub",
        ),
        secret=os.getenv,
    )


#: What the program sets unless the user has: Ray reports its use to nobody; waiting threads of OpenMP sleep instead of
#: spinning, a quarter of the time of small networks; numpy starts no threads, which spin as long as a board takes;
#: matrix products on a GPU repeat. Each before its library starts.
DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
#: What every command sets. On ARM, torch computes with OpenBLAS.
THREADS = ("OMP_WAIT_POLICY", *(["OPENBLAS_NUM_THREADS"] if platform.machine() in ("x86_64", "AMD64") else []))


def set_defaults(*variables: str) -> None:
    """Set some of `DEFAULTS` unless the user has."""
    for variable in variables:
        os.environ.setdefault(variable, DEFAULTS[variable])


@contextmanager
def restored(variable: str, value: str | None = None) -> Iterator[None]:
    """Set a variable within the block, if a value is given, and restore it afterwards."""
    before = os.environ.get(variable)
    if value is not None:
        os.environ[variable] = value
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before


def _cache(variable: str, default: str) -> Path:
    """Return the folder that a variable names, or the default in the user's cache."""
    own, base = os.environ.get(variable), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(own or f"{base}/{default}")
