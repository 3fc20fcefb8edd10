"""What all tests share: a home of their own, and the command line inside this process."""

import gc
import os
import re
import shutil
import sys
from dataclasses import dataclass
from itertools import count
from tempfile import mkdtemp

# Before numpy and torch are loaded, here and in every process of a test: networks of tests are small, and threads that
# wait for one another cost more than the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Of what is listed while tests are collected, and of what modules share: nothing of this user's.
os.environ["BENCH_HOME"] = mkdtemp(prefix="bench-home-")

import pytest
from hypothesis import settings

from gestaltbench.command import main

# The same examples on every machine, whatever its speed. `pytest --hypothesis-profile=search -m hypothesis` looks
# for new counterexamples; each that it finds is kept as an @example of its test.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=25, database=None)
settings.register_profile("search", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("default")

# Modules and tests stay for as long as the run: the collector need not look through them again and again.
gc.disable()

VARIABLES = ("BENCH_DB", "BENCH_MIRROR", "BENCH_DATA")
#: Files with a test that takes long, or that wait for other programs: begun first, so that no worker is left with one
#: at the end (xdist begins with the files of most tests, which are the small ones).
FIRST = (
    "test_watch", "test_report_browser", "test_evaluation", "test_packaging", "test_parallel", "test_cli_families",
    "test_browser_faults", "test_boards", "test_registry_exported", "test_foreign_checkpoints",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    shutil.rmtree(os.environ["BENCH_HOME"], ignore_errors=True)


def pytest_ignore_collect(collection_path, config):
    """A file that says at its top level that its tests are slow is not even imported where those are left out."""
    if config.option.markexpr.startswith("not (slow") and collection_path.suffix == ".py":
        marked = re.search(r"^pytestmark = (\[\s*)?pytest\.mark\.(slow|release)\b", collection_path.read_text(), re.M)
        return marked and True
    return None


@pytest.fixture(scope="session")
def verb_cells():
    """Where the function of a command that is derived as a whole has its verb: cells that a test may fill otherwise."""

    def cells(function):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield from [cell] if name == "verb" else cells(cell.cell_contents) if name == "show" else []

    return cells


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Names of folders that are not there yet: cheaper than a `mktemp`, which looks through all that were made."""
    place = tmp_path_factory.mktemp("homes")
    return (place / str(number) for number in count())


@pytest.fixture
def tmp_path(homes, request):
    """An empty folder: as pytest's own, without its look through the folders of all tests before."""
    place = next(homes)
    folder = place.with_name(re.sub(r"\W", "_", request.node.name)[:20] + place.name)
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def home(homes, monkeypatch):
    """An empty BENCH_HOME; nothing of the user's settings reaches a test."""
    folder = next(homes)
    folder.mkdir()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENCH_HOME", str(folder))
    return folder


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines on stderr, without the one that says where results are written."""
        return [line for line in self.err.splitlines() if line and not line.startswith(("writing to ", "suite "))]


@pytest.fixture
def bench(capsys, monkeypatch, tmp_path):
    """`bench WORDS...` in this process, from an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Ended(ended.value.code or 0, shown.out, shown.err)

    return call
