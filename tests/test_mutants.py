"""The mutation tool's changes, on code by hand."""

import ast

import pytest

from benchmarks.mutation import trial
from benchmarks.mutation.changes import mutants_of, mutated, sites
from benchmarks.mutation.coverage_map import CoverageMap, forget

TEXT = '''LEVEL: float = 0.4


def found(a, b, *, most=2):
    """1 > 0"""
    a += len(b)
    a.append(b)
    if not a and b > -1:
        raise ValueError(f"{a}")
    return max(a, b), pow(a, b), True, zip(a, strict=True)
'''
EXPECTED = [
    ("0.4 -> 0.6000000000000001", "LEVEL: float = 0.6000000000000001", 1, True),
    ("2 -> 3", "most=3", 4, True),
    ("statement dropped", "pass", 6, False),
    ("statement dropped", "pass", 7, False),
    ("Add -> Sub", "a -= len(b)", 6, False),
    ("condition negated", "if not (not a and b > -1):", 8, False),
    ("And -> Or", "if not a or b > -1:", 8, False),
    ("not dropped", "if not not a and b > -1:", 8, False),
    ("Gt -> GtE", "b >= -1", 8, False),
    ("minus dropped", "b > +1", 8, False),
    ("1 -> 2", "b > -2", 8, False),
    ("statement dropped", "pass", 9, False),
    ("arguments of pow swapped", "pow(b, a)", 10, False),
    ("True -> False", "pow(a, b), False, zip(a, strict=True))", 10, False),
]


def test_every_change_of_a_text():
    """No annotation, no docstring, no guard, no maximum of two in another order."""
    assert sorted((s.change.words, s.change.line, s.at_import) for s in sites(ast.parse(TEXT))) == (
        sorted((words, line, at_import) for words, _, line, at_import in EXPECTED)
    )


def test_one_place_changes_at_a_time():
    plain = ast.unparse(ast.parse(TEXT))
    found = sites(ast.parse(TEXT))
    for place, site in enumerate(found):
        made = ast.unparse(mutated(TEXT, place))
        (code,) = {
            code
            for words, code, line, _ in EXPECTED
            if (words, line) == (site.change.words, site.change.line)
        }
        assert made != plain and code in made
        compile(mutated(TEXT, place), "text", "exec")


def test_a_mutant_says_which_statement_it_is_in():
    first = next(
        m for m in mutants_of("benchmark/stats/student.py") if m.change == "1e-300 -> 1.5e-300"
    )
    assert (first.code, first.at_import, first.first == first.last == first.line) == (
        "TINY = 1e-300",
        True,
        True,
    )


@pytest.mark.parametrize("place", range(len(EXPECTED)))
def test_a_change_keeps_the_lines(place):
    """So that coverage of the text is coverage of the mutant."""
    lines = [n.lineno for n in ast.walk(mutated(TEXT, place)) if isinstance(n, ast.Return)]
    assert lines == [10]


@pytest.mark.slow
def test_what_runs_at_import_meets_the_tests_that_read_it():
    """`linf` of the adversarial protocols is called when its module is imported, and by one test that says nothing."""
    mutant = next(m for m in mutants_of("suites/adversarial/config.py") if m.change == "255 -> 256")
    seconds = {f"tests/suites/adversarial/test_adversarial_{name}": 1.0 for name in
               ("schedule.py::test_a", "protocols.py::test_b", "norms.py::test_c")}  # fmt: skip
    seconds["tests/stats/test_ranks.py::test_d"] = 0.1
    at = frozenset(range(mutant.first, mutant.last + 1))
    one = {"tests/suites/adversarial/test_adversarial_schedule.py::test_a": at}
    called = CoverageMap(seconds, {mutant.file: one}, ())
    assert trial.tests_of(mutant, called) == list(one)
    imported = CoverageMap(seconds, {mutant.file: {"": at, **one}}, ())
    found = trial.tests_of(mutant, imported)
    assert "tests/suites/adversarial/test_adversarial_protocols.py::test_b" in found
    assert "" not in found and "tests/stats/test_ranks.py::test_d" not in found


def test_each_test_fills_the_caches_of_the_rooms_anew():
    from benchmark.stats.student import t_quantile

    t_quantile(0.9, 5.0)
    assert t_quantile.cache_info().currsize
    forget()
    assert not t_quantile.cache_info().currsize
