"""A metric that fails on stored trials is one error that names its suite."""

import pytest

from benchmark import api
from benchmark.engine.scoring import Scorer
from benchmark.errors import PluginError


def test_rescoring_names_the_suite(bench, tmp_path, monkeypatch):
    assert bench("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "4", "-q").code == 0

    def fails(self):
        raise ValueError("shapes (64,) and (64,16)")

    monkeypatch.setattr(Scorer, "again", fails)
    with pytest.raises(PluginError, match=r"suite 'cue-conflict': stored trials cannot be scored \(ValueError"):
        api.rescore("cue-conflict", db=str(tmp_path / "results.db"))
