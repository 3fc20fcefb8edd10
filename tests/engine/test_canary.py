"""Trials of a network that answers otherwise than it did are not reused, whatever made it do so."""

import os
import sys
import types
from itertools import count

import engine_toys as toys
import pytest
import torch

from benchmark.contracts import Block, Transform
from benchmark.store import open_store
from registry.determinism_checks import canaries_differ, canary_text

STIMULI = toys.make_stimuli(20)
NUMBERS = count()  # a module's name is used once, as Python keeps what it imported
NET = """
import importlib, os
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
        return self.gain * torch.nn.functional.softsign(x.flatten(1)) @ self.weight.T
"""
#: What no reading of the file can see.
HIDDEN = {
    "an environment variable": "return os.environ['CANARY_GAIN']",
    "files that a pattern finds": "return sum(float(p.read_text()) for p in FOLDER.glob('*.txt'))",
    "an import of a computed name": "return importlib.import_module('canary_' + 'gain').GAIN",
}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("CANARY_DATA", str(tmp_path))
    return toys.Bench(tmp_path)


@pytest.fixture
def gain(tmp_path, monkeypatch):
    """gain(x): whatever a network reads, it reads x."""
    module = types.ModuleType("canary_gain")
    monkeypatch.setitem(sys.modules, "canary_gain", module)

    def gain(value):
        monkeypatch.setenv("CANARY_GAIN", str(value))
        (tmp_path / "2.txt").write_text(str(value))
        module.GAIN = value

    gain(1.0)
    return gain


def card(folder, text="return 1"):
    path = folder / f"canary_net_{next(NUMBERS)}.py"
    path.write_text(NET.format(gain=text))
    return toys.network("net", "").model_copy(update={"arch": f"python:{path}:Net"})


def shown(bench, network, suite=None):
    """(how many images were decoded, what was said)."""
    reporter = toys.Told()
    report = bench.run([network], [suite or toys.toy_suite(STIMULI)], reporter=reporter)
    assert report.exit_code == 0
    return report.decoded, reporter.notes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", HIDDEN)
def test_hidden_changes_of_a_network_are_seen(bench, gain, tmp_path, kind):
    network = card(tmp_path, HIDDEN[kind])
    assert shown(bench, network) == (20, [])
    assert shown(bench, network) == (0, [])
    gain(2.0)
    decoded, (note,) = shown(bench, network)
    assert decoded == 20 and note.startswith("net: answers 16 fixed images otherwise")
    assert shown(bench, network)[0] == 0  # its new trials are its own
    gain(1.0)
    assert shown(bench, network) == (0, [])  # and so are its old ones
    gain(1.00001)
    assert shown(bench, network) == (0, [])  # float noise


def dimmed(images, _seeds):
    return images * float(os.environ["CANARY_GAIN"])


@pytest.mark.slow
def test_hidden_changes_of_a_plug_ins_transform_are_seen(bench, gain, tmp_path):
    blocks = (Block(STIMULI, "toys", transform=Transform("dim", {}, dimmed)), Block(STIMULI, "as-is"))
    suite, network = toys.toy_suite(blocks), card(tmp_path)
    assert shown(bench, network, suite)[0] == 20
    gain(0.5)
    assert shown(bench, network, suite)[0] == 20
    assert shown(bench, network, suite)[0] == 0
    with open_store(bench.settings.db, write=False) as store:
        conditions = [one.condition for one in store.observations(observer="net")]
    assert sorted(conditions) == ["as-is", "toys", "toys"]  # what it did not touch is not made anew


def test_canary_answers_are_compared_beyond_float_noise():
    logits = torch.randn(16, 1000, generator=torch.Generator().manual_seed(0))
    text = canary_text(logits)
    assert len(text) < 110 and not canaries_differ(text, text)
    assert not canaries_differ(text, canary_text(logits * (1 + 1e-5)))
    moved = logits.clone()
    moved[3, 7] += 1.0  # one class of one picture
    assert canaries_differ(text, canary_text(moved))
    assert canaries_differ(text, f"{text};{text}")
    for damaged in ("", "1", "x AAAA", f"nan {text.split()[1]}"):
        assert canaries_differ(text, damaged)
