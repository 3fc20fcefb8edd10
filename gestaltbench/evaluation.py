"""`gestaltbench.evaluate`: a network in memory, such as one that is being trained or in a notebook."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import api
from benchmark.api.leaderboards import ObserverScores
from benchmark.api.options import Names
from benchmark.api.photograph_checks import photograph_checks
from benchmark.api.running import RunPlan, RunRequest, require_possible
from benchmark.cli.printing import echo_line
from benchmark.cli.progress import reporting
from benchmark.contracts import Suite
from benchmark.display import counted
from benchmark.engine.score_shards import RunReport
from benchmark.engine.tasks import suites_of
from benchmark.failures import BenchError
from benchmark.leaderboard.board_tables import observer_tables, score_table
from benchmark.plugins import SuiteShelf
from benchmark.settings import Settings
from benchmark.store import ScoreRow
from benchmark.variables import read_settings, restored
from gestaltbench.results import Results
from registry.cards import Checkpoint
from registry.files import expanded

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.engine.inference import Reporter
    from benchmark.leaderboard.verdict_forms import Verdict
    from registry.determinism_checks import Check
    from registry.in_memory import Held
    from registry.model import LoadedModel


@dataclass(frozen=True, repr=False, kw_only=True)
class Evaluation(Results[ScoreRow]):
    """Every score of a network in memory under the suites that were asked for: a table, as of `gestaltbench.show`. They
    are stored in the leaderboard as those of any other observer."""

    name: str  # of the observer
    db: str
    suites: Sequence[Suite]  # that were asked for
    skipped: Mapping[str, str]  # suite -> why it does not apply
    failed: Mapping[str, str]  # suite -> why it failed
    checks: Sequence[Check]  # what is fed, how labels are read, what was tried

    def headlines(self) -> dict[str, ScoreRow]:
        """Return the headline score of each suite, by suite: `row.value`, `row.low`, `row.high`, `row.metric`."""
        heads = {(suite.name, suite.headline.name) for suite in self.suites}
        return {row.suite: row for row in self if not row.condition and (row.suite, row.metric) in heads}

    def verdict(self) -> Verdict:
        """Return what is known about the network, among reference scores (`gestaltbench.verdict`)."""
        return api.verdict(api.Selection(self.db), self.name)

    def trials(self, suite: str) -> pd.DataFrame:
        """Return one row per trial (`gestaltbench.trials`)."""
        return api.trials(api.Selection(self.db), self.name, suite)


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
    progress: bool | Reporter | None = None,
    carry_out: Callable[[RunPlan, Reporter, str], RunReport] = api.execute,
) -> Evaluation:
    """Evaluate a network in memory: the same checks, stored trials, scores and verdict as by `register` and `run`.

        gb.evaluate(net, "cue-conflict", preprocess=transform, labels="imagenet1k")

    The object is copied and never called; modes, gradients, buffers, hooks and every generator of random numbers of a
    training around it stay as they are. Ctrl-C keeps what is stored, and the same call goes on from there. The same
    weights from a file and in memory are one observer; one that no registered card loads cannot be reproduced.

    net: a torch module (plain, compiled, parallel, Lightning, timm, torchvision, transformers), any callable from
    images [n, 3, h, w] in [0,1] to logits, probabilities or labels, an object that predicts (scikit-learn, Keras), or a
    tuple (net, preprocess) or (net, preprocess, tokenizer) of open_clip.
    suites: names, or "all".
    name: names the observer (default: its class and the first digits of its digest).
    preprocess: a callable from a PIL image to what the net takes of one image, torchvision's weights, a processor of
    transformers, or fields such as dict(size=224, mean=..., std=...).
    labels: a label space, a file, or the names of the outputs in their order.
    output: the name of the output that classifies, of several.
    check: a folder of photographs to try it on (default: installed ones); False: none.
    db: the leaderboard.
    limit, seed, batch: as of `run`.
    device: where it is evaluated (default: where it is).
    save: write weights and a card, so that it can be loaded and reproduced like any registered network.
    step: the step of the training run `name`; the observer is called NAME-STEP and is a point of its curves.
    progress: True for a bar, False for silence, or a reporter (default: a bar in a terminal or notebook).
    carry_out: runs the plan of one suite, the cheapest first.

    Raises BenchError of one line for an input or labels that nobody states, and for a network that fails a check."""
    from benchmark.engine.devices import choose_device
    from benchmark.engine.untouched import training_untouched
    from registry.in_memory import Said, device_of, hold, saved
    from registry.register import CardFolder

    if step is not None and name is None:
        raise BenchError("step= needs name=, the name of the training run.")
    settings = read_settings(None if db is None else str(db))
    request = RunRequest(suites=suites, limit=limit, seed=seed, batch=batch, device=device or "cpu")
    require_possible(request, settings)
    request = replace(request, device=choose_device(device or device_of(net)))
    said = Said(
        name=name if step is None else f"{name}-{step}",
        preprocess=preprocess,
        labels=labels,
        output=output,
        checkpoint=None if step is None else Checkpoint(run=str(name), step=step),
    )
    shelf = CardFolder(cards=settings.cards, place=settings.place)
    trial = partial(_tried, check=check, device=request.device, settings=settings)
    plain = progress is None or isinstance(progress, bool)
    watched: Any = reporting(quiet=progress is False) if plain else nullcontext(progress)
    with watched as reporter, training_untouched(), restored("CUBLAS_WORKSPACE_CONFIG"):
        try:
            held = hold(net, said, shelf, request.device, trial)
        except BenchError as error:  # the file's door shares these messages, which name its options
            raise type(error)(re.sub(r"--([a-z]+)", r"\1=", str(error)), error.remedy) from error
        for row in held.checks if progress is None and step is None else ():
            echo_line(f"{row.mark or 'ok':5} {row.name}: {row.detail}", err=True)
        if save and not held.registered:
            held = saved(held, shelf)
        return _run(held, request, settings, lambda part, command: carry_out(part, reporter, command))


def _tried(model: LoadedModel, check: str | Path | bool | None, device: str, settings: Settings) -> list[Check]:
    from benchmark.engine.devices import check_tuned

    folder = expanded(str(check)) if isinstance(check, str | Path) else None
    return [*check_tuned(model, device), *([] if check is False else photograph_checks(model, folder, settings))]


def _run(
    held: Held, request: RunRequest, settings: Settings, carry_out: Callable[[RunPlan, str], RunReport]
) -> Evaluation:
    card, db = held.model.card, settings.db
    plan = RunPlan(
        tasks=[],
        settings=settings,
        request=replace(request, models=card.name),
        suites=SuiteShelf({}, {}),
        cards=(card,),
        loaded={} if held.registered else {card.name: held.model},
    ).planned()
    report = RunReport()
    for part in plan.by_suite():
        report.join(carry_out(part, f"gestaltbench.evaluate {shlex.quote(card.name)}"))
    under: dict[str, dict[str, str]] = {}
    for (_, suite, _), (status, why) in report.tasks.items():
        under.setdefault(status, {})[suite] = why
    suites = suites_of(plan.tasks)
    names = {suite.name for suite in suites}
    every = api.show(api.Selection(db), card.name) if {"done", "cached"} & under.keys() else ObserverScores()
    skipped, failed = under.get("not applicable", {}), under.get("failed", {})
    why = "".join(f"; {suite}: {reason}" for suite, reason in {**skipped, **failed}.items())
    return Evaluation(
        title=f"{counted(len(every), 'score')} of {card.name}{why}",
        values=tuple(row for row in every if row.suite in names),
        tables=lambda some: [score_table(some, every.stimuli)] if some else [],
        shown=lambda some: observer_tables(some, every.stimuli, every.suites),
        name=card.name,
        db=db,
        suites=suites,
        skipped=skipped,
        failed=failed,
        checks=held.checks,
    )
