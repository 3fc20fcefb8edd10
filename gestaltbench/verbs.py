"""The verbs of the command `bench` as typed functions.

Names are given as one name, a pattern ("world-*"), a comma list, or a list of any of these. `db`: the leaderboard, a
file or a database URL (None: BENCH_DB, else results.db in the working folder). A mistake raises a `BenchError` whose
text is one line for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark import api
from benchmark.variables import read_settings
from gestaltbench import records
from gestaltbench.results import Record, Results, counted

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.api import ReferenceReport, Reproduction
    from benchmark.api.joining import LeaderboardReport
    from benchmark.contracts import Suite
    from benchmark.engine.importing import ImportReport
    from benchmark.engine.reported import ScoresReport
    from benchmark.engine.running import RunReporter
    from benchmark.leaderboard import Board
    from benchmark.leaderboard.consistency import Pair
    from benchmark.leaderboard.links import Link
    from benchmark.leaderboard.provenance import Provenance
    from benchmark.leaderboard.summary import Summary
    from benchmark.leaderboard.transfer import Matrix
    from benchmark.leaderboard.transfer_tests import Claim
    from benchmark.leaderboard.verdicts import Diff
    from benchmark.stats.families import SuiteComparison
    from benchmark.stimuli.catalogue import Entry
    from benchmark.store import ScoreRow
    from gestaltbench.pictures import Picture
    from registry.cards import ModelCard

Names = str | Sequence[str]
Format = Literal["csv", "json", "markdown", "latex"]


def run(
    models: Names = api.DEFAULT_MODELS,
    suites: Names = "all",
    *,
    limit: int | None = None,
    stimuli: Names = "",
    device: str = "auto",
    precision: Literal["fp32", "tf32", "bf16"] = "fp32",
    batch: int | None = None,
    compile: bool = False,
    seed: int = 0,
    precision_target: float | None = None,
    db: str | None = None,
    reporter: RunReporter | None = None,
) -> Results[Record]:
    """Run what is missing of suites on models, store every trial and score it; resume what was interrupted.

    models: default, everything that needs no download; limit: stimuli per set; stimuli: sets that play their roles
    before all others; device: "auto", "cpu", "cuda", "cuda:1", "mps"; batch: images at once (None: tuned); seed: of
    everything random; precision_target: stop a condition when its interval is at most +-so wide, where a suite can.

    Gives one record per model and suite that failed or does not apply, with the reason, and one with the counts.
    """
    request = api.RunRequest(
        models=_pattern(models),
        suites=_pattern(suites),
        limit=limit,
        device=device,
        precision=precision,
        batch=batch,
        compile=compile,
        seed=seed,
        precision_target=precision_target,
        stimuli=_pattern(stimuli),
    )
    prepared = api.prepare(request, read_settings(db))
    report = api.execute(prepared, reporter or api.Silent(), "gestaltbench.run")
    counts = ", ".join(f"{n} {status}" for status, n in sorted(report.counts.items()))
    title = f"run: {counts or 'nothing to do'}"
    return Results(title, tuple(records.run_records(report)), records.itself)


def register(
    name: str,
    arch: str = "",
    weights: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    training: Sequence[str] = (),
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    interpolation: str | None = None,
    resize_mode: Literal["shortest", "longest", "squash"] | None = None,
    channels: Literal["rgb", "bgr"] | None = None,
    scale: float | None = None,
    key: str | None = None,
    templates: str | Path | None = None,
    threshold: float | None = None,
    replace: bool = False,
) -> ModelCard:
    """Load a checkpoint once, check it, and freeze its digest and preprocessing into a card.

    arch: "timm:NAME", "timm:hf_hub:ORG/NAME", "torchvision:NAME", "python:MODULE:FUNCTION" or "export"; "" for a
    folder of timm, which says it; weights: a .safetensors, .pt, .pth or .pt2 file, such a folder, or "random:SEED";
    labels: a label space or a mapping file; training: recipe tags; key: the weights to take where a file holds several
    ("ema"); the rest: what the network is fed, where the architecture's own is not right (mean and std in units of
    pixels in [0,1] times scale); replace: take the place of the registered model of that name.

    arch is also "hf:ORG/NAME", or "open_clip:ARCH" (weights: a tag or file; templates: "single", "7", "80" or a file).
    """
    stated: dict[str, Any] = {"mean": mean, "std": std, "size": size, "resize": resize}
    stated |= {"interpolation": interpolation, "channels": channels, "scale": scale}
    stated["resize_mode"] = resize_mode
    stated |= {"labels": labels, "key": key}
    family = {"templates": templates and str(templates), "threshold": threshold}
    stated["options"] = {name: value for name, value in family.items() if value is not None}
    given = {key: value for key, value in stated.items() if value is not None}
    path = None if weights is None else str(weights)
    card, _ = api.register(name, arch, path, training=tuple(training), replaces=replace, **given)
    return card


def probe(
    backbone: str,
    train: str | Path,
    *,
    name: str = "",
    head: Literal["linear", "nearest-class"] = "linear",
    weights: str | Path | None = None,
    key: str | None = None,
    labels: str | None = None,
    limit: int | None = None,
    device: str = "auto",
    replace: bool = False,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    interpolation: str | None = None,
) -> ModelCard:
    """Fit a classifier on a frozen backbone's features of a training set, and register the two as one model.

    backbone: a model's name, whose own classifier is taken off, or an architecture with its weights; train: a folder of
    class folders, or "world": images of the built-in world; name: of the new model; limit: images of the training set;
    replace: take the place of the registered model of that name; mean and what follows: what an architecture is fed, as
    in `register`.
    """
    stated: dict[str, Any] = {"mean": mean, "std": std, "size": size, "resize": resize}
    stated["interpolation"] = interpolation
    given = {key: value for key, value in stated.items() if value is not None}
    path = None if weights is None else str(weights)
    asked = api.Probe(
        backbone, str(train), head, name, path, key, labels, limit, device, replace, given
    )
    return api.probe(asked)[0]


def rank(
    suite: str | None = None,
    *,
    by: str | None = None,
    models: Names | None = None,
    hide: Names | None = None,
    unseen_only: bool = False,
    flagged_last: bool = False,
    db: str | None = None,
) -> Results[Board]:
    """Ranked boards of one suite or of all: one per decision space and stimulus set, never mixed.

    by: the metric that ranks (default: the headline); models, hide: only these, and none of those; unseen_only: without
    conditions that any of a board's observers was trained on; flagged_last: numbers that may not mean what they say
    rank below all others.
    """
    from benchmark.leaderboard.export import board_records

    found = api.rank(
        suite,
        by=by,
        models=None if models is None else _pattern(models),
        hide=None if hide is None else _pattern(hide),
        unseen_only=unseen_only,
        flagged_last=flagged_last,
        db=db,
    )
    return Results(
        counted(len(found), "ranked board"), tuple(found), board_records, records.board_lines
    )


def summary(
    models: Names | None = None, *, flagged_last: bool = False, db: str | None = None
) -> Results[Summary]:
    """Models by suites: every suite's headline side by side, one summary per decision space."""
    pattern = None if models is None else _pattern(models)
    found = api.summary(models=pattern, flagged_last=flagged_last, db=db)
    title = f"{counted(len(found), 'summary', 'summaries')} of models by suites"
    return Results(title, tuple(found), records.summary_records, records.summary_lines)


