"""The verbs of the command `bench` as typed functions: those that make or bring in something.

Names are given as one name, a pattern ("world-*"), a comma list, or a list of any of these. `db`: the leaderboard, a
file or a database URL (None: BENCH_DB, else results.db in the working folder). A mistake raises a `BenchError` whose
text is one line for a person. Verbs that read are in `gestaltbench.reading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark import api
from benchmark.errors import BenchError
from benchmark.variables import read_settings
from gestaltbench import records
from gestaltbench.reading import Names, pattern_of
from gestaltbench.results import Record, Results

if TYPE_CHECKING:
    from benchmark.api import ReferenceReport, Reproduction, Swept
    from benchmark.api.leaderboard_import import LeaderboardReport
    from benchmark.engine.importing import ImportReport, ScoresReport
    from benchmark.engine.run import RunReporter
    from gestaltbench.pictures import Picture
    from registry.cards import ModelCard

_LONGEST = 86_400  # s between two looks at a folder


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
    executor: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus_per_task: float = 1.0,
    db: str | None = None,
    reporter: RunReporter | None = None,
) -> Results[Record]:
    """Run what is missing of suites on models, store every trial and score it; resume what was interrupted.

    models: default, everything that needs no download; limit: stimuli per set; stimuli: sets that play their roles
    before all others; device: "auto", "cpu", "cuda", "cuda:1", "mps", or several, a process each: "cuda:all",
    "cuda:0,cuda:2"; batch: images at once (None: tuned); seed: of everything random; precision_target: stop a condition
    when its interval is at most +-so wide, where a suite can; executor: "ray" for a cluster (address: None for this
    machine), whose tasks ask for so many gpus_per_task.

    Gives one record per model and suite that failed or does not apply, with the reason, and one with the counts.
    """
    request = api.RunRequest(
        models=pattern_of(models),
        suites=pattern_of(suites),
        limit=limit,
        device=device,
        precision=precision,
        batch=batch,
        compile=compile,
        seed=seed,
        precision_target=precision_target,
        stimuli=pattern_of(stimuli),
        executor=executor,
        address=address,
        gpus_per_task=gpus_per_task,
    )
    prepared = api.prepare(request, read_settings(db))
    report = api.execute(prepared, reporter or api.Silent(), "gestaltbench.run")
    counts = ", ".join(f"{n} {status}" for status, n in sorted(report.counts.items()))
    title = f"run: {counts or 'nothing to do'}"
    return Results(title, tuple(records.run_records(report)), records.itself)


def sweep(
    folder: str | Path,
    arch: str = "",
    *,
    pattern: str = "",
    every: int = 1,
    name: str = "",
    suites: Names = "all",
    limit: int | None = None,
    device: str = "auto",
    precision: Literal["fp32", "tf32", "bf16"] = "fp32",
    seed: int = 0,
    labels: str | Path | None = None,
    training: Sequence[str] = (),
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    interpolation: str | None = None,
    key: str | None = None,
    db: str | None = None,
    reporter: RunReporter | None = None,
) -> Swept:
    """Register and run every checkpoint of a folder as one training run, under the cheapest suite first.

    pattern: a glob ("": all that look like checkpoints); every: only each n-th in the order of training, and the last;
    name: of the run ("": the folder's); labels and what follows: as in `register`. Gives the models by step, what
    failed and which files were left out, and why; `training_curves` has the numbers.
    """
    given = _said(
        labels=labels, training=tuple(training) or None, mean=mean, std=std, size=size, resize=resize,
        interpolation=interpolation, key=key,
    )  # fmt: skip
    request = api.RunRequest(
        suites=pattern_of(suites), limit=limit, device=device, precision=precision, seed=seed
    )
    wanted = api.Sweep(Path(folder), arch, pattern, every, name, given, request)
    silent = reporter or api.Silent()
    found = api.sweep(wanted, read_settings(db), silent, command="gestaltbench.sweep")
    assert found is not None  # nobody is asked
    return found


def watch(
    folder: str | Path,
    arch: str = "",
    *,
    poll: float = 10.0,
    until: int | None = None,
    pattern: str = "",
    every: int = 1,
    name: str = "",
    suites: Names = "all",
    limit: int | None = None,
    device: str = "auto",
    precision: Literal["fp32", "tf32", "bf16"] = "fp32",
    seed: int = 0,
    labels: str | Path | None = None,
    training: Sequence[str] = (),
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    size: int | None = None,
    resize: int | None = None,
    interpolation: str | None = None,
    key: str | None = None,
    db: str | None = None,
    reporter: RunReporter | None = None,
) -> Swept:
    """Run the checkpoints of a folder as they appear; returns once one of at least step `until` was run or does not
    load, or when it is interrupted between two looks.

    poll: seconds between two looks: a file is read once it was the same at two. The rest: as in `sweep`.
    """
    if not 0 < poll <= _LONGEST:
        raise BenchError(f"poll is {poll:g}; expected seconds, above 0 and at most {_LONGEST}.")
    given = _said(
        labels=labels, training=tuple(training) or None, mean=mean, std=std, size=size, resize=resize,
        interpolation=interpolation, key=key,
    )  # fmt: skip
    request = api.RunRequest(
        suites=pattern_of(suites), limit=limit, device=device, precision=precision, seed=seed
    )
    wanted = api.Sweep(Path(folder), arch, pattern, every, name, given, request)
    pause, silent = api.sleeping(poll), reporter or api.Silent()
    command = "gestaltbench.watch"
    return api.watch(wanted, read_settings(db), silent, pause, until=until, command=command)


def _said(**stated: object) -> dict[str, Any]:
    """What was said, without what was not."""
    return {name: value for name, value in stated.items() if value is not None}


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
    given = _said(
        mean=mean, std=std, size=size, resize=resize, resize_mode=resize_mode, interpolation=interpolation,
        channels=channels, scale=scale, labels=labels, key=key,
        options=_said(templates=templates and str(templates), threshold=threshold),
    )  # fmt: skip
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
    given = _said(mean=mean, std=std, size=size, resize=resize, interpolation=interpolation)
    path = None if weights is None else str(weights)
    asked = api.Probe(
        backbone, str(train), head, name, path, key, labels, limit, device, replace, given
    )
    return api.probe(asked)[0]


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

    return draw(pattern_of(models), stimuli, count, map, random=random)


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


def reference(sources: Sequence[str] = (), *, db: str | None = None) -> ReferenceReport:
    """All published networks and people in one leaderboard, so that your network stands among them.

    sources: only these collections; db: where (None: `reference.db` in BENCH_HOME). Gets what is not on this disk; a
    second time adds nothing.
    """
    return api.reference(sources, db=db)


def rescore(suite: str | None = None, *, db: str | None = None) -> int:
    """Score stored trials with today's metrics, without any network. Gives the number of new score sets."""
    return api.rescore(suite, db=db)
