"""The checks of the conformance kit: each promise of the contract, on toy stimuli and a toy observer."""

import math
from collections.abc import Callable
from functools import cache
from typing import get_args

import numpy as np

from benchmark.contracts import Direction, Suite, Trials
from benchmark.testing.toys import ToyShelf, ToyView, toy_trials
from registry.determinism_checks import Check

TRANSFORMS = 20  # how many transforms of a plan are applied: a corruption sweep has 75


def check_suite(suite: Suite) -> list[Check]:
    """Run every check on toy stimuli and a toy observer. A check that raises is a failed check, with the error."""
    shelf = ToyShelf(suite.spaces[0])
    shown = cache(lambda: toy_trials(suite, shelf))  # once: most of what the checks cost
    checks: dict[str, Callable[[], str]] = {
        "metrics are well defined": lambda: _metrics(suite),
        "plan is pure": lambda: _plan_is_pure(suite, shelf),
        "observe returns one row per trial in any batch": lambda: _observe(suite, shelf, shown()),
        "transforms are deterministic and of each image alone": lambda: _transforms(suite, shelf),
        "scores belong to declared metrics, whatever the trials and their order": lambda: _scores(suite, shown()),
        "a condition's score counts its own trials": lambda: _conditions(suite, shown()),
    }
    return [run_check(name, check) for name, check in checks.items()]


def run_check(name: str, check: Callable[[], str]) -> Check:
    """Return the outcome of one check, which gives what was seen, or raises what is wrong."""
    try:
        return Check(name=name, ok=True, detail=check())
    except Exception as error:  # noqa: BLE001 - the boundary of foreign code; the error is the finding
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {error}")


def _metrics(suite: Suite) -> str:
    names = [metric.name for metric in suite.metrics]
    assert len(names) == len(set(names)), f"metric names repeat: {names}"
    headlines = [metric.name for metric in suite.metrics if metric.headline]
    assert len(headlines) == 1, f"exactly one metric is the headline, found {headlines}"
    for metric in suite.metrics:
        assert metric.definition, f"'{metric.name}' has no definition"
        assert metric.direction in get_args(Direction), f"'{metric.name}': direction '{metric.direction}'"
    for figure in suite.figures:
        unknown = sorted(set(figure.metrics) - set(names))
        assert not unknown, f"figure '{figure.name}' shows {unknown}, which are no metrics"
    return f"{len(names)} metrics, headline '{headlines[0]}'"


def _plan_is_pure(suite: Suite, shelf: ToyShelf) -> str:
    plans = [suite.plan(suite.config, shelf) for _ in range(2)]
    first, second = ([(block.role, block.condition, block.stimuli.digest) for block in plan.blocks] for plan in plans)
    assert first == second, "two calls gave two plans"
    assert first, "the plan has no block although every role has stimuli"
    keys = [key for *key, _ in first]
    assert all(keys.count(key) == 1 for key in keys), f"two blocks share role and condition: {keys}"
    return f"{len(first)} blocks"


def _observe(suite: Suite, shelf: ToyShelf, whole: Trials) -> str:
    block = suite.plan(suite.config, shelf).blocks[0]
    columns = suite.observe(suite.config, ToyView(block, np.arange(5)))
    for name, values in columns.items():
        array = np.asarray(values)
        assert array.shape[:1] == (5,), f"column '{name}' has shape {array.shape} for 5 trials"
        assert array.dtype.kind in "biufU", f"column '{name}' has dtype {array.dtype}: use numbers, bool or text"
    split = toy_trials(suite, shelf, 5)
    for name, array in whole.columns.items():
        is_float = array.dtype.kind == "f"
        same = np.allclose(array, split[name], 1e-5, 1e-6, True) if is_float else np.array_equal(array, split[name])
        assert same, f"column '{name}' changes with the batch size"
    return f"columns {', '.join(columns)}; batches of 32 and of 6-7 agree"


