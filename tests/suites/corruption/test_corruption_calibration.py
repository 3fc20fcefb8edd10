"""Confidence against correctness on tables made by hand: every number again by a loop, or its reason."""

import numpy as np
import pytest
from corruption_tables import by_name, table

from benchmark.stats.confidence import calibration_error
from suites.corruption import SUITE
from suites.corruption.calibration import NOT_KEPT, certainty

NAMES = ("ece", "nll", "brier", "selective_accuracy")
CELLS = ("clean", "fog/1", "fog/2")


def answered(n=40, seed=0, kept=("confidence", "brier", "probability"), **changed):
    """Trials with probabilities of three categories, the first of which is the truth."""
    rng = np.random.default_rng(seed)
    given = {cell: rng.dirichlet((4, 2, 1) if cell == "clean" else (2, 2, 1), n).astype(np.float32) for cell in CELLS}
    given |= changed
    columns = {name: {} for name in ("confidence", "brier", "probability")}
    for cell, probabilities in given.items():
        parts = {**certainty(probabilities, np.zeros(n, int)), "probability": probabilities[:, 0]}
        for name, values in parts.items():
            columns[name][cell] = values
    right = {cell: probabilities.argmax(axis=1) == 0 for cell, probabilities in given.items()}
    return given, table(right, **{name: columns[name] for name in kept})


def scored(trials):
    return by_name(SUITE.score(SUITE.config, trials))


def test_every_number_by_a_loop():
    given, trials = answered()
    found = scored(trials)
    for prefix, cells in (("", CELLS[1:]), ("clean_", CELLS[:1])):
        nats = [-np.mean([np.log(p[0]) for p in given[cell]]) for cell in cells]
        brier = [np.mean([(p[0] - 1) ** 2 + p[1] ** 2 + p[2] ** 2 for p in given[cell]]) for cell in cells]
        errors, curves = [], []
        for cell in cells:
            best, right = given[cell].max(axis=1), given[cell].argmax(axis=1) == 0
            errors.append(calibration_error(best.astype(float), right).value)
            order = np.argsort(-best)
            curves.append([right[order[: 4 * tenth]].mean() for tenth in range(1, 11)])
        expected = dict(zip(NAMES, map(np.mean, (errors, nats, brier, curves)), strict=True))
        for name, value in expected.items():
            row = found[prefix + name, ""]
            assert row.value == pytest.approx(value, rel=1e-5), name
            assert row.low < row.value < row.high and row.n == 40 * len(cells)
        for tenth in range(1, 11):
            row = found[f"{prefix}selective_accuracy", f"most confident {tenth / 10:g}"]
            assert row.value == pytest.approx(np.mean([curve[tenth - 1] for curve in curves]))


@pytest.mark.parametrize("kept", [(), ("probability",), ("confidence", "brier", "probability")])
def test_what_was_not_kept_has_its_reason(kept):
    found = scored(answered(kept=kept)[1])
    known = {"nll"} if kept == ("probability",) else set(NAMES) if kept else set()
    for name in NAMES:
        row = found[name, ""]
        assert (row.value is not None, row.reason) == ((True, "") if name in known else (False, NOT_KEPT))


def test_a_truth_that_is_no_category_is_left_out():
    kept = certainty(np.array([[0.7, 0.3]]), np.array([-1]))
    assert kept["confidence"] == np.float32(0.7) and np.isnan(kept["brier"])
    _, trials = answered()
    trials.columns["brier"][:5] = trials.columns["probability"][:5] = np.nan
    found = scored(trials)
    assert (found["clean_brier", ""].n, found["clean_brier", ""].excluded) == (35, 5)
    assert found["clean_ece", ""].n == 40
    # and few images have no curve
    row = scored(answered(n=9)[1])["selective_accuracy", ""]
    assert row.value is None and "10 images" in row.reason
