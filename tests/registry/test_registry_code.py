"""A Python network's identity holds its code: the factory, every class in it, and the modules that they import."""

import importlib
import itertools

import pytest

from registry.architectures import build, source_code

NUMBERS = itertools.count()  # a package's name is used once, as Python keeps what it imported
FILES = {
    "nets.py": """
from torch import nn

from PACKAGE.parts import Scaled
from PACKAGE import sizes


def network(num_classes):
    '''A network.'''
    return nn.Sequential(nn.Flatten(), Scaled(), nn.Linear(3 * sizes.SIDE**2, num_classes))


def another(num_classes):
    return nn.Linear(1, num_classes)
""",
    "parts.py": """
from torch import nn

from PACKAGE.maths import scaled


class Base(nn.Module):
    gain = 2

    def forward(self, x):
        return scaled(x, self.gain) + self.shift()

    def shift(self):
        return 0


class Scaled(Base):
    pass
""",
    "maths.py": """
def scaled(x, gain):
    return x * gain


def unused(x):
    return x
""",
    "sizes.py": "SIDE = 8\n",
    "table.txt": "1 2 3",
}
GUILTY = {
    "the factory": ("nets.py", "nn.Flatten(), ", "nn.Flatten(), nn.ReLU(), "),
    "a helper of a helper": ("maths.py", "x * gain", "x + gain"),
    "a class": ("parts.py", "return 0", "return 1"),
    "a class's attribute": ("parts.py", "gain = 2", "gain = 3"),
    "a constant": ("sizes.py", "8", "4"),
    "data beside it": ("table.txt", "1", "9"),
}
INNOCENT = {
    "a docstring": ("nets.py", "'''A network.'''", "'''One network.'''"),
    "a comment": ("maths.py", "return x * gain", "return x * gain  # scaled"),
}


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest_of(file="nets.py", old="", new=""):
        package = f"toynets{next(NUMBERS)}"
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        for name, text in FILES.items():
            made = text.replace(old, new) if name == file and old else text
            assert name != file or not old or made != text
            (tmp_path / package / name).write_text(made.replace("PACKAGE", package))
        importlib.invalidate_caches()
        arch = f"python:{package}.nets:network"
        return source_code(arch, build(arch, 4))

    return digest_of


@pytest.mark.parametrize("kind", GUILTY)
def test_what_changes_the_network_changes_its_identity(digest_of, kind):
    assert digest_of(*GUILTY[kind]) != digest_of()


@pytest.mark.parametrize("kind", INNOCENT)
def test_what_does_not_change_it_does_not(digest_of, kind):
    assert digest_of(*INNOCENT[kind]) == digest_of()


@pytest.mark.slow
def test_an_installed_factory_counts_by_the_version_of_its_package(monkeypatch):
    from registry import architectures

    arch = "python:torchvision.models:squeezenet1_1"
    module = build(arch, 4)
    before = source_code(arch, module)
    assert before == source_code(arch, module)
    monkeypatch.setattr(architectures, "version", lambda _name: "99.0")
    assert source_code(arch, module) != before


def test_a_library_s_architecture_has_no_code_of_its_own():
    assert source_code("timm:resnet18", build("timm:resnet18", 4)) == ""
