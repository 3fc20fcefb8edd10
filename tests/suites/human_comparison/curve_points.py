"""Points of a fitted psychometric curve."""

import numpy as np

from suites.human_comparison.psychometric import _curve, _scaled


def predict(experiment, curve, levels):
    """The curve's accuracy at `levels`."""
    x = np.array([_scaled(experiment, level) for level in levels])
    parameters = (_scaled(experiment, curve.threshold), np.log(abs(curve.slope)), curve.lapse)
    return _curve(x, np.sign(curve.slope), parameters)
