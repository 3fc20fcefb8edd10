"""Tests in a process that has everything of others imported already, and one module of ours as it is told to be.

A child is forked for each run: it imports our code anew, with the changed tree in a file's place. Files stay as they
are, so what reads source text (digests of code) sees no change, and nothing is left behind.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType

from benchmarks.mutation import ROOT
from benchmarks.mutation.changes import Mutant, mutated

HEAVY = (
    *("numpy", "torch", "torchvision.transforms", "timm", "scipy.stats", "scipy.optimize"),
    *("scipy.ndimage", "pandas", "sqlalchemy.orm", "alembic.command", "pydantic", "rich.table"),
    *(
        "click",
        "yaml",
        "PIL.Image",
        "requests",
        "hypothesis",
        "pytest",
        "_pytest.assertion.rewrite",
    ),
)
QUIET = ("-q", "-x", "-p", "no:cacheprovider")


class Changed(SourceFileLoader):
    """A module with one change; nothing compiled is kept."""

    place = 0

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 (the import system calls it so)
        """The code of the changed tree."""
        tree = mutated(Path(self.path).read_text(), self.place)
        return compile(tree, self.path, "exec", dont_inherit=True)


class Finder:
    """Finds the one module that is changed."""

    def __init__(self, mutant: Mutant) -> None:
        self.path = ROOT / mutant.file
        self.module = mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.place = mutant.place

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Its spec; None for any other module."""
        if name != self.module:
            return None
        loader = Changed(name, str(self.path))
        loader.place = self.place
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


class Only:
    """A plugin of pytest: of what is collected, the functions named so ("file::function", without parameters)."""

    def __init__(self, names: Sequence[str]) -> None:
        self.order = {name: at for at, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list) -> None:
        """The wanted, in their order."""
        wanted = [one for one in items if function(one.nodeid) in self.order]
        items[:] = sorted(wanted, key=lambda one: self.order[function(one.nodeid)])


def function(nodeid: str) -> str:
    """A test's name without its parameters."""
    return nodeid.split("[", maxsplit=1)[0]


@dataclass
class Job:
    """work: what the child does, its result is the exit code; seconds: of processor time, thrice that by the clock."""

    name: object
    work: Callable[[], int]
    seconds: float
    began: float = field(default=0.0)


def preload() -> None:
    """Import what is not ours, once."""
    for name in HEAVY:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a child that collects would copy all of it
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half of pytest's start


def passes(mutant: Mutant | None, tests: Sequence[str], *plugins: object) -> int:
    """pytest's exit code for functions of tests, with one change."""
    import pytest

    if mutant is not None:
        sys.meta_path.insert(0, Finder(mutant))
    files = list(dict.fromkeys(name.split("::")[0] for name in tests))
    return int(pytest.main([*QUIET, *files], plugins=[Only(tests), *plugins]))


def run(jobs: Iterator[Job], workers: int) -> Iterator[tuple[Job, int]]:
    """Each job's exit code as it ends; -signal where one ended it."""
    running: dict[int, Job] = {}
    more = True
    while more or running:
        while more and len(running) < workers:
            job = next(jobs, None)
            if job is None:
                more = False
            else:
                running[_forked(job)] = job
        for pid, job in list(running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del running[pid]
                yield job, os.waitstatus_to_exitcode(status)
            elif time.monotonic() - job.began > 10 * job.seconds:
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.01)


def _forked(job: Job) -> int:
    sys.stdout.flush()
    job.began = time.monotonic()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        limit = int(job.seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        os.chdir(ROOT)
        code = job.work()
    finally:
        os._exit(code)
