"""`bench sweep` and `bench sweep --follow` on tiny checkpoints made here, and their curves."""

import shutil
from types import SimpleNamespace

import pytest
import timm
import torch

import gestaltbench as gb
from benchmark import api
from benchmark.api import sweeps as training_runs
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.determinism_checks import Check
from registry.world_networks import tiny_resnet

INPUT = ["--labels", "world16", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--size", "64", "--resize", "64"]
RUN = ("-s", "cue-conflict", "--limit", "4", "-q")


def save(path, seed):
    """A network of its own for every seed."""
    path.parent.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    torch.save({"model": tiny_resnet().state_dict()}, path)


def net(tmp_path):
    """A file of its own for each test: one process holds one module of a name."""
    return tmp_path / f"net_{tmp_path.name}.py"


@pytest.fixture
def training(tmp_path):
    """A folder of three checkpoints, one of them named by no step, and a file that builds the network."""
    folder = tmp_path / "my run"
    folder.mkdir()
    for step in (20, 3, 100):
        save(folder / f"step_{step}.pt", step)
    save(folder / "best.pt", 1)
    net(tmp_path).write_text(
        "from registry.world_networks import tiny_resnet\n\n\ndef build():\n    return tiny_resnet()\n"
    )
    return folder


def sweep(bench, folder, *words):
    arch = f"python:./{net(folder.parent).name}:build"
    return bench("sweep", folder, "--arch", arch, *INPUT, *RUN, *words)


@pytest.mark.release
def test_a_checkpoint_that_runs_would_feed_another_copy_of_is_refused(bench, training, monkeypatch):
    wrong = Check(name="tuned form", ok=False, detail="logits differ by 0.3")
    monkeypatch.setattr("benchmark.engine.devices.check_tuned", lambda model: [wrong])
    assert "left out: step_3.pt: " in (said := sweep(bench, training).err) and "logits differ by 0.3" in said
    torch.save(timm.create_model("test_resnet").state_dict(), training / "own.pt")
    ended = bench("run", training / "own.pt", "--arch", "timm:test_resnet", *RUN)
    assert ended.code == 1 and "logits differ by 0.3" in ended.err


@pytest.mark.slow
def test_every_checkpoint_is_a_point_of_one_run(bench, training, home):
    ended = sweep(bench, training)
    assert ended.code == 3  # best.pt says no step
    assert "left out: best.pt: neither its name nor the file says a step" in ended.err
    assert "3 checkpoints of 'my-run': 3 done" in ended.err
    cards = read_cards(home / "cards")
    steps = {n: c.checkpoint.step for n, c in cards.items() if c.checkpoint}
    assert steps == {"my-run-step_3": 3, "my-run-step_20": 20, "my-run-step_100": 100}
    assert "training run my-run" in ended.out and "3 checkpoints" in ended.out
    rows = [line.split()[0] for line in ended.out.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["3", "20", "100"]
    shown = bench("show", "my-run")
    assert shown.code == 0 and shown.out == ended.out
    (curve, *_) = gb.training_curves("my-run")
    assert [point.step for point in curve.points] == sorted(point.step for point in curve.points)
    again = bench("sweep", training, *RUN)  # the cards say the architecture
    assert "3 cached" in again.err and again.out == ended.out


@pytest.mark.slow
def test_mistakes_are_one_line(bench, tmp_path):
    odd, named = tmp_path / "odd", tmp_path / "named"
    save(odd / "best.pt", 0)
    save(named / "step_1.pt", 0)
    for folder, words, said in (
        (tmp_path / "none", (), "is not a folder"),
        (odd, ("--pattern", "*.safetensors"), "no checkpoints like '*.safetensors'"),
        (odd, ("--pattern", "../*.pt"), "a glob within the folder"),
        (odd, (), "no checkpoints with a step"),
        (named, ("--arch", ""), "Give --arch"),
        (named, ("--arch", "timm:resnet1888"), "Did you mean: resnet18"),
        (named, ("--arch", "python:./nowhere.py:build"), "there is no file"),
    ):
        for more in ((), ("--follow",)) if folder.name == "named" else ((),):
            ended = bench("sweep", folder, "--arch", "timm:resnet18", *words, *more)
            assert ended.code in (1, 2) and len(ended.errors) == 1, (folder, words, ended.err)
            assert said in ended.err


def test_what_no_checkpoint_decides_is_refused_before_any_is_registered(bench, home, tmp_path):
    save(tmp_path / "run" / "step_1.pt", 0)
    (tmp_path / "text.db").write_text("no leaderboard " * 20)
    for words, said in (
        (("-s", "cue-conflict,saliencyy"), "no suite is called 'saliencyy'"),
        (("--device", "cuda:all" if not torch.cuda.is_available() else "mps"), "not available here"),
        (("--precision", "tf32", "--device", "cpu"), "tf32 exists on CUDA devices only"),
        (("--db", tmp_path / "text.db"), "is not a leaderboard"),
        (("--db", tmp_path / "none" / "r.db"), "none does not exist"),
    ):
        for more in ((), ("--follow",)):
            ended = bench("sweep", tmp_path / "run", "--arch", "timm:resnet18", *words, *more)
            assert ended.code in (1, 2) and len(ended.errors) == 1 and said in ended.err
    assert not (home / "cards").exists()


def training_run(folder, arch, **more):
    given = {"labels": "world16", "mean": (0.5,) * 3, "std": (0.25,) * 3, "size": 64, "resize": 64}
    request = api.RunRequest(suites="cue-conflict", limit=4, batch=4)
    settings = read_settings(str(folder.parent / "r.db"))
    run = training_runs.run_name(folder)
    return training_runs.TrainingRun(
        folder=folder, arch=arch, run=run, given=given, request=request, settings=settings, **more
    )


@pytest.mark.release
def test_checkpoints_are_run_as_they_appear_and_never_half_written(training, tmp_path):
    arch = f"python:{net(tmp_path)}:build"
    whole = (training / "step_20.pt").read_bytes()
    late = training / "step_20.pt"
    late.unlink()
    (training / "best.pt").unlink()
    lines, ran = [], []

    def looks():
        """What happens after each look, and what has been run by then."""
        assert ran == []  # nothing is known to be whole
        yield
        assert ran == ["my-run-step_3", "my-run-step_100"]  # the same at two looks
        for part in (1000, 3000, len(whole)):  # somebody writes
            late.write_bytes(whole[:part])
            yield
            assert len(ran) == 2
        yield
        assert ran[2:] == ["my-run-step_20"]
        (training / "step_4.pt").write_bytes(whole[:2000])  # somebody was killed while writing
        yield
        yield
        assert len(ran) == 3 and "left out: step_4.pt" in lines[-1]
        shutil.copy(training / "step_3.pt", training / ".step_4.pt")  # and a rename
        (training / ".step_4.pt").replace(training / "step_4.pt")
        yield
        yield
        assert ran[3:] == ["my-run-step_4"]

    steps = looks()

    def pause():
        said = (line.removeprefix("running ") for line in lines if line.startswith("running "))
        ran.extend(name for text in said for name in text.split(", ") if name not in ran)
        return next(steps, "over") != "over"

    done = training_run(training, arch, say=lines.append).follow(pause)
    assert done.models == {"my-run-step_3": 3, "my-run-step_4": 4, "my-run-step_20": 20, "my-run-step_100": 100}
    assert done.left_out == {} and done.failed == {} and done.exit_code == 0
    assert lines.count("waiting for step_20.pt: new or still being written") == 1
    assert lines[0] == "waiting for 2 files: new or still being written"


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.release
def test_ctrl_c_prints_the_curves(bench, training, monkeypatch, tmp_path):
    arch = ("--arch", f"python:{net(tmp_path)}:build")
    looks = []

    def sleep(_seconds):
        looks.append(None)
        if len(looks) > 1:  # the second look has run what was there at the first
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.api.sweeps.time", SimpleNamespace(sleep=sleep))
    ended = bench("sweep", "--follow", training, *arch, *INPUT, *RUN)
    assert "training run my-run" in ended.out and "3 checkpoints" in ended.out
    monkeypatch.setattr("benchmark.api.sweeps.TrainingRun.run_cheapest_first", interrupt)
    looks.clear()
    during = bench("sweep", "--follow", training, *arch, *INPUT, *RUN)  # in the middle of a run
    assert during.code == 130 and during.out == ended.out


def broken_last(folder, writes=()):
    """A watch of a folder whose last step does not load. writes: what the file holds after each look."""
    folder.mkdir()
    (folder / "step_9.pt").write_bytes(b"no network")
    parts, pauses, lines = iter(writes), [], []

    def pause():
        pauses.append(None)
        if (part := next(parts, None)) is not None:
            (folder / "step_9.pt").write_bytes(part)
        return len(pauses) < 9

    run = training_run(folder, "python:registry.world_networks:tiny_resnet", say=lines.append)
    done = run.follow(pause, until=9)
    return done, len(pauses), lines


def test_a_last_step_that_does_not_load_ends_the_watch(tmp_path):
    done, pauses, lines = broken_last(tmp_path / "run")
    assert pauses == 2 and done.exit_code == 1  # new, whole and refused, the same
    assert lines[-1] == f"left out: step_9.pt: {done.left_out['step_9.pt']}"
