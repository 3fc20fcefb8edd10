"""Networks that are evaluated while they train: the watch of a loop, callbacks, ranks, and `no_worse`."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gestaltbench as gb
from benchmark.failures import BenchError
from gestaltbench import watch as watching
from gestaltbench.training import Watch
from registry.world_networks import tiny_resnet

HOW = {"preprocess": {"size": 64, "resize": 64, "mean": (0.5,) * 3, "std": (0.25,) * 3}, "labels": "world16"}
RUN = {"suites": "cue-conflict", "limit": 12, "batch": 12, **HOW}
BIAS = "gestaltbench/cue-conflict/shape_bias"


def net(seed=0):
    torch.manual_seed(seed)
    return tiny_resnet(16)


def counts(db):
    """Rows that an evaluation stores once."""
    tables = ("observers", "observations", "chunks", "score_sets", "scores")
    with sqlite3.connect(db) as opened:
        return [opened.execute(f"select count(*) from {name}").fetchone()[0] for name in tables]


def curves(db):
    """Title, stimuli and points (step, value, low, high) of each curve."""
    points = lambda curve: [(p.step, p.cell.value, p.cell.low, p.cell.high) for p in curve.points]  # noqa: E731
    return [(curve.title, curve.column.stimuli, points(curve)) for curve in gb.training_curves(db=db)]


def biases(db, run):
    """Step -> shape bias, of one run."""
    return {p.step: p.cell.value for curve in gb.training_curves(run, db=db) if curve.suite for p in curve.points}


@pytest.mark.slow
def test_a_loop_is_a_training_run_as_of_files(tmp_path, bench):
    db, nets, stored = tmp_path / "r.db", {step: net(step) for step in (0, 10)}, []
    for _ in range(2):  # the second time as a training that is started again
        seen = {}
        log = lambda values, step, seen=seen: seen.__setitem__(step, values)  # noqa: E731
        watch = Watch(None, name="my run", every=10, log=log, db=db, **RUN)
        for step in range(11):
            watch.net = nets.get(step)
            assert (watch(step) is not None) == (step in nets)
        assert watch.evaluate(10) is None
        stored.append(counts(db))
    assert stored[0] == stored[1] and stored[0][0] == stored[0][3] == 2
    folder = tmp_path / "files"
    folder.mkdir()
    for step, network in nets.items():
        torch.save(network.state_dict(), folder / f"step_{step}.pt")
    given = {"labels": "world16", "mean": (0.5,) * 3, "std": (0.25,) * 3, "size": 64, "resize": 64}
    gb.sweep(folder, "python:registry.world_networks:tiny_resnet", suites="cue-conflict", limit=12, db="f.db", **given)
    assert curves(db) == curves("f.db") and len(curves(db)) == 2
    bias = next(points for title, _, points in curves(db) if title == "cue-conflict: shape bias")
    assert [(step, *seen[step].values()) for step in seen] == bias
    assert list(seen[0]) == [BIAS, f"{BIAS}/low", f"{BIAS}/high"]
    shown = bench("show", "my-run", "--db", db)
    assert "training run my-run" in shown.out and "my-run-10" in shown.out
    assert bench("diff", "my-run-0", "my-run-10", "--db", db).code in (0, 1, 3)


@pytest.mark.slow
def test_a_failure_is_logged_and_the_training_goes_on(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(watching.LOG, "warning", lambda text, *said: lines.append(text % said))

    def full(_values, _step):
        raise OSError("disk full")

    watch = Watch(net(), name="run", every=1, db=tmp_path / "r.db", log=full, **RUN)
    assert watch(0) is None  # the logger fails
    watch._how["labels"] = "nonsense"
    assert watch(1) is None
    watch.net = "text"
    assert watch(2) is None
    told = ["OSError: disk full", "no label space is called 'nonsense'", "expected a network or a function"]
    for step, (line, said) in enumerate(zip(lines, told, strict=True)):
        assert line.startswith(f"run: step {step} was not evaluated: {said}")


def test_mistakes_are_raised_before_the_training(tmp_path):
    for given, said in (
        ({"every": 0}, "every=0: expected a number of steps"),
        ({"suites": "cue-conflictt"}, "Did you mean: cue-conflict"),
        ({"budget": "200%"}, "budget='200%': expected seconds"),
        ({"budget": -1}, "or a share such as"),
        ({"log": 3}, "log=int: expected a logger"),
        ({"db": tmp_path / "none" / "r.db"}, "does not exist"),
    ):
        with pytest.raises(BenchError, match=said):
            Watch(nn.Identity(), **{"name": "run", "every": 1, **given})
    with pytest.raises(TypeError, match="lables"):
        Watch(nn.Identity(), name="run", every=1, lables="world16")


def test_a_budget_fits_cheap_suites_first(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watching, "monotonic", lambda: now[0])
    watch = Watch(nn.Identity(), name="run", every=1, budget=5)
    assert watch._fits(100, "a", 10)  # nothing is known yet
    watch._paces["a"] = 0.1
    now[0] = 101
    assert not watch._fits(100, "b", 300)  # 30 s by its passes
    watch._paces["b"] = 4 / 300
    assert watch._fits(100, "b", 300) and not watch._fits(99, "b", 300)
    now[0] = 1
    watch = Watch(nn.Identity(), name="run", every=1, budget="10%")
    now[0], watch._paces["a"], watch.spent = 101, 0.1, 11.0  # of 100 s
    assert not watch._fits(101)
    watch.spent = 5.0
    assert watch._fits(101, "a", 10) and not watch._fits(101, "b", 300)
    assert watching.budget_of(None) == (float("inf"), float("inf"))


class Images(nn.Module):
    """What both frameworks train: images, and a loss beside the logits for transformers."""

    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x, labels=None):
        logits = self.inner(x)
        return logits if labels is None else {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def examples():
    return torch.rand(8, 3, 64, 64), torch.arange(8)


@pytest.mark.release
def test_lightning_logs_to_its_own_loggers(tmp_path):
    lightning = pytest.importorskip("pytorch_lightning")
    from pytorch_lightning.loggers import CSVLogger

    from gestaltbench.training import LightningWatch

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Images()

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _index):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def trained(**asked):
        logger = CSVLogger(tmp_path, name=asked["name"], flush_logs_every_n_steps=1)
        trainer = lightning.Trainer(
            max_epochs=2, logger=logger, callbacks=[LightningWatch(db=tmp_path / "r.db", **asked, **RUN)],
            accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Module(), DataLoader(TensorDataset(*examples()), 2))
        with (tmp_path / asked["name"] / "version_0" / "metrics.csv").open() as file:
            return {int(row["step"]): float(row[BIAS]) for row in csv.DictReader(file) if row[BIAS]}

    assert list(trained(name="steps", every=3)) == [0, 3, 6, 8]
    written = trained(name="epochs")
    assert list(written) == [0, 4, 8]
    assert written == biases(tmp_path / "r.db", "epochs")


@pytest.mark.release
def test_trainer_logs_to_its_own_loggers(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from gestaltbench.training import TrainerWatch

    given = [{"x": x, "labels": y} for x, y in zip(*examples(), strict=True)]
    asked = {"max_steps": 4, "per_device_train_batch_size": 2, "report_to": [], "save_strategy": "no", "use_cpu": True}
    args = transformers.TrainingArguments(str(tmp_path / "out"), remove_unused_columns=False, **asked)
    trainer = transformers.Trainer(Images(), args, train_dataset=given)
    trainer.add_callback(TrainerWatch(trainer, name="hf", every=2, db=tmp_path / "r.db", **RUN))
    trainer.train()
    logged = {row["step"]: row[BIAS] for row in trainer.state.log_history if BIAS in row}
    assert list(logged) == [0, 2, 4] and logged == biases(tmp_path / "r.db", "hf")


# Processes are forks of one that has imported everything, and that has not computed anything yet.
LOOP = f"""
import os, sys, signal
from multiprocessing import get_context
import torch
from torch import distributed, nn
import benchmark.engine.run, benchmark.transforms.corruptions, scipy.linalg
from benchmark.store import Store
from gestaltbench.training import Watch
from registry.world_networks import tiny_resnet