def correlate(
    models: Names | None = None,
    *,
    method: Literal["spearman", "pearson"] = "spearman",
    db: str | None = None,
) -> Results[Link]:
    """How the suites hang together: every headline against every other over all networks, with intervals that draw
    families of networks as wholes, and what is left given clean accuracy."""
    from benchmark.leaderboard.links_text import link_records

    pattern = None if models is None else _pattern(models)
    found = api.correlate(models=pattern, method=method, db=db)
    spaces = {id(link): summary.space for summary, links, _ in found for link in links}
    links = tuple(link for _, part, _ in found for link in part)

    def record(link: Link) -> Iterable[Record]:
        return link_records([link], spaces[id(link)])

    return Results(f"{counted(len(links), 'link')} between suites", links, record)


def compare(
    a: str, b: str, *, suite: str | None = None, db: str | None = None
) -> Results[SuiteComparison]:
    """Paired tests of two observers on the stimuli that both answered, or of one and "people" as a group.

    The suites' headlines come first and are one family of tests, the rest is another; p and intervals are adjusted
    within each (Holm).
    """
    found = api.compare(a, b, suite=suite, db=db)
    title = f"{counted(len(found), 'paired comparison')} of a = {found.a} and b = {found.b}"
    record = partial(records.comparison_record, found.headlines)
    return Results(title, tuple(found), record)


