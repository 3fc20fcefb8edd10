"""Every environment variable that the program reads, in one place.

BENCH_HOME    where downloaded stimuli, registered cards and tuning notes are kept (default: the user's data folder)
BENCH_DB      the leaderboard: a file or a database URL (default: results.db in the working directory)
BENCH_MIRROR  a folder or URL that is tried first for every download
BENCH_DATA    a folder with stimulus sets already on disk, one sub-folder per catalogue name

BENCH_KEY_HOST  the key of an endpoint, sent to that host alone: BENCH_KEY_API_OPENAI_COM, BENCH_KEY_LOCALHOST___8000

Weights that other libraries have downloaded are looked up where these keep them: TORCH_HOME, HF_HUB_CACHE, HF_HOME,
XDG_CACHE_HOME. Ray reports its use to its makers unless RAY_USAGE_STATS_ENABLED says otherwise; here nothing is
reported unless the variable says so. Set where they are not: CUBLAS_WORKSPACE_CONFIG for runs on a GPU, OMP_WAIT_POLICY
for commands, PYTHONSAFEPATH while a process of a run is started. FORCE_COLOR and TTY_COMPATIBLE, as rich has them:
tables in a file or a pipe are drawn as in a terminal, or not.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.settings import Settings
from registry.files import Caches, expanded

DEFAULT_DB = "results.db"


def read_settings(db: str | None = None) -> Settings:
    """The settings of this process; `db` (a file or URL, from `--db`) wins over the environment."""
    from platformdirs import user_data_dir

    data, hub = os.environ.get("BENCH_DATA"), os.environ.get("HF_HUB_CACHE")
    where = str(db or os.environ.get("BENCH_DB") or DEFAULT_DB)
    home = expanded(os.environ.get("BENCH_HOME") or user_data_dir("gestaltbench"))
    if expanded(where).absolute().parent == home.absolute():
        with suppress(OSError):  # a leaderboard's folder has to be there; this one is the program's own
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
    """Nothing leaves a laboratory unasked: before Ray is started."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def let_waiting_threads_sleep() -> None:
    """Threads of OpenMP that wait for one another sleep instead of spinning: before torch is loaded. Small networks
    spent a quarter of their time so; large ones take as long as before."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@contextmanager
def outside_the_working_folder() -> Iterator[None]:
    """A Python process that is started meanwhile imports nothing from the working folder."""
    before = os.environ.get("PYTHONSAFEPATH", "")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        os.environ["PYTHONSAFEPATH"] = before  # empty is as good as none


def keep_cublas_repeatable() -> None:
    """Matrix products on a GPU give the same twice: before the first."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _cache(variable: str, default: str) -> Path:
    """Return the folder that a variable names, or the default in the user's cache."""
    own, base = os.environ.get(variable), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(own or f"{base}/{default}")
