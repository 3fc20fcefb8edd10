"""timm and torchvision come without torch's compiler, and lack nothing of it. Each in a process of its own, for what is
imported stays. Slow ones therefore: every quick test of a network goes this way, too."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("timm")


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_building_and_running_a_network_loads_no_compiler():
    code = """
import sys, torch
from registry.architectures import build
build("torchvision:resnet18", 10)
net = build("timm:resnet18", 10).eval()
with torch.inference_mode():
    net(torch.zeros(1, 3, 64, 64))
print(*sorted(name for name in sys.modules if name in ("torch._dynamo", "torch._inductor", "sympy")))
"""
    assert said(code) == ""


def test_the_compiler_is_itself_afterwards():
    code = """
import torch
from registry.lean_imports import imported
timm, ops = imported("timm"), imported("torchvision.ops")
import sys
roi_align = sys.modules["torchvision.ops.roi_align"]
from timm.models import naflexvit
compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.ones(1, 2))
print(type(torch._dynamo.config).__name__, torch._dynamo.__file__ is not None, tuple(compiled.shape))
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
    lines = said(code).splitlines()
    assert lines[0].endswith("True (1, 2)")
    assert lines[1] == "True"
    assert lines[2] == "2 [False]"


def test_a_function_that_the_compiler_leaves_alone_works_when_it_is_first_called():
    code = """
import torch
from registry.lean_imports import disable
double = disable(lambda x: 2 * x, reason="none")
print(int(double(torch.tensor(3))), int(torch.compile(double, backend="eager")(torch.tensor(4))))
"""
    assert said(code) == "6 8"


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
    assert said(code) == "OptimizedModule True"


def test_a_module_that_cannot_be_imported_leaves_no_stand_in(tmp_path):
    (tmp_path / "fails.py").write_text("raise ImportError('not here')\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from registry.lean_imports import imported
try:
    imported("fails")
except ImportError as error:
    print(error, "torch._dynamo" in sys.modules)
"""
    assert said(code) == "not here False"
