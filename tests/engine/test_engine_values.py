"""What code holds and no source shows is in its digest: captured values, arguments given early, objects, notebooks."""

import functools
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.identity import code_digest


def captured(value):
    def apply(images, seeds):
        return images, value

    return apply


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


def in_a_notebook(level=1, added=2, gain=3):
    names = {"__name__": "__main__"}
    exec(compile(NOTEBOOK.format(level=level, added=added, gain=gain), "<cell>", "exec"), names)
    return names["observe"]


def test_what_a_notebook_defines_counts():
    digest = code_digest(in_a_notebook())
    assert code_digest(in_a_notebook()) == digest
    for changed in ({"level": 10}, {"added": 20}, {"gain": 30}):
        assert code_digest(in_a_notebook(**changed)) != digest
