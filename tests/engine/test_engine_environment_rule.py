"""Nothing below the command line reads the environment: settings are read once, above, and passed down.

That nothing below imports `benchmark.variables` is an import contract; here: that nothing else reads the environment.
"""

import ast
from pathlib import Path

import pytest

import benchmark
from benchmark.variables import read_settings
from registry.files import Caches

ROOT = Path(benchmark.__file__).parents[1]
READERS = {"benchmark/variables.py"}
ABOVE = ("benchmark/api/", "benchmark/cli/", "gestaltbench/")
NAMES = {"environ", "environb", "getenv", "getenvb"}


def sources():
    for room in ("benchmark", "registry", "suites"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(ABOVE) and "/templates/" not in name:
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def names_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (one.name for one in node.names)


@pytest.mark.slow
def test_only_settings_read_the_environment():
    readers = {name for name, tree in sources() if NAMES & set(names_of(tree))}
    assert readers == READERS


@pytest.mark.parametrize(
    ("variables", "torch_folder", "hub_folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/torch/hub/checkpoints", "/h/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/torch/hub/checkpoints", "/x/huggingface/hub"),
        ({"TORCH_HOME": "/t", "HF_HOME": "/f", "XDG_CACHE_HOME": "/x"}, "/t/hub/checkpoints", "/f/hub"),
        ({"HF_HUB_CACHE": "~/c", "HF_HOME": "/f", "HOME": "/h"}, "/h/.cache/torch/hub/checkpoints", "/h/c"),
    ],
)  # fmt: skip
def test_where_libraries_keep_their_downloads(monkeypatch, variables, torch_folder, hub_folder):
    for name in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert read_settings().caches == Caches(Path(torch_folder), Path(hub_folder))


def test_a_variable_may_name_the_home_folder(monkeypatch):
    """No shell replaces `~` in a .env file, nor after --db=."""
    for name in ("HOME", "BENCH_HOME", "BENCH_DATA", "BENCH_DB"):
        monkeypatch.setenv(name, "/h" if name == "HOME" else f"~/{name}")
    found = read_settings()
    assert [found.home, found.data] == [Path("/h/BENCH_HOME"), Path("/h/BENCH_DATA")]
    assert found.db == "/h/BENCH_DB" and read_settings("~/a.db").db == "/h/a.db"
    assert read_settings("postgresql://me@h/~").db == "postgresql://me@h/~"