def main(db, rank=0, size=1, killed=False):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = tiny_resnet(16)
    if size > 1:
        distributed.init_process_group("gloo", init_method=f"file://{{os.getcwd()}}/gloo", rank=rank, world_size=size)
        net = nn.parallel.DistributedDataParallel(net)
    if killed:
        put = Store.put_chunks
        def put_and_die(self, *given):
            put(self, *given)
            os.kill(os.getpid(), signal.SIGKILL)
        Store.put_chunks = put_and_die
    watch = Watch(net, name="run", every=1, db=db, **{RUN!r})
    watch(0)
    if size > 1 and rank:  # running statistics of the other rank differ, and then an evaluation of it fails
        net.module.stem_norm.running_mean += 1
    watch(1)
    if rank:
        watch._how["labels"] = "nonsense"
    if size > 1:
        watch(2)

def run(*works):
    both = [get_context("fork").Process(target=main, args=work) for work in works]
    for one in both:
        one.start()
    for one in both:
        one.join()
    print(*[one.exitcode for one in both])

run(["once.db"])
run(["ranks.db", 0, 2], ["ranks.db", 1, 2])
run(["killed.db", 0, 1, True])
run(["killed.db"], ["killed.db"])
"""


@pytest.mark.release
def test_ranks_answer_a_shard_each_and_a_kill_or_a_second_process_changes_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOOP], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["0", "0 0", str(-signal.SIGKILL), "0 0", ""], done.stderr
    assert "step 2 was not evaluated: rank 1: no label space is called 'nonsense'" in done.stderr
    once = curves(tmp_path / "once.db")
    assert len(once) == 2 and [len(points) for _, _, points in once] == [2, 2]
    assert curves(tmp_path / "ranks.db") == curves(tmp_path / "killed.db") == once
    assert counts(tmp_path / "killed.db") == counts(tmp_path / "once.db")


@pytest.mark.slow
def test_no_worse_raises_the_verdicts_sentence(tmp_path):
    db = tmp_path / "r.db"
    asked = {"suite": "cue-conflict", "db": db, "limit": 24, "batch": 24}
    gb.run(["world-standard-0", "world-standard-1", "world-stylised-0"], "cue-conflict", limit=24, batch=24, db=db)
    gb.no_worse("world-stylised-0", "world-standard-0", **asked)
    with pytest.raises(AssertionError, match=r"^### `world-standard-0` against `world-stylised-0`: worse\n") as caught:
        gb.no_worse("world-standard-0", "world-stylised-0", **asked)
    assert caught.value.diff.exit_code == 1
    with pytest.raises(AssertionError, match="inconclusive") as caught:
        gb.no_worse("world-standard-1", "world-standard-0", margin=1e-9, suite="cue-conflict", db=db)
    assert caught.value.diff.exit_code == 3
    with pytest.raises(AssertionError, match=r"^### `TinyResNet-\w{6}` against `world-stylised-0`: worse"):
        gb.no_worse(net(), "world-stylised-0", **asked, **HOW)


@pytest.mark.parametrize(("code", "ended", "said"), [
    (0, 0, ""), (1, 1, "::error::NEW is worse than BASE\n"), (2, 2, "::error::bench diff failed\n"),
    (3, 0, "::warning::inconclusive: more images are needed\n"),
])  # fmt: skip
def test_the_workflow_of_the_page_tells_worse_from_inconclusive(code, ended, said, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "while-training.md").read_text()
    workflow = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    (tmp_path / "bench").write_text(f"#!/bin/sh\necho verdict of $2 and $3\nexit {code}\n")
    (tmp_path / "bench").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    script = workflow["jobs"]["compare"]["steps"][-1]["run"]
    env |= {"BASE": "BASE", "NEW": "NEW"}
    done = subprocess.run(["bash", "-ec", script], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ended, said)
    assert (tmp_path / "summary.md").read_text() == "verdict of BASE and NEW\n"
