"""Which test runs which line of the scoring code: measured once for each file of tests, kept until it changes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation import ROOMS, ROOT
from benchmarks.mutation.server import Job, function, run

KEPT = ROOT / ".pytest_cache" / "mutation_map.json"
#: Where behaviour of the rooms is tested. Not the engine's tests: they run everything, slowly, and hold code to
#: recorded digests and outputs, which any change breaks, right or wrong.
FOLDERS = ("tests/stats", "tests/transforms", "tests/suites", "tests/leaderboard")
FIXTURE = "fixture: "
LIMIT = 120.0  # seconds of processor time for one file of tests


@dataclass(frozen=True)
class CoverageMap:
    """seconds: test -> processor time; lines: file of code -> test -> its lines, those run while tests are collected
    (at import) under ""; failing: tests that do already."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, frozenset[int]]]
    failing: tuple[str, ...]


class Recorder:
    """A plugin of pytest: which lines each test ran, its time, whether it passed. What a fixture runs counts for each
    of the tests that share it."""

    def __init__(self, target: Path) -> None:
        import coverage

        self.target, self.seconds, self.failing = target, dict[str, float](), set[str]()
        self.now, self.users = "", dict[str, set[str]]()
        places = [str(ROOT / room / "*") for room in ROOMS]
        self.coverage = coverage.Coverage(data_file=None, include=places, config_file=False)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """One test; what earlier ones left in caches it computes itself, so that its lines are seen."""
        forget()
        name, began = function(item.nodeid), time.process_time()
        for fixture in getattr(item, "fixturenames", ()):
            self.users.setdefault(FIXTURE + fixture, set()).add(name)
        self._enter(name)
        result = yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began
        self._enter("")
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        """One fixture; those of a single test are part of it."""
        before = self.now
        if fixturedef.scope != "function":
            self._enter(FIXTURE + fixturedef.argname)
        result = yield
        self._enter(before)
        return result

    def _enter(self, context: str) -> None:
        self.now = context
        self.coverage.switch_context(context)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Tests that fail without any mutant."""
        if report.failed:
            self.failing.add(function(report.nodeid))

    def pytest_collectreport(self, report: Any) -> None:
        """Files that cannot be imported."""
        if report.failed:
            self.failing.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what was seen."""
        self.coverage.stop()
        data = self.coverage.get_data()
        lines: dict[str, dict[str, list[int]]] = {}
        for file in data.measured_files():
            tests = lines.setdefault(str(Path(file).relative_to(ROOT)), {})
            for line, names in data.contexts_by_lineno(file).items():
                for name in {test for one in names for test in self.users.get(one, {one})}:
                    tests.setdefault(name, []).append(line)
        seen = {"seconds": self.seconds, "lines": lines, "failing": sorted(self.failing)}
        self.target.write_text(json.dumps(seen))


def forget() -> None:
    """Empty the caches of the rooms' functions (`functools.cache`)."""
    rooms = tuple(room.replace("/", ".") for room in ROOMS)
    found = [module for name, module in list(sys.modules.items()) if name.startswith(rooms)]
    for value in [value for module in found for value in vars(module).values()]:
        if callable(clear := getattr(value, "cache_clear", None)):
            clear()


def measured(workers: int) -> CoverageMap:
    """The map of the quick tier as it stands; only files of tests that changed are run."""
    code = _digest(
        p
        for p in _python("benchmark", "benchmarks/mutation", "registry", "suites", "tests")
        if not _is_test(p)
    )
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept = kept if kept.get("code") == code else {"code": code, "files": {}}
    files = {str(p.relative_to(ROOT)): _digest([p]) for p in _python(*FOLDERS) if _is_test(p)}
    known = {
        f: kept["files"][f] for f, d in files.items() if kept["files"].get(f, {}).get("of") == d
    }
    stale = [file for file in files if file not in known]
    for at, (job, seen) in enumerate(_seen(stale, workers), 1):
        known[job] = {"of": files[job], **seen}
        print(f"\rcoverage of {at} of {len(stale)} files of tests", end="", flush=True)
    if stale:
        print()
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps({"code": code, "files": known}))
    return _joined(list(known.values()))


def _seen(files: list[str], workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        targets = {file: Path(folder) / f"{at}.json" for at, file in enumerate(files)}
        jobs = (Job(file, partial(_watch, file, targets[file]), LIMIT) for file in files)
        for job, _ in run(jobs, workers):
            target = targets[str(job.name)]
            if target.exists():
                yield str(job.name), json.loads(target.read_text())
            else:
                print(f"\n{job.name}: its tests do not end; left out")


def _watch(file: str, target: Path) -> int:
    recorder = Recorder(target)
    return int(pytest.main(["-q", "-p", "no:cacheprovider", file], plugins=[recorder]))


def _joined(parts: list[dict[str, Any]]) -> CoverageMap:
    failing = {name for part in parts for name in part["failing"]}
    lines: dict[str, dict[str, frozenset[int]]] = {}
    for part in parts:
        for file, tests in part["lines"].items():
            of_file = lines.setdefault(file, {})
            for name in tests.keys() - failing:
                of_file[name] = of_file.get(name, frozenset()) | frozenset(tests[name])
    seconds = {n: s for part in parts for n, s in part["seconds"].items() if n not in failing}
    return CoverageMap(seconds, lines, tuple(sorted(failing)))


def _python(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))


def _is_test(path: Path) -> bool:
    return path.name.startswith("test_")


def _digest(paths: Any) -> str:
    texts = [f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() for path in paths]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()
