"""Packages to begin with: they pass their own tests, and what cannot be written is one clear message."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.templates import KINDS, write_package

ROOT = Path(__file__).parents[2]
#: What no template names is not looked at: nine tenths of torch, and what the program itself is made with.
TYPES = """
[mypy]
strict = true
follow_imports = silent
[mypy-torch.*,scipy.*,pandas.*,sqlalchemy.*,rich.*,requests.*,urllib3.*,PIL.*,ray.*,jinja2.*]
follow_imports = skip
follow_imports_for_stubs = True
[mypy-torch._C.*,torch.autograd.*]
follow_imports = silent
[mypy-torch,torch._tensor,torch.types,torch._VF,torch.functional,torch.nn,torch.nn.functional]
follow_imports = silent
"""


def test_a_suite_calls_its_stimuli_by_the_role_that_it_asks_for(tmp_path, monkeypatch):
    """`bench suites show` says how a set is added for them: `bench data add --role ROLE`."""
    write_package("my-own", "suite", tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "my-own")
    suite = importlib.import_module("my_own").SUITE
    assert {metric.role for metric in suite.metrics} == {suite.config.role} == {"natural"}


PLUGIN = """
import gestaltbench as gb
from gestaltbench.contracts import Block, Metric, Plan, Score, Shelf, Suite, Trials, View
from gestaltbench.errors import BenchError
from gestaltbench.stats import ratio_score, wilson
from gestaltbench.stimuli import subset
from gestaltbench.testing import check_suite


def scores() -> float:
    frame = gb.rank("cue-conflict", models=["a", "b"]).frame()
    gb.compare("a", "b").frame()
    return float(frame["value"].max())


def plan(config: None, shelf: Shelf) -> Plan:
    return Plan((Block(stimuli=subset(shelf.find("natural"), 10), role="natural"),))


wrong: int = gb.summary()
"""
WRONG = """
import torch
from my_attack.attack import one_step

wrong: int = one_step(None, torch.ones(1), torch.ones(1), 0.1, None)
one_step(None, [], torch.ones(1), 0.1, None)
"""


@pytest.mark.release
def test_a_type_checker_of_a_third_party_sees_templates_and_verbs(tmp_path):
    """As in packages of a third party: gestaltbench is installed, not the folder that is looked at."""
    pytest.importorskip("mypy")
    for kind in KINDS:
        write_package(f"my-{kind}", kind, tmp_path)
    for name, text in (("mypy.ini", TYPES), ("plugin.py", PLUGIN), ("wrong.py", WRONG)):
        (tmp_path / name).write_text(text)
    folders = [f"my-{kind}/{part}" for kind in KINDS for part in (f"my_{kind}", "tests")]
    env = {**os.environ, "MYPYPATH": os.pathsep.join(f"my-{kind}" for kind in KINDS)}
    words = [sys.executable, "-m", "mypy", *folders, "plugin.py", "wrong.py"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    said = sorted(line for line in done.stdout.splitlines() if ": error:" in line)
    assert len(said) == 3, done.stdout
    assert said[0].startswith("plugin.py") and 'has type "Results[Summary]"' in said[0]
    assert said[1].startswith("wrong.py:5") and 'has type "Tensor"' in said[1]
    assert said[2].startswith("wrong.py:6") and 'expected "Tensor"' in said[2]


@pytest.mark.release
def test_templates_pass_their_own_tests(tmp_path):
    """All four in one process, from a folder where nothing of ours lies; each has tests that were run."""
    for kind in KINDS:
        write_package(f"my-{kind}", kind, tmp_path)
    places = [str(tmp_path / f"my-{kind}") for kind in KINDS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*places, str(ROOT)])}
    words = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *places]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for kind in KINDS:
        assert f"/tests/test_my_{kind}.py::" in done.stdout


def test_the_command(bench, tmp_path):
    done = bench("suites", "new", "mirror-test")
    assert done.code == 0 and "mirror-test/mirror_test/plan.py" in done.out
    assert "pip install -e 'mirror-test[test]' && pytest mirror-test" in done.out
    assert "mirror-map/mirror_map/map.py" in bench("suites", "new", "mirror-map", "--kind", "map").out
    there = {*tmp_path.iterdir()}
    for name, said in (
        ("My Suite", "'My Suite' cannot name"), ("../out", "expected small letters"),
        ("benchmark", "installed already"), ("mirror-test", "exists already"),
    ):  # fmt: skip
        (line,) = bench("suites", "new", name).errors
        assert said in line and {*tmp_path.iterdir()} == there
