"""Observers that only decide: functions of Python, and ONNX files."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from registry.families.predict import PREFIX, predicting
from registry.labels import decide, label_space
from registry.loading import load_network
from registry.register import register
from registry.user_errors import AnswerError, CardError, WeightsError

CODE = """
import numpy as np
import torch
WEIGHT = np.random.default_rng(0).normal(size=(3, 9))
def predict(images):
    assert images.dtype == np.float32 and images.shape[1] == 3 and 0 <= images.min() <= images.max() <= 1
    return images.mean(axis=(2, 3)) @ WEIGHT
def numbers(images):
    return predict(images).argmax(axis=1)
def names(images):
    return ["na" if row.max() > 1.2 else "abcdefghi"[row.argmax()] for row in predict(images)]
def shares(images):
    return torch.from_numpy(predict(images)).softmax(1).requires_grad_()
class Held:
    def predict(self, images):
        return predict(images)
def one(images):
    return predict(images)[:, :4]
def table(images):
    return [["a"] * 9] * len(images)
def word(images):
    return ["zebra"] * len(images)
def late(images):
    return predict(images).argmax(axis=1) + 9 * (images.shape[2] == 64)
def fails(images):
    raise ValueError("no such thing")
def turns(images):
    rows = torch.from_numpy(predict(images)).softmax(1).numpy()
    return rows if images.shape[2] == 32 else rows * 2
def build():
    return torch.nn.Linear(1, 1)
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"zz_deciding_{tmp_path.name}"
    file = tmp_path / f"{name}.py"
    file.write_text(CODE)
    yield lambda function: f"python:{file}:{function}"
    sys.modules.pop(name, None)


def test_logits_probabilities_and_labels_of_a_function_decide_alike(code, nine, folders):
    images, answers = torch.rand(40, 3, 32, 32) ** torch.linspace(0.2, 4, 40).view(-1, 1, 1, 1), {}
    for name in ("predict", "Held", "shares", "numbers", "names"):
        card, checks = register(name, code(name), labels=nine, size=32, **folders)
        assert (card.source, card.arch.startswith(PREFIX), card.gradients) == ("predict", True, False)
        assert all(check.ok for check in checks)
        answers[name] = load_network(card, folders["place"]).forward(images)
    weight = np.random.default_rng(0).normal(size=(3, 9))
    rows = images.mean((2, 3)).double().numpy() @ weight
    assert np.allclose(answers["predict"][:, :9], rows, atol=1e-5)
    assert torch.equal(answers["predict"], answers["Held"])
    assert float(answers["predict"].softmax(1)[:, 9].max()) == 0  # "nothing" is never what logits say
    grouping = label_space(nine).grouping("nine")
    shares = {name: decide(logits, grouping) for name, logits in answers.items()}
    assert torch.allclose(shares["predict"], shares["shares"], atol=1e-6)
    expected, silent = rows.argmax(1), rows.max(1) > 1.2
    assert 0 < silent.sum() < 40
    assert [part.tolist() for part in shares["numbers"].max(1)] == [[1.0] * 40, expected.tolist()]
    assert answers["names"].argmax(1).tolist() == np.where(silent, 9, expected).tolist()  # the tenth output: nothing


@pytest.mark.parametrize(("function", "error", "says"), [
    ("one", AnswerError, r"returned \(4, 4\) of float64 for 4 images: expected \(4,\) labels"),
    ("table", AnswerError, r"returned \(4, 9\) of <U1 for 4 images"),
    ("word", AnswerError, "answered 'zebra': expected a class, its number from 0 to 8"),
    ("fails", CardError, r"fails on 4 images \(no such thing"),
    ("gone", CardError, "has no function 'gone'"),
])  # fmt: skip
def test_other_answers_are_refused(function, error, says, code, nine, folders):
    with pytest.raises(error, match=says):
        register("mine", code(function), labels=nine, size=32, **folders)


@pytest.mark.parametrize("function", ["late", "turns"])
def test_answers_that_change_their_kind_later_are_refused(function, code, nine, folders):
    card, _ = register("mine", code(function), labels=nine, size=32, **folders)
    with pytest.raises(AnswerError, match=r"answered '1?\d'|gave rows that are none"):
        load_network(card, folders["place"]).forward(torch.rand(3, 3, 64, 64))
    assert predicting(code("build")) == code("build")  # a factory of networks
    with pytest.raises(CardError, match="features"):
        load_network(card, folders["place"], bare=True)
    with pytest.raises(CardError, match="--weights is not for"):
        register("other", code("predict"), "net.pt", labels=nine, **folders)


