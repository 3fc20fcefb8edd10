"""A network in memory, such as one that is being trained or in a notebook: `evaluate`, and the assertion `no_worse`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import api
from benchmark.api.leaderboards import ObserverScores
from benchmark.api.options import Names
from benchmark.api.photograph_checks import registration_checks
from benchmark.api.running import require_possible
from benchmark.cli.models import print_checks
from benchmark.cli.progress import reporting
from benchmark.display import counted
from benchmark.engine.score_shards import RunReport
from benchmark.engine.tasks import suites_of
from benchmark.failures import BenchError
from benchmark.leaderboard.board_tables import observer_tables, score_table
from benchmark.leaderboard.comparison import Diff, diff_markdown
from benchmark.store import ScoreRow
from benchmark.variables import read_settings, restored
from gestaltbench.results import Results, python_errors
from registry.cards import Checkpoint
from registry.files import expanded

if TYPE_CHECKING:
    from benchmark.engine.reporters import Reporter


@dataclass(frozen=True, repr=False, kw_only=True)
class Evaluation(Results[ScoreRow]):
    """Every score of a network in memory under the suites that were asked for: a table, as of `gestaltbench.show`.
    `gestaltbench.verdict(result.name)` and `trials` read the same leaderboard."""

    name: str  # of the observer
    headlines: Mapping[str, ScoreRow]  # suite -> its score: `row.value`, `row.low`, `row.high`, `row.metric`
    report: RunReport  # what failed or does not apply, and why


@python_errors()
def evaluate(
    net: Any,
    suites: Names = "all",
    *,
    name: str | None = None,
    preprocess: Any = None,
    labels: Any = None,
    output: str | None = None,
    check: str | Path | bool | None = None,
    db: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    device: str | None = None,
    save: bool = False,
    step: int | None = None,
    progress: bool | Reporter = True,
    carry_out: Callable[[api.RunPlan, Reporter, str], RunReport] = api.execute,
) -> Evaluation:
    """Evaluate a network in memory: the same checks, stored trials, scores and verdict as by `register` and `run`.

        gb.evaluate(net, "cue-conflict", preprocess=transform, labels="imagenet1k")

    A module is copied and never called; a training around it stays as it is. Ctrl-C keeps what is stored, and the same
    call goes on from there. The same weights from a file and in memory are one observer.

    net: a torch module (plain, compiled, parallel, Lightning, timm, torchvision, transformers), any callable from
    images [n, 3, h, w] in [0,1] to logits, probabilities or labels, an object that predicts (scikit-learn, Keras), or a
    tuple (net, preprocess) or (net, preprocess, tokenizer) of open_clip.
    name: names the observer (default: its class and the first digits of its digest).
    preprocess: a callable from a PIL image to what the net takes of one image, torchvision's weights, a processor of
    transformers, or fields such as dict(size=224, mean=..., std=...).
    labels: a label space, a file, or the names of the outputs in their order (default: ImageNet's 1,000).
    output: the name of the output that classifies, of several.
    check: a folder of photographs to try it on (default: installed ones); False: none.
    suites, db, limit, seed, batch: as of `run`.
    device: where it is evaluated (default: where it is).
    save: write weights and a card, so that it can be loaded and reproduced like any registered network.
    step: the step of the training run `name`; the observer is called NAME-STEP and is a point of its curves.
    progress: False for silence, or a reporter (default: the checks, and a bar in a terminal or notebook).
    carry_out: runs the plan of one suite, the cheapest first.

    Raises BenchError of one line for an input that nobody states, and for a network that fails a check."""
    from benchmark.engine.device_choice import choose_device
    from benchmark.engine.devices import check_tuned, training_untouched
    from registry.determinism_checks import probe
    from registry.families.family import Draft
    from registry.in_memory import hold
    from registry.register import CardFolder

    if step is not None and name is None:
        raise BenchError("step= needs name=, the name of the training run.")
    settings, device = read_settings(None if db is None else str(db)), choose_device(device) if device else None
    require_possible(api.RunRequest(suites=suites), settings)
    draft = Draft(name=name or "", arch="", source="memory", options={"output": output} if output else {})
    if step is not None:
        draft = replace(draft, name=f"{name}-{step}", checkpoint=Checkpoint(run=str(name), step=step))
    shelf = CardFolder(cards=settings.cards, place=settings.place)
    folder = expanded(str(check)) if isinstance(check, str | Path) else None
    trial = check_tuned if check is False else partial(registration_checks, folder=folder, settings=settings)
    shown = None if progress is True else api.Silent() if progress is False else progress
    with reporting(shown, log=False) as reporter, training_untouched(), restored("CUBLAS_WORKSPACE_CONFIG"):
        model, checks = hold(net, preprocess, labels, draft, shelf, device, trial, save)
        if progress is True and step is None:
            print_checks(checks, err=True)
        place = probe(model).device
        device = str(place) if place.type == "cuda" else place.type
        request = api.RunRequest(suites=suites, limit=limit, seed=seed, batch=batch, device=device)
        plan, report = api.prepare(request, settings, [model]), RunReport()
        for part in plan.by_suite():
            report.join(carry_out(part, reporter, f"gestaltbench.evaluate {shlex.quote(model.card.name)}"))
    return _evaluation(model.card.name, plan, report)


def _evaluation(name: str, plan: api.RunPlan, report: RunReport) -> Evaluation:
    suites, ended = suites_of(plan.tasks), report.counts
    every = api.show(api.Selection(plan.settings.db), name) if ended["done"] + ended["cached"] else ObserverScores()
    asked = {suite.name: suite.headline.name for suite in suites}
    rows = tuple(row for row in every if row.suite in asked)
    why = "".join(f"; {suite}: {reason}" for (_, suite, _), (_, reason) in report.tasks.items() if reason)
    return Evaluation(
        title=f"{counted(len(rows), 'score')} of {name}{why}",
        values=rows,
        tables=lambda some: [score_table(some, every.stimuli)] if some else [],
        shown=lambda some: observer_tables(some, every.stimuli, every.suites) if some else [],
        name=name,
        headlines={row.suite: row for row in rows if not row.condition and row.metric == asked[row.suite]},
        report=report,
    )


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
        if diff is not None and diff.exit_code:
            raise NotShown(diff)
