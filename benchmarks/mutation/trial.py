"""One mutant against the tests that run its line."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache, partial

from benchmarks.mutation import ROOMS, ROOT
from benchmarks.mutation.changes import Mutant
from benchmarks.mutation.coverage_map import CoverageMap
from benchmarks.mutation.server import Job, passes, run

SPARE = 10.0  # seconds of processor time for imports
ROUND = 20.0  # tests of about so many seconds at once


def killed(
    mutants: Sequence[Mutant], coverage: CoverageMap, workers: int
) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant's fate as it is known: first the tests nearest to it and quickest, then the others."""
    waiting = [(one, batches(tests_of(one, coverage), coverage)) for one in reversed(mutants)]
    yield from ((one, False) for one, rounds in waiting if not rounds)
    waiting = [(one, rounds) for one, rounds in waiting if rounds]
    later: dict[object, list[list[str]]] = {}

    def jobs() -> Iterator[Job]:
        while waiting:
            one, (now, *later[one]) = waiting.pop()
            yield _job(one, now, coverage)

    while waiting:
        for job, code in run(jobs(), workers):
            passed = code in (0, 5)  # 5: no such test
            if passed and later[job.name]:
                waiting.append((job.name, later[job.name]))
            else:
                yield job.name, not passed


def _job(mutant: Mutant, tests: Sequence[str], coverage: CoverageMap) -> Job:
    seconds = SPARE + 3 * sum(coverage.seconds[name] for name in tests)
    return Job(mutant, partial(passes, mutant, tests), seconds)


def tests_of(mutant: Mutant, coverage: CoverageMap) -> list[str]:
    """Tests that run the mutant's line; for what runs at import (a function may be called there, by a line that no test
    runs) those that run the module or one that imports it, and those in files that import it or its room."""
    lines = set(range(mutant.first, mutant.last + 1))
    tests = coverage.lines.get(mutant.file, {})
    found = {name for name, at in tests.items() if lines & at}
    if mutant.at_import or "" in found or not found:
        files = [mutant.file, *users(mutant.file)]
        found = {name for file in files for name in coverage.lines.get(file, {})}
        found |= {name for name in coverage.seconds if name.split("::")[0] in readers(mutant.file)}
    found.discard("")
    near = next(tests for room, tests in ROOMS.items() if mutant.file.startswith(room + "/"))
    return sorted(found, key=lambda name: (not name.startswith(near), coverage.seconds[name], name))


def batches(tests: Sequence[str], coverage: CoverageMap) -> list[list[str]]:
    """Tests in rounds: the first of about a second, each further one of about ROUND seconds."""
    rounds: list[list[str]] = []
    spent, limit = 0.0, 1.0
    for name in tests:
        if not rounds or spent > limit:
            limit = ROUND if rounds else limit
            rounds, spent = [*rounds, []], 0.0
        rounds[-1].append(name)
        spent += coverage.seconds[name]
    return rounds


@cache
def users(file: str) -> list[str]:
    """Files of the rooms that import a module."""
    return [name for room in ROOMS for name in _importing(room, _module(file))]


@cache
def readers(file: str) -> frozenset[str]:
    """Files of tests that import a module or its room, and so may read what it holds without running a line of it."""
    rooms = [room.replace("/", ".") for room in ROOMS if file.startswith(room + "/")]
    return frozenset(one for name in (_module(file), *rooms) for one in _importing("tests", name))


def _module(file: str) -> str:
    return file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _importing(folder: str, module: str) -> list[str]:
    parent, _, name = module.rpartition(".")
    return [
        file
        for file, imports in _imports(folder)
        if any(found == module or (found == parent and name in names) for found, names in imports)
    ]


@cache
def _imports(folder: str) -> list[tuple[str, list[tuple[str | None, frozenset[str]]]]]:
    """Each file of a folder with the modules that it imports from, and the names it takes."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), _from(ast.parse(path.read_text()))) for path in paths]


def _from(tree: ast.AST) -> list[tuple[str | None, frozenset[str]]]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [(node.module, frozenset(one.name for one in node.names)) for node in nodes]