class Net(nn.Module):
    def __init__(self, end=None, last=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.end, self.last = nn.Conv2d(3, 16, 5, stride=3), nn.Linear(16, 9), end, last
        self.head.weight.data *= 20

    def forward(self, x):
        x = (x.permute(0, 3, 1, 2).float() / 255 - 0.5) * 2 if self.last else x
        x = self.head(torch.relu(self.conv(x)).mean((2, 3)))
        return self.end(x) if self.end else x


def exported(net, path, example, *, free=("n",), dynamo=False, **more):
    axes = {"x": dict(zip((0, 2, 3), free, strict=False))}
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(net.eval(), (example,), str(path), dynamo=dynamo, dynamic_axes=axes, **names, **more)
    return path


CHANCE = torch.Generator().manual_seed(1)
IMAGES = (torch.rand(30, 3, 1, 1, generator=CHANCE) + torch.rand(30, 3, 32, 32, generator=CHANCE)) / 2
HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
pytestmark = pytest.mark.filterwarnings("ignore:You are using the legacy")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    for needed in ("onnx", "onnxruntime"):
        pytest.importorskip(needed)
    folder, example = tmp_path_factory.mktemp("onnx"), torch.rand(2, 3, 32, 32)
    pixels = (example * 255).permute(0, 2, 3, 1).to(torch.uint8)
    return {
        "plain": exported(Net(), folder / "plain.onnx", example),
        "softmax": exported(Net(nn.Softmax(1)), folder / "softmax.onnx", example),
        "last": exported(Net(last=True), folder / "last.onnx", pixels),
        "any": exported(Net(), folder / "any.onnx", example, free="nhw"),
        "one": exported(Net(), folder / "one.onnx", example[:1], free=""),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "softmax", "last", "any", "one"])
def test_an_onnx_network_decides_as_the_network_that_it_was(kind, programs, nine, folders):
    how = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "scale": 255.0} if kind == "last" else HALF
    size = {"size": 32} if kind == "any" else {}
    card, checks = register("net", "", programs[kind], labels=nine, **how, **size, **folders)
    assert (card.source, card.arch, card.gradients) == ("onnx", "onnx", False)
    assert (card.preprocess.size, card.preprocess.fixed_size) == (32, kind != "any")
    assert all(check.ok for check in checks)
    model, images = load_network(card, folders["place"]), (IMAGES * 255).round() / 255
    expected = Net().eval()((images - 0.5) / 0.5)
    assert len(set(expected.argmax(1).tolist())) >= 3
    answers = model.forward(images)
    expected = expected.log_softmax(1) if kind == "softmax" else expected
    assert torch.allclose(answers, expected, atol=1e-4)
    assert torch.equal(decide(answers, model.labels.grouping("nine")).argmax(1), expected.argmax(1))


@pytest.mark.parametrize(("kind", "options", "says"), [
    ("plain", {}, "Give mean, std"),
    ("any", HALF, "Give size"),
    ("plain", {**HALF, "size": 64}, "takes images of 32 px, not of 64. Leave --size out"),
    ("plain", {**HALF, "labels": "imagenet1k"}, r"returned \(2, 9\) for 2 images"),
    ("torn", HALF, r"torn\.onnx cannot be read \(.*Truncated, or no ONNX file"),
    ("gone", HALF, r"gone\.onnx is not there"),
    ("features", HALF, r"takes x tensor\(float\) \['n', 12\]. Expected one input of square images"),
    ("two", HALF, "takes a .*, b .*Expected one input"),
    ("oblong", HALF, "Expected one input of square images"),
])  # fmt: skip
@pytest.mark.slow
def test_what_is_no_classifier_of_images_is_refused(kind, options, says, programs, nine, folders, tmp_path):
    file = programs.get(kind, tmp_path / f"{kind}.onnx")
    if kind == "torn":
        file.write_bytes(programs["plain"].read_bytes()[:500])
    elif kind == "features":
        exported(nn.Linear(12, 9), file, torch.rand(2, 12))
    elif kind == "oblong":
        exported(Net(), file, torch.rand(2, 3, 32, 40))
    elif kind == "two":
        net = type("Two", (Net,), {"forward": lambda self, a, b: Net.forward(self, a + b)})()
        torch.onnx.export(net, (IMAGES[:1],) * 2, str(file), dynamo=False, input_names=["a", "b"])
    with pytest.raises((WeightsError, CardError), match=says):
        register("net", "onnx", file, **{"labels": nine, **options}, **folders)
    assert not list(folders["cards_folder"].glob("*.yaml"))


