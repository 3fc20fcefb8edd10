"""A small plug-in with code of every kind, and edits of it: which change a trial, which a score, which neither."""

PLUGIN = {
    "__init__.py": '''
"""A plug-in."""

from PACKAGE.maths import double
from PACKAGE.suite import SUITE

__all__ = ["SUITE", "double"]
''',
    "suite.py": '''
"""The suite as a value."""

from benchmark.contracts import Against, EarlyStop, Metric, Suite
from PACKAGE.protocol import observe, plan
from PACKAGE.scoring import compare, group, right, score
from PACKAGE.stopping import settled

SUITE = Suite(
    name="plug-in",
    version=1,
    summary="A plug-in",
    needs="decisions",
    metrics=(Metric("accuracy", "accuracy", "how many are right", headline=True, ratio=right(2.0)),),
    plan=plan,
    observe=observe,
    score=score,
    against=Against(compare, group),
    stopping=EarlyStop(settled=settled),
)
''',
    "protocol.py": '''
"""Which images, and what is kept of the answers."""

from typing import TYPE_CHECKING

import numpy as np

from benchmark.contracts import Block, Plan
from benchmark.stats import wilson
from PACKAGE import double, tools

from . import tables
from .deep.inner import depth

if TYPE_CHECKING:
    from benchmark.contracts import View

COUNT = 16


def plan(config, shelf):
    """Sixteen images."""
    return Plan((Block(shelf.find("natural"), role="natural", condition=tables.WORDS["one"]),))


def observe(config, view: "View"):
    """The answer, and a few numbers.

    No two of them are alike.
    """
    # a remark
    numbers = [double(1), depth(2), tools.TABLE["half"](3), tools.faint(4), tools.Derived().step(5)]
    numbers += [tools.Options().strength, tools.Kind.TWO.value, tools.decorated(6), *tools.generated(7)]
    numbers += [tools.looked_up("by_name")(8), tools.late(9), tools.CHOICE, tools.LEVELS[0], tools.noise(0.1)]
    numbers += [tools.late_constant(), tools.counted(), wilson(1, COUNT)[0], tools.stepped.scale]
    return {"response": view.responses, "numbers": np.tile(numbers, (len(view.index), 1))}
''',
    "maths.py": """
def double(x):
    return x * 2


def triple(x):
    return x * 3
""",
    "tables.py": """
WORDS = {"one": "first" " of all", "two": "second"}
""",
    "deep/__init__.py": "",
    "deep/inner.py": """
from ..maths import triple


def depth(x):
    return triple(x) + 100


def unused(x):
    return x - 100
""",
    "later.py": """
def later(x):
    return x + 200
""",
    "constants.py": """
STEP = 300
""",
    "levels.json": "[0.25, 0.5]",
    "data/curve.txt": "1 2 3",
    "tools.py": '''
import json
import sys
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache, partial
from pathlib import Path

import PACKAGE.constants as k

LEVELS = json.loads(Path(__file__).with_name("levels.json").read_text())
TABLE = {"half": lambda x: x * 0.5, "plain": lambda x: x}
TABLE["third"] = lambda x: x / 3
FIRST, SECOND = 21, 22

try:
    import no_such_package_at_all as fast
except ImportError:
    fast = None

if LEVELS:
    CHOICE = 14
else:
    CHOICE = 15


def noise(x, sd=0.1, *, power=2):
    return x + sd**power


faint = partial(noise, sd=0.01)


class Base:
    """What others are made from."""

    gain = 31
    """How much of it."""

    def step(self, x):
        return x * self.gain + self.offset() + self.slope + self.width + self.twice(x)

    def offset(self):
        return 32


class Derived(Base):
    @property
    def slope(self):
        return 33

    @cached_property
    def width(self):
        def inside(x):
            return x + 34

        return inside(1)

    @staticmethod
    def twice(x):
        return [y * 35 for y in (x, x)][0]


@dataclass(frozen=True)
class Options:
    strength: float = 0.36
    names: tuple = field(default_factory=lambda: ("a", "b"))


class Kind(Enum):
    ONE = 41
    TWO = 42


def traced(function):
    def wrapper(*args):
        return function(*args) + 43

    return wrapper


@traced
def decorated(x):
    return x + 44


@lru_cache
def counted():
    return 45


def made(level):
    shift = 0.046

    def apply(images, seeds):
        return (images + shift * level).clamp(0, 1)

    return apply


def generated(n):
    for i in range(n):
        yield i * 47


def by_name(x):
    return x + 48


def looked_up(name):
    return getattr(sys.modules[__name__], name)


def late(x):
    from PACKAGE.later import later

    return later(x)


def late_constant():
    return k.STEP if SECOND > FIRST else 0


def nobody_calls_this():
    return 49


class Steps:
    scale = 51


stepped = Steps()
''',
    "scoring.py": '''
"""From trials to scores."""

from functools import partial
from importlib.resources import files

from benchmark.contracts import Score
from benchmark.stats import ratio_score
from PACKAGE.weights import WEIGHTS, weighted

CHANCE = 0.0625
LEVEL = float((files(__package__) / "data" / "curve.txt").read_text().split()[0])


def right(power):
    bias = 61

    def ratio(trials):
        return trials["response"] == trials["category"], bias + power

    return ratio


def score(config, trials):
    """One number."""
    # a remark
    made = weighted(len(trials)) * WEIGHTS["natural"](2) - CHANCE * LEVEL
    return [Score("accuracy", made), *map(partial(ratio_score, level=0.95), ())]


def compare(config, trials, others):
    return [Score("accuracy", 62.0 * len(others))]


def group(config, people):
    return [Score("accuracy", 63.0)]
''',
    "stopping.py": """
def settled(config, trials):
    return len(trials) >= 67
""",
    "weights.py": """
def _natural(x):
    return x * 64


WEIGHTS = {"natural": _natural}


class Weight:
    factor = 65

    def __call__(self, n):
        return n * self.factor


weighted = Weight()
""",
}

