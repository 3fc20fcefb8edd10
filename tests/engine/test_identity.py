"""The table of docs/identity.md, edit by edit: what makes trials, scores or a network new, and what does not."""

import functools
import importlib
import itertools
import sys
from dataclasses import dataclass, replace
from enum import Enum
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_toys import HALF, make_stimuli, toy_suite

from benchmark.contracts import Block, Policy, Transform
from benchmark.identity import VERSIONS, code_digest, observation_key, score_code
from benchmark.plugins import find_suites
from benchmark.stimuli.datasets import seeds_of, subset
from benchmark.testing import ToyShelf, toy_stimuli
from registry.architectures import build_network, source_code
from registry.cards import ModelCard
from registry.files import WeightSources, digest_data
from registry.loading import load_network

NUMBERS = itertools.count()  # a package's name is used once, as Python keeps what it imported
TRIALS, SCORES, BOTH, NETWORK = {"trials"}, {"scores"}, {"trials", "scores"}, {"network"}

PLUGIN = {
    "__init__.py": """
from PACKAGE.maths import double
from PACKAGE.suite import SUITE
__all__ = ["SUITE", "double"]
""",
    "suite.py": """
from benchmark.contracts import Against, EarlyStop, Metric, Suite
from PACKAGE.protocol import observe, plan
from PACKAGE.scoring import compare, right, score
from PACKAGE.stopping import settled

SUITE = Suite(
    name="plug-in", version=1, summary="A plug-in", needs="decisions", plan=plan, observe=observe, score=score,
    metrics=(Metric(name="accuracy", title="accuracy", definition="how many", headline=True, ratio=right(2.0)),),
    against=Against(scores=compare), stopping=EarlyStop(settled=settled),
)
""",
    "protocol.py": '''
"""Which images, and what is kept of the answers."""
from typing import TYPE_CHECKING
import PACKAGE.tables as t
from benchmark.contracts import Block, Plan, Transform
from benchmark.stats import wilson
from PACKAGE import double, tools
from .deep.inner import depth
if TYPE_CHECKING:
    from benchmark.contracts import View

GAIN = 31
"""How much of it."""

def plan(config, shelf):
    """Sixteen images."""
    dim = Transform(name="dim", params={}, apply=tools.dimmed(0.5))
    return Plan((Block(stimuli=shelf.find("natural"), role="natural", transform=dim),))

def observe(config, view: "View"):
    # a remark
    from PACKAGE.later import later
    return {"a": [double(1), depth(2), later(3), wilson(1, 16)[0], GAIN, tools.PARTIAL(1), t.WORDS]}
''',
    "maths.py": "def double(x):\n    return x * 2\n\ndef triple(x):\n    return x * 3\n",
    "tables.py": 'WORDS = {"one": "first" " of all", "two": "second"}\n',
    "deep/__init__.py": "",
    "deep/inner.py": "from ..maths import triple\n\ndef depth(x):\n    return triple(x) + 100\n",
    "later.py": "def later(x):\n    return x + 200\n",
    "named.py": "VALUE = 1\nWORDS = {}\n",
    "tools.py": """
import json
from functools import partial
from pathlib import Path
try:
    import no_such_package_at_all as fast
except ImportError:
    fast = None
LEVELS = json.loads((Path(__file__).parent / "levels.json").read_text())

def noise(x, sd=0.1, *, power=2):
    return x + sd**power

PARTIAL = partial(noise, sd=0.01)

def dimmed(level):
    return lambda images, seeds: images * level
""",
    "levels.json": "[0.25, 0.5]",
    "scoring.py": '''
from functools import partial
from benchmark.contracts import Score
from PACKAGE.weights import weighted

def right(power):
    def ratio(trials):
        return trials["response"] == trials["category"], 61 + power
    return ratio

def score(config, trials):
    """One number."""
    return [Score(metric="accuracy", value=weighted(len(trials)) - 0.0625)]

def compare(config, trials, others):
    return [Score(metric="accuracy", value=62.0 * len(others))]
''',
    "stopping.py": "def settled(config, trials):\n    return len(trials) >= 67\n",
    "weights.py": """
class Weight:
    factor = 65

    def __call__(self, n):
        return n * self.factor

weighted = Weight()
""",
    "net.py": """
from torch import nn
from PACKAGE.maths import triple

class Net(nn.Module):
    def forward(self, x: "Tensor") -> "Tensor":
        return triple(x.flatten(1))

def network(num_classes):
    return nn.Sequential(Net(), nn.Linear(3, num_classes))
""",
}  # fmt: skip
#: edit -> (file, old text, new text, what it makes new)
RECOMPUTES = {
    "observe": ("protocol.py", '{"a": [', '{"b": [', TRIALS),
    "which module": ("protocol.py", "PACKAGE.tables as t", "PACKAGE.named as t", TRIALS),
    "what the package passes on": ("__init__.py", "import double", "import triple as double", TRIALS),
    "what the package does": ("__init__.py", "__all__", "double.by = 1\n__all__", BOTH | NETWORK),
    "a helper": ("maths.py", "x * 2", "x * 4", TRIALS | NETWORK),
    "a helper of a helper, and of a network": ("maths.py", "x * 3", "x * 4", TRIALS | NETWORK),
    "a package inside": ("deep/inner.py", "+ 100", "+ 101", TRIALS),
    "a table": ("tables.py", '"first"', '"last"', TRIALS),
    "an import inside a function": ("later.py", "+ 200", "+ 201", TRIALS),
    "a conditional import": ("tools.py", "no_such_package_at_all", "json", TRIALS),
    "a lambda": ("tools.py", "images * level", "images + level", TRIALS),
    "when it is settled": ("stopping.py", ">= 67", ">= 66", TRIALS),
    "data beside the code": ("levels.json", "0.25", "0.26", BOTH | NETWORK),
    "score": ("scoring.py", "0.0625", "0.125", SCORES),
    "a ratio": ("scoring.py", "61 + power", "60 + power", SCORES),
    "an instance that is called": ("weights.py", "factor = 65", "factor = 66", SCORES),
    "a metric's name": ("suite.py", 'name="accuracy", title', 'name="share", title', SCORES),
    "the version of scores": ("suite.py", "version=1", "version=2", SCORES),
    "the version of trials": ("suite.py", "version=1", "version=1, trial_version=2", TRIALS),
    "a network's class": ("net.py", "x.flatten(1)", "x.flatten(1) * 2", NETWORK),
}  # fmt: skip
#: edit -> (file, old text, new text); no old text: the whole file is new
KEEPS = {
    "a comment": ("protocol.py", "# a remark", "# another"),
    "an attribute's docstring": ("protocol.py", '"""How much of it."""\n', ""),
    "an annotation": ("protocol.py", 'view: "View"', "view: object"),
    "annotations of a network": ("net.py", 'x: "Tensor") -> "Tensor"', "x)"),
    "an import for types": ("protocol.py", "import View", "import Suite, View"),
    "postponed annotations": ("maths.py", "def double", "from __future__ import annotations\ndef double"),
    "a block for type checkers": (
        "scoring.py", "def right", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n\ndef right"
    ),
    "a number's spelling": ("tools.py", "sd=0.1,", "sd=1e-1,"),
    "a string in one piece": ("tables.py", '"first" " of all"', "'first of all'"),
    "imports in another order": (
        "tools.py", "import json\nfrom functools import partial", "from functools import partial\nimport json"
    ),
    "a module that nobody imports": ("other.py", "", "VALUE = 1\n"),
    "the end of lines": ("maths.py", "", PLUGIN["maths.py"].replace("\n", "\r\n")),
    "the suite's summary": ("suite.py", '"A plug-in"', '"Another plug-in"'),
    "a module's name": ("deep/inner.py", "", "", "later.py", "afterwards.py", "PACKAGE.later", "PACKAGE.afterwards"),
    "the name of a module that code uses": (
        "tables.py", "", "", "tables.py", "words.py", "PACKAGE.tables", "PACKAGE.words"
    ),
    "a module's package": ("later.py", "", "", "later.py", "deep/later.py", "PACKAGE.later", "PACKAGE.deep.later"),
}  # fmt: skip
QUICK = {"observe", "score", "a comment", "a helper of a helper, and of a network"}


