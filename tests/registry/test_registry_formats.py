"""Every row of the table of files in docs/models.md: a file as it lies about, written and registered."""

import argparse
import collections
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from registry.errors import BenchError, WeightsError
from registry.files import Place, digest_state
from registry.loading import load_model
from registry.register import register

HALF = {"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def zeros(state):
    return {name: tensor * 0 for name, tensor in state.items()}


class Trainer:
    """A class of somebody's training script, of which nothing is known here."""


def script(state):
    args = argparse.Namespace(lr=np.float64(0.1), out=pathlib.Path("runs"), seeds=np.arange(3))
    best = {"best": np.float32(0.7), "history": collections.defaultdict(list, {"acc": [0.1]})}
    return {"model": state, "args": args, "epoch": 3, **best, "queue": collections.deque([1])}


COUNTERS = {"n_averaged": torch.tensor(3), "criterion.weight": torch.ones(9), "step": torch.tensor(7)}
#: row of the table -> (state dict -> what `torch.save` writes, what the check "weights" says)
READ = {
    "a state dict": (lambda s: s, "the whole file"),
    "with `args`, numpy scalars, paths": (script, "model; ignored: args, epoch, best, history, queue"),
    "under any prefix": (lambda s: {"state_dict": under("wrapped.by.us.", s)}, "state_dict.wrapped.by.us"),
    "thop, losses, optimizer": (
        lambda s: {"state_dict": {**s, **COUNTERS, "conv1.0.total_ops": torch.zeros(1)},
                   "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        "state_dict; ignored: optimizer, n_averaged, criterion.weight, step, conv1.0.total_ops",
    ),
    "average beside plain weights": (
        lambda s: {"state_dict": zeros(s), "state_dict_ema": s}, "state_dict_ema; state_dict would fit too",
    ),
    "Lightning with an average inside": (
        lambda s: {"state_dict": {**under("model.", zeros(s)), **under("ema_model.", s)}, "loops": {}},
        "state_dict.ema_model; state_dict.model would fit too",
    ),
    "teacher and student": (
        lambda s: {"student": under("backbone.", zeros(s)), "teacher": under("backbone.", s)},
        "teacher.backbone; student.backbone would fit too",
    ),
    "a teacher of another architecture": (
        lambda s: {"state_dict": {**under("student.", s), "teacher.stem.weight": torch.ones(4)}},
        "state_dict.student; ignored: teacher.stem.weight",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("row", READ)
def test_a_file_that_is_read(row, tiny, nine, folders, tmp_path):
    write, says = READ[row]
    torch.save(write(tiny.state_dict()), tmp_path / "net.pt")
    card, checks = register("mine", "timm:test_resnet", tmp_path / "net.pt", labels=nine, **HALF, **folders)
    assert card.sha256 == digest_state(tiny.state_dict())
    weights = next(check.detail for check in checks if check.name == "weights")
    assert weights.startswith(says), weights
    assert load_model(card, Place(tmp_path)).digest == card.sha256
    assert ("would fit" in weights) == ("key" in card.options)  # the choice is frozen


@pytest.mark.slow
def test_key_overrules_the_choice(tiny, nine, folders, tmp_path):
    state = tiny.state_dict()
    save = {"state_dict": {**under("model.", state), **under("ema_model.", zeros(state))}}
    torch.save(save, tmp_path / "net.pt")
    how = {**HALF, **folders, "labels": nine, "key": "model"}
    card, checks = register("mine", "timm:test_resnet", tmp_path / "net.pt", **how)
    assert card.sha256 == digest_state(state)
    assert checks[0].detail.startswith("state_dict.model; state_dict.ema_model would fit too")
    with pytest.raises(WeightsError, match="no weights under the key 'swa'; it holds some under state_dict"):
        register("two", "timm:test_resnet", tmp_path / "net.pt", **{**how, "key": "swa"})


def saved_object(state, path):
    torch.save({"state_dict": state, "trainer": Trainer()}, path)


def headless(state, path):
    torch.save({name: value for name, value in state.items() if not name.startswith("fc")}, path)


def large_head(state, path):
    head = {"fc.weight": torch.zeros(21843, 96), "fc.bias": torch.zeros(21843)}
    torch.save({**state, **head}, path)


#: row of the table -> (file, writer, what the error says)
REFUSED = {
    "an object of a class of one's own": ("net.pt", saved_object, r"holds '[\w.]+\.Trainer'.*python -c"),
    "ONNX": ("net.onnx", lambda state, path: path.write_bytes(b"\x08\x07"), r"ONNX file.*torch\.export\.save"),
    "a backbone without a head": ("net.pt", headless, "Only the head is missing.*bench register mine .*--probe world"),
    "21,843 outputs": ("net.pt", large_head, "class count 21843 does not fit the label space: --labels imagenet21k"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("row", REFUSED)
def test_a_file_that_is_refused(row, tiny, nine, folders, tmp_path):
    name, write, message = REFUSED[row]
    write(tiny.state_dict(), tmp_path / name)
    with pytest.raises(BenchError, match=message) as caught:
        register("mine", "timm:test_resnet", tmp_path / name, labels=nine, **HALF, **folders)
    assert "\n" not in str(caught.value)
    assert not folders["cards_folder"].exists()


@pytest.mark.slow
def test_the_conversion_line_can_be_pasted(tiny, tmp_path, monkeypatch):
    (tmp_path / "trainer.py").write_text("class Trainer:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from trainer import Trainer as Theirs

    for content in ({"model": tiny.state_dict(), "t": Theirs()}, {"model": tiny, "t": Theirs()}):
        path = tmp_path / "a net's.pt"
        torch.save(content, path)
        with pytest.raises(WeightsError, match="python -c") as caught:
            from registry.checkpoints import read_weights

            read_weights(path, {})
        line = re.search(r"(python -c .*) and register", str(caught.value))[1]
        line = line.replace("python", shlex.quote(sys.executable), 1)
        subprocess.run(line, shell=True, check=True, cwd=tmp_path)
        state = load_file(path.with_suffix(".safetensors"))
        assert digest_state(state) == digest_state(tiny.state_dict())


STATIC = (1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("batch", STATIC)
def test_a_program_of_one_batch_size_runs_at_it(batch, tiny, nine, folders, tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(tiny, (torch.rand(batch, 3, 32, 32),)), path)
    card, _ = register("mine", "export", path, labels=nine, **HALF, **folders)
    model = load_model(card, Place(tmp_path))
    images = torch.rand(6, 3, 32, 32)
    expected = tiny((images - 0.5) / 0.5)
    assert torch.allclose(model.forward(images), expected, atol=1e-5)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(model.forward(images).sum(), images)
    assert bool((gradient.abs().amax((1, 2, 3)) > 0).all())


OUTPUTS = """
from collections import namedtuple
from dataclasses import dataclass
from {module} import Net
import torch

Pair = namedtuple("Pair", "main aux")

@dataclass
class ModelOutput:
    loss: object
    logits: torch.Tensor

class Tuple(Net):
    def forward(self, x):
        y = super().forward(x)
        return y.new_zeros(len(y), 77), y, y + 1

class Named(Net):
    def forward(self, x):
        y = super().forward(x)
        return Pair(y, y + 1)

class Mapping(Net):
    def forward(self, x):
        return {{"aux": 0, "logits": super().forward(x)}}

class Output(Net):
    def forward(self, x):
        return ModelOutput(None, super().forward(x))

class Features(Net):
    def forward(self, x):
        return super().forward(x)[:, :5]

class Large(Net):
    def forward(self, x):
        return super().forward(x).repeat(1, 2427)[:, :21843]

class Nothing(Net):
    def forward(self, x):
        return "a text"
"""


@pytest.fixture
def outputs(factories, tmp_path):
    (tmp_path / f"outputs_{factories}.py").write_text(OUTPUTS.format(module=factories))
    return f"outputs_{factories}"


@pytest.mark.parametrize(
    "kind", ["Tuple", "Mapping", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("Named", "Output"))]
)
def test_logits_are_found_in_what_a_factory_returns(kind, outputs, factories, nine, folders, tmp_path):
    from importlib import import_module

    state = import_module(factories).seeded().state_dict()
    save_file(state, tmp_path / "net.safetensors")
    weights = tmp_path / "net.safetensors"
    arch = f"python:{outputs}:{kind}"
    card, _ = register("mine", arch, weights, labels=nine, **HALF, **folders)
    plain, _ = register("two", f"python:{factories}:Net", weights, labels=nine, **HALF, **folders)
    images = torch.rand(3, 3, 32, 32)
    found, wanted = (load_model(one, Place(tmp_path)).forward(images) for one in (card, plain))
    assert torch.equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Features", r"returned \(2, 5\).*backbone without a classifier"),
        ("Large", r"returned \(2, 21843\).*21843 outputs are those of --labels imagenet21k"),
        ("Nothing", "returned str for 2 images.*one row of logits per image"),
    ],
)
def test_what_is_no_logits_is_named(kind, message, outputs, nine, folders):
    with pytest.raises(WeightsError, match=message):
        register("mine", f"python:{outputs}:{kind}", labels=nine, **HALF, **folders)
