"""Assertions about networks, for tests: `no_worse`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark import api
from benchmark.api.options import Names
from benchmark.failures import BenchError
from benchmark.leaderboard.comparison import Diff
from gestaltbench.evaluation import evaluate


class NotShown(AssertionError):
    """A network is worse than its base, or is not shown to be no worse. `diff` is the comparison."""

    def __init__(self, diff: Diff) -> None:
        super().__init__(diff.sentence)
        self.diff = diff


def no_worse(
    net: Any, base: Any, *, suite: str, margin: float | None = None, db: str | Path | None = None, **how: Any
) -> None:
    """Raise an AssertionError unless a network is no worse than its base.

        gb.no_worse(net, "resnet18", suite="cue-conflict", margin=0.02, preprocess=transform)

    It is judged as by `diff`, in a paired test on the images that both answered. Too few images for an answer are a
    failure, too: `error.diff.exit_code` is 1 for worse and 3 for inconclusive.

    net, base: what `evaluate` takes, or the name of an observer in the leaderboard.
    margin: in units of the headline: it must be shown that the network is at most this much worse. None: no change for
    the worse must be shown.
    db: the leaderboard; answers stored there are not computed again.
    how: preprocess, labels, limit and other parameters of `evaluate`."""
    new, old = (each if isinstance(each, str) else _stored(each, suite, db, how) for each in (net, base))
    if new == old:  # the same weights
        return
    diff = api.diff(api.Selection(db), old, new, suite=suite, noninferior=margin)
    if diff.exit_code:
        raise NotShown(diff)


def _stored(net: Any, suite: Names, db: str | Path | None, how: dict[str, Any]) -> str:
    """Evaluate a network and return its name. Raise BenchError if the suite fails or does not apply."""
    done = evaluate(net, suite, db=db, **{"progress": False, **how})
    for name, why in {**done.failed, **done.skipped}.items():
        raise BenchError(f"'{done.name}' has no score under {name}: {why}")
    return done.name
