"""An accelerator (`elsewhere/pretend_device.py`) is never waited for while it has nothing else to do."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent / "elsewhere"


@pytest.fixture(scope="module")
def runs():
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent)])
    left_out = [] if find_spec("cv2") else ["spatter"]
    command = [sys.executable, str(FOLDER / "counted.py"), *left_out]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", ["every corruption", "a queue"])
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
