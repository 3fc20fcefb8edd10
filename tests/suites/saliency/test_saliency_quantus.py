"""Mass, rank accuracy and AUC against Quantus 0.6.0, absolute maps, nothing normalised.

Its values were made once in an environment of its own (it needs another OpenCV than the harness's extras) and are kept
in data/quantus-0.6.0.npz: twelve maps without ties, their masks, and `RelevanceMassAccuracy(abs=True,
normalise=False)`, `RelevanceRankAccuracy(...)`, `AUC(...)` of them.
"""

from pathlib import Path

import numpy as np
import pytest

from suites.saliency.maps.localisation import mass_share, object_auc, rank_accuracy


@pytest.fixture(scope="module")
def case():
    with np.load(Path(__file__).parent / "data" / "quantus-0.6.0.npz") as found:
        return dict(found)


@pytest.mark.parametrize(("name", "metric"), [("mass", mass_share), ("rank", rank_accuracy), ("auc", object_auc)])
def test_the_same_as_quantus(name, metric, case):
    shape = tuple(case["shape"])
    masks = np.unpackbits(case["masks"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    found = metric(case["maps"].astype(float), masks)
    assert str(case["version"]) == "0.6.0"
    assert len(np.unique(case[name])) > 8
    np.testing.assert_allclose(found, case[name], atol=1e-6)
