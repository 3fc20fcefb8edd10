"""What `bench register`, `run` and `sweep` refuse ends in a line that works when it is pasted."""

import shlex

import numpy as np
import pytest
import timm
import torch

from registry.cards import read_cards
from registry.world_networks import tiny_resnet

WORLD = "--labels world16 --size 64 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25"
TINY = f"--arch python:registry.world_networks:tiny_resnet {WORLD}"


@pytest.fixture
def files(tmp_path):
    state = tiny_resnet(16).state_dict()
    torch.save(state, tmp_path / "net.pt")
    np.savez(tmp_path / "net.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    return tmp_path


def pasted(line, bench):
    """Each of the commands of a line, as a shell splits them."""
    for command in line.split(" && "):
        words = shlex.split(command)
        assert words[0] == "bench"
        ended = bench(*words[1:])
        assert ended.code == 0, ended.err
    return ended


@pytest.mark.parametrize(("words", "says"), [
    (f"register nothere.pt {TINY}", "nothere.pt is not there"), (f"register nothere.pt mine {TINY}", "is not there"),
    ("register nothere.pt", "is not there"), ("register net.npz", "--arch as well: timm:NAME"),
    ("register net.pt", "does not state its architecture. Give --arch: timm:NAME"),
])  # fmt: skip
def test_what_is_missing_is_one_line(words, says, bench, files, home):
    ended = bench(*words.split())
    assert ended.code in (1, 2) and len(ended.errors) == 1 and says in ended.errors[0], ended.err
    assert "Paste" not in ended.err and not (home / "cards").exists()


@pytest.mark.slow
def test_a_file_before_its_name_is_registered(bench, files, home):
    assert bench("register", "net.pt", "mine", *TINY.split()).code == 0
    assert read_cards(home / "cards")["mine"].arch == "python:registry.world_networks:tiny_resnet"


@pytest.mark.slow
def test_a_run_of_a_path(bench, files, home):
    say = ("--arch", "timm:test_resnet", "-s", "cue-conflict", "--limit", "2", "--dry-run")
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=1000).state_dict()
    np.savez(files / "arrays.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    torch.save({**state, "decoder.weight": torch.ones(3)}, files / "more.pt")
    for file, lacking in (("arrays.npz", "--convert"), ("more.pt", "--ignore")):
        ended = bench("run", file, *say)
        line = ended.errors[-1].partition(" Paste: ")[2]
        assert ended.code == 1 and lacking in line, ended.err
        pasted(line, bench)
        assert "converted" not in bench("run", file, *say).err  # it is found again by its file
    assert len(read_cards(home / "cards")) >= 2


@pytest.mark.release
def test_a_sweep(bench, files):
    for step in (1, 2):
        (files / "training").mkdir(exist_ok=True)
        torch.save({"model": tiny_resnet(16), "step": step}, files / "training" / f"step_{step}.pt")
    say = f"sweep training {TINY} -s cue-conflict --limit 2 -y -q"
    ended = bench(*say.split())
    line = ended.errors[-1].partition("to use what was left out: ")[2]
    assert ended.code == 1 and line.endswith(" --convert"), ended.err
    assert "2 done" in pasted(line, bench).err
    assert "2 cached" in pasted(line, bench).err  # neither registered again nor taken for further checkpoints
