"""Exported programs: they run, and an archive that would run anything else is refused unopened."""

import json
import os
import pickle
import zipfile

import pytest
import torch

from registry.checks import check
from registry.errors import WeightsError
from registry.exported import _plain_expression, check_archive
from registry.load import load_model


class Hostile:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (os.mkdir, (self.target,))


@pytest.fixture(scope="module")
def program(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    batch = torch.export.Dim("batch", min=1, max=512)
    exported = torch.export.export(tiny, (torch.rand(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(exported, path)
    return path


def rewrite(source, target, change):
    """Copy an archive; `change(name, content)` returns new content, or None to drop a member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_a_program_answers_like_its_network(program, tiny, card, tmp_path):
    model = load_model(card(program, source="export", arch="export"), weights_folder=tmp_path)
    x = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(model.forward(x), tiny((x - 0.5) / 0.5), rtol=1e-4, atol=1e-5)
    assert model.code
    assert all(result.ok for result in check(model)), check(model)


def test_a_pickled_weight_is_refused(program, tmp_path):
    target = tmp_path / "executed"

    def change(name, content):
        if name.endswith("model_weights_config.json"):
            config = json.loads(content)
            next(iter(config["config"].values()))["use_pickle"] = True
            return json.dumps(config)
        return pickle.dumps(Hostile(target)) if "weight_0" in name else content

    path = rewrite(program, tmp_path / "bad.pt2", change)
    with pytest.raises(WeightsError, match="as a pickle"):
        check_archive(path)
    assert not target.exists()


def test_hostile_sample_inputs_are_refused(program, tmp_path, card):
    target, inner = tmp_path / "executed", tmp_path / "inputs.pt"
    torch.save(((Hostile(target),), {}), inner)

    def change(name, content):
        return inner.read_bytes() if "sample_inputs" in name else content

    path = rewrite(program, tmp_path / "bad.pt2", change)
    with pytest.raises(WeightsError, match="sample inputs are a pickle"):
        load_model(card(path, source="export", arch="export"), weights_folder=tmp_path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("torch.ops.aten.relu", "torch.os.system", "no registered operator"),
        (
            '"guards_code": [',
            "\"guards_code\": [\"__import__('os').mkdir('executed')\", ",
            "guards",
        ),
    ],
)
def test_a_graph_that_reaches_further_is_refused(program, tmp_path, old, new, message):
    def change(name, content):
        if "/models/" not in name:
            return content
        text = content.decode()
        assert old in text
        return text.replace(old, new).replace(", ]", "]")

    path = rewrite(program, tmp_path / "bad.pt2", change)
    with pytest.raises(WeightsError, match=message):
        check_archive(path)


def test_an_unknown_member_is_refused(program, tmp_path):
    path = rewrite(program, tmp_path / "bad.pt2", lambda name, content: content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/aotinductor/model/code.so", b"")
    with pytest.raises(WeightsError, match="aotinductor"):
        check_archive(path)


def test_no_program_at_all(card, tmp_path):
    (tmp_path / "bad.pt2").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(
            card(tmp_path / "bad.pt2", source="export", arch="export"), weights_folder=tmp_path
        )
    with pytest.raises(WeightsError, match="is not there"):
        load_model(card("/none.pt2", source="export", arch="export"), weights_folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("s77", True),
        ("2*s0 + FloorDiv(s1, 2)", True),
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Symbol('open(1)')", False),
        ("sympify('s0')", False),
        ("L['x'].size()[0] <= 512", True),
        ("Ne(s0, 1) and s0 >= 2", True),
        ("__import__('os')", False),
        ("().__class__", False),
        ("open(s0)", False),
        ("S('x')", False),
        ("[x for x in s0]", False),
        ("lambda: s0", False),
        ("s0.format()", False),
        ("s0; s1", False),
    ],
)
def test_only_arithmetic_on_sizes_is_plain(text, plain):
    assert _plain_expression(text) is plain
