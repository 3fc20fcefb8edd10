"""Small sets made on the spot, and the real ones where the environment says that they are here."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.settings import Settings

CUES = (("cat", "elephant"), ("cat", "cat"), ("dog", "car"), ("truck", "bear"))


@pytest.fixture
def settings(tmp_path):
    """An empty home; no mirror, no data folder."""
    return Settings(home=tmp_path / "home", db="results.db", mirror=None, data=tmp_path / "data")


@pytest.fixture(scope="session")
def draw():
    """draw(path, seed=0, size=8): a small PNG of random pixels."""

    def make(path, seed=0, size=8):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture
def conflict(settings, draw):
    """Eight cue-conflict images in the data folder, each with its own pixels."""
    folder = settings.data / "cue-conflict"
    for i, (shape, texture) in enumerate(CUES):
        for k in (1, 2):
            draw(folder / shape / f"{shape}{k}-{texture}{k}.png", seed=10 * i + k)
    (folder / "LICENSE").write_text("terms")
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Settings whose data folder is BENCH_TEST_DATA."""
    where = os.environ.get("BENCH_TEST_DATA")
    if not where or not (Path(where) / "cue-conflict").is_dir():
        pytest.skip("no real stimuli: BENCH_TEST_DATA does not name a folder that holds them")
    home = tmp_path_factory.mktemp("home")
    return Settings(home=home, db="results.db", mirror=None, data=Path(where))