@pytest.mark.release
def test_tensors_lie_in_the_files_own_folder_and_nowhere_else(nine, folders, tmp_path):
    import onnx

    file = tmp_path / "net.onnx"
    torch.onnx.export(Net().eval(), (IMAGES[:2],), str(file), dynamic_shapes={"x": {0: torch.export.Dim("n")}})
    data = tmp_path / "net.onnx.data"
    assert data.is_file()
    card, _ = register("net", "onnx", file, labels=nine, **HALF, **folders)
    answers = load_network(card, folders["place"]).forward(IMAGES)
    assert torch.allclose(answers, Net().eval()((IMAGES - 0.5) / 0.5), atol=1e-4)
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    with pytest.raises(WeightsError, match="expected digest"):
        load_network(card, folders["place"])
    program = onnx.load_model(str(file), load_external_data=False)
    outside = tmp_path.parent / "outside.data"
    outside.write_bytes(content)
    (tmp_path / "link.data").symlink_to(outside)
    for place in ("../outside.data", str(outside), "link.data", "gone.data", "a\0b"):
        for tensor in program.graph.initializer:
            for entry in tensor.external_data:
                entry.value = place if entry.key == "location" else entry.value
        onnx.save_model(program, str(tmp_path / "other.onnx"))
        with pytest.raises(WeightsError, match="not a file of its folder"):
            register("other", "onnx", tmp_path / "other.onnx", labels=nine, **HALF, **folders)


def written(path, nodes, **constants):
    """An ONNX file of these nodes, of images x, their means m, and constants."""
    from onnx import helper

    means = helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0)
    numbers = [
        helper.make_tensor(name, 1 if isinstance(value, float) else 7, [1] if name in ("one", "n") else [], [value])
        for name, value in constants.items()
    ]
    x, y = (helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", ["n", 3, 32, 32]), ("y", None)))
    graph = helper.make_graph([means, *nodes], "graph", [x], [y], numbers)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(whole.SerializeToString())
    return path


def looping(path, least):
    """A loop of 2^62 turns where the brightest mean of a channel is above `least`, else of one."""
    from onnx.helper import make_graph, make_node, make_tensor_value_info

    turn, go, go2 = (make_tensor_value_info(name, kind, []) for name, kind in (("turn", 7), ("go", 9), ("go2", 9)))
    v, v2 = (make_tensor_value_info(name, 1, None) for name in ("v", "v2"))
    nodes = [make_node("Identity", ["go"], ["go2"]), make_node("Add", ["v", "v"], ["v2"])]
    nodes = [
        make_node("ReduceMax", ["m"], ["top"], keepdims=0), make_node("Greater", ["top", "least"], ["is"]),
        make_node("Where", ["is", "most", "once"], ["turns"]),
        make_node("Loop", ["turns", "", "m"], ["y"], body=make_graph(nodes, "body", [turn, go, v], [go2, v2])),
    ]  # fmt: skip
    return written(path, nodes, most=2**62, once=1, least=least)


def expanding(path, numbers):
    from onnx.helper import make_node

    nodes = [make_node("Expand", ["one", "n"], ["e"]), make_node("ReduceMean", ["e"], ["r"])]
    return written(path, [*nodes, make_node("Mul", ["m", "r"], ["y"])], one=1.0, n=numbers)


@pytest.mark.release
def test_a_file_that_takes_too_much_is_refused_before_it_is_opened_here(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("registry.programs.SECONDS", 1)
    (tmp_path / "abc.txt").write_text("a\nb\nc")
    how = {**HALF, "labels": tmp_path / "abc.txt", **folders}
    for file, says in (
        (looping(tmp_path / "loop.onnx", -1.0), "it does not end"),
        (expanding(tmp_path / "expand.onnx", 1_476_000_000), "it asks for more memory"),
    ):
        with pytest.raises(WeightsError, match=rf"{file.name} cannot be read \({says}.*4\.0 GiB"):
            register("net", "onnx", file, **how)
    register("net", "onnx", expanding(tmp_path / "small.onnx", 1000), **how)


@pytest.mark.slow
def test_a_batch_of_a_run_has_a_deadline(folders, tmp_path, monkeypatch, capfd):
    file = looping(tmp_path / "loop.onnx", 0.99)  # pictures of a proof and of registration do not set it off
    (tmp_path / "abc.txt").write_text("a\nb\nc")
    how = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "labels": tmp_path / "abc.txt"}
    card, _ = register("net", "onnx", file, **how, **folders)
    model = load_network(card, folders["place"])
    monkeypatch.setattr("registry.families.onnx.DEADLINE", 0.3)
    with pytest.raises(AnswerError, match=r"a batch of 2 images was not done after 0\.3 s"):
        model.forward(torch.ones(2, 3, 32, 32))
    assert capfd.readouterr() == ("", "")  # no coloured lines of onnxruntime's log
