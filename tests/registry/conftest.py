"""Shared by the registry's tests: one thread, a tiny network, cards that point at it."""

import os
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from registry_builders import CONTENT, HALF, Server, lively  # what the tests beside this file import, they find
from torch import nn

from registry.cards import ModelCard
from registry.files import WeightSources

torch.set_num_threads(1)

FACTORIES = """
from dataclasses import dataclass
from types import SimpleNamespace
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes=9):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
@dataclass
class Returned:
    loss: None
    scores: torch.Tensor
def seeded(num_classes=9):
    torch.manual_seed(1)
    return Net(num_classes)
"""
#: Networks that return something else of x, whose logits are y.
RETURNS = {
    "Probabilities": "y.softmax(1)", "Noisy": "y + torch.randn(1)", "Detached": "super().forward(x.detach())",
    "Flat": "super().forward(x * 0)", "Infinite": "y / 0", "Neighbours": "y + x.mean() * len(x)",
    "Tuple": "y.new_zeros(len(y), 77), y", "Mapping": "{'logits_coarse': y[:, :4], 'logits_fine': y}",
    "Listed": "[y, {'aux': y}]", "Output": "SimpleNamespace(loss=None, preds=y)", "Data": "Returned(None, y)",
    "Several": "(y, {'deep': y + 1})", "Features": "y[:, :5]", "Nothing": "'a text'",
    "Large": "y.repeat(1, 2427)[:, :21843]",
    # weights cast when the network first answers, and by every answer, there and back
    "CastOnce": "Net.forward(self.double(), x.double()).float()",
    "Recast": "(Net.forward(self.double(), x.double()).float(), self.float())[0]",
}  # fmt: skip
for _name, _value in RETURNS.items():
    FACTORIES += f"""
class {_name}(Net):
    def forward(self, x):
        y = None if "self." in {_value!r} else super().forward(x)
        return {_value}
"""


@pytest.fixture(scope="session")
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return lively(timm.create_model("test_resnet", num_classes=9))


@pytest.fixture
def folders(tmp_path):
    return {"cards_folder": tmp_path / "cards", "place": WeightSources(weights_folder=tmp_path / "weights")}


@pytest.fixture
def served(tmp_path):
    """A folder with a file "net.pt" of CONTENT, and the address where it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "net.pt").write_bytes(CONTENT)
    Server.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def nine(tmp_path: Path) -> str:
    path = tmp_path / "nine.yaml"
    path.write_text("name: nine\nclasses: [a, b, c, d, e, f, g, h, i]\n")
    return str(path)


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"factories_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def card(nine: str):
    def make(weights: Path | str | None, **changes) -> ModelCard:
        fields = {"name": "mine", "source": "file", "arch": "timm:test_resnet", "labels": nine}
        fields |= {"preprocess": {**HALF, "resize": 36}, "weights": weights and str(weights)}
        return ModelCard.model_validate({**fields, **changes})

    return make


@pytest.fixture(scope="session")
def photographs() -> Path:
    folder = Path(os.environ.get("BENCH_TEST_DATA", "nowhere")) / "imagenet-sample"
    if not folder.is_dir():
        pytest.skip("set BENCH_TEST_DATA to a folder that holds imagenet-sample/WNID/*.JPEG")
    return folder
