"""timm and torchvision come without torch's compiler, and lack nothing of it. In processes of their own, for what is
imported stays. Slow ones therefore: every quick test of a network goes this way, too."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("timm")


def said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


#: In this order: the compiler, once loaded, stays.
STEPS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from registry.lean_imports import disable, imported
try:
    imported("fails")
except ImportError as error:
    print(error, "torch._dynamo" in sys.modules)

from registry.architectures import build
build("torchvision:resnet18", 10)
net = build("timm:resnet18", 10).eval()
with torch.inference_mode():
    net(torch.zeros(1, 3, 64, 64))
heavy = ("torch._dynamo", "torch._inductor", "sympy")
print(*sorted(name for name in sys.modules if name in heavy))

imported("torchvision.ops")
roi_align = sys.modules["torchvision.ops.roi_align"]
from timm.models import naflexvit
double = disable(lambda x: 2 * x, reason="none")
print("torch._dynamo" in sys.modules, int(double(torch.tensor(3))))
print(int(torch.compile(double, backend="eager")(torch.tensor(4))))

compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.ones(1, 2))
print(torch._dynamo.__file__ is not None, tuple(compiled.shape))
print(roi_align.is_compile_supported("cpu"))
seen = []
class Once:
    @naflexvit.disable_compiler
    def step(self, x):
        seen.append(torch.compiler.is_compiling())
        return x + 1
once = Once()  # called, not compiled itself: torch 2.9 loses the object of a method that its decorator left alone
print(int(torch.compile(lambda x: once.step(x), backend="eager")(torch.tensor(1))), seen)
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What a process says that goes all the steps."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "fails.py").write_text("raise ImportError('not here')\n")
    return said(f"import sys; sys.argv = ['', {str(folder)!r}]\n{STEPS}")


def test_a_module_that_cannot_be_imported_leaves_no_stand_in(steps):
    assert steps[0] == "not here False"


def test_building_and_running_a_network_loads_no_compiler(steps):
    assert steps[1] == ""


def test_a_function_that_the_compiler_leaves_alone_works_when_it_is_first_called(steps):
    assert steps[2:4] == ["False 6", "8"]


def test_the_compiler_is_itself_afterwards(steps):
    assert steps[4:] == ["True (1, 2)", "True", "2 [False]"]


def test_whatever_else_is_asked_of_the_compiler_while_importing_loads_it(tmp_path):
    (tmp_path / "asks.py").write_text(
        "import torch\nimport torch._dynamo\nfrom torch._dynamo.utils import counters\n"
        "KIND = torch._dynamo.OptimizedModule.__name__\n"
    )
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from registry.lean_imports import imported
print(imported("asks").KIND, sys.modules["torch._dynamo"].__file__ is not None)
"""
    assert said(code) == ["OptimizedModule True"]