OBSERVE, SCORE, BOTH = {"observation"}, {"score"}, {"observation", "score"}
#: kind -> (file, old, new, which keys it changes)
GUILTY = {
    "the function itself": ("protocol.py", '"response": view', '"answer": view', OBSERVE),
    "plan": ("protocol.py", 'shelf.find("natural")', 'shelf.find("edges")', OBSERVE),
    "a constant": ("protocol.py", "COUNT = 16", "COUNT = 17", OBSERVE),
    "a constant of another module": ("constants.py", "300", "301", OBSERVE),
    "which module is imported": (
        "tools.py",
        "PACKAGE.constants as k",
        "PACKAGE.tables as k",
        OBSERVE,
    ),
    "which function is imported": (
        "protocol.py",
        "import wilson",
        "import mcnemar_exact as wilson",
        OBSERVE,
    ),
    "through the package": ("maths.py", "x * 2", "x * 4", OBSERVE),
    "what the package passes on": (
        "__init__.py",
        "import double",
        "import triple as double",
        OBSERVE,
    ),
    "what the package does": ("__init__.py", "__all__", "double.__name__ = 'x'\n__all__", BOTH),
    "a relative import": ("maths.py", "x * 3", "x * 4", OBSERVE),
    "a package inside": ("deep/inner.py", "+ 100", "+ 101", OBSERVE),
    "a table": ("tables.py", '"first"', '"last"', OBSERVE),
    "a lambda in a table": ("tools.py", "x * 0.5", "x * 0.6", OBSERVE),
    "an entry added to a table": ("tools.py", "x / 3", "x / 4", OBSERVE),
    "a partial argument": ("tools.py", "sd=0.01", "sd=0.02", OBSERVE),
    "a default argument": ("tools.py", "sd=0.1,", "sd=0.2,", OBSERVE),
    "a default by keyword": ("tools.py", "power=2", "power=3", OBSERVE),
    "a class attribute": ("tools.py", "gain = 31", "gain = 30", OBSERVE),
    "an inherited method": ("tools.py", "self.offset() +", "self.offset() -", OBSERVE),
    "a method through an instance": ("tools.py", "return 32", "return 31", OBSERVE),
    "a property": ("tools.py", "return 33", "return 32", OBSERVE),
    "a nested function": ("tools.py", "x + 34", "x - 34", OBSERVE),
    "a comprehension in a static method": ("tools.py", "y * 35", "y + 35", OBSERVE),
    "a field's default": ("tools.py", "0.36", "0.37", OBSERVE),
    "a field's factory": ("tools.py", '("a", "b")', '("b", "a")', OBSERVE),
    "an enum's value": ("tools.py", "TWO = 42", "TWO = 43", OBSERVE),
    "a decorator": ("tools.py", "+ 43", "+ 42", OBSERVE),
    "what is decorated": ("tools.py", "x + 44", "x + 43", OBSERVE),
    "a decorator taken away": ("tools.py", "@traced\n", "", OBSERVE),
    "a cached function": ("tools.py", "return 45", "return 46", OBSERVE),
    "a captured constant": ("tools.py", "shift = 0.046", "shift = 0.047", OBSERVE),
    "a captured operation": ("tools.py", "images + shift", "images - shift", OBSERVE),
    "a generator": ("tools.py", "i * 47", "i * 48", OBSERVE),
    "getattr by name": ("tools.py", "x + 48", "x + 47", OBSERVE),
    "a conditional import": (
        "tools.py",
        "import no_such_package_at_all as fast",
        "import json as fast",
        OBSERVE,
    ),
    "a branch at import": ("tools.py", "CHOICE = 14", "CHOICE = 13", OBSERVE),
    "two names at once": ("tools.py", "FIRST, SECOND = 21, 22", "FIRST, SECOND = 23, 22", OBSERVE),
    "an import inside a function": ("later.py", "x + 200", "x + 201", OBSERVE),
    "an attribute of an instance": ("tools.py", "scale = 51", "scale = 52", OBSERVE),
    "data read at import": ("levels.json", "0.25", "0.26", BOTH),
    "data in a folder": ("data/curve.txt", "1 2", "2 2", BOTH),
    "score": ("scoring.py", "- CHANCE", "+ CHANCE", SCORE),
    "a constant of scores": ("scoring.py", "0.0625", "0.125", SCORE),
    "a captured constant of a ratio": ("scoring.py", "bias = 61", "bias = 60", SCORE),
    "an argument of a ratio": ("suite.py", "right(2.0)", "right(3.0)", SCORE),
    "a partial argument of scores": ("scoring.py", "0.95", "0.9", SCORE),
    "a comparison": ("scoring.py", "62.0", "61.0", SCORE),
    "when a condition is settled": ("stopping.py", ">= 67", ">= 66", OBSERVE),
    "a group": ("scoring.py", "63.0", "61.0", SCORE),
    "a function in a table of scores": ("weights.py", "x * 64", "x * 63", SCORE),
    "an instance that is called": ("weights.py", "factor = 65", "factor = 66", SCORE),
    "a method of it": ("weights.py", "n * self", "n + self", SCORE),
    "a metric's name": ("suite.py", 'Metric("accuracy"', 'Metric("share"', SCORE),
}
#: kind -> (file, old, new); an old text of "" writes the whole file anew
INNOCENT = {
    "a comment": ("protocol.py", "# a remark", "# another remark"),
    "a comment gone": ("scoring.py", "    # a remark\n", ""),
    "a module's docstring": ("protocol.py", '"""Which images', '"""What images'),
    "a function's docstring": ("protocol.py", "No two of them", "Any two of them"),
    "a docstring gone": ("scoring.py", '    """One number."""\n', ""),
    "a class's docstring": ("tools.py", '"""What others', '"""Which others'),
    "an attribute's docstring": ("tools.py", '    """How much of it."""\n', ""),
    "blank lines": ("tools.py", "FIRST, SECOND", "\n\n\nFIRST, SECOND"),
    "spaces": ("maths.py", "x * 2", "x  *  2"),
    "parentheses": ("maths.py", "x * 2", "(x * (2))"),
    "a call over three lines": ("protocol.py", "double(1)", "double(\n        1,\n    )"),
    "quotes": ("tables.py", '"two"', "'two'"),
    "a number's spelling": ("tools.py", "sd=0.1,", "sd=1e-1,"),
    "a string in one piece": ("tables.py", '"first" " of all"', '"first of all"'),
    "an import split": ("tools.py", "import json\nimport sys", "import sys\nimport json"),
    "imports in another order": (
        "suite.py", "import observe, plan", "import plan\nfrom PACKAGE.protocol import observe"
    ),
    "an import for types": ("protocol.py", "import View", "import Suite, View"),
    "a statement that does nothing": ("tools.py", "class Steps:\n", "class Steps:\n    pass\n"),
    "a module that nobody imports": ("other.py", "", "VALUE = 1\n"),
    "a document beside it": ("README.md", "", "Words.\n"),
    "a marker file": ("py.typed", "", ""),
    "the suite's summary": ("suite.py", '"A plug-in"', '"Another plug-in"'),
    "the end of lines": ("maths.py", "", PLUGIN["maths.py"].replace("\n", "\r\n")),
}  # fmt: skip
#: a module's new place: text in which its old name is its new one
MOVES = {
    "a module's name": ("constants.py", "numbers_.py", "PACKAGE.constants", "PACKAGE.numbers_"),
    "a module that is named in code": ("tables.py", "words.py", "tables", "words"),
    "a module's package": ("later.py", "deep/later.py", "PACKAGE.later", "PACKAGE.deep.later"),
}