def diff(
    base: str,
    new: str,
    *,
    noninferior: float | None = None,
    suite: str | None = None,
    db: str | None = None,
) -> Diff:
    """Whether a new model is worse than its base, by each suite's headline on the stimuli that both answered.

    noninferior: how much worse it may be, in units of the metric. `.verdict` is the whole in a word, `.exit_code` that
    of `bench diff`, `.changes` each suite's, `.flipped` the images that only one of the two gets right.
    """
    return api.diff(base, new, noninferior=noninferior, suite=suite, db=db)


def show(observer: str, *, db: str | None = None) -> Results[ScoreRow]:
    """Every current score of one observer, per condition too."""
    rows, sets = api.show(observer, db=db), api.stimuli_notes(db=db)
    record = partial(records.score_record, sets)
    return Results(f"{counted(len(rows), 'score')} of {observer}", tuple(rows), record)


def provenance(
    observer: str,
    suite: str | None = None,
    metric: str | None = None,
    condition: str | None = None,
    *,
    db: str | None = None,
) -> Results[Provenance]:
    """Everything behind a number: observer, weights, card, stimuli, seed, precision, device, versions, runs, n, method,
    interval, and `.again.command`, which makes it again.

    suite None: the headline of each suite; metric None: the suite's headline; condition None: over all conditions.
    """
    found = api.provenance(observer, suite, metric, condition, db=db)
    title = f"what is behind {counted(len(found), 'number')} of {observer}"
    return Results(title, tuple(found), records.provenance_records)


def reproduce(
    observer: str,
    suite: str,
    metric: str | None = None,
    condition: str | None = None,
    *,
    into: str | Path | None = None,
    db: str | None = None,
    reporter: RunReporter | None = None,
) -> Reproduction:
    """Run what made a number in a fresh leaderboard; metric None: every number of the suite.

    into: the new file of that leaderboard (None: it is deleted). `.numbers` holds each stored number beside the new
    one, `.exit_code` is 0 where all are equal bit for bit, 1 where one differs, 3 where not all could be made.
    """
    place = None if into is None else str(into)
    found = api.reproduce(observer, suite, metric, condition, into=place, db=db, reporter=reporter)
    assert found is not None  # nobody is asked
    return found


def trials(observer: str, suite: str, *, db: str | None = None) -> pd.DataFrame:
    """One row per trial: role, condition, stimulus, labels and what the suite kept.

    A vector per trial is spread over columns: probabilities by category ("probability_cat"), others by number.
    """
    return api.trials(observer, suite, db=db)


def consistency(
    observers: Names = (), *, experiment: str | None = None, db: str | None = None
) -> Results[Pair]:
    """Error consistency (kappa) of every pair of these observers (default: of all), per experiment and condition.

    Kappa is 1 where two are right and wrong on the same images, 0 where they agree as often as their accuracies alone
    would have it, negative where less (Geirhos, Meding & Wichmann 2020).
    """
    from benchmark.leaderboard.consistency import pair_record, pairs

    named = [name.strip() for name in _pattern(observers).split(",") if name.strip()]
    found = tuple(pairs(api.answered(named, experiment=experiment, db=db)))
    return Results(f"error consistency of {counted(len(found), 'pair')}", found, pair_record)


def transfer(
    suite: str | None = None,
    *,
    conditions: Names = "default",
    by_model: bool = False,
    models: Names | None = None,
    claims: Sequence[tuple[str, str]] = (),
    db: str | None = None,
) -> Results[tuple[Matrix, list[Claim]]]:
    """Transfer matrices: trained on the row, tested on the column (Geirhos et al. 2018).

    conditions: "default", "levels", "mean", "half" or patterns; by_model: a row per observer; claims: pairs (recipe,
    condition) to judge. Values: (matrix, its claims).
    """
    found = api.transfer(
        suite,
        conditions=_pattern(conditions),
        by_model=by_model,
        models=None if models is None else _pattern(models),
        claims=claims,
        db=db,
    )
    title = counted(len(found), "transfer matrix", "transfer matrices")
    return Results(title, tuple(found), records.matrix_records)


