"""`bench sweep` on tiny checkpoints made here: their curves, and which card each gets."""

import os

import pytest
import timm
import torch

import gestaltbench as gb
from benchmark import api
from benchmark.api.sweeps import TrainingRun, run_name
from benchmark.failures import BenchError
from benchmark.variables import read_settings
from registry.cards import read_cards
from registry.determinism_checks import Check
from registry.labels import label_space
from registry.world_networks import tiny_resnet

INPUT = ["--labels", "world16", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--size", "64", "--resize", "64"]
RUN = ("-s", "cue-conflict", "--limit", "4", "-q")
GIVEN = {"labels": "world16", "mean": (0.5,) * 3, "std": (0.25,) * 3, "size": 64, "resize": 64}
TINY = "python:registry.world_networks:tiny_resnet"


def save(path, seed=0):
    """A network of its own for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    torch.save(tiny_resnet().state_dict(), path)


def net(tmp_path):
    """A file of its own for each test: one process holds one module of a name."""
    return tmp_path / f"net_{tmp_path.name}.py"


@pytest.fixture
def training(tmp_path):
    """A folder of three checkpoints, one of them named by no step, and a file that builds the network."""
    folder = tmp_path / "my run"
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
def test_mistakes_are_one_line_before_any_checkpoint_is_registered(bench, home, tmp_path):
    odd, named = tmp_path / "odd", tmp_path / "named"
    save(odd / "best.pt")
    save(named / "step_1.pt")
    (tmp_path / "text.db").write_text("no leaderboard " * 20)
    for folder, words, said in (
        (tmp_path / "none", (), "is not a folder"),
        (odd, ("--pattern", "*.safetensors"), "no checkpoints like '*.safetensors'"),
        (odd, ("--pattern", "../*.pt"), "a glob within the folder"),
        (odd, (), "no checkpoints with a step"),
        (named, ("--arch", ""), "Give --arch"),
        (named, ("--arch", "timm:resnet1888"), "Did you mean: resnet18"),
        (named, ("--arch", "python:./nowhere.py:build"), "there is no file"),
        (named, ("-s", "cue-conflict,saliencyy"), "no suite is called 'saliencyy'"),
        (named, ("--device", "cuda:all" if not torch.cuda.is_available() else "mps"), "not available here"),
        (named, ("--precision", "tf32", "--device", "cpu"), "tf32 exists on CUDA devices only"),
        (named, ("--db", tmp_path / "text.db"), "is not a leaderboard"),
        (named, ("--db", tmp_path / "none" / "r.db"), "none does not exist"),
    ):
        ended = bench("sweep", folder, "--arch", "timm:resnet18", *words)
        assert ended.code in (1, 2) and len(ended.errors) == 1, (folder, words, ended.err)
        assert said in ended.err
    assert not (home / "cards").exists()


def training_run(folder, arch, **more):
    request = api.RunRequest(suites="cue-conflict", limit=4, batch=4)
    how = {"given": GIVEN, "request": request, "settings": read_settings(str(folder.parent / "r.db")), **more}
    return TrainingRun(folder=folder, arch=arch, run=run_name(folder), **how)


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "run" / "step_1.pt")
    return tmp_path / "run"


def swept(folder, pattern="", name="", arch=TINY, is_tried=True, **given):
    """What became of each file, and what was said."""
    lines = []
    run = TrainingRun(
        folder=folder, arch=arch, run=run_name(folder, name), pattern=pattern, is_named=bool(name),
        given={**GIVEN, **given},
    )  # fmt: skip
    run.say, run.run_cheapest_first = lines.append, lambda cards, _agreed: run.cards.update({c.name: c for c in cards})
    run.cards, run.is_tried = {}, is_tried
    run.once()
    return run.cards, lines


def steps(cards):
    return {name: card.checkpoint.step for name, card in cards.items()}


@pytest.mark.slow
def test_files_of_one_name_in_several_folders(folder):
    for step in (10, 20, 30):
        save(folder / f"checkpoint-{step}" / "model.pt", step)
    (folder / "best").mkdir()
    (folder / "best" / "model.pt").write_bytes(b"none")
    cards, lines = swept(folder, "*/model.pt")
    names = {f"run-checkpoint-{step}-model": step for step in (10, 20, 30)}
    assert steps(cards) == names
    assert len(lines) == 1 and lines[0].startswith("left out: best/model.pt: ")


@pytest.mark.slow
def test_two_runs_of_one_name_are_never_one(folder, tmp_path):
    swept(folder)
    save(tmp_path / "other" / "run" / "step_2.pt")
    with pytest.raises(BenchError, match=r"'run' is already the name of a training run .*step_1\.pt.*--name"):
        swept(tmp_path / "other" / "run")
    with pytest.raises(BenchError, match="--name"):
        TrainingRun(folder=tmp_path / "other" / "run", arch="timm:resnet18", run="run").once()
    assert steps(swept(tmp_path / "other" / "run", name="new")[0]) == {"new-step_2": 2}
    save(tmp_path / "other" / "run" / "step_1.pt", 1)
    went_on, lines = swept(tmp_path / "other" / "run", name="run")  # in another folder
    assert steps(went_on) == {"run-step_2": 2} and "rename the file" in lines[0]
    assert steps(swept(folder)[0]) == {"run-step_1": 1}


@pytest.mark.slow
def test_another_input_is_another_network_and_what_is_not_said_again_stays(folder):
    swept(folder)
    other, _ = swept(folder, mean=[0.1, 0.2, 0.3])
    assert other["run-step_1"].preprocess.mean == (0.1, 0.2, 0.3)
    os.utime(folder / "step_1.pt")
    unsaid = dict.fromkeys(GIVEN)
    again, _ = swept(folder, arch="", **unsaid)
    assert again == other


def test_a_list_of_classes_is_one_label_space_of_the_run(folder, tmp_path, monkeypatch):
    save(folder / "step_2.pt", 2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(f"thing {i}" for i in range(16)))
    cards, _ = swept(folder, labels="classes.txt")
    assert len({card.labels for card in cards.values()}) == 1
    assert "/labels/run-" in cards["run-step_1"].labels
    monkeypatch.setattr("benchmark.api.sweeps.register_card", None)
    assert swept(folder, labels="classes.txt") == (cards, [])


@pytest.mark.slow
def test_a_run_of_a_framework_is_its_checkpoints_without_the_rest(tmp_path, home):
    """Lightning's folders, and those of transformers' Trainer, which identify their architecture."""
    run = tmp_path / "lit" / "lightning_logs" / "version_0"
    for step in (10, 20):
        save(run / "checkpoints" / f"epoch=1-step={step}.ckpt", step)
    last = {"state_dict": tiny_resnet().state_dict(), "global_step": 20, "epoch": 1}
    torch.save(last, run / "checkpoints" / "last.ckpt")  # the newest once more
    (run / "hparams.yaml").write_text("a: 1")
    cards, lines = swept(tmp_path / "lit", is_tried=False)
    assert steps(cards) == {"lit-epoch-1-step-10": 10, "lit-epoch-1-step-20": 20}
    assert lines[0].startswith("ok: lit-epoch-1-step-10: ") and " right " in lines[0]
    assert not any("step-20" in line for line in lines)
    assert swept(tmp_path / "lit", arch="") == (cards, [])
    save(run.with_name("version_1") / "checkpoints" / "epoch=0-step=5.ckpt")
    with pytest.raises(BenchError, match=r"2 training runs: lightning_logs/version_0/checkpoints, .*Give the folder"):
        swept(tmp_path / "lit")


@pytest.mark.slow
def test_a_run_of_transformers_is_swept_without_an_architecture(tmp_path, home):
    transformers = pytest.importorskip("transformers")
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    names = dict(enumerate(label_space("geirhos16").classes))
    config = transformers.ViTConfig(**shape, image_size=64, patch_size=16, num_labels=16, id2label=names)
    for place in ("checkpoint-2", "checkpoint-14", "."):
        transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "out" / place)
        torch.save({}, tmp_path / "out" / place / "optimizer.pt")
        torch.save({}, tmp_path / "out" / place / "training_args.bin")
    own = {"labels": None, "size": None, "resize": None}
    cards, lines = swept(tmp_path / "out", arch="", **own)
    assert steps(cards) == {"out-checkpoint-2-model": 2, "out-checkpoint-14-model": 14}
    assert {card.labels for card in cards.values()} == {"geirhos16"} and lines == []
    assert swept(tmp_path / "out", arch="hf", **own) == (cards, [])
