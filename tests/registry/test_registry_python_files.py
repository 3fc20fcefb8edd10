"""A factory in a file that belongs to no package: "python:./net.py:build"."""

import sys

import pytest
import torch

from registry.architectures import build, source_code
from registry.errors import CardError
from registry.files import Place
from registry.loading import load_model
from registry.register import register

HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
NET = """
import torch
from {layers} import Net

def build():
    torch.manual_seed(0)
    return Net()
"""
LAYERS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 9)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))
"""


@pytest.fixture(autouse=True)
def path_and_modules(monkeypatch):
    """Both as they were, after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("zz_"):
            del sys.modules[name]


def written(folder, net="zz_net", layers="zz_layers"):
    folder.mkdir(exist_ok=True)
    (folder / f"{net}.py").write_text(NET.format(layers=layers))
    (folder / f"{layers}.py").write_text(LAYERS)
    return f"python:{folder / net}.py:build"


def test_it_registers_beside_the_user_and_loads_from_another_folder(nine, tmp_path, monkeypatch):
    whole = written(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    places = {"cards_folder": tmp_path / "cards", "place": Place(tmp_path / "weights")}
    card, _ = register("mine", "python:./zz_net.py:build", labels=nine, **HALF, **places)
    assert card.arch == whole
    monkeypatch.chdir(tmp_path)
    images = torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 9)
    expected = layer((images * 2 - 1).mean((2, 3)))
    found = load_model(card, Place(tmp_path)).forward(images)
    assert torch.allclose(found, expected, atol=1e-6)


def test_its_code_and_its_neighbours_count(tmp_path):
    arch = written(tmp_path / "mine")
    before = source_code(arch, build(arch, 9))
    neighbour = tmp_path / "mine" / "zz_layers.py"
    neighbour.write_text(LAYERS.replace("x.mean((2, 3))", "x.amax((2, 3))"))
    assert source_code(arch, build(arch, 9)) != before


@pytest.mark.parametrize(
    ("net", "layers", "taken"),
    [
        ("zz_net", "zz_other", "zz_net"),
        ("zz_new", "zz_layers", "zz_layers"),
        ("torch", "zz_other", "torch"),
        ("zz_new", "numpy", "numpy"),
        ("this", "zz_other", "this"),
    ],
)
def test_a_name_that_another_module_has_is_refused(net, layers, taken, tmp_path):
    build(written(tmp_path / "first"), 9)
    arch = written(tmp_path / "second", net, layers)
    with pytest.raises(CardError, match=rf"second/{taken}\.py: another module is called '{taken}'.*Rename"):
        build(arch, 9)
    assert "zz_new" not in sys.modules
