"""Another package's map and measure: scored by the suite's own rules, named, part of what is stored."""

import json
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from installed_packages import bench_beside

from benchmark.contracts import Block
from benchmark.errors import PluginError
from benchmark.identity import code_digest
from benchmark.testing import ToyView, toy_stimuli
from suites.saliency import SUITE, measured
from suites.saliency.added import GROUP, Map, Measure, added_metrics, read_added
from suites.saliency.config import REFERENCES, SaliencyConfig, added_column

CODE = '''
from suites.saliency.added import Map, Measure


def ramp(forward, images, targets, seeds):
    """More to the right; zero on the first image of all."""
    import torch

    assert len(images) <= 16 and targets.shape == (len(images), forward(images).shape[1])
    row = torch.linspace(0, 1, images.shape[3])
    return row.expand(len(images), images.shape[2], -1) * (seeds[:, None, None] % 2 + 1).astype("float32")


def on_object(maps, masks):
    return (maps * masks).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


def fails(maps, masks):
    return maps[0] / "x"


RAMP = Map("ramp", "brightness of the right side", ramp)
MASS = Measure("mass share", "share of the mass on the object", on_object)
FAILS = Measure("fails", "fails", fails)
NOTHING = {}
'''
ENTRIES = """[bench.saliency]
right_ramp = third_saliency:RAMP
mass_share = third_saliency:MASS
not_there = third_saliency:MISSING
"""


def site(folder, entries):
    package, info = folder / "third_saliency.py", folder / "third_saliency-1.0.dist-info"
    info.mkdir(parents=True)
    package.write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-saliency\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """call(entries, *commands): how each `bench COMMAND` ended where such a package is installed."""
    place = tmp_path_factory.mktemp("third")

    def call(entries, *commands):
        folder = place / f"site{abs(hash(entries))}"
        if not folder.exists():
            site(folder, entries)
        home = str(place / "home")
        return bench_beside(folder, place, *commands, BENCH_HOME=home, OMP_NUM_THREADS="1")

    return call


RUN = "run -m world-standard-0 -s saliency --limit 16 --batch-size 16 --db"
EXPORT = "export -s saliency --format json --db"


@pytest.fixture(scope="module")
def with_them(installed):
    """How a run with the added map and measure, and what is asked of it and of the suite, ended."""
    asked = ("show world-standard-0 --db with.db", "suites check saliency")
    return installed(ENTRIES, f"{RUN} with.db", f"{EXPORT} with.db", *asked)


@pytest.mark.slow
def test_they_stand_on_the_board_by_their_names(with_them):
    ran, exported, shown, checked = with_them
    assert ran.returncode == 0, ran.stderr
    (board,) = json.loads(exported.stdout)
    scores = board["rows"][0]["scores"]
    titles = {column["metric"]: column["title"] for column in board["columns"]}
    assert titles["right_ramp_object_auc_excess"] == "ramp"
    assert titles["mass_share"] == "mass share"
    assert -1 < scores["right_ramp_object_auc_excess"]["value"] < 1
    assert 0 < scores["mass_share"]["value"] < 1
    assert scores["mass_share"]["low"] < scores["mass_share"]["value"] < scores["mass_share"]["high"]
    assert scores["mass_share"]["n"] == 16
    assert "not_there" in shown.stdout and "MISSING" in shown.stdout.replace("\n", "")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_the_suites_own_numbers_do_not_move(installed, with_them):
    ran, exported = installed("", f"{RUN} bare.db", f"{EXPORT} bare.db")
    assert ran.returncode == 0
    added, bare = (json.loads(one.stdout)[0]["rows"][0]["scores"] for one in (with_them[1], exported))
    assert "mass_share" not in bare
    for name, cell in bare.items():
        assert added[name]["value"] == cell["value"]


@pytest.mark.slow
def test_one_that_fails_is_named(installed):
    (ended,) = installed("[bench.saliency]\nmine = third_saliency:FAILS\n", f"{RUN} fails.db")
    assert ended.returncode == 1
    assert "'mine' failed" in ended.stderr and "TypeError" in ended.stderr
    assert "Traceback" not in ended.stderr


def a_map(forward, images, targets, seeds):
    return np.ones(images.shape[::2])


def a_measure(maps, masks):
    return np.ones(len(maps))


MAP, MEASURE = Map("m", "m", a_map), Measure("n", "n", a_measure, "none")
CALLED = Measure("c", "c", len)


def entry(name, value):
    return EntryPoint(name, f"{__name__}:{value}", GROUP)


def test_what_cannot_be_used_is_named_with_the_reason():
    found = read_added(
        [
            entry("ok", "MAP"),
            entry("Capital", "MAP"),
            entry("gone", "GONE"),
            entry("wrong", "ENTRIES"),
            entry("called", "CALLED"),
        ]
    )
    assert list(found.maps) == ["ok"]
    assert "small letters" in found.broken["Capital"]
    assert "AttributeError" in found.broken["gone"]
    assert "got str" in found.broken["wrong"]
    assert "plain function" in found.broken["called"]
    metrics = {metric.name: metric for metric in added_metrics(found)}
    assert metrics["gone"].ratio is None


def test_names_and_code_decide_what_is_stored():
    found = read_added([entry("b", "MEASURE"), entry("a", "MAP")])
    assert found.signatures == (("a", code_digest(a_map)), ("b", code_digest(a_measure)))
    metrics = {metric.name: metric for metric in added_metrics(found)}
    assert set(metrics) == {"a_object_auc_excess", "a_object_auc", "b"}
    assert metrics["b"].direction == "none"


def test_a_column_of_the_suite_is_never_overwritten():
    """Names of its columns and reference maps are free: what is added is stored apart."""
    found = read_added([entry("sobel", "MAP"), entry("response", "MEASURE")])
    assert not found.broken
    assert added_column("response") not in ("response", *(f"{name}_auc" for name in REFERENCES))


@pytest.mark.parametrize(("name", "wrong"), [("m", [1.0]), ("g", torch.ones(2, 4, 4))])
def test_what_a_package_returns_must_have_the_shape_that_is_asked_for(monkeypatch, name, wrong):
    measures = {"m": SimpleNamespace(measure=lambda maps, masks: wrong)}
    maps = {"g": SimpleNamespace(make=lambda *_: wrong)}
    monkeypatch.setattr(measured, "ADDED", SimpleNamespace(measures=measures, maps=maps))
    view = ToyView(Block(toy_stimuli("cue-conflict"), role="cue-conflict"), np.arange(3))
    with pytest.raises(PluginError, match="expected values of shape"):
        SUITE.observe(SaliencyConfig(added=((name, ""),)), view)
