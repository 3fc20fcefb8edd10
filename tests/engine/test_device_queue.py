"""An accelerator (`elsewhere/pretend_device.py`) is never waited for while it has nothing else to do."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark.transforms.corruptions import CORRUPTIONS

sys.path.append(str(Path(__file__).parent / "elsewhere"))
from checked import shorten

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent / "elsewhere"


@pytest.fixture(scope="module")
def runs():
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent)])
    left_out = [] if find_spec("cv2") else ["spatter"]
    command = [sys.executable, str(FOLDER / "counted.py"), *left_out]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", [pytest.param("every corruption", marks=pytest.mark.release), "a queue"])
def test_a_cell_takes_one_copy_and_one_wait(runs, name):
    """Though near-ties are decided again, images are shown again, and parameters are summed."""
    run = runs[name]
    assert run["copies"] <= run["cells"] + 2 and run["waits"] <= run["cells"] + 2


def test_a_queue_of_3_ms_a_batch_is_busy(runs):
    run = runs["a queue"]
    assert run["busy"] == pytest.approx(14 * 8 * 0.003)
    assert run["busy"] >= 0.95 * run["seconds"]


def test_near_ties_in_batches_are_decided_as_one_by_one(runs):
    (failed, here), (_, there) = runs["Readout"]
    assert failed == [] and here[0] == there[0] and len(here[0]) == 300
    np.testing.assert_allclose(here[1], there[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("Late", "answering has changed follows"), ("Moody", "otherwise when it is shown alone"), ("Broken", "gave NaN")],
)
def test_what_ends_a_run_on_the_processor_ends_it_there(runs, kind, reason):
    for failed, trials in runs[kind]:
        assert len(failed) == 1 and reason in failed[0]
        assert kind == "Moody" or not sum(map(len, trials))


def checked(text, figures):
    """What a check of a device must tell, in its table and in its file."""
    assert [name for name in figures if name not in CORRUPTIONS] == [
        "scores beside the processor's", "columns that differ in a second run", "a bare loop", "a run, clean images",
        "busy, clean images", "busy, corrupted images", "memory at batch 256",
    ]  # fmt: skip
    assert figures.keys() >= CORRUPTIONS.keys() and all(name in text for name in figures)
    close, same = figures["scores beside the processor's"], figures["columns that differ in a second run"]
    assert close["value"] <= 1e-4 and same["value"] == 0 and close["verdict"] == same["verdict"] == "ok"
    assert same["unit"] != "of 0"
    speeds = [figures[name]["value"] for name in ("a bare loop", "a run, clean images", "busy, clean images")]
    assert min(speeds) > 0 and speeds[1] / speeds[0] == pytest.approx(speeds[2])
    assert figures["memory at batch 256"]["value"] is None


def test_a_device_is_checked(bench, monkeypatch, tmp_path):
    shorten(monkeypatch.setattr)
    words = ("doctor", "--device", "cpu", "--model", "world-standard-0", "--json", tmp_path / "cpu.json")
    ended = bench(*words)
    assert ended.code == 0 and "cpu, world-standard-0" in ended.out
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert found["network"] == "world-standard-0" and found["environment"]["device"] == "cpu"
    checked(ended.out, {figure["figure"]: figure for figure in found["figures"]})
    assert "found: cpu" in bench("doctor", "--device", "gpu").err
    assert "--model takes a network" in bench("doctor", "--device", "cpu", "--model", "ideal-shape").err


@pytest.mark.release
def test_the_pretended_device_is_checked(tmp_path):
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent)])
    command = [sys.executable, str(FOLDER / "checked.py"), str(tmp_path / "it.json")]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert ended.returncode == 0, ended.stderr
    checked(ended.stdout, {one["figure"]: one for one in json.loads((tmp_path / "it.json").read_text())["figures"]})
