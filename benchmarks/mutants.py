"""Do the tests notice? Random single-place mutants of scoring code, each against the tests of its room.

    python benchmarks/mutants.py [--number 20] [--seed 0] [--only benchmark/stats] [--list]

A mutant changes one operator, comparison, constant, condition or returned value. It is killed where a test fails (or
takes far too long), and survives where all pass: then a test is missing, unless the mutant does the same as the
original; such ones are listed with reasons in `mutants_equal.txt`, one "FILE | LINE OF CODE | CHANGE | REASON" a line,
and not counted. The tests run in a copy of the tree, slow ones last; what they need that is not here they skip.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EQUAL = Path(__file__).with_name("mutants_equal.txt")
#: Folder of code -> its tests, the quickest first.
ROOMS = {
    "benchmark/stats": ("tests/stats", "tests/leaderboard/test_comparison_tables.py"),
    "benchmark/transforms": ("tests/transforms",),
    "suites/adversarial": ("tests/suites/adversarial",),
    "suites/corruption": ("tests/suites/corruption",),
    "suites/cue_conflict": ("tests/suites/cue_conflict",),
    "suites/human_comparison": ("tests/suites/human_comparison",),
    "suites/saliency": ("tests/suites/saliency",),
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or,
    ast.Or: ast.And, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change. place: which of the file's places that can be changed; code: the line as it is; change: in words."""

    file: str
    place: int
    line: int
    code: str
    change: str

    @property
    def name(self) -> str:
        """How the list of equal mutants calls it: independent of line numbers."""
        return f"{self.file} | {self.code} | {self.change}"


def changes(tree: ast.AST) -> Iterator[tuple[Any, str, object, str]]:
    """(node, its field, what comes to stand there, the change in words), in the order of the tree.

    Operators are changed at the node that holds them: all additions of a tree share one `ast.Add`.
    """
    for node in _code(tree):
        if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
            swapped = SWAPS[type(node.op)]
            yield node, "op", swapped(), _words(node.op, swapped)
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            swapped = SWAPS[type(node.ops[0])]
            yield node, "ops", [swapped(), *node.ops[1:]], _words(node.ops[0], swapped)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, "op", ast.UAdd(), "minus dropped"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
            yield node, "operand", ast.UnaryOp(node.op, node.operand), "not dropped"
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            other = not node.value if isinstance(node.value, bool) else node.value + 1
            yield node, "value", other, f"{node.value} -> {other}"
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            yield node, "test", ast.UnaryOp(ast.Not(), node.test), "condition negated"


def _words(old: ast.AST, new: type[ast.AST]) -> str:
    return f"{type(old).__name__} -> {new.__name__}"


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run: no annotations, no decorators, no imports."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST):
                yield node
                yield from _code(node)


def mutants_of(file: str) -> Iterator[Mutant]:
    """Every mutant of a file."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    for place, (node, _, _, change) in enumerate(changes(ast.parse(text))):
        yield Mutant(file, place, node.lineno, lines[node.lineno - 1].strip(), change)


def mutated(text: str, place: int) -> str:
    """A file's text with one change."""
    tree = ast.parse(text)
    node, field, value, _ = list(changes(tree))[place]
    setattr(node, field, value)
    return ast.unparse(ast.fix_missing_locations(tree))


def killed(mutant: Mutant, copy: Path, limit: float) -> bool:
    """Whether a test of the mutant's room fails, or does not end; those nearest to the file are asked first."""
    target = copy / mutant.file
    before = target.read_text()
    folders = tests_of(mutant.file)
    first = nearest(mutant.file, folders, copy)
    target.write_text(mutated(before, mutant.place))
    try:
        rounds = ((first, "not slow"), (folders, "not slow"), (folders, "slow"))
        return any(failing(tests, which, copy, limit) for tests, which in rounds if tests)
    finally:
        target.write_text(before)


def tests_of(file: str) -> tuple[str, ...]:
    """The tests of a file's room."""
    return next(ROOMS[room] for room in ROOMS if file.startswith(room + "/"))


def nearest(file: str, folders: Sequence[str], copy: Path) -> list[str]:
    """The tests that import the file's module, or else a module of its room that does."""
    module = file.removesuffix(".py").replace("/", ".")
    tests = [path for folder in folders for path in sorted((copy / folder).rglob("test_*.py"))]
    users = [p for p in (copy / file).parent.glob("*.py") if f"{module} import" in p.read_text()]
    through = [".".join(p.relative_to(copy).with_suffix("").parts) for p in users]
    for names in ([module], through):
        found = [p for p in tests if any(f"{name} import" in p.read_text() for name in names)]
        if found:
            return [str(path.relative_to(copy)) for path in found]
    return []


def failing(tests: Sequence[str], which: str, copy: Path, limit: float) -> bool:
    """Whether a test of those marked so fails within `limit` seconds, or they do not end by then."""
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", which]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode not in (0, 5)  # 5: no such test


def chosen(only: list[str], number: int, seed: int) -> list[Mutant]:
    """Random mutants of the rooms (of files whose path begins with one of `only`), without those known to be equal."""
    known = EQUAL.read_text().splitlines() if EQUAL.exists() else []
    equal = {" | ".join(line.split(" | ")[:-1]) for line in known}
    paths = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
    files = [str(path.relative_to(ROOT)) for path in paths]
    wanted = [f for f in files if not only or any(f.startswith(part) for part in only)]
    everything = [one for f in wanted for one in mutants_of(f) if one.name not in equal]
    return random.Random(seed).sample(everything, min(number, len(everything)))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--number", type=int, default=20, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", action="append", default=[], help="path that files begin with")
    parser.add_argument("--limit", type=float, default=600, help="seconds for the tests of one")
    parser.add_argument("--list", action="store_true", help="say which ones, run nothing")
    return parser.parse_args()


def main() -> int:
    """Print each mutant's fate and the share killed."""
    args = arguments()
    mutants = chosen(args.only, args.number, args.seed)
    if args.list:
        print("\n".join(f"{one.file}:{one.line}: {one.change}: {one.code}" for one in mutants))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "*.db", "__pycache__"))
        for tests in {tests_of(one.file) for one in mutants}:
            if failing(tests, "not slow", copy, args.limit):
                print(f"the tests of {tests[0]} fail, or take too long, without any mutant")
                return 1
        dead = 0
        for one in mutants:
            fate = killed(one, copy, args.limit)
            dead += fate
            word = "killed  " if fate else "SURVIVED"
            print(f"{word} {one.file}:{one.line}: {one.change}: {one.code}", flush=True)
    print(
        f"RATIO mutants-killed {dead / max(1, len(mutants)):.3f} (0.850)   {dead} of {len(mutants)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
