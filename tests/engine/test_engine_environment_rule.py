"""Nothing below the command line reads the environment: settings are read once, above, and passed down.

That nothing below imports `benchmark.variables` is an import contract; here: that nothing else reads the environment.
"""

import ast
from pathlib import Path

import pytest

import benchmark

ROOT = Path(benchmark.__file__).parents[1]
READERS = {"benchmark/variables.py"}
ABOVE = ("benchmark/api/", "benchmark/cli/", "gestaltbench/")
NAMES = {"environ", "environb", "getenv", "getenvb"}


def sources():
    for room in ("benchmark", "registry", "suites"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(ABOVE) and "/templates/" not in name:
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def names_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (one.name for one in node.names)


@pytest.mark.slow
def test_only_settings_read_the_environment():
    readers = {name for name, tree in sources() if NAMES & set(names_of(tree))}
    assert readers == READERS
