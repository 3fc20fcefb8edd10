"""A second opinion on the difference of two recipes: a mixed model with crossed random effects (extra 'mixed')."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout

import numpy as np

from benchmark.contracts import Array
from benchmark.failures import BenchError
from benchmark.stats.intervals import Floats


def mixed_difference(num: Floats, den: Floats, factors: Sequence[Array], first: Floats) -> tuple[float, float]:
    """Return the difference of the networks where `first` [m] is 1 from the others, and its standard error. num, den:
    [n, m]; factors: what images share, [n] each.

    Linear, one row for each network and trial that counts, fitted by maximum likelihood (GPBoost; Sigrist 2022, JMLR
    23:232). Crossed random effects: networks, trials, each factor, and each factor under each recipe."""
    try:
        import gpboost
    except ImportError as error:
        raise BenchError("a mixed model needs the extra 'mixed': pip install 'gestaltbench[mixed]'.") from error
    trial, network = np.nonzero(den)
    recipe = first[network].astype(int)
    groups = [network, *([trial] if all(len(set(labels.tolist())) < len(num) for labels in factors) else [])]
    for labels in factors:
        at = np.unique(labels, return_inverse=True)[1][trial]
        groups += [at, 2 * at + recipe]
    fixed = np.column_stack([np.ones(len(trial)), recipe]).astype(float)
    with redirect_stdout(io.StringIO()):  # its advice on threads
        model = gpboost.GPModel(group_data=np.column_stack(groups), likelihood="gaussian")
        model.fit(y=num[trial, network] / den[trial, network], X=fixed)
        value, se = np.asarray(model.get_coef(std_err=True), dtype=float)[:, 1]
    return float(value), float(se)
