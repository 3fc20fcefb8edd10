"""What `bench register`, `run` and `sweep` refuse ends in a line that works when it is pasted."""

import argparse
import shlex

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from registry.cards import read_cards
from registry.world_networks import tiny_resnet

WORLD = "--labels world16 --size 64 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25"
TINY = f"--arch python:registry.world_networks:tiny_resnet {WORLD}"
HALF = "--size 32 --mean .5,.5,.5 --std .5,.5,.5"


def network():
    torch.manual_seed(0)
    return tiny_resnet(16)


def numbered(state):
    return {f"_{i}.{name.rpartition('.')[2]}": tensor for i, (name, tensor) in enumerate(state.items())}


def of_script(path):
    """As a training script saves a network, whose name is among the arguments."""
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=1000).state_dict()
    args = argparse.Namespace(model="test_resnet", lr=0.1)
    torch.save({"state_dict": state, "args": args}, path)


def write(folder):
    """The files of the rows below."""
    state = network().state_dict()
    torch.save(state, folder / "net.pt")
    np.savez(folder / "net.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    torch.save({"model": network()}, folder / "whole.pt")
    torch.save(numbered(state), folder / "ordered.pt")
    torch.save({"a": state, "b": {name: tensor + 1 for name, tensor in state.items()}}, folder / "two.pt")
    torch.save({**state, "decoder.weight": torch.ones(3)}, folder / "more.pt")
    torch.save({**state, "ce_loss.weight": torch.ones(16), "criterion.aux.weight": torch.ones(3)}, folder / "losses.pt")
    of_script(folder / "mine.pth")
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=1000).state_dict(), folder / "best-test_resnet-e9.pt")
    (folder / "hf").mkdir()
    names = list(state)
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in {*files.values()}:
        save_file({n: state[n] for n in names if files[n] == file}, folder / "hf" / file)
    (folder / "hf" / "model.safetensors.index.json").write_text(__import__("json").dumps({"weight_map": files}))


#: words -> the name of the card, and what is pasted; "" where it is registered at once
LINES = {
    f"register net.pt {TINY}": ("net", ""),
    f"register net.pt mine {TINY}": ("mine", ""),
    f"register mine net.pt {TINY}": ("mine", ""),
    f"register net.pt --weights mine {TINY}": ("mine", ""),
    f"register mine --weights losses.pt {TINY}": ("mine", ""),
    f"register mine.pth {HALF}": ("mine", ""),
    f"register best-test_resnet-e9.pt {HALF}": ("best-test_resnet-e9", "--arch timm:test_resnet"),
    f"register net.npz {TINY}": ("net", "--convert"),
    f"register mine --weights whole.pt {TINY}": ("mine", "--convert"),
    f"register mine --weights ordered.pt {TINY}": ("mine", "--convert"),
    f"register mine --weights hf/model.safetensors.index.json {TINY}": ("mine", "--convert"),
    f"register mine --weights two.pt {TINY}": ("mine", "--key a"),
    f"register mine --weights more.pt {TINY}": ("mine", "--ignore decoder.*"),
    f"register mine --weights mine.pth --labels world16 {HALF}": ("mine", "--labels imagenet1k"),
}  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    write(tmp_path)
    return tmp_path


def pasted(line, bench):
    """Each of the commands of a line, as a shell splits them."""
    for command in line.split(" && "):
        words = shlex.split(command)
        assert words[0] == "bench"
        ended = bench(*words[1:])
        assert ended.code == 0, ended.err
    return ended


@pytest.mark.release
@pytest.mark.parametrize("words", LINES)
def test_a_registration(words, bench, files):
    name, lacking = LINES[words]
    ended = bench(*words.split())
    assert (ended.code == 0) == (not lacking), ended.err
    if lacking:
        (error,) = ended.errors
        line = error.partition(" Paste: ")[2]
        assert all(word in shlex.split(line) for word in lacking.split()), error
        assert "Traceback" not in ended.err and name not in read_cards(files / "home" / "cards")
        pasted(line, bench)
    assert name in read_cards(files / "home" / "cards")


@pytest.mark.parametrize(("words", "says"), [
    (f"register nothere.pt {TINY}", "nothere.pt is not there"), (f"register nothere.pt mine {TINY}", "is not there"),
    ("register nothere.pt", "is not there"), ("register net.npz", "--arch as well: timm:NAME"),
    ("register net.pt", "does not state its architecture. Give --arch: timm:NAME"),
])  # fmt: skip
def test_what_is_missing_is_one_line(words, says, bench, files):
    ended = bench(*words.split())
    assert ended.code in (1, 2) and len(ended.errors) == 1 and says in ended.errors[0], ended.err
    assert "Paste" not in ended.err and not (files / "home" / "cards").exists()


@pytest.mark.slow
def test_a_run_of_a_path(bench, files):
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
    assert len(read_cards(files / "home" / "cards")) >= 2


@pytest.mark.slow
def test_a_sweep(bench, files):
    for step in (1, 2):
        (files / "training").mkdir(exist_ok=True)
        torch.save({"model": network(), "step": step}, files / "training" / f"step_{step}.pt")
    say = f"sweep training {TINY} -s cue-conflict --limit 2 -y -q"
    ended = bench(*say.split())
    line = ended.errors[-1].partition("to use what was left out: ")[2]
    assert ended.code == 1 and line.endswith(" --convert"), ended.err
    assert "2 done" in pasted(line, bench).err
    assert "2 cached" in pasted(line, bench).err  # neither registered again nor taken for further checkpoints
