"""Which card each checkpoint of a training run gets, and when it gets another one."""

import os

import pytest
import torch

from benchmark.api.training import TrainingRun, run_name
from benchmark.failures import BenchError
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


def swept(folder, pattern="", name="", arch="python:registry.world_networks:tiny_resnet", **given):
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
    run.cards = {}
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
def test_names_that_are_alike_once_they_are_plain(folder):
    for name in ("step_ä_2.pt", "step_ö_2.pt", "step_ü_2.pt"):
        save(folder / name)
    names = {"run-step_1": 1, "run-step_-_2": 2, "run-step_-_2.pt": 2, "run-step_-_2-2": 2}
    assert steps(swept(folder)[0]) == names
    save(folder / "step_a_2.pt")
    (folder / "step_ä_2.pt").rename(folder / "step_é_2.pt")
    assert steps(swept(folder)[0]) == names | {"run-step_a_2": 2}


@pytest.mark.slow
def test_several_links_to_one_file_are_one_checkpoint(folder, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    swept(folder)
    for step in (5, 6):
        (links / f"step_{step}.pt").symlink_to(folder / "step_1.pt")
    cards, lines = swept(links)
    assert steps(cards) == {"links-step_5": 5}
    assert lines == ["left out: step_6.pt: the same file as step_5.pt"]
    assert steps(swept(folder)[0]) == {"run-step_1": 1}


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
    went_on, _ = swept(tmp_path / "other" / "run", name="run")  # in another folder
    assert steps(went_on) == {"run-step_1.pt": 1, "run-step_2": 2}
    assert steps(swept(folder)[0]) == {"run-step_1": 1}


@pytest.mark.slow
def test_a_run_that_was_moved_keeps_its_names(folder, tmp_path):
    before, _ = swept(folder)
    folder.rename(tmp_path / "kept")
    after, lines = swept(tmp_path / "kept", name="run")
    assert lines == [] and after.keys() == before.keys()
    assert after["run-step_1"].weights == str(tmp_path / "kept" / "step_1.pt")
    assert after["run-step_1"].sha256 == before["run-step_1"].sha256


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
    monkeypatch.setattr("benchmark.api.training.register_card", None)
    assert swept(folder, labels="classes.txt") == (cards, [])