def gallery(
    models: Names,
    *,
    stimuli: str | None = None,
    count: int = 8,
    map: str = "gradient",
    random: bool = False,
) -> Picture:
    """Input gradients of several models on the same images, one row a model, signed, as colour.

    map: "gradient", "smoothgrad", "integrated-gradients", "gradient-x-input", "grad-cam"; random: one more row, the
    first architecture without training.
    """
    from gestaltbench.pictures import draw

    return draw(_pattern(models), stimuli, count, map, random=random)


def import_trials(
    path: str | Path,
    *,
    training: Sequence[str] = (),
    source: str | None = None,
    db: str | None = None,
) -> ImportReport:
    """Bring in published tables of people or networks from a file or a folder, and score them.

    training: "OBSERVER=RECIPE"; source: where the tables come from, where their folder does not say.
    """
    return api.import_trials(Path(path), training=training, source=source, db=db)


def import_scores(
    path: str | Path, *, source: str | None = None, same: Sequence[str] = (), db: str | None = None
) -> ScoresReport:
    """Bring in scores that others report, of which there are no trials: a CSV or JSON table, or a known folder.

    source: who published them (None: the file is called like it); same: metrics that are the same quantity as ours of
    that name. They are never ranked and in no paired test: `reported` shows them.
    """
    return api.import_scores(Path(path), source=source, same=same, db=db)


def import_leaderboard(
    path: str | Path, *, source: str | None = None, db: str | None = None
) -> LeaderboardReport:
    """Bring in another laboratory's leaderboard: the JSON document that its `export` wrote.

    source: whose it is (None: the file is called like it). Its networks stand on the boards as "name (source)", with a
    remark at each number, and in no paired test.
    """
    return api.import_leaderboard(Path(path), source=source, db=db)


def reported(suite: str | None = None, *, db: str | None = None) -> Results[Board]:
    """Tables of scores that others report: of one suite's subject, or all (None). Ordered by value, not ranked."""
    from benchmark.leaderboard.export import board_records

    found = tuple(api.reported(suite, db=db))
    title = counted(len(found), "reported table")
    return Results(title, found, board_records, records.board_lines)


def reference(sources: Sequence[str] = (), *, db: str | None = None) -> ReferenceReport:
    """All published networks and people in one leaderboard, so that your network stands among them.

    sources: only these collections; db: where (None: `reference.db` in BENCH_HOME). Gets what is not on this disk; a
    second time adds nothing.
    """
    return api.reference(sources, db=db)


def rescore(suite: str | None = None, *, db: str | None = None) -> int:
    """Score stored trials with today's metrics, without any network. Gives the number of new score sets."""
    return api.rescore(suite, db=db)


def export(
    suite: str | None = None,
    *,
    by: str | None = None,
    unseen_only: bool = False,
    format: Format = "csv",
    db: str | None = None,
) -> str:
    """The ranked tables as text: at full precision (csv, json) or as people read them (markdown, latex)."""
    from benchmark.leaderboard import export_boards

    found = api.rank(suite, by=by, unseen_only=unseen_only, db=db)
    if not (by or unseen_only):
        found += api.reported(suite, db=db)
    return export_boards(found, format)


def models(pattern: Names | None = None) -> Results[ModelCard]:
    """Model cards, built-in and registered."""
    found = api.models(None if pattern is None else _pattern(pattern))
    return Results(counted(len(found), "model card"), tuple(found), records.card_record)


def suites() -> Results[Suite]:
    """The installed suites, ours and third parties'."""
    from benchmark.plugins import find_suites

    found = tuple(find_suites().suites.values())
    return Results(counted(len(found), "suite"), found, records.suite_record)


def data() -> Results[Entry]:
    """The stimulus sets that are known: whether they are on this disk, and under which licence."""
    from benchmark.stimuli.catalogue import read_catalogue

    settings = read_settings()
    found = tuple(read_catalogue(settings).values())
    return Results(
        counted(len(found), "stimulus set"), found, partial(records.set_record, settings)
    )


def _pattern(names: Names) -> str:
    return names if isinstance(names, str) else ",".join(names)
