"""Exported programs: they run, and an archive that would run anything else is refused unopened."""

import json
import zipfile

import pytest
import timm
import torch
from registry_builders import HALF, Hostile
from tensors import assert_close
from torch import nn

from registry.determinism_checks import check_network
from registry.families.exported import checked_archive, is_plain
from registry.files import WeightSources
from registry.loading import load_network
from registry.register import register
from registry.user_errors import WeightsError


def exported(module, path, example=None, **shapes):
    example = torch.rand(2, 3, 32, 32) if example is None else example
    shapes = shapes or {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=512)},)}
    torch.export.save(torch.export.export(module.eval(), (example,), **shapes), path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory, tiny):
    return exported(tiny, tmp_path_factory.mktemp("exported") / "net.pt2")


@pytest.fixture
def loaded(card, tmp_path):
    place = WeightSources(weights_folder=tmp_path)
    return lambda path, **changes: load_network(card(path, source="export", arch="export", **changes), place)


def rewrite(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


@pytest.mark.slow
def test_a_program_answers_like_its_network(program, tiny, loaded):
    model, x = loaded(program), torch.rand(3, 3, 32, 32)
    assert_close(model.forward(x), tiny((x - 0.5) / 0.5), rtol=1e-4, atol=1e-5)
    assert model.code
    assert all(result.ok for result in check_network(model)), check_network(model)


@pytest.mark.release
def test_a_program_of_one_batch_size_runs_at_it(tiny, nine, folders, tmp_path):
    path = exported(tiny, tmp_path / "net.pt2", torch.rand(4, 3, 32, 32), dynamic_shapes=None)
    card, _ = register("mine", "export", path, labels=nine, **HALF, **folders)
    images = torch.rand(6, 3, 32, 32, requires_grad=True)
    logits = load_network(card, WeightSources(weights_folder=tmp_path)).forward(images)
    assert_close(logits, tiny((images - 0.5) / 0.5), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert bool((gradient.abs().amax((1, 2, 3)) > 0).all())


@pytest.mark.release
def test_sample_inputs_are_not_read(program, tmp_path, loaded):
    target, inner = tmp_path / "executed", tmp_path / "inputs.pt"
    torch.save(((Hostile(target),), {}), inner)
    hostile = inner.read_bytes()
    loaded(rewrite(program, tmp_path / "odd.pt2", lambda name, own: hostile if "sample_inputs" in name else own))
    assert not target.exists()


PLAIN = [
    "s77", "2*s0 + FloorDiv(s1, 2)", "Symbol('s77', positive=True, integer=True)", "Ne(s0, 1) and s0 >= 2",
    "L['x'].size()[0] <= 512",
]  # fmt: skip
NOT_PLAIN = ["Symbol('open(1)')", "sympify('s0')", "__import__('os')", "().__class__", "open(s0)", "S('x')",
             "[x for x in s0]", "lambda: s0", "s0.format()", "s0; s1", "Pow(9, 99)", "factorial(99)",
             "1<<99"]  # fmt: skip


def test_only_arithmetic_on_sizes_is_plain():
    assert [text for text in [*PLAIN, *NOT_PLAIN] if is_plain(text)] == PLAIN


class Asking(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make
        self.head = nn.Linear(3, 9)

    def forward(self, x):
        return self.head(x.mean((2, 3))) + self.make(x).mean() * 0


def pointed_at(source, path, target):
    # its tensor is mapped onto a file: what is copied there is written to disk
    given = {"filename": {"as_string": str(target)}, "shared": {"as_bool": True}, "size": {"as_int": 16}}

    def change(name, content):
        if "/models/" not in name:
            return content
        document = json.loads(content)
        (node,) = (n for n in document["graph_module"]["graph"]["nodes"] if ".full." in n["target"])
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [{"name": name, "arg": value, "kind": 1} for name, value in given.items()]
        return json.dumps(document)

    return rewrite(source, path, change)


@pytest.mark.slow
def test_a_program_that_names_a_file_is_refused_and_writes_none(tmp_path, loaded):
    plain = exported(Asking(lambda x: torch.full((16,), 0.5).copy_(x.flatten()[:16])), tmp_path / "plain.pt2")
    control, target = tmp_path / "control", tmp_path / "target"
    unchecked = torch.export.load(pointed_at(plain, tmp_path / "control.pt2", control)).module()
    unchecked(torch.rand(2, 3, 32, 32))
    assert control.stat().st_size == 64  # so the attack works, where nobody looks

    path = pointed_at(plain, tmp_path / "bad.pt2", target)
    with pytest.raises(WeightsError, match=r"aten\.from_file\.default', which is not in the list"):
        loaded(path)
    assert not target.exists()


@pytest.mark.release
def test_a_program_that_asks_for_gigabytes_is_refused_by_its_proof(tmp_path, loaded):
    path = exported(Asking(lambda x: x.new_zeros((x.shape[0], 1 << 30))), tmp_path / "big.pt2")
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match=r"\(it asks for more memory\)\. It was tried .* 4\.0 GiB"):
        loaded(path)


RELU, NONE = "torch.ops.aten.relu_.default", '{"as_none": true}'
CHANGES = [
    *((RELU, f"torch.ops.{name}", "not in the list") for name in (
        "aten.from_file.default", "aten.save.default", "higher_order.print.default", "mine.relu.default",
        "aten.nonzero.default", "aten.relu.out")),
    (RELU, "_operator.methodcaller", "not in the list"),
    ("torch.ops.aten.relu", "torch.os.system", "not in the list of operators"),
    (NONE, '{"as_string": "/etc/passwd"}', "hands the text '/etc/passwd'"),
    (NONE, '{"as_custom_obj": {}}', "hands as_custom_obj"),
    (NONE, '{"as_graph": {"name": "x", "graph": {}}}', "hands the graph"),
    ('"nodes": [', '"nodes": [3, ', "TypeError"),
    ('"use_pickle": false', '"use_pickle": true', "it keeps '.*' as a pickle"),
    ('"guards_code": [', "\"guards_code\": [\"__import__('os').mkdir('executed')\", ", "guards"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "message"), CHANGES)
def test_operators_arguments_and_sizes_are_looked_at(program, tmp_path, old, new, message):
    def change(name, content):
        whole = name.endswith(".json") and content.decode()
        return whole.replace(old, new).replace(", ]", "]") if whole and old in whole else content

    with pytest.raises(WeightsError, match=message):
        checked_archive(rewrite(program, tmp_path / "bad.pt2", change))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("member", "method", "said"), [
    ("net/data/aotinductor/code.so", zipfile.ZIP_STORED, "code.so, which a program of plain tensors does not"),
    ("archive_format", zipfile.ZIP_STORED, "two members of one name"),
    ("net/data/weights/weight_999", zipfile.ZIP_DEFLATED, "compressed, which torch never writes"),
])  # fmt: skip
def test_a_member_that_torch_does_not_write(member, method, said, program, tmp_path):
    path = rewrite(program, tmp_path / "bad.pt2", lambda name, content: content)
    with zipfile.ZipFile(path, "a") as archive:
        name = next((name for name in archive.namelist() if name.endswith(member)), member)
        archive.writestr(name, bytes(2**20), method)
    with pytest.raises(WeightsError, match=said):
        checked_archive(path)


@pytest.mark.release
def test_a_weight_larger_than_its_bytes(program, tmp_path, loaded):
    def larger(name, content):
        if not name.endswith("model_weights_config.json"):
            return content
        return content.decode().replace('{"as_int": 16}, {"as_int": 3}', '{"as_int": 160000}, {"as_int": 3}', 1)

    with pytest.raises(WeightsError, match=r"cannot be read .*4\.0 GiB"):
        loaded(rewrite(program, tmp_path / "bad.pt2", larger))


@pytest.mark.release
@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet"])
def test_usual_architectures_pass(name, tmp_path, loaded):
    module, example = timm.create_model(name, num_classes=9).eval(), torch.rand(2, 3, 160, 160)
    how = {"size": 160, "resize": 160, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    model = loaded(exported(module, tmp_path / "net.pt2", example), preprocess=how)
    assert_close(model.forward(example), module(example), rtol=1e-4, atol=1e-4)