def edited(files, file, old, new, moved="", to="", name="", new_name=""):
    """The files after an edit; with a file moved, and its new name wherever it is named."""
    if moved:
        texts = {to if path == moved else path: text for path, text in files.items()}
        return {path: text.replace(name, new_name) for path, text in texts.items()}
    text = files.get(file, "")
    assert not old or text.count(old) == 1, (file, old)
    return {**files, file: text.replace(old, new) if old else new}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys of a package of these files: of its suite's trials and scores, and of its network."""
    folder = tmp_path_factory.mktemp("plugins")

    @functools.cache
    def made(*files):
        package = f"toyplugin{next(NUMBERS)}"
        for name, text in files:
            path = folder / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.replace("PACKAGE", package).encode())
        importlib.invalidate_caches()
        suite, arch = importlib.import_module(package).SUITE, f"python:{package}.net:network"
        plan = suite.plan(suite.config, ToyShelf("world16"))
        trials = [observation_key("weights", block, suite, Policy()) for block in plan.blocks]
        return {"trials": trials, "scores": score_code(suite), "network": source_code(arch, build_network(arch, 4))}

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield lambda files: made(*files.items())


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in (*RECOMPUTES, *KEEPS)]
)
def test_what_decides_a_number_makes_it_new_and_nothing_else_does(keys, kind):
    *edit, expected = RECOMPUTES[kind] if kind in RECOMPUTES else (*KEEPS[kind], set())
    now, base = keys(edited(PLUGIN, *edit)), keys(PLUGIN)
    assert {name for name, key in now.items() if key != base[name]} == expected