def _transforms(suite: Suite, shelf: ToyShelf) -> str:
    import torch

    blocks = [block for block in suite.plan(suite.config, shelf).blocks if block.transform]
    for block in blocks[:TRANSFORMS]:
        index, name = np.arange(6), block.condition or block.role
        shown = ToyView(block, index).images
        assert shown.dtype == torch.float32 and shown.shape[:2] == (6, 3), (
            f"'{name}': {list(shown.shape)} of {shown.dtype} from 6 images, expected float32 [6, 3, h, w]"
        )
        assert float(shown.min()) >= 0 and float(shown.max()) <= 1, f"'{name}': values outside [0, 1]"
        again = ToyView(block, index).images
        assert torch.equal(shown, again), f"'{name}': the same images and seeds gave other pixels"
        alone = torch.cat([ToyView(block, index[i : i + 1]).images for i in index])
        near = torch.allclose(shown, alone, rtol=0, atol=1e-6)
        assert near, f"'{name}': an image depends on the others of its batch"
    return f"{min(len(blocks), TRANSFORMS)} of {len(blocks)} transforms applied"


def _scores(suite: Suite, trials: Trials) -> str:
    # A part of the trials is what a stopped run or a missing set leaves.
    parts = {"all trials": np.ones(len(trials), dtype=bool)}
    parts |= {f"role '{role}' alone": np.asarray(trials["role"] == role) for role in dict.fromkeys(trials["role"])}
    parts["every other trial"] = np.arange(len(trials)) % 2 == 0
    parts["one trial"] = np.arange(len(trials)) == 0
    parts["no trial"] = np.zeros(len(trials), dtype=bool)
    scores = {name: suite.score(suite.config, trials.where(keep)) for name, keep in parts.items()}
    declared = {metric.name for metric in suite.metrics}
    assert any(score.metric == suite.headline.name for score in scores["all trials"]), "the headline has no score"
    for name, score in ((name, score) for name, own in scores.items() for score in own):
        label, value = f"'{score.metric}' {score.condition} of {name}", score.value
        assert score.metric in declared, f"'{score.metric}' is not declared"
        assert value is not None or score.reason, f"{label}: no value and no reason"
        assert value is None or math.isfinite(value), f"{label}: value {value}; undefined is None with a reason"
        assert value is None or name != "no trial", f"{label}: value {value}"
        if value is not None and score.low is not None and score.high is not None:
            assert score.low <= value <= score.high, f"{label}: {value} outside [{score.low}, {score.high}]"
            assert score.method, f"{label}: an interval without its method"
    order = np.random.default_rng(0).permutation(len(trials))
    shuffled = Trials(columns={name: values[order] for name, values in trials.columns.items()}, missing=trials.missing)
    first, second = (
        {(score.metric, score.condition, score.role): score.value for score in each}
        for each in (scores["all trials"], suite.score(suite.config, shuffled))
    )
    assert first.keys() == second.keys(), "other scores after shuffling the trials"
    for key, value in first.items():
        a, b = (math.nan if each is None else each for each in (value, second[key]))
        assert np.isclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True), f"{key} changes with the order of trials"
    return f"{len(first)} scores, equal after shuffling, and those of {len(parts) - 1} parts of the trials"


def _conditions(suite: Suite, trials: Trials) -> str:
    # A score whose condition is that of a block counts that block's trials: no more of them, and with the same value
    # without the others. One that needs others (a baseline) has no value alone, and none without its own.
    @cache
    def values(condition: str, own: bool) -> dict[tuple[str, str], float | None]:
        part = trials.where((trials["condition"] == condition) == own)
        return {(s.metric, s.role): s.value for s in suite.score(suite.config, part) if s.condition == condition}

    checked = 0
    for score in suite.score(suite.config, trials):
        under = trials["condition"] == score.condition
        if not score.condition or score.value is None or not under.any():
            continue
        most = int((under & ((trials["role"] == score.role) | (not score.role))).sum())
        label, key = f"'{score.metric}' under '{score.condition}'", (score.metric, score.role)
        assert score.n <= most, f"{label} counts {score.n} trials; the condition has {most}"
        alone = values(score.condition, True).get(key)
        if alone is None:
            others = values(score.condition, False).get(key)
            assert others is None, f"{label} has a value ({others}) without the trials of its condition"
        else:
            same = math.isclose(alone, score.value, rel_tol=1e-9)
            assert same, f"{label} is {score.value}, and {alone} without the trials of other conditions"
        checked += 1
    return f"{checked} scores of conditions"
