"""What is imported is ours, and what is shipped is complete and small."""

import os
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import benchmark
import gestaltbench
import registry
import suites
from benchmark.version import RELEASED

ROOT = Path(__file__).parents[1]
NEEDED = (
    "registry/cards_builtin/world.yaml", "registry/label_spaces/imagenet1k.txt",
    "registry/world_checkpoints/world-standard-0.safetensors", "benchmark/stimuli/catalogue.yaml",
    "benchmark/store/versions.py", "suites/cue_conflict/__init__.py",
    "benchmark/cli/__init__.py", *(f"{name}/py.typed" for name in ("gestaltbench", "benchmark", "registry", "suites")),
)  # fmt: skip


def test_the_packages_are_ours():
    """`benchmark` is a common name: another package must not stand in its place."""
    for package in (gestaltbench, benchmark, registry, suites):
        assert all(Path(place).resolve().is_relative_to(ROOT) for place in package.__path__)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A fresh wheel, built from the source archive."""
    if find_spec("build") is None or find_spec("hatchling") is None:
        pytest.skip("building a wheel without a network needs build and hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.release
def test_the_wheel_is_small_and_holds_what_runs_need_alone(built):
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    assert [name for name in NEEDED if name not in names] == []
    on_disk = {
        path.relative_to(ROOT).as_posix()
        for folder in ("gestaltbench", "registry", "benchmark", "suites")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".yaml", ".safetensors", ".txt")
    }
    assert on_disk - names == set()
    assert built.stat().st_size < 8 * 10**6
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


@pytest.mark.release
def test_an_installed_wheel_runs_from_another_folder(built, tmp_path):
    """Only the dependencies are those of this environment; the program is the wheel's, and finds its own data."""
    place = tmp_path / "installed"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(place)
    (entries,) = place.glob("*.dist-info/entry_points.txt")
    assert "bench = gestaltbench.command:main\n" in entries.read_text()
    words = ["bench", "run", "--suite", "cue-conflict", "--model", "world-standard-0,ideal-shape", "--limit", "16"]
    start = (
        f"import sys, gestaltbench; assert gestaltbench.__file__.startswith({str(place)!r}); "
        f"sys.argv = {words!r}; from gestaltbench.command import main; main()"
    )
    env = {**os.environ, "PYTHONPATH": str(place), "BENCH_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", start], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "world-standard-0" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "results.db").is_file()


def test_the_public_workflow_and_ours_run_recipes_alone():
    recipes = set(re.findall(r"^([a-z-]+)[^:=\n]*:(?!=)", (ROOT / "justfile").read_text(), re.M))
    jobs, release = (
        yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())["jobs"] for name in ("ci", "release")
    )
    public = [step["run"] for job in (*jobs.values(), *release.values()) for step in job["steps"] if "run" in step]
    may_publish = [name for name, job in release.items() if "id-token" in job.get("permissions", {})]
    assert may_publish == ["publish"] and not any("run" in step for step in release["publish"]["steps"])
    ours = re.findall(r"^(?:pip|just|pytest|ruff|mypy|mkdocs|lint-imports)\b.*", (ROOT / ".ci/run").read_text(), re.M)
    versions = {row["python"]: row["recipe"] for row in jobs["test"]["strategy"]["matrix"]["include"]}
    assert versions == {"3.11": "ci", "3.12": "default", "3.13": "default"} and ours[-1] == "just ci"
    for line in (*public, *ours, f"just {' '.join(versions.values())}"):
        plain = re.sub(r' (\$\{\{ matrix\.recipe \}\}|"\$GITHUB_REF_NAME")$', "", line)
        program, *words = plain.rstrip(" &").split()
        assert (program == "just" and set(words) <= recipes) or re.match("pip install .*rust-just", line), line


def test_the_version_and_its_date_are_those_of_the_citation_and_checkpoints_are_small():
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (stated["version"], str(stated["date-released"])) == (gestaltbench.__version__, RELEASED)
    assert f"## {gestaltbench.__version__} ({RELEASED})\n" in (ROOT / "CHANGELOG.md").read_text()
    sizes = [path.stat().st_size for path in (ROOT / "registry" / "world_checkpoints").glob("*.safetensors")]
    assert len(sizes) >= 12 and max(sizes) < 650_000
