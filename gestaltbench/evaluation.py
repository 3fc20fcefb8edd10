"""`gestaltbench.evaluate`: a network in memory, such as one that is being trained or in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import api
from benchmark.api.options import Names
from benchmark.cli.printing import echo_line
from benchmark.cli.progress import reporting
from benchmark.display import counted
from benchmark.leaderboard.board_tables import observer_tables, score_table
from benchmark.store import ScoreRow
from gestaltbench.results import Results

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.api.evaluation import Evaluated
    from benchmark.engine.inference import Reporter
    from benchmark.leaderboard.verdict_forms import Verdict
    from registry.determinism_checks import Check


@dataclass(frozen=True, repr=False, kw_only=True)
class Evaluation:
    """The scores of a network in memory; they are stored in the leaderboard `db` as those of any other."""

    name: str  # of the observer in the leaderboard
    db: str
    suites: tuple[str, ...]  # that were asked for
    scores: Results[ScoreRow]  # every score under these suites; .frame() is a tidy table
    skipped: Mapping[str, str]  # suite -> why it does not apply
    failed: Mapping[str, str]  # suite -> why it failed
    checks: Sequence[Check]  # what is fed, how labels are read, what was tried

    def headlines(self) -> dict[str, ScoreRow]:
        """Return the headline score of each suite, by suite: `row.value`, `row.low`, `row.high`, `row.metric`."""
        from benchmark.plugins import find_suites

        heads = {name: suite.headline.name for name, suite in find_suites(",".join(self.suites)).suites.items()}
        found: dict[str, ScoreRow] = {}
        for row in self.scores:
            if row.metric == heads.get(row.suite) and not row.condition:
                found.setdefault(row.suite, row)
        return found

    def verdict(self) -> Verdict:
        """Return what is known about the network, among reference scores (`gestaltbench.verdict`)."""
        return api.verdict(api.Selection(self.db), self.name)

    def trials(self, suite: str) -> pd.DataFrame:
        """Return one row per trial (`gestaltbench.trials`)."""
        return api.trials(api.Selection(self.db), self.name, suite)

    def frame(self) -> pd.DataFrame:
        """Return one row per score."""
        return self.scores.frame()

    def _lines(self) -> list[str]:
        rows = (("does not apply", self.skipped), ("failed", self.failed))
        return [f"{suite} {what}: {why}" for what, each in rows for suite, why in each.items()]

    def __repr__(self) -> str:
        return "\n".join([*self._lines(), repr(self.scores)])

    def _repr_html_(self) -> str:
        from html import escape

        return self.scores._repr_html_() + "".join(f"<p>{escape(line)}</p>" for line in self._lines())


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

    Raises BenchError of one line for an input or labels that nobody states, and for a network that fails a check."""
    plain = progress is None or isinstance(progress, bool)
    watched: Any = reporting(quiet=progress is False) if plain else nullcontext(progress)
    say = _told if progress is None and step is None else None
    with watched as reporter:
        done = api.evaluate(
            net, suites, name=name, preprocess=preprocess, labels=labels, output=output, check=check, db=db,
            limit=limit, seed=seed, batch=batch, device=device, save=save, step=step, reporter=reporter, say=say,
        )  # fmt: skip
    return _evaluation(done)


def _told(check: Check) -> None:
    echo_line(f"{check.mark or 'ok':5} {check.name}: {check.detail}", err=True)


def _evaluation(done: Evaluated) -> Evaluation:
    rows = tuple(done.scores or ())
    stimuli = done.scores.stimuli if done.scores is not None else {}
    suites = done.scores.suites if done.scores is not None else []
    scores = Results(
        title=f"{counted(len(rows), 'score')} of {done.card.name}",
        values=rows,
        tables=lambda some: [score_table(some, stimuli)],
        shown=lambda some: observer_tables(some, stimuli, suites),
    )
    under: dict[str, dict[str, str]] = {}
    for (_, suite, _), (status, why) in done.report.tasks.items():
        under.setdefault(status, {})[suite] = why
    return Evaluation(
        name=done.card.name,
        db=done.db,
        suites=done.suites,
        scores=scores,
        skipped=under.get("not applicable", {}),
        failed=under.get("failed", {}),
        checks=done.checks,
    )
