"""The reference leaderboard: made from what is on this disk, the same a second time."""

import os
import resource
import sys
from pathlib import Path

import pytest

from benchmark import api
from benchmark.failures import BenchError
from benchmark.store import open_store
from benchmarks.reference import made

pytestmark = pytest.mark.slow

HEAD = "subj,session,trial,rt,object_response,category,condition,imagename\n"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with one table of trials and one of scores; nothing else can be reached."""
    mirror = tmp_path / "mirror"
    trials = mirror / "error-consistency" / "texture-shape_cue-conflict"
    trials.mkdir(parents=True)
    for name in ("resnet50", "vgg16"):
        rows = f"{name},1,1,NaN,cat,cat,0,cat1-dog1.png\n{name},1,2,NaN,dog,cat,0,cat2-dog2.png\n"
        (trials / f"cue-conflict_{name}_session-1.csv").write_text(HEAD + rows)
    scores = mirror / "published-scores" / "critical-band-masking"
    scores.mkdir(parents=True)
    (scores / "baccs.json").write_text('{"resnet50": 0.8}')
    monkeypatch.setenv("BENCH_MIRROR", str(mirror))


def test_it_is_made_from_a_mirror_and_a_second_time_adds_nothing(mirror):
    sources, shown = ("error-consistency", "critical-band-masking"), []
    for trials in (4, 0):
        made = api.reference(sources)
        assert (made.observers, made.people, made.reported, made.trials, made.failed) == (2, 0, 1, trials, [])
        with open_store(made.db, write=False) as store:
            shown.append(store.latest_scores())
    assert shown[0] == shown[1]


def test_where_nothing_can_be_got_the_remedy_is_said_once(mirror):
    with pytest.raises(BenchError) as caught:
        api.reference(("human-trials", "vlm_shapebias"))
    text = str(caught.value)
    assert text.count("set BENCH_MIRROR") == 1 and text.endswith(" Also failed: vlm_shapebias.")


@pytest.mark.release
def test_everything_published_fits_its_budget(monkeypatch):
    mirror = os.environ.get("BENCH_TEST_DATA", "")
    if not (Path(mirror) / "published-trials").is_dir():
        pytest.skip("set BENCH_TEST_DATA to a folder that holds published-trials/NAME.tar.xz")
    monkeypatch.setenv("BENCH_MIRROR", mirror)
    first = api.reference()
    assert (first.observers, first.reported, first.failed) == (72, 210, [])
    ladder = Path(mirror) / "published-scores" / "critical-band-masking" / "sb_scores.json"
    stale = [path.name for path, text in made(first.db, None, ladder).items() if path.read_text() != text]
    assert [name for name in stale if name.endswith(".md")] == []  # `python -m benchmarks.reference` writes them
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    assert peak < 2 * 2**20 or sys.platform != "linux"
