"""Entry points of every kind are read in one way: what cannot be used is named and stops nobody."""

from importlib.metadata import EntryPoint

import pytest

from benchmark import api, plugins
from benchmark.engine.scoring import Scorer
from benchmark.failures import PluginError, load_each
from benchmark.transforms import listing
from suites.adversarial.attack_plugins import load_attack
from suites.saliency.map_plugins import load_map


def suites(monkeypatch, entries):
    monkeypatch.setattr(plugins, "suite_entries", lambda: {entry.name: entry for entry in entries})
    return plugins.find_suites().broken


def corruptions(monkeypatch, entries):
    monkeypatch.setattr(listing, "entry_points", lambda group: entries)
    return listing.plugins()[1]


@pytest.mark.parametrize(
    "broken",
    [suites, corruptions, lambda _, e: load_each(e, load_attack)[1], lambda _, e: load_each(e, load_map)[1]],
    ids=["suites", "corruptions", "attacks", "maps"],
)
def test_a_module_that_ends_the_program_is_named_and_stops_nobody(broken, tmp_path, monkeypatch):
    (tmp_path / "ending.py").write_text("raise SystemExit('no licence')")
    (tmp_path / "faulty.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [EntryPoint("b", "faulty:X", "bench.any"), EntryPoint("a", "ending:X", "bench.any")]
    assert list(broken(monkeypatch, entries).items()) == [
        ("a", "ending:X cannot be used: SystemExit: no licence"),
        ("b", "faulty:X cannot be used: ZeroDivisionError: division by zero"),
    ]


@pytest.mark.slow
def test_a_metric_that_fails_on_stored_trials_is_one_error_that_names_its_suite(bench, tmp_path, monkeypatch):
    assert bench("run", "-m", "ideal-shape", "-s", "cue-conflict", "--limit", "4", "-q").code == 0

    def fails(self):
        raise ValueError("shapes (64,) and (64,16)")

    monkeypatch.setattr(Scorer, "again", fails)
    with pytest.raises(PluginError, match=r"stored trials under cue-conflict cannot be read \("):
        api.rescore("cue-conflict", db=str(tmp_path / "results.db"))
