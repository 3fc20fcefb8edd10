"""Commands that read start at once: they import nothing that they do not need."""

import os
import subprocess
import sys

import pytest

from benchmark.contracts import Observer, Score
from benchmark.store import ScoreSet, open_store

pytestmark = pytest.mark.slow

#: What costs more than a table, or leads to what does.
HEAVY = ("torch", "timm", "pandas", "scipy", "requests", "benchmark.engine", "benchmark.api.imports")
OURS = ("suites.saliency", "suites.adversarial")
ASK = """
import os, sys
from contextlib import suppress
from benchmark.cli import main
_, heavy, *sys.argv[1:] = sys.argv
with suppress(SystemExit):
    main()
tasks = "/proc/self/task"
print([name for name in heavy.split(",") if name in sys.modules], len(os.listdir(tasks)) if os.path.isdir(tasks) else 1)
"""


@pytest.fixture(scope="module")
def board(folder):
    path = str(folder / "results.db")
    with open_store(path) as store:
        run = store.begin_run("bench run", {})
        for name, value in (("net-a", 0.25), ("net-b", 0.75)):
            observer = store.put_observer(Observer(name=name, kind="network", identity=name, card={"arch": "timm:x"}))
            about = {"suite": "cue-conflict", "version": 2, "space": "geirhos16", "code": "code", "keys": (name,)}
            made = ScoreSet(observer=observer, stimuli={"cue-conflict": "d"}, **about)
            score = Score(metric="shape_bias", value=value, low=0.2, high=0.9, role="cue-conflict", n=8)
            store.put_scores(run, made, [score])
    return path


@pytest.mark.parametrize(("words", "said"), [
    ("rank cue-conflict", "net-b"), ("rank --summary", "net-b"), ("show net-b", "shape bias"),
    ("run --help", "Run suites"),
])  # fmt: skip
def test_a_command_that_reads_imports_nothing_heavy_and_starts_no_thread(board, words, said):
    heavy = (*HEAVY, *OURS) if words.startswith("rank") else HEAVY[:4]
    asked = [sys.executable, "-c", ASK, ",".join(heavy), *words.split(), "--db", board]
    given = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(asked, capture_output=True, text=True, check=True, env=given)
    assert said in done.stdout and done.stdout.splitlines()[-1] == "[] 1"


PLAN = """
import sys
from benchmark.cli import cli
from benchmark.transforms.listing import own_list, transform
entries = [entry for name, entry in own_list("imagenet-c").items() if name != "frost"]
print(len([transform(entry, level) for entry in entries for level in (1, 5)]))
cli.main(["run", "-m", "world-standard-0", "-s", "cue-conflict", "--dry-run", *sys.argv[1:]], standalone_mode=False)
print("torch" in sys.modules)
"""


def test_a_plan_imports_no_torch(folder):
    words = [sys.executable, "-c", PLAN, "--db", str(folder / "new.db")]
    done = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert done[0] == "36" and "world-standard-0" in "".join(done) and done[-1] == "False"
