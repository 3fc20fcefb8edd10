"""Scores, sets and a suite by hand."""

import pytest
from plain_suites import plain_suite

from benchmark.contracts import Metric
from benchmark.stats import wilson
from benchmark.store.rows import ScoreRow, StimuliNote

CUES, FULL, EDGES, PART = "c1" * 32, "f2" * 32, "e3" * 32, "d4" * 32
DIGESTS = {"cue": CUES, "edges": EDGES, "": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for what a file's tests share, and the home of the program while that is made."""
    place = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(place))
        yield place


@pytest.fixture
def suite():
    return plain_suite(
        "cue-conflict",
        Metric(name="hidden", title="hidden", definition="", direction="none", role="cue", shown=False),
        Metric(
            name="bias", title="shape bias", definition="", direction="higher", role="cue", headline=True, chance=0.5
        ),
        Metric(name="edges", title="edges", definition="", direction="higher", role="edges", chance=1 / 16),
        Metric(name="error", title="error rate", definition="", direction="lower", role="cue"),
        references={"reference: middle": "the middle"},
    )


@pytest.fixture
def sets():
    notes = [
        StimuliNote(digest=CUES, name="cue-conflict", space="geirhos16", n=320, whole=1280, origin="added"),
        StimuliNote(digest=FULL, name="cue-conflict", space="geirhos16", n=1280, whole=1280, origin="catalogue"),
        StimuliNote(digest=EDGES, name="edges", space="geirhos16", n=160, whole=160, origin="catalogue"),
        StimuliNote(digest=PART, name="edges", space="geirhos16", n=40, whole=160, origin="catalogue"),
    ]
    return {note.digest: note for note in notes}


@pytest.fixture
def score():
    """score("model", 60, 220): a stored proportion; any field by name."""

    def make(observer, right=0, n=0, **fields):
        low, high = wilson(right, n) if n else (None, None)
        role = fields.pop("role", "cue")
        made = ("cue-conflict", 2, "geirhos16", "2026-01-02T00:00:00Z", 1, DIGESTS.get(role, role), ())
        value, reason = (right / n, "") if n else (None, "no trials")
        number = ("bias", "", role, value, reason, low, high, 0.95, "wilson" if n else "", n, 0)
        return ScoreRow(observer, "network", (), *made, *number)._replace(**fields)

    return make