NET = """
from torch import nn
from parts import gain

class Net(nn.Module):
    def forward(self, x):
        return gain * x.flatten(1)[:, :16]

def network():
    return Net()
"""


def test_a_file_is_the_same_network_in_every_home(tmp_path, monkeypatch):
    """Moved, renamed, by path or by module, with a helper beside it: shards of two machines merge."""
    identities = set()
    for home, name in (("a", "net.py"), ("deeper/b", "net.py"), ("c", "renamed.py")):
        path = tmp_path / home / name
        path.parent.mkdir(parents=True)
        path.write_text(NET)
        path.with_name("parts.py").write_text("gain = 3\n")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [*sys.path, str(path.parent)])
            for module in ("parts", path.stem):
                patch.delitem(sys.modules, module, raising=False)
            importlib.invalidate_caches()
            arch = f"python:{path.stem if home == 'a' else path}:network"
            card = ModelCard(name=home[-1], source="python", arch=arch, labels="world16", preprocess=HALF)
            identities.add(load_network(card, WeightSources(weights_folder=tmp_path)).identity)
            for module in ("parts", path.stem):
                sys.modules.pop(module)
    assert len(identities) == 1


def test_the_program_s_own_components_count_by_their_versions():
    from suites.cue_conflict import SUITE

    block = Block(stimuli=toy_stimuli("natural"))
    before = observation_key("weights", block, SUITE, Policy()), score_code(SUITE)
    for name, place in (("answers", 0), ("stimuli", 0), ("statistics", 1), ("scoring", 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(VERSIONS, name, VERSIONS[name] + 1)
            now = observation_key("weights", block, SUITE, Policy()), score_code(SUITE)
        assert [a != b for a, b in zip(now, before, strict=True)] == [place == 0, place == 1]


#: (suite, label space) -> digest of the keys of its trials on toy images. Keys hold names of `plan`, `observe` and
#: transforms ("corruption.<locals>.apply"): if one is renamed or nested, all stored trials are computed again. Change a
#: value only with a raised version (CONTRIBUTING.md), a new configuration or other images, never to rename a function.
KEYS = {
    ("adversarial", "world16"): "62934a8413fc0236", ("corruption", "world16"): "f5674bbb710b2035",
    ("cue-conflict", "geirhos16"): "b7180f5f42067c57", ("human-comparison", "world16"): "40d8a24b35ac9526",
    ("saliency", "imagenet1k"): "3877858cd6a5a888",
}  # fmt: skip


@pytest.mark.parametrize(("name", "space"), KEYS)
def test_a_refactoring_keeps_the_keys_of_stored_trials(name, space):
    suite = find_suites().suites[name]
    blocks = suite.plan(suite.config, ToyShelf(space)).blocks
    keys = digest_data([observation_key("weights", block, suite, Policy()) for block in blocks])
    assert keys[:16] == KEYS[name, space]


# What an observation's key holds, and what it leaves out.

STIMULI = make_stimuli(20)
BLOCK = Block(stimuli=STIMULI, role="toys")
SUITE = toy_suite(STIMULI)


def key(identity="weights", block=BLOCK, suite=SUITE, policy=None):
    return observation_key(identity, block, suite, policy or Policy())


def brighter(images, seeds):
    return images * 1.1


@pytest.mark.slow
def test_what_decides_the_answers_is_in_the_key():
    changes = [
        {}, {"identity": "other weights"}, {"block": replace(BLOCK, condition="grey")},
        {"block": replace(BLOCK, presentation="card")}, {"block": replace(BLOCK, role="other")},
        {"block": replace(BLOCK, stimuli=make_stimuli(19))},
        {"block": replace(BLOCK, transform=Transform(name="brighter", params={"by": 1.1}, apply=brighter))},
        {"suite": replace(SUITE, trial_version=2)}, {"suite": replace(SUITE, name="another")},
        {"suite": replace(SUITE, config={"steps": 10})}, {"policy": Policy(seed=1)}, {"policy": Policy(device="cuda")},
        {"policy": Policy(precision="bf16")}, {"policy": Policy(compile=True)},
    ]  # fmt: skip
    keys = [key(**changed) for changed in changes]
    assert len(set(keys)) == len(changes) and key() == keys[0]


def test_seeds_stay_with_their_stimulus():
    every = np.arange(20)
    whole = dict(zip(STIMULI.ids, seeds_of(STIMULI, every, 5).tolist(), strict=True))
    assert len(set(whole.values())) == 20
    backwards = seeds_of(STIMULI, every[::-1].copy(), 5).tolist()
    assert backwards == list(whole.values())[::-1]
    part = subset(STIMULI, 7)
    assert seeds_of(part, np.arange(7), 5).tolist() == [whole[name] for name in part.ids]
    assert not set(seeds_of(STIMULI, every, 6).tolist()) & set(whole.values())


# What code holds and no source shows: captured values, arguments given early, objects, notebooks.


def captured(value):
    return lambda images, seeds: (images, value)


class Kind(Enum):
    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Scaled:
    by: float

    def __call__(self, images, seeds):
        return images * self.by


def branching(fast):
    def apply(images, seeds):
        return images * 2

    if not fast:

        def apply(images, seeds):
            return images * 3

    return apply


ONE, TWO = captured(1), captured(2)
PAIRS = {
    "a table": (captured({"a": [1, 2]}), captured({"a": [1, 3]})),
    "an array": (captured(np.arange(3)), captured(np.arange(1, 4))),
    "a tensor": (captured(torch.zeros(2)), captured(torch.ones(2))),
    "a member of an enum": (captured(Kind.ONE), captured(Kind.TWO)),
    "an object": (captured(SimpleNamespace(a=1)), captured(SimpleNamespace(a=2))),
    "a generator's state": (captured(np.random.default_rng(1)), captured(np.random.default_rng(2))),
    "a callable object": (Scaled(1.0), Scaled(2.0)),
    "a partial argument": (functools.partial(captured, 1), functools.partial(captured, 2)),
    "which of two of one name": (branching(True), branching(False)),
    "which of two lambdas in a line": (lambda x, _: x + 1, lambda x, _: x + 2),
    "a default": (lambda x, by=ONE: x, lambda x, by=TWO: x),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", PAIRS)
def test_what_is_held_counts(kind):
    one, other = PAIRS[kind]
    assert code_digest(one) == code_digest(one) != code_digest(other)


def test_equal_things_are_equal_wherever_they_lie():
    shared = (1, 2)
    one, other = captured([shared, shared]), captured([tuple(range(1, 3)), tuple(range(1, 3))])
    assert code_digest(one) == code_digest(other)
    assert code_digest(captured({"a": 1, "b": 2})) == code_digest(captured({"b": 2, "a": 1}))
    assert code_digest(captured({3, 1, 2})) == code_digest(captured({2, 3, 1}))


NOTEBOOK = """
TABLE = {{"f": lambda x: x + {added}}}

class Net:
    gain = {gain}

def helper(x):
    return TABLE["f"](x) + {level}

def observe(config, view):
    return {{"a": helper(view) + Net().gain}}
"""


def test_what_a_notebook_defines_counts():
    def digest(level=1, added=2, gain=3):
        names = {"__name__": "__main__"}
        exec(compile(NOTEBOOK.format(level=level, added=added, gain=gain), "<cell>", "exec"), names)
        return code_digest(names["observe"])

    assert digest() == digest() and digest() not in {digest(level=10), digest(added=20), digest(gain=30)}
