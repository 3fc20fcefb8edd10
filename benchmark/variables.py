"""Read every environment variable that the program uses.

BENCH_HOME    the folder of downloaded stimuli, registered cards and tuning notes (default: the user's data folder)
BENCH_DB      the leaderboard: a file or a database URL (default: results.db in the working directory)
BENCH_MIRROR  a folder or URL that is tried first for every download
BENCH_DATA    a folder with stimulus sets already on disk, one sub-folder per catalogue name

BENCH_KEY_HOST  the key of an endpoint, sent to that host alone: BENCH_KEY_API_OPENAI_COM, BENCH_KEY_LOCALHOST___8000

TORCH_HOME, HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME locate weights that other libraries have downloaded. rich reads
FORCE_COLOR and TTY_COMPATIBLE. The program sets these unless the user has: RAY_USAGE_STATS_ENABLED (off),
CUBLAS_WORKSPACE_CONFIG for runs on a GPU, OMP_WAIT_POLICY for commands; and PYTHONSAFEPATH while it starts a process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.settings import Settings
from registry.files import Caches, expanded

DEFAULT_DB = "results.db"


def read_settings(db: str | None = None) -> Settings:
    """Return the settings of this process; `db` (a file or URL, from `--db`) precedes the environment."""
    from platformdirs import user_data_dir

    data, hub = os.environ.get("BENCH_DATA"), os.environ.get("HF_HUB_CACHE")
    where = str(db or os.environ.get("BENCH_DB") or DEFAULT_DB)
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


def keep_ray_silent() -> None:
    """Keep Ray from reporting its use to its makers; call before Ray starts."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def let_waiting_threads_sleep() -> None:
    """Let waiting OpenMP threads sleep instead of spinning; call before torch is loaded. Small networks spent a quarter
    of their time spinning; large ones take as long as before."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@contextmanager
def outside_the_working_folder() -> Iterator[None]:
    """Keep Python processes that start within the block from importing from the working folder."""
    before = os.environ.get("PYTHONSAFEPATH", "")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        os.environ["PYTHONSAFEPATH"] = before  # empty counts as unset


def keep_cublas_repeatable() -> None:
    """Make matrix products on a GPU repeatable; call before the first."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def cublas_untouched() -> Iterator[None]:
    """Restore afterwards what a run sets by `keep_cublas_repeatable`."""
    before = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    try:
        yield
    finally:
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        if before is not None:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = before


def _cache(variable: str, default: str) -> Path:
    """Return the folder that a variable names, or the default in the user's cache."""
    own, base = os.environ.get(variable), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(own or f"{base}/{default}")
