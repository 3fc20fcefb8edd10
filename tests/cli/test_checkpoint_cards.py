"""Which card each checkpoint of a training run gets, and when it gets another one."""

import os

import pytest
import torch

from benchmark.api.running import RunRequest
from benchmark.api.sweeps import TrainingRun, run_name
from benchmark.failures import BenchError
from registry.labels import label_space
from registry.world_networks import tiny_resnet

GIVEN = {"labels": "world16", "mean": (0.5,) * 3, "std": (0.25,) * 3, "size": 64, "resize": 64}


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    torch.save(tiny_resnet().state_dict(), path)


@pytest.fixture
def folder(tmp_path, home):
    folder = tmp_path / "run"
    save(folder / "step_1.pt")
    return folder


def swept(folder, pattern="", name="", arch="python:registry.world_networks:tiny_resnet", is_tried=True, **given):
    """What became of each file, and what was said."""
    lines = []
    run = TrainingRun(
        folder=folder,
        arch=arch,
        run=run_name(folder, name),
        pattern=pattern,
        is_named=bool(name),
        given={**GIVEN, **given},
    )
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
        TrainingRun(folder=tmp_path / "other" / "run", arch="timm:resnet18", run="run").follow(lambda: False)
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


@pytest.mark.slow
def test_a_watch_says_what_is_missing_and_waits_for_its_folder(tmp_path, home):
    lines, place = [], tmp_path / "later" / "run"
    request = RunRequest(suites="cue-conflict,corruption")
    run = TrainingRun(folder=place, arch="timm:resnet18", run="run", request=request, say=lines.append)
    looks = iter((True, True, False))

    def pause():
        if len(lines) == 3 and next(looks):
            place.mkdir(parents=True, exist_ok=True)
            return True
        return False

    assert run.follow(pause).models == {}
    assert [line.partition(": ")[0] for line in lines[:2]] == ["cue-conflict cannot run", "corruption cannot run"]
    assert "`bench data fetch cue-conflict`" in lines[0] and "`bench data add imagenet-val FOLDER`" in lines[1]
    assert lines[2:] == [f"waiting for the folder {place}, which does not exist yet"]
    with pytest.raises(BenchError, match=r"`--follow` waits for it"):
        TrainingRun(folder=tmp_path / "none", arch="timm:resnet18", run="run").once()
