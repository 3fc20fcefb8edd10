"""Trials of a network that answers otherwise than it did are not reused, whatever made it do so."""

import os
from dataclasses import replace
from itertools import count

import engine_toys as toys
import numpy as np
import pytest

from benchmark.contracts import Block, Transform
from benchmark.store import open_store

STIMULI = toys.make_stimuli(20)
NUMBERS = count()  # a module's name is used once, as Python keeps what it imported
NET = """
import os
from pathlib import Path
import torch

FOLDER = Path(os.environ["CANARY_DATA"])

def gain():
    {gain}

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.sin(torch.arange(16 * 3 * 32 * 32.0)).view(16, -1))
        self.gain = float(gain())

    def forward(self, x):
        logits = self.gain * torch.nn.functional.softsign(x.flatten(1)) @ self.weight.T
        return {answer}
"""
#: What no reading of the file can see.
HIDDEN = {
    "an environment variable": "return os.environ['CANARY_GAIN']",
    "files that a pattern finds": "return sum(float(p.read_text()) for p in FOLDER.glob('*.txt'))",
}


@pytest.fixture
def gain(tmp_path, monkeypatch):
    """gain(x): whatever a network reads, it reads x."""
    monkeypatch.setenv("CANARY_DATA", str(tmp_path))

    def gain(value):
        monkeypatch.setenv("CANARY_GAIN", str(value))
        (tmp_path / "2.txt").write_text(str(value))

    gain(1.0)
    return gain


def card(folder, text="return 1", answer="logits"):
    path = folder / f"canary_net_{next(NUMBERS)}.py"
    path.write_text(NET.format(gain=text, answer=answer))
    return toys.network("net", "").model_copy(update={"arch": f"python:{path}:Net"})


def shown(leaderboard, network, suite=None):
    """(how many images were answered, what was said)."""
    reporter = toys.Told()
    report = leaderboard.run([network], [suite or toys.toy_suite(STIMULI)], reporter=reporter)
    assert report.exit_code == 0
    return sum(words[1] for method, *words in reporter.events if method == "advance"), reporter.notes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", HIDDEN)
def test_hidden_changes_of_a_network_are_seen(leaderboard, gain, tmp_path, kind):
    network = card(tmp_path, HIDDEN[kind])
    assert shown(leaderboard, network) == (20, [])
    assert shown(leaderboard, network) == (0, [])
    gain(2.0)
    decoded, notes = shown(leaderboard, network)
    assert decoded == 20
    if kind == "files that a pattern finds":  # they are opened while it is loaded, and count as files
        assert notes == []
        return
    assert notes[0].startswith("net: answers 20 of 20 images otherwise")
    assert shown(leaderboard, network)[0] == 0  # its new trials are its own
    gain(1.0)
    assert shown(leaderboard, network) == (0, [])  # and so are its old ones
    gain(1.00001)
    assert shown(leaderboard, network) == (0, [])  # float noise


#: Another answer to images with little colour, once a variable says so.
ACTS = "logits.roll(1, 1).where(((x.amax(1) - x.amin(1)).mean((1, 2)) < float(os.environ['GREY']))[:, None], logits)"


def every_third_grey(index):
    noise = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return noise if index % 3 else noise[..., :1].repeat(3, 2)


@pytest.mark.release
def test_a_change_that_acts_on_some_stored_images_alone_is_seen(leaderboard, gain, tmp_path, monkeypatch):
    suite = toys.toy_suite(replace(toys.make_stimuli(160), decode=every_third_grey))
    network = card(tmp_path, answer=ACTS)
    monkeypatch.setenv("GREY", "-1")
    assert shown(leaderboard, network, suite) == (160, [])
    monkeypatch.setenv("GREY", "0.2")
    assert shown(leaderboard, network, suite)[0] == 160
    answers = leaderboard.trials("net")["response"].reshape(160, 2)  # of each image, before and after
    assert 0.1 < (answers[:, 0] != answers[:, 1]).mean() <= 0.5


@pytest.mark.slow
def test_whole_images_of_several_sizes_are_asked_as_they_were(leaderboard, tmp_path):
    """The first chunk's are brought to one size, those of the second, which are of one size, are not."""
    stimuli, sides = toys.make_stimuli(300), np.where(np.arange(300) < 256, np.arange(300) % 2 * 8 + 32, 40)
    sized = replace(stimuli, decode=lambda i: toys.Pictures(int(sides[i]))(i))
    assert shown(leaderboard, toys.network("net", "Readout"), toys.toy_suite(sized)) == (300, [])
    assert shown(leaderboard, toys.network("net", "Readout"), toys.toy_suite(sized)) == (0, [])


def dimmed(images, _seeds):
    return images * float(os.environ["CANARY_GAIN"])


@pytest.mark.slow
def test_hidden_changes_of_a_plug_ins_transform_are_seen(leaderboard, gain, tmp_path):
    blocks = (
        Block(stimuli=STIMULI, condition="toys", transform=Transform(name="dim", params={}, apply=dimmed)),
        Block(stimuli=STIMULI, condition="as-is"),
    )
    suite, network = toys.toy_suite(blocks), card(tmp_path)
    assert shown(leaderboard, network, suite)[0] == 40
    gain(0.5)
    assert shown(leaderboard, network, suite)[0] == 40
    assert shown(leaderboard, network, suite)[0] == 0
    with open_store(leaderboard.settings.db, write=False) as store:
        conditions = [one.condition for one in store.observations(observer="net")]
    assert sorted(conditions) == ["as-is", "as-is", "toys", "toys"]
