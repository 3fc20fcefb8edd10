"""The program's own code: a line that changes a number changes the keys that it should and no other; words change none.

The program is copied and edited without being imported, for a digest sees files. Each edit is looked at from the roots
that it must reach and from some that it must not.
"""

# ruff: noqa: E501

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark

pytestmark = pytest.mark.slow
ROOT = Path(benchmark.__file__).parents[1]
#: What keys are made of: a component, or the functions whose code a key holds.
ROOTS = {
    "answers": [],
    "scoring": [],
    "imagenet-c": [("benchmark.transforms.imagenet_c", "corruption")],
    "human": [("benchmark.transforms.geirhos", "degradation")],
    "plug-in": [("benchmark.transforms.listing", "Applied")],
    "corruption shows": [(f"suites.corruption.{name}", name) for name in ("plan", "observe")],
    "corruption scores": [("suites.corruption.score", "score")],
    "cue shows": [(f"suites.cue_conflict.{name}", name) for name in ("plan", "observe")],
    "cue scores": [("suites.cue_conflict.score", "score")],
    "saliency shows": [(f"suites.saliency.{name}", name) for name in ("plan", "observe")],
    "saliency scores": [("suites.saliency.score", "score")],
    "adversarial shows": [(f"suites.adversarial.{name}", name) for name in ("plan", "observe")],
    "people score": [("suites.human_comparison.score", "score")],
    "tiny": [("registry.tiny", "tiny_resnet")],
}
#: kind -> (file, old, new, roots that see it, roots that do not)
GUILTY = {
    "speckle noise 0": (
        "benchmark/transforms/noise.py", ".mul_(sd).mul_(images)", ".mul_(0).mul_(images)",
        "imagenet-c", "human, answers, cue shows, cue scores",
    ),
    "Gaussian noise a tenth": (
        "benchmark/transforms/noise.py", "255 * sd)", "25.5 * sd)", "imagenet-c", "human, answers",
    ),
    "a published constant": (
        "benchmark/transforms/corruptions.py", "0.08, 0.12, 0.18", "0.08, 0.12, 0.19", "imagenet-c", "human, answers",
    ),
    "a lambda's coherence": (
        "benchmark/transforms/geirhos.py", '_eidolons("II", 0.3)', '_eidolons("II", 0.4)', "human", "imagenet-c, answers",
    ),
    "a low-pass filter": (
        "benchmark/transforms/geirhos.py", "_pure(d.low_pass)", "_pure(d.high_pass)", "human", "imagenet-c, answers",
    ),
    "what a plug-in gives": ("benchmark/transforms/listing.py", "return out.float()", "return out", "plug-in", "answers"),
    "a list of corruptions": (
        "benchmark/transforms/imagenet_c.yaml", "family: noise", "family: blur", "corruption shows", "answers",
    ),
    "decide negated": (
        "registry/labels.py", "torch.softmax(logits.to(wide)", "torch.softmax(-logits.to(wide)",
        "answers", "imagenet-c, cue scores",
    ),
    "a mean that is a sum": (
        "registry/labels.py", "members).mean(dim=1)", "members).sum(dim=1)", "answers", "imagenet-c, cue scores",
    ),
    "a category's classes": (
        "registry/label_spaces/geirhos16.yaml", "airplane:", "# airplane\nairplane:", "answers", "cue scores",
    ),
    "the place of the crop": (
        "registry/geometry.py", "antialias=True", "antialias=False", "answers", "imagenet-c, cue scores",
    ),
    "a filter": (
        "registry/geometry.py", '"bilinear": Image.Resampling.BILINEAR', '"bilinear": Image.Resampling.BOX',
        "answers", "imagenet-c, cue scores",
    ),
    "normalisation": ("registry/model.py", "(x - mean) / std", "(x + mean) / std", "answers", "cue scores, human"),
    "grey levels": ("benchmark/engine/model_view.py", "div_(255)", "div_(256)", "answers", "cue scores, human"),
    "near-ties": ("benchmark/engine/model_view.py", "NEAR_TIE = 1e-3", "NEAR_TIE = 1e-2", "answers", "cue scores"),
    "which answer": ("benchmark/engine/model_view.py", "probabilities.argmax(", "probabilities.argmin(", "answers", "cue scores"),
    "seeds": (
        "benchmark/stimuli/sets.py", '{policy_seed}:{stimuli', '{policy_seed} {stimuli', "answers", "cue scores, human",
    ),
    "decoded pixels": (
        "benchmark/stimuli/pixels.py", 'image.convert("RGB")', 'image.convert("HSV")', "answers", "cue scores, human",
    ),
    "drawn pixels": (
        "benchmark/stimuli/world/render.py", "* 255.0 + 0.5", "* 255.0", "answers", "cue scores, human",
    ),
    "folding": ("registry/fold.py", "_TOLERANCE = 1e-4", "_TOLERANCE = 1e-1", "answers", "cue scores, human"),
    "an ideal observer": ("registry/ideal.py", '"p", 0.75)), truth', '"p", 0.7)), truth', "answers", "cue scores, human"),
    "a network of the program": ("registry/tiny.py", "def forward(self, x: Tensor) -> Tensor:\n", "def forward(self, x: Tensor) -> Tensor:\n        x = x * 2\n", "tiny", "cue scores, human"),
    "which images": (
        "suites/corruption/plan.py", "WORLD_IMAGES = 160", "WORLD_IMAGES = 161", "corruption shows", "cue shows, answers",
    ),
    "what is kept": (
        "suites/corruption/observe.py", "(before.sum(axis=1) < BEST)", "(before.sum(axis=1) <= BEST)",
        "corruption shows", "cue shows, answers",
    ),
    "a set of a suite": (
        "suites/cue_conflict/plan.py", '("edges", "silhouettes")', '("silhouettes", "edges")',
        "cue shows", "corruption shows, cue scores",
    ),
    "a map": (
        "suites/saliency/maps/gradients.py", "np.float32(sigma)", "np.float32(2 * sigma)", "saliency shows", "cue shows, answers",
    ),
    "an attack": (
        "suites/adversarial/attacks/norms.py", "import ", "import math as _math\nimport ", "", "cue shows, answers, cue scores",
    ),
    "z doubled": (
        "benchmark/stats/proportions.py", "return -NormalDist()", "return -2 * NormalDist()",
        "cue scores, corruption scores", "cue shows, imagenet-c, answers",
    ),
    "a quantile": (
        "benchmark/stats/student.py", "return sqrt(df) * sin(low)", "return 2 * sqrt(df) * sin(low)",
        "cue scores, people score", "cue shows, answers",
    ),
    "degrees of freedom": (
        "benchmark/stats/clusters.py", "min(sizes) - 1)", "min(sizes))",
        "cue scores, scoring, people score", "cue shows, answers",
    ),
    "a metric": (
        "suites/cue_conflict/metrics.py", "return shape, shape | texture", "return texture, shape | texture",
        "cue scores", "cue shows, corruption scores, answers",
    ),
    "the people's pool": (
        "benchmark/engine/scoring.py", "if len(people) < 2", "if len(people) < 3", "scoring", "answers, cue scores",
    ),
    "tables below one another": ("benchmark/stack_columns.py", "len({shape for _, shape in kinds}) != 1", "len({shape for _, shape in kinds}) > 2", "scoring", "answers"),
}  # fmt: skip
#: kind -> (file, old, new): no root sees it
INNOCENT = {
    "a module's docstring": ("registry/labels.py", '"""Label spaces:', '"""Spaces of labels:'),
    "a function's docstring": ("registry/labels.py", "Softmax in float64", "The softmax in float64"),
    "a comment": ("registry/labels.py", "# else autograd could not", "# otherwise autograd could not"),
    "a note on a constant": ("benchmark/engine/model_view.py", "#: Answers whose two", "#: Those whose two"),
    "a class's docstring": ("benchmark/engine/model_view.py", '"""A network on one', '"""One network on one'),
    "layout": ("registry/labels.py", "probabilities = torch.softmax(", "probabilities = (torch.softmax)("),
    "blank lines": ("benchmark/transforms/noise.py", "from benchmark", "\n\nfrom benchmark"),
    "a table's comment": ("benchmark/transforms/corruptions.py", "#: In units of", "#: Units of"),
    "an import for types": (
        "benchmark/stimuli/pixels.py", "    from PIL.Image import Image as PILImage", "    from PIL.Image import Image as PILImage, core",
    ),
    "the command line": ("benchmark/cli/printing.py", "import ", "import math\nimport "),
    "how a board is drawn": ("benchmark/leaderboard/render.py", "import ", "import math\nimport "),
    "another suite's page": ("docs/architecture.md", "", "Words."),
    "a model card": ("registry/cards_builtin/another.yaml", "", "name: another"),
    "a document in a package": ("benchmark/stats/NOTES.md", "", "Words."),
    "a marker": ("suites/py.typed", "", ""),
}  # fmt: skip
DRIVER = """
import json, sys
from pathlib import Path
from registry.code.closure import closure_digest
from registry.code.components import component_digest, identity, tree_stamp
from registry.code.files import Files

roots, edits = json.load(sys.stdin)

def keys(names):
    stamp = tree_stamp()
    return {name: closure_digest([tuple(one) for one in roots[name]], identity) if roots[name]
            else component_digest(name, stamp) for name in names}

base, found = keys(roots), []
for file, old, new, names in edits:
    path = Path(file)
    before = path.read_bytes() if path.exists() else None
    if old:
        text = before.decode()
        assert old in text, (file, old)
        new = text.replace(old, new, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(new)
    found.append(sorted(name for name, key in keys(names).items() if key != base[name]))
    path.write_bytes(before) if before is not None else path.unlink()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the program without weights, and what sees an edit there."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("benchmark", "registry", "suites"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)

    def seen(edits):
        done = subprocess.run(
            [sys.executable, "-B", "-c", DRIVER],
            input=json.dumps([ROOTS, edits]),
            env={**os.environ, "PYTHONPATH": str(folder)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [set(names) for names in json.loads(done.stdout)]

    return seen


def split(names):
    return {name.strip() for name in names.split(",") if name.strip()}


def test_a_line_that_changes_a_number_is_seen_where_it_counts_and_nowhere_else(copy):
    edits = [(*edit[:3], sorted(split(edit[3]) | split(edit[4]))) for edit in GUILTY.values()]
    seen = dict(zip(GUILTY, copy(edits), strict=True))
    assert seen == {kind: split(edit[3]) for kind, edit in GUILTY.items()}


def test_words_layout_and_what_makes_no_number_are_seen_nowhere(copy):
    seen = dict(
        zip(INNOCENT, copy([(*edit, sorted(ROOTS)) for edit in INNOCENT.values()]), strict=True)
    )
    assert {kind: names for kind, names in seen.items() if names} == {}


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_every_python_sees_the_same(version):
    """`registry.code` needs nothing installed, so any Python of this machine will do."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], check=False).returncode:
        pytest.skip(f"no python{version} on this machine")
    code = (
        "from registry.code.components import *; s = tree_stamp();"
        "print([component_digest(label, s) for label in COMPONENTS])"
    )
    here, there = (
        subprocess.run(
            [one, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for one in (sys.executable, python)
    )
    assert here == there and len(here) > 64


def test_modules_that_lie_on_somebodys_path_change_no_component(tmp_path):
    """The program names the file corruptions.yaml, and a user has a corruptions.py; likewise with all such names."""
    files = [
        path for name in ("benchmark", "registry", "suites") for path in (ROOT / name).rglob("*.py")
    ]
    words = re.findall(
        r"\"(\w+)\.\w+", "\n".join(file.read_text(encoding="utf-8") for file in files)
    )
    assert "corruptions" in words
    for name in set(words):
        (tmp_path / f"{name}.py").write_text("import os\nyaml = toml = py = os.environ\n")
    code = (
        "import sys; sys.path += sys.argv[1:]; from registry.code.components import *; s = tree_stamp();"
        "print([component_digest(label, s) for label in COMPONENTS])"
    )
    alone, beside = (
        subprocess.run(
            [sys.executable, "-B", "-c", code, *places], cwd=ROOT, capture_output=True, check=True
        ).stdout
        for places in ([], [str(tmp_path)])
    )
    assert alone == beside and len(alone) > 64
