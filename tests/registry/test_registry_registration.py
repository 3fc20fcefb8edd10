"""Registering and checking: what is written, what is refused with nothing written; factories in files of their own."""

import sys
from contextlib import nullcontext

import pytest
import torch
from registry_builders import HALF, details

from benchmark.engine.device_choice import Tuning
from benchmark.engine.devices import feed
from registry.architectures import build_network
from registry.cards import read_cards
from registry.download import missing_weights
from registry.labels import label_space
from registry.loading import load_network
from registry.register import register
from registry.user_errors import CardError, LabelError, UnknownName, WeightsError

NAMES = ["bear", "cat", "dog", "oven", "clock", "knife", "truck", "chair", "bird"]


@pytest.mark.slow
def test_the_order_of_the_classes_that_a_checkpoint_states_is_its_label_space(tiny, tmp_path, nine, folders):
    order = {name: i for i, name in enumerate(NAMES)}
    torch.save({"state_dict": tiny.state_dict(), "class_to_idx": order}, tmp_path / "net.pt")
    card, checks = register("mine", "timm:test_resnet", tmp_path / "net.pt", **folders)
    assert label_space(card.labels).classes == tuple(NAMES) and "by class_to_idx" in details(checks)["labels"]
    with pytest.raises(LabelError, match="it has 1000 classes, and 9 are named"):
        register("other", "timm:test_resnet", tmp_path / "net.pt", labels="imagenet1k", **folders)
    torch.save(tiny.state_dict(), tmp_path / "plain.pt")
    (tmp_path / "labels.txt").write_text("\n".join(NAMES[::-1]))
    card, _ = register("third", "timm:test_resnet", tmp_path / "plain.pt", **folders)
    assert label_space(card.labels).classes == tuple(NAMES[::-1])


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"weights": "none.pt"}, WeightsError, "is not there"),
    ({"labels": "world16"}, WeightsError, "class count"),
    ({"labels": "imagenet"}, UnknownName, "imagenet1k"),
    ({"arch": "timm:resnet18"}, WeightsError, "does not fit the architecture"),
    ({"arch": "resnet18"}, CardError, "did you mean timm:resnet18 or torchvision:resnet18"),
    ({"name": "a b"}, CardError, "field 'name'"), ({"name": "chance"}, CardError, "another name than chance"),
    ({"arch": "export", "options": {"templates": "7"}}, CardError, "asked in texts"),
    ({"arch": "export", "key": "ema"}, CardError, "taken whole"),
    ({"labels": "list.txt", "arch": "timm:resnet18"}, WeightsError, "does not fit the architecture"),
    ({"std": (0, 1, 1)}, CardError, "field 'std"), ({"size": 600, "resize": 500}, CardError, "at least size"),
    ({"mean": (127.0, 0.5, 0.5)}, CardError, "mean.*--scale 255"),  # a network would see one grey
    ({"mean": (-0.1, 0.5, 0.5)}, CardError, "mean.*--scale"),
    ({"mean": (256.0, 0.5, 0.5), "scale": 255.0}, CardError, "within 0..255"),
])  # fmt: skip
def test_refusals_write_nothing(arguments, error, message, tiny, nine, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("\n".join(NAMES))
    torch.save({"state_dict": tiny.state_dict()}, tmp_path / "net.pt")
    given = {"name": "mine", "arch": "timm:test_resnet", "weights": tmp_path / "net.pt", "labels": nine}
    with pytest.raises(error, match=message):
        register(**{**given, **arguments}, **folders)
    assert not [*folders["cards_folder"].rglob("*.*")]


@pytest.mark.parametrize(("network", "said"), [
    ("Probabilities", "logits, not probabilities: [^;]*remove the softmax"),
    ("Noisy", "same answer twice: [^;]*differ by up to"),
    ("Infinite", "finite logits: [^;]*NaN or infinite"),
    ("Detached", "gradients reach the input: [^;]*none"),
    ("Flat", "gradients reach the input: [^;]*gradient is 0"),
    ("Recast", "gradients reach the input: [^;]*every answer casts or replaces conv.weight"),
    ("Neighbours", "same answer alone: [^;]*its batch decides"),
    ("Features", r"returned \(2, 5\).*fits one to a backbone"),
    ("Large", r"returned \(2, 21843\).*21843 outputs are those of label space imagenet21k"),
    ("Nothing", "returned str for 2 images.*a logit for each class"),
    ("Several", r"2 outputs of shape \(2, 9\).*--output 0 or --output 1.deep"),
])  # fmt: skip
def test_a_network_that_fails_a_check_or_gives_no_logits(network, said, nine, factories, folders):
    with pytest.raises(WeightsError, match=said):
        register("mine", f"python:{factories}:{network}", labels=nine, **HALF, **folders)
    assert not folders["cards_folder"].exists()


def test_weights_that_the_first_answer_casts_pass_gradients_on(nine, factories, folders):
    """An answer in inference mode would leave tensors that autograd refuses; tuning answers before the run does."""
    card, _ = register("mine", f"python:{factories}:CastOnce", labels=nine, **HALF, **folders)
    fed = feed(load_network(card, folders["place"]), Tuning(2), device="cpu")
    with torch.inference_mode():
        fed.run(torch.rand(2, 3, 32, 32))
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    assert torch.autograd.grad(fed.run(x).sum(), x)[0].abs().max() > 0 and not fed.moved


BLIND = """
import torch
class Net(torch.nn.Module):
    def __init__(self, num_classes=9, share=1.0):
        super().__init__()
        self.share, self.told = share, torch.nn.Parameter(torch.arange(9.0))
    def forward(self, x):
        return self.told + self.share * 20 * x[:, 0, :3, :3].flatten(1)
"""


def test_a_network_that_does_not_look_is_refused(nine, folders, tmp_path):
    """A constant, and one that is fed a hundredth of the contrast; not one that looks."""
    (tmp_path / "zz_blind.py").write_text(BLIND)
    for share in (0.0, 1e-3, 1.0):
        how = {"labels": nine, "arch_option": [f"share={share}"], **HALF, **folders}
        expected = "answers differ between images: .*--mean, --std and --scale"
        with nullcontext() if share == 1 else pytest.raises(WeightsError, match=expected):
            register("mine", f"python:{tmp_path / 'zz_blind.py'}:Net", **how)


@pytest.mark.slow
def test_random_weights_come_from_their_seed_and_are_called_untrained(nine, folders):
    state, how = torch.random.get_rng_state(), {"labels": nine, "training": ("own",), **folders}
    cards = [register(f"n{at}", "timm:test_resnet", f"random:{seed}", **how)[0] for at, seed in enumerate((0, 0, 1))]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert cards[0].sha256 == cards[1].sha256 != cards[2].sha256
    assert (cards[0].weights, cards[0].source, cards[0].training) == ("random:0", "timm", ("untrained", "own"))
    again = load_network(cards[0], folders["place"])
    assert again.digest == cards[0].sha256 and not again.module.training
    assert not missing_weights(cards[0], folders["place"])


@pytest.mark.slow
def test_a_factory_that_takes_one_size_only_is_registered_so(nine, folders, tmp_path, factories):
    code = "from torch import nn\ndef fixed():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 96 * 96, 9))\n"
    (tmp_path / "zz_fixed.py").write_text(code)
    how = {**HALF, **folders, "size": 96, "labels": nine}
    card, _ = register("one", f"python:{tmp_path / 'zz_fixed.py'}:fixed", "random:0", **how)
    assert card.preprocess.fixed_size and read_cards(folders["cards_folder"])["one"] == card
    model = load_network(card, folders["place"])
    for given in (64, 224, 300):
        assert model.forward(model.fit(torch.rand(2, 3, given, given))).shape == (2, 9)
    any_size, _ = register("any", f"python:{factories}:seeded", **how)
    assert not any_size.preprocess.fixed_size


NET = """
import torch
from {layers} import Net
def build():
    torch.manual_seed(0)
    return Net()
"""
LAYERS = """
from torch import nn
def Net():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 9))
"""


@pytest.fixture(autouse=True)
def path_and_modules(monkeypatch):
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


def test_it_registers_beside_the_user_and_loads_from_another_folder(nine, folders, tmp_path, monkeypatch):
    whole = written(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    card, _ = register("mine", "python:./zz_net.py:build", labels=nine, **HALF, **folders)
    assert card.arch == whole
    monkeypatch.chdir(tmp_path)
    images = torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    expected = torch.nn.Linear(3, 9)((images * 2 - 1).mean((2, 3)))
    assert torch.allclose(load_network(card, folders["place"]).forward(images), expected, atol=1e-6)


def test_a_name_that_another_module_has_is_refused(tmp_path):
    build_network(written(tmp_path / "first"), 9)
    for net, layers, taken in (
        ("zz_net", "zz_other", "zz_net"), ("zz_new", "zz_layers", "zz_layers"), ("torch", "zz_other", "torch")
    ):  # fmt: skip
        arch = written(tmp_path / "second", net, layers)
        with pytest.raises(CardError, match=rf"second/{taken}\.py: another module is called '{taken}'.*Rename"):
            build_network(arch, 9)
    assert "zz_new" not in sys.modules
