"""`bench rank` starts at once: a ranked table imports nothing that it does not need."""

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
import sys
from benchmark.cli import cli
cli.main(sys.argv[2:], standalone_mode=False)
print([name for name in sys.argv[1].split(",") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def board(folder):
    path = str(folder / "results.db")
    with open_store(path) as store:
        run = store.begin_run("bench run", {})
        for name, value in (("net-a", 0.25), ("net-b", 0.75)):
            observer = store.put_observer(Observer(name=name, kind="network", identity=name, card={"arch": "timm:x"}))
            made = ScoreSet(
                observer=observer,
                suite="cue-conflict",
                version=2,
                space="geirhos16",
                code="code",
                stimuli={"cue-conflict": "d"},
                keys=(name,),
            )
            score = Score(metric="shape_bias", value=value, low=0.2, high=0.9, role="cue-conflict", n=8)
            store.put_scores(run, made, [score])
    return path


@pytest.mark.parametrize("how", [["cue-conflict"], ["--summary"]], ids=str)
def test_a_ranked_table_imports_nothing_heavy(board, how):
    words = [sys.executable, "-c", ASK, ",".join((*HEAVY, *OURS)), "rank", *how, "--db", board]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "net-b" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_plan_of_corruptions_imports_no_torch(folder):
    words = [sys.executable, "-c", ASK, "torch", "run", "-m", "world-standard-0", "-s", "corruption", "--dry-run"]
    done = subprocess.run([*words, "--db", str(folder / "new.db")], capture_output=True, text=True, check=True)
    assert "world-standard-0" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
