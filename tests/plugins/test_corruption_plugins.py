"""A third party's corruptions: shown, run, ranked on a board of their own; broken lists are named and stop nobody."""

import pytest

pytestmark = pytest.mark.slow

WARPS = """
def swirl(images, level, seeds):
    return images.flip(-1) if level == "full" else images


def dim(images, level, seeds):
    return images * level
"""
LIST = """
defaults: {family: warp, citation: "Somebody (2026)", unit: ""}
corruptions:
  swirl: {levels: [none, full], plain: [none], ordered: false, function: "third_warps.warps:swirl"}
  dim: {family: weather, unit: share, levels: [0.8, 0.2], function: "third_warps.warps:dim"}
"""
BROKEN = "corruptions:\n  odd: {family: warp, levels: [1]}\n"
NOT_THERE = """
defaults: {family: warp, citation: "c", unit: ""}
corruptions:
  dim: {levels: [1], function: "third_warps.warps:dim"}
  gone: {levels: [1], function: "third_warps.warps:nothing"}
"""


def package(folder, name, text):
    place = folder / name
    place.mkdir()
    (place / "__init__.py").touch()
    (place / "warps.py").write_text(WARPS)
    if text:
        (place / "corruptions.yaml").write_text(text)


def site(folder, **packages):
    for name, text in packages.items():
        package(folder, name, text)
    info = folder / "third_warps-1.0.dist-info"
    info.mkdir()
    entries = "".join(f"{name.replace('_', '-')} = {name}\n" for name in packages)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-warps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bench.corruptions]\n{entries}")
    return folder


def test_without_plugins_there_is_no_such_variant(bench_with, tmp_path):
    (shown,) = bench_with(tmp_path, "suites show corruption")
    assert shown.returncode == 0 and "corruption:quick" in shown.stdout
    assert "corruption:plugins" not in shown.stdout


def test_they_are_listed_run_and_ranked_by_themselves(bench_with, tmp_path_factory):
    folder = site(tmp_path_factory.mktemp("good"), third_warps=LIST)
    shown, ran, details, checked = bench_with(
        folder,
        "suites show corruption",
        "run -m world-standard-0 -s corruption:plugins --limit 32 -q",
        "show world-standard-0",
        "suites check corruption:plugins",
    )
    assert "variant corruption:plugins: Corruptions of other packages: third-warps" in shown.stdout
    assert ran.returncode == 0, ran.stderr
    assert "corruption:plugins (version 2), world16" in ran.stdout
    assert details.returncode == 0, details.stderr
    for condition in ("swirl/full", "dim/0.8", "dim/0.2"):
        assert condition in details.stdout
    assert "swirl/none" not in details.stdout and "fog/1" not in details.stdout
    assert checked.returncode == 0, checked.stdout


def test_what_is_broken_is_named_and_the_rest_runs(bench_with, tmp_path_factory):
    folder = site(
        tmp_path_factory.mktemp("bad"), third_warps=LIST, second_odd=BROKEN, second_none="", second_same=NOT_THERE
    )
    ran, details = bench_with(folder, "run -m ideal-shape -s corruption:plugins --limit 32 -q", "show ideal-shape")
    assert ran.returncode == 0, ran.stderr
    assert details.returncode == 0, details.stderr
    assert "swirl/full" in details.stdout and "dim/0.8" not in details.stdout.replace("dim/1", "")
    text = " ".join(details.stdout.split())
    assert "field 'unit' is missing" in text
    assert "corruptions.yaml" in text
    assert "another package ships a corruption 'dim'" in text
    assert "'gone'" in text
