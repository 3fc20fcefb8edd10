"""Evaluate a network in memory, such as one that is being trained, as if it were registered and run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.execution import execute
from benchmark.api.leaderboards import ObserverScores, Selection, show
from benchmark.api.options import Names
from benchmark.api.photograph_checks import photograph_checks
from benchmark.api.running import RunPlan, RunRequest, Silent, require_possible
from benchmark.engine.score_shards import RunReport
from benchmark.failures import BenchError
from benchmark.plugins import SuiteShelf
from benchmark.settings import Settings
from benchmark.variables import cublas_untouched, read_settings
from registry.cards import Checkpoint, ModelCard
from registry.files import expanded

if TYPE_CHECKING:
    from benchmark.engine.inference import Reporter
    from registry.determinism_checks import Check
    from registry.in_memory import Held
    from registry.model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The outcome of an evaluation."""

    card: ModelCard
    checks: Sequence[Check]  # what is fed, how labels are read, and what was tried
    scores: ObserverScores | None  # every current score of the observer under these suites; None without any
    report: RunReport
    suites: tuple[str, ...]
    db: str


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """How networks in memory are evaluated."""

    request: RunRequest
    settings: Settings
    check: str | Path | bool | None = None  # a folder of photographs; None: installed ones; False: none
    save: bool = False
    reporter: Reporter = field(default_factory=Silent)
    say: Callable[[Check], None] | None = None  # is told each check before the network runs

    def evaluate(self, net: Any, name: str | None, step: int | None, **said: Any) -> Evaluated:
        """Hold, check and run a network; the training around it is as it was, even if this fails or is interrupted.
        said: `preprocess`, `labels` and `output` of `registry.in_memory.Said`."""
        from benchmark.engine.untouched import training_untouched
        from registry.in_memory import Said

        if step is not None and name is None:
            raise BenchError("step= needs name=, the name of the training run.")
        place = None if step is None else Checkpoint(run=str(name), step=step)
        called = name if step is None else f"{name}-{step}"
        with training_untouched(), cublas_untouched():
            held = self._held(net, Said(name=called, checkpoint=place, **said))
            for row in held.checks:
                if self.say is not None:
                    self.say(row)
            if self.save and not held.registered:
                held = self._saved(held)
            return self._run(held)

    def _held(self, net: Any, said: Any) -> Held:
        from benchmark.engine.devices import check_tuned, choose_device
        from registry.in_memory import device_of, hold
        from registry.register import CardFolder

        device = choose_device(self.request.device if self.request.device != "as it is" else device_of(net))
        folder = expanded(str(self.check)) if isinstance(self.check, str | Path) else None

        def trial(model: LoadedModel) -> list[Check]:
            photographs = [] if self.check is False else photograph_checks(model, folder, self.settings)
            return [*check_tuned(model, device), *photographs]

        shelf = CardFolder(cards=self.settings.cards, place=self.settings.place)
        return hold(net, said, shelf, device, trial)

    def _saved(self, held: Held) -> Held:
        """Return the network as a registered card loads it from the file that is written now."""
        from registry.in_memory import saved
        from registry.register import CardFolder

        return saved(held, CardFolder(cards=self.settings.cards, place=self.settings.place))

    def _run(self, held: Held) -> Evaluated:
        model = held.model
        device = next((str(value.device) for value in model.module.state_dict().values()), "cpu")
        request = replace(self.request, models=model.card.name, device=device.replace("mps:0", "mps"))
        loaded = {} if held.registered else {model.card.name: model}
        empty = SuiteShelf({}, {})
        plan = RunPlan(
            tasks=[], settings=self.settings, request=request, suites=empty, cards=(model.card,), loaded=loaded
        ).planned()
        report = RunReport()
        for part in plan.by_suite():
            report.join(execute(part, self.reporter, f"gestaltbench.evaluate {shlex.quote(model.card.name)}"))
        suites = tuple(dict.fromkeys(task.suite.name for task in plan.tasks))
        done = any(status in ("done", "cached") for status, _ in report.tasks.values())
        scores = show(Selection(self.settings.db), model.card.name) if done else None
        if scores is not None:
            scores[:] = [row for row in scores if row.suite in suites]
        return Evaluated(
            card=model.card, checks=held.checks, scores=scores, report=report, suites=suites, db=self.settings.db
        )


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
    reporter: Reporter | None = None,
    say: Callable[[Check], None] | None = None,
) -> Evaluated:
    """Evaluate a network in memory (see `gestaltbench.evaluate`)."""
    request = RunRequest(suites=suites, limit=limit, seed=seed, batch=batch, device=device or "as it is")
    settings = read_settings(None if db is None else str(db))
    told = reporter or Silent()
    evaluator = Evaluator(request=request, settings=settings, check=check, save=save, reporter=told, say=say)
    require_possible(replace(request, device=device or "cpu"), settings)
    return evaluator.evaluate(net, name, step, preprocess=preprocess, labels=labels, output=output)
