"""`bench` and `import gestaltbench` work whatever else is called benchmark, registry or suites."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACTORY = """
import torch


def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(192, 1000))
"""


@pytest.fixture
def crowded(tmp_path):
    """A folder with modules of the same names, and a factory beside them."""
    (tmp_path / "suites").mkdir()
    for name in ("benchmark.py", "registry.py", "suites/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "my_nets.py").write_text(FACTORY)
    return tmp_path


def run(folder, *words):
    env = {**os.environ, "PYTHONPATH": str(folder), "BENCH_HOME": str(folder / "home")}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.release
def test_the_command_starts_among_strangers_and_finds_a_factory_beside_them(crowded):
    words = "--arch python:my_nets:make --weights random:0 --mean 0,0,0 --std 1,1,1 --size 32 --resize 32"
    home = f"import sys; sys.path.append({str(ROOT)!r}); sys.argv = {['bench', 'register', 'mine', *words.split()]!r}; "
    done = run(crowded, "-c", home + "from gestaltbench.command import main; main()")  # as its console script
    assert done.returncode == 0 and "registered 'mine'" in done.stdout, done.stdout + done.stderr


def test_a_stranger_that_is_imported_already_is_named_and_the_path_stays_as_it_was(crowded):
    (crowded / "benchmark.py").write_text("")
    code = f"import benchmark, sys; sys.path.append({str(ROOT)!r}); import gestaltbench"
    done = run(crowded, "-c", code)
    assert "is imported already" in done.stderr and "benchmark.py" in done.stderr
    code = "import sys; before = list(sys.path); import gestaltbench; assert sys.path == before"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("room", ["contracts", "errors", "stats", "testing"])
def test_the_face_shows_what_a_room_lists(room):
    inside = {"errors": "failures"}.get(room, room)
    face, own = import_module(f"gestaltbench.{room}"), import_module(f"benchmark.{inside}")
    assert {name for name in dir(face) if not name.startswith("_")} == set(own.__all__)
    assert all(getattr(face, name) is getattr(own, name) for name in own.__all__)
