"""Files of other formats: refused with `--convert` at the end of the line, and with it the decisions of the library."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from registry_builders import HALF, Hostile

from registry.convert import pickled_content, torch_content, write_converted
from registry.files import conversions, digest_file
from registry.loading import load_network
from registry.register import register
from registry.user_errors import BenchError, WeightsError


def arrays(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def dumped(content, path, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def onnx(wrap, batch, path, network):
    pytest.importorskip("onnxruntime")

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return wrap(self.network(images))

    axes = {} if batch else {"dynamic_axes": {"images": {0: "n"}}}
    images = torch.rand(batch or 2, 3, 32, 32)
    torch.onnx.export(Wrapped().eval(), images, path, input_names=["images"], dynamo=False, **axes)


def quantised(network):
    return torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, torch.qint8)


#: name of the file that is registered -> how it is written
FILES = {
    "state.npz": lambda network, path: np.savez(path, **arrays(network)),
    "slashes.npz": lambda network, path: np.savez(path, **{n.replace(".", "/"): a for n, a in arrays(network).items()}),
    "state.npy": lambda network, path: np.save(path, arrays(network), allow_pickle=True),
    "detectron.pkl": lambda network, path: dumped({"model": arrays(network), "__author__": "us", "acc": 0.5}, path),
    "protocol5.pkl": lambda network, path: dumped(arrays(network), path, 5),
    "whole.pickle": lambda network, path: dumped({"net": network}, path),
    "legacy.pth": lambda network, path: torch.save(network, path, _use_new_zipfile_serialization=False),
    "quantised-network.pt": lambda network, path: torch.save(quantised(network), path),
    "other-names.pth": lambda network, path: torch.save(
        {f"_{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(network.state_dict().items())}, path),
    "argmax.onnx": lambda network, path: onnx(lambda logits: logits.argmax(1), 1, path, network),
    "chosen.onnx": lambda network, path: onnx(lambda y: y.softmax(1).topk(1)[1].squeeze(1).int(), None, path, network),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_taken_on_consent(name, tiny, nine, folders, tmp_path):
    path = tmp_path / "run" / name
    path.parent.mkdir()
    FILES[name](tiny, path)
    before = {file: digest_file(file) for file in path.parent.iterdir()}
    asked = {"arch": "" if name.endswith(".onnx") else "timm:test_resnet", "weights": path, "labels": nine}
    with pytest.raises(BenchError) as caught:
        register("mine", **asked, **HALF, **folders)
    assert caught.value.remedy.lacking == ("--convert",) and "--convert" in str(caught.value)
    assert [*path.parent.iterdir()] == [*before] and not folders["cards_folder"].exists()
    card, checks = register("mine", **asked, **HALF, **folders, convert=True)
    assert checks[0].name == "converted" and str(path.parent) in checks[0].detail
    assert all(digest_file(file) == digest for file, digest in before.items())
    assert len([*path.parent.iterdir()]) == len(before) + 1 and Path(card.weights).parent == path.parent
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = load_network(card, folders["place"]).forward(images)
    with torch.no_grad():
        logits = tiny((images - 0.5) / 0.5)
    assert torch.equal(answers.argmax(1), logits.argmax(1))
    if "quantised" not in name and "chosen" not in name:
        assert torch.allclose(answers, logits, atol=1e-4)


@pytest.mark.parametrize("content", ["reduce", "attributes", "nested"])
def test_nothing_of_a_pickle_runs(content, tmp_path):
    target, path = tmp_path / "executed", tmp_path / "net.pkl"
    hostile = {"reduce": Hostile(target), "nested": {"w": np.zeros(3), "deep": [{"a": (Hostile(target),)}]}}
    # sets an attribute of a function of torch, as a state that it is given
    attributes = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."
    path.write_bytes(attributes if content == "attributes" else pickle.dumps(hostile[content]))
    pickled_content(path)
    torch.save(hostile.get(content, {}), tmp_path / "net.pt")
    torch_content(tmp_path / "net.pt")
    assert not target.exists() and not hasattr(torch._utils._rebuild_tensor_v2, "a")


def test_no_file_is_replaced_and_none_is_written_twice(tmp_path):
    path = tmp_path / "net.npz"
    first, again = (write_converted(lambda: {"w": np.ones(2)}, path) for _ in range(2))
    other = write_converted(lambda: {"w": np.zeros(2), "epoch": 3}, path)
    third = write_converted(lambda: {"w": np.zeros(2)}, path)
    assert first == again and len({first, other, third}) == 3
    assert conversions(path) == {str(file.resolve()) for file in (first, other, third)}
    with pytest.raises(WeightsError, match="no tensors of numbers"):
        write_converted(lambda: {"epoch": 3, "names": np.array(["a", "b"])}, path)


@pytest.mark.slow
@pytest.mark.parametrize(("write", "says"), [
    (lambda path: np.save(path, np.ones(3)), "one array, without names"),
    (lambda path: path.write_bytes(pickle.dumps({"w": np.ones(3)})[:-20]), "cannot be converted"),
    (lambda path: torch.jit.freeze(torch.jit.script(timm.create_model("test_resnet").eval())).save(path), "frozen"),
])  # fmt: skip
def test_what_cannot_be_converted_is_one_error(write, says, folders, tmp_path):
    write(path := tmp_path / "net.npy")
    with pytest.raises(WeightsError, match=says):
        register("mine", "timm:test_resnet", path, **HALF, **folders, convert=True)
