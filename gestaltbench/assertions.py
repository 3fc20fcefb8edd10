"""Assertions about networks, for tests: `no_worse`."""

from typing import Any

from benchmark import api
from benchmark.failures import BenchError
from benchmark.leaderboard.comparison import Diff, diff_markdown
from gestaltbench.evaluation import evaluate


class NotShown(AssertionError):
    """A network is worse than its base, or is not shown to be no worse. `diff` is the comparison."""

    def __init__(self, diff: Diff) -> None:
        super().__init__(diff_markdown(diff, images=0))
        self.diff = diff


def no_worse(net: Any, base: Any, *, suite: str, margin: float | None = None, db: Any = None, **how: Any) -> None:
    """Raise an AssertionError with the verdict of `diff` unless a network is no worse than its base.

        gb.no_worse(net, "resnet18", suite="cue-conflict", margin=0.02, preprocess=transform)

    Too few images for an answer are a failure, too: `error.diff.exit_code` is 1 for worse and 3 for inconclusive.

    net, base: what `evaluate` takes, or the name of an observer in the leaderboard.
    margin: in units of the headline: it must be shown that the network is at most this much worse. None: no change for
    the worse must be shown.
    db, how: the leaderboard, preprocess, labels, limit and other parameters of `evaluate`."""
    names = []
    for each in (base, net):
        done = None if isinstance(each, str) else evaluate(each, suite, db=db, **{"progress": False, **how})
        if done is not None and not done.headlines:
            raise BenchError(f"{done.title}: there is nothing to compare.")
        names.append(each if done is None else done.name)
    if names[0] != names[1]:  # else they are the same weights
        diff = api.diff(api.Selection(db), *names, suite=suite, noninferior=margin)
        if diff.exit_code:
            raise NotShown(diff)
