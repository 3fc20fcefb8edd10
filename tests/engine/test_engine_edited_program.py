"""The command line on an edited copy of the program: no old number is served as current, no word costs a trial.

What a digest sees is tested beside this; here the run itself is: the same command, leaderboard and home, another line.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import benchmark
from benchmark.store import open_store

pytestmark = pytest.mark.slow
ROOT = Path(benchmark.__file__).parents[1]
ROOMS = ("benchmark", "gestaltbench", "registry", "suites")
#: The program of the working directory, whatever is installed.
BENCH = """
import sys
from pathlib import Path
from gestaltbench.command import main
import benchmark, gestaltbench, registry, suites

rooms = benchmark, gestaltbench, registry, suites
assert {Path(room.__file__).resolve().parents[1] for room in rooms} == {Path.cwd().resolve()}
main()
"""
WORDS = "run -q -m world-standard-0 -s corruption,cue-conflict --limit 2 --batch-size 2 --db"


class Edit(NamedTuple):
    """lines: (file, old, new); ends: what the run says; asked: suites that show their stimuli again;
    scored: suites with new scores; moved: metrics that must not be what they were."""

    lines: tuple[tuple[str, str, str], ...]
    ends: str
    asked: set[str]
    scored: set[str]
    moved: tuple[str, ...] = ()


BOTH = {"corruption", "cue-conflict"}
EDITS = {
    "a transform": Edit(
        (("benchmark/transforms/noise.py", "mul_(255 * sd)", "mul_(0 * sd)"),),
        "1 cached, 1 done", {"corruption"}, {"corruption"}, ("noise_accuracy",),
    ),
    "a decision": Edit(
        (("registry/labels.py", "torch.softmax(logits.to(wide)", "torch.softmax(-logits.to(wide)"),),
        "2 done", BOTH, BOTH, ("clean_accuracy", "natural_accuracy"),
    ),
    # The rule by which corruption stops sampling is this statistic, so its trials are made again, too.
    "a statistic": Edit(
        (("benchmark/stats/proportions.py", "return -NormalDist()", "return -2 * NormalDist()"),),
        "2 done", {"corruption"}, BOTH, ("clean_accuracy", "natural_accuracy"),
    ),
    "words and layout": Edit(
        (
            ("benchmark/transforms/noise.py", "import torch\n", "# noise\n\nimport torch\n\n"),
            ("registry/labels.py", '"""Label spaces:', '"""Spaces of labels:'),
            ("registry/labels.py", "probabilities = torch.softmax(", "probabilities = (torch.softmax)("),
            ("benchmark/stats/proportions.py", '"""z such that', '"""The z such that'),
            ("suites/corruption/score.py", "from __future__", "# words\nfrom __future__"),
            ("benchmark/leaderboard/render.py", "from __future__", "# words\nfrom __future__"),
        ),
        "2 cached", set(), set(),
    ),
}  # fmt: skip


class Program:
    """A copy of the program, with a home and a leaderboard that a first run has filled."""

    def __init__(self, folder):
        self.folder, self.db = folder / "program", folder / "results.db"
        self.environment = os.environ | {
            "BENCH_HOME": str(folder / "home"),
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ROOMS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
        # Once for all runs; by what a file says, not by its time: an edit and its undoing may fall into one second.
        by_content = py_compile.PycInvalidationMode.CHECKED_HASH
        assert compileall.compile_dir(self.folder, quiet=1, invalidation_mode=by_content)

    def run(self, db):
        """How `bench run` ends: the words before the time that it took."""
        done = subprocess.run(
            [sys.executable, "-c", BENCH, *WORDS.split(), str(db)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return re.search(r"^(\d.*) in .* s$", done.stderr, re.MULTILINE)[1]

    def edited(self, lines, db):
        """The same with other lines, for this run only."""
        before = {file: (self.folder / file).read_text() for file, _, _ in lines}
        try:
            for file, old, new in lines:
                text = (self.folder / file).read_text()
                assert old in text, (file, old)
                (self.folder / file).write_text(text.replace(old, new, 1))
            return self.run(db)
        finally:
            for file, text in before.items():
                (self.folder / file).write_text(text)


def held(db):
    """(suites of each observation, sets of scores by suite, (value, low, high) by metric)."""
    with open_store(str(db), write=False) as store:
        keys = {(one.suite, one.key) for one in store.observations()}
        rows = store.latest_scores()
    sets = {(row.suite, row.set_id) for row in rows}
    return (
        keys,
        sets,
        {row.metric: (row.value, row.low, row.high) for row in rows if not row.condition},
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    made = Program(tmp_path_factory.mktemp("edited"))
    assert made.run(made.db) == "2 done"
    return made


@pytest.mark.parametrize("kind", EDITS)
def test_an_edited_program_serves_no_old_number_and_repeats_no_trial(program, tmp_path, kind):
    edit = EDITS[kind]
    db = shutil.copy(program.db, tmp_path / "results.db")
    keys, sets, numbers = held(db)
    ends = program.edited(edit.lines, db)
    now_keys, now_sets, now = held(db)
    assert keys <= now_keys
    assert {suite for suite, _ in now_keys - keys} == edit.asked
    assert {suite for suite, _ in now_sets - sets} == edit.scored
    assert [name for name in edit.moved if now[name] == numbers[name]] == []
    assert edit.scored or now == numbers
    assert ends == edit.ends
