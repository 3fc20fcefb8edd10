"""Checkpoints run as they appear in a folder; a file that is still being written is waited for."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from benchmark.api.cards import register_card
from benchmark.api.options import (
    Arch,
    CheckpointOptions,
    Db,
    Device,
    Limit,
    Option,
    Precision,
    Seed,
    SuiteNames,
    stated,
)
from benchmark.api.parallel import execute
from benchmark.api.running import Prepared, RunRequest, Silent, prepare, require_possible
from benchmark.display import printable
from benchmark.errors import FAILURES, BenchError
from benchmark.settings import Settings
from benchmark.variables import read_settings
from registry.cards import Checkpoint, ModelCard, read_card_files, read_cards, write_card
from registry.files import expanded, is_file

if TYPE_CHECKING:
    from benchmark.engine.run import RunReporter
    from registry.cards import ModelCard
    from registry.training_runs import Placed, Unit


# A training run that is swept: which checkpoints, and what became of them.


_LONGEST = 86_400  # s between two looks at a folder

Say = Callable[[str], None]


def plain_name(text: str) -> str:
    """Text of which each character may stand in a card's name."""
    return re.sub("[^A-Za-z0-9._+-]", "-", text)


@dataclass(frozen=True)
class Sweep:
    """Which checkpoints. arch: as `bench register` takes it; pattern: a glob ("": all that look like checkpoints);
    every: only each n-th in the order of training, and the last; name: of the run ("": the folder's); given: further
    options of a registration (labels, key, mean, ...); request: how they are run.
    """

    folder: Path
    arch: str
    pattern: str = ""
    every: int = 1
    name: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    request: RunRequest = field(default_factory=RunRequest)

    @property
    def run(self) -> str:
        """The run's name, as a card's name may begin."""
        plain = plain_name(self.name or self.folder.resolve().name)
        return plain.lstrip("._+-")[:100] or "run"

    def inside(self, path: Path) -> str:
        """A file's path within the folder, for messages."""
        return printable(str(path.relative_to(self.folder)))


@dataclass
class Swept:
    """What was done. models: by step; counts: of outcomes, as in a run's report; failed: "MODEL under SUITE" -> why;
    left_out: file within the folder -> why it was not registered."""

    run: str
    unit: str = "step"
    models: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some failed or were left out."""
        if not self.counts["done"] + self.counts["cached"]:
            return 1
        return 3 if self.failed or self.left_out else 0


# The cards of a training run's checkpoints: registered once, and anew where a file or what is said of it changed.


def require_own_run(wanted: Sweep, settings: Settings) -> None:
    """BenchError where all checkpoints of a run of that name are elsewhere: two runs would be drawn as one. Who names
    a run says which it is: one that went on in another folder, say."""
    from registry.training_runs import checkpoint_files

    if wanted.name:
        return
    cards = _of_run(wanted.run, read_cards(settings.cards))
    files = [Path(card.weights or "") for card in cards]
    there = [file for file in files if is_file(file)]
    folder = wanted.folder.resolve()
    linked = {path.resolve() for path in checkpoint_files(wanted.folder, wanted.pattern)}
    if there and not any(file in linked or file.is_relative_to(folder) for file in there):
        raise BenchError(
            f"'{wanted.run}' is another training run already, with {there[0]}: give this one a name of its own "
            f"with --name, or say --name {wanted.run} if it is the same run."
        )


def registered(wanted: Sweep, order: Placed, settings: Settings, done: Swept, say: Say) -> Iterator[ModelCard]:
    """A card for each checkpoint, in their order. Those that do not load are left out, and said."""
    cards = read_cards(settings.cards)
    known = {card.weights: card for card in _of_run(wanted.run, cards)}
    require_arch(wanted.arch, all_known=all(str(path.resolve()) in known for path in order.steps))
    try:
        settings.cards.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"no card can be written to {settings.cards}: {error.strerror}.") from error
    given = _given(wanted, settings)
    files: dict[str, str] = {}
    names: set[str] = set()
    for path, why in order.left_out.items():
        _leave_out(done, wanted.inside(path), why, say)
    for path, step in order.steps.items():
        file, inside = str(path.resolve()), wanted.inside(path)
        if file in files:
            _leave_out(done, inside, f"the same file as {files[file]}", say)
            continue
        files[file] = inside
        try:
            card = _card(wanted, given, path, known.get(file), names, cards, settings)
        except FAILURES as error:  # the boundary of one checkpoint
            _leave_out(done, inside, " ".join(str(error).split()), say)
            continue
        if file not in known and card.options.get("key") and not given.get("key"):
            say(f"{inside}: its weights are '{card.options['key']}', one of several (--key NAME)")
        names.add(card.name)
        done.models[card.name] = step
        done.left_out.pop(inside, None)
        place = Checkpoint(run=wanted.run, step=step, unit=order.unit)
        if card.checkpoint != place:
            card = card.model_copy(update={"checkpoint": place})
            write_card(card, settings.cards, replace=True)
        yield card


def require_arch(arch: str, *, all_known: bool = False) -> None:
    """One error instead of one for each checkpoint. Raises UnknownName with close matches, and CardError for a function
    that is not there."""
    from registry.architectures import factory, require_known, whole_arch

    if not arch and not all_known:
        raise BenchError(
            "--arch is needed: timm:NAME, torchvision:NAME or python:./file.py:function, as of `bench register`."
        )
    kind, _, name = arch.partition(":")
    if kind in ("timm", "torchvision") and ":" not in name:
        require_known(arch)
    elif kind == "python":
        factory(whole_arch(arch).removeprefix("python:"))


def _of_run(run: str, cards: Mapping[str, ModelCard]) -> list[ModelCard]:
    placed = ((card, card.checkpoint) for card in cards.values())
    return [card for card, place in placed if place is not None and place.run == run]


def _given(wanted: Sweep, settings: Settings) -> dict[str, Any]:
    """What is said of all checkpoints. A list of classes is one label space of the whole run: each registration by
    itself would name it after its model."""
    from registry.labels import is_class_list, read_class_list, write_mapping

    given = {name: value for name, value in wanted.given.items() if value is not None}
    labels = str(given.get("labels") or "")
    if labels and is_class_list(labels):
        mapping = write_mapping(read_class_list(labels, wanted.run), settings.cards / "labels")
        given["labels"] = str(mapping)
    elif Path(labels).suffix in (".yaml", ".yml"):
        given["labels"] = str(expanded(labels).resolve())
    return given


def _leave_out(done: Swept, inside: str, why: str, say: Say) -> None:
    if done.left_out.get(inside) != why:
        done.left_out[inside] = why
        say(f"left out: {inside}: {why}")


def _card(
    wanted: Sweep,
    given: Mapping[str, Any],
    path: Path,
    known: ModelCard | None,
    names: set[str],
    cards: Mapping[str, ModelCard],
    settings: Settings,
) -> ModelCard:
    """The card of a checkpoint: the one that it has, unless the file was written since or another network is meant."""
    from registry.architectures import whole_arch

    file = str(path.resolve())
    if known is None:
        name, known = _name(wanted, path, names, cards, settings)
        if known is None or known.weights != file:
            there = cards if known is None else {**cards, name: known}
            how = {**given, "replaces": known is not None, "there": there}
            try:
                return register_card(name, wanted.arch, str(path), **how)[0]
            except FAILURES:  # another watcher of the folder may have been faster
                known = _written(name, settings)
                if known is None or known.weights != file:
                    raise
    same = whole_arch(wanted.arch) in ("", known.arch)
    said = _said(known) if same else {"labels": known.labels}
    # A card must be newer than the file, and than the file's being there: a copy may keep an older time.
    state, own = path.stat(), settings.cards / f"{known.name}.yaml"
    written = max(state.st_mtime_ns, state.st_ctime_ns)
    agrees = all(
        said.get(name) == (tuple(value) if isinstance(value, list) else value) for name, value in given.items()
    )
    if same and agrees and own.is_file() and own.stat().st_mtime_ns >= written:
        return known
    arch = wanted.arch or known.arch
    how = {**said, **given, "replaces": True, "there": {**cards, known.name: known}}
    return register_card(known.name, arch, str(path), **how)[0]


def _said(card: ModelCard) -> dict[str, Any]:
    """What a card says, as a registration is told it: what is not said again stays. Members of families say it
    themselves."""
    from registry.families.family import family_of

    said: dict[str, Any] = {"labels": card.labels, "training": card.training}
    if card.source != "file" or family_of(card.arch) is not None:
        return said
    how = card.preprocess
    fields = {} if how is None else {name: getattr(how, name) for name in type(how).model_fields}
    return said | {"key": card.options.get("key")} | fields


def _name(
    wanted: Sweep, path: Path, names: set[str], cards: Mapping[str, ModelCard], settings: Settings
) -> tuple[str, ModelCard | None]:
    """The run's name and the file's, then also its ending, then a number. And the card that is there: of this very
    file, or of the run and of a file that is gone. cards: as they were at first; one that somebody else has written
    since is read by itself."""
    name = f"{wanted.run}-{plain_name(wanted.inside(path).removesuffix(path.suffix))}"[:180]
    numbered = (f"{name}-{number}" for number in count(2))
    tried = chain((name, f"{name}{plain_name(path.suffix)[:12]}"), numbered)
    for candidate in tried:
        card = cards.get(candidate) or _written(candidate, settings)
        if candidate not in names and _free(card, wanted.run, path):
            break
    return candidate, card


def _written(name: str, settings: Settings) -> ModelCard | None:
    """The card of that name as it is now in a file of its own."""
    file = settings.cards / f"{name}.yaml"
    return read_card_files([file] if file.exists() else []).get(name)


def _free(card: ModelCard | None, run: str, path: Path) -> bool:
    if card is None or (card.checkpoint is None and card.weights == str(path.resolve())):
        return True
    own = card.checkpoint is not None and card.checkpoint.run == run
    return own and not is_file(Path(card.weights or ""))


# Every checkpoint of a training run as one family: registered, run under the cheapest suites first.


def sweep(
    folder: Annotated[str | Path, Option("Of the checkpoints.", kind="place")],
    arch: Arch = "",
    *,
    pattern: Annotated[str, Option("Which files, e.g. '*.pt' or '*/model.pt'.", metavar="GLOB")] = "",
    every: Annotated[int, Option("Each N-th checkpoint, and the last.", metavar="N", least=1)] = 1,
    name: Annotated[str, Option("Of the run (default: the folder's name).")] = "",
    suites: SuiteNames = "all",
    limit: Limit = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    seed: Seed = 0,
    follow: Annotated[bool, Option("Run checkpoints as they appear. Ctrl-C ends it.", "--follow")] = False,
    poll: Annotated[
        float,
        Option(
            "With --follow: between two looks; a file is read once it was the same at two.",
            metavar="SECONDS",
            least=0.1,
            most=86_400,
        ),
    ] = 10.0,
    until: Annotated[
        int | None,
        Option("With --follow: end once this step was run, or its file does not load.", metavar="STEP", least=0),
    ] = None,
    db: Db = None,
    reporter: RunReporter | None = None,
    say: Say = lambda _line: None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
    command: str = "gestaltbench.sweep",
    **said: Unpack[CheckpointOptions],
) -> Swept | None:
    """Register and run every checkpoint of a folder as one training run, under the cheapest suite first, and draw every
    headline over training.

    Step or epoch are read from the names (step_1000.pt, epoch=3.ckpt), else from the files. A second time computes what
    is missing. Exit code 3 where a file could not be used. While a folder is followed, a file that is still being
    written is waited for: write checkpoints under another name and rename them where you can.
    """
    given = stated(**{**said, "training": tuple(said.get("training") or ())})
    request = RunRequest(suites=suites, limit=limit, device=device, precision=precision, seed=seed)
    wanted = Sweep(expanded(str(folder)), arch, pattern, every, name, given, request)
    settings, silent = read_settings(db), reporter or Silent()
    if not follow:
        if until is not None:
            raise BenchError("--until is for --follow.")
        return run_sweep(wanted, settings, silent, say=say, agreed=agreed, command=command)
    if not 0 < poll <= _LONGEST:
        raise BenchError(f"poll is {poll:g}; expected seconds, above 0 and at most {_LONGEST}.")
    return follow_sweep(wanted, settings, silent, sleeping(poll), until=until, say=say, command=command)


def run_sweep(
    wanted: Sweep,
    settings: Settings,
    reporter: RunReporter,
    *,
    say: Say = lambda _line: None,
    agreed: Callable[[Prepared], bool] = lambda _prepared: True,
    command: str = "bench sweep",
) -> Swept | None:
    """Register and run the checkpoints that are there; None where `agreed` says no. Doing it twice computes what is
    missing. BenchError: no such folder, no checkpoint, none that says a step."""
    from registry.training_runs import checkpoint_files, placed

    require_folder(wanted)
    require_own_run(wanted, settings)
    require_possible(wanted.request, settings)
    files = checkpoint_files(wanted.folder, wanted.pattern)
    if not files:
        like = f" like '{wanted.pattern}'" if wanted.pattern else ""
        raise BenchError(f"{wanted.folder} has no checkpoints{like}. --pattern '*.pt' says which.")
    order = placed(files, folder=wanted.folder)
    if not order.steps:
        path, why = next(iter(order.left_out.items()))
        raise BenchError(
            f"none of the {len(files)} files in {wanted.folder} can be put in order: {wanted.inside(path)}: {why}. "
            "Name them like step_1000.pt or epoch_3.pt."
        )
    done = Swept(wanted.run, order.unit)
    cards = list(registered(wanted, thinned(order, wanted.every), settings, done, say))
    return done if run_cheapest_first(wanted, cards, settings, reporter, done, agreed, command) else None


def require_folder(wanted: Sweep) -> None:
    """BenchError where the folder is none, or the pattern is no glob within it."""
    if not wanted.folder.is_dir():
        raise BenchError(f"{wanted.folder} is no folder: name the one that holds the checkpoints.")
    if Path(wanted.pattern).is_absolute() or ".." in Path(wanted.pattern).parts:
        raise BenchError(f"--pattern is a glob within the folder, such as '*.pt', not '{wanted.pattern}'.")


def thinned(order: Placed, every: int, *, last: bool = True) -> Placed:
    """Each n-th checkpoint, and the last one."""
    paths = list(order.steps)
    kept = dict.fromkeys([*paths[::every], *(paths[-1:] if last else [])])
    return replace(order, steps={path: order.steps[path] for path in paths if path in kept})


def run_cheapest_first(
    wanted: Sweep,
    cards: Sequence[ModelCard],
    settings: Settings,
    reporter: RunReporter,
    done: Swept,
    agreed: Callable[[Prepared], bool],
    command: str,
) -> bool:
    """All checkpoints under the suite that costs least, then under the next: curves of the cheap ones come first.
    False where `agreed` says no."""
    from benchmark.engine.estimating import passes_of

    if not cards:
        return True
    names = ",".join(card.name for card in cards)
    prepared = prepare(replace(wanted.request, models=names), settings)
    if not agreed(prepared):
        return False
    costs: dict[str, float] = {}
    for task in prepared.tasks:
        costs[task.suite.name] = costs.get(task.suite.name, 0.0) + passes_of(task)
    for suite in sorted(costs, key=lambda name: (costs[name], name)):
        tasks = [task for task in prepared.tasks if task.suite.name == suite]
        spec = replace(prepared.spec, only=(suite,))
        report = execute(replace(prepared, tasks=tasks, spec=spec), reporter, command)
        done.counts.update({str(status): n for status, n in report.counts.items()})
        done.failed |= report.failed
    return True


Stamp = tuple[int, int]  # size, time of the last change in nanoseconds


@dataclass
class Appearing:
    """Which files are whole: those that were the same at two looks. What was taken is taken again once it changes."""

    _before: Mapping[Path, Stamp] = field(default_factory=dict)
    _taken: dict[Path, Stamp] = field(default_factory=dict)

    def look(self, stamps: Mapping[Path, Stamp]) -> tuple[list[Path], list[Path]]:
        """(whole and not taken yet, new or changed since the last look)."""
        whole: list[Path] = []
        growing: list[Path] = []
        for path, stamp in stamps.items():
            if self._taken.get(path) == stamp:
                continue
            (whole if self._before.get(path) == stamp else growing).append(path)
        self._before = dict(stamps)
        return whole, growing

    def take(self, path: Path, stamp: Stamp) -> None:
        """This state of the file is done with."""
        self._taken[path] = stamp


def sleeping(seconds: float) -> Callable[[], bool]:
    """A pause between two looks, which Ctrl-C ends, and the watch with it."""

    def pause() -> bool:
        try:
            time.sleep(seconds)
        except KeyboardInterrupt:
            return False
        return True

    return pause


def follow_sweep(
    wanted: Sweep,
    settings: Settings,
    reporter: RunReporter,
    pause: Callable[[], bool],
    *,
    until: int | None = None,
    say: Say = lambda _line: None,
    command: str = "bench sweep --follow",
) -> Swept:
    """Register and run checkpoints as they appear, until `pause`, called between two looks, says no, or a checkpoint of
    at least step `until` was run, or was left out and is as it was at the next look.

    A file is read once its size and time are the same at two looks, and what was read counts only if they still are
    afterwards. One that does not load is said and tried again when it changes. BenchError once the folder is gone.
    """
    from registry.training_runs import checkpoint_files

    require_folder(wanted)
    require_arch(wanted.arch)
    require_own_run(wanted, settings)
    require_possible(wanted.request, settings)
    seen, done = Appearing(), Swept(wanted.run)
    announced: set[Path] = set()
    steps: dict[Path, int] = {}
    while True:
        require_folder(wanted)
        files = checkpoint_files(wanted.folder, wanted.pattern)
        stamps = {path: stamp for path in files if (stamp := _stamp(path)) is not None}
        whole, growing = seen.look(stamps)
        if growing and set(growing) - announced:
            say(
                f"waiting for {wanted.inside(growing[0])}: it is new or still being written"
                if len(growing) == 1
                else f"waiting for {len(growing)} files that are new or still being written"
            )
        announced = set(growing)
        if whole:
            steady = {path: stamp for path, stamp in stamps.items() if path not in growing}
            steps |= _run(wanted, whole, steady, until, settings, reporter, seen, done, say, command)
        if until is not None:
            settled = [path for path in stamps if path not in {*whole, *growing}]
            if _ended(wanted, until, {path: steps.get(path, -1) for path in settled}, done, say):
                return done
        if not pause():
            return done


def _ended(wanted: Sweep, until: int, settled: Mapping[Path, int], done: Swept, say: Say) -> bool:
    """Whether step `until` was run, or a file that says so was left out and has not changed since: nothing would end
    the watch then. settled: the step of each file that is as it was when it was read."""
    if max(done.models.values(), default=-1) >= until:
        return True
    for path, step in settled.items():
        inside = wanted.inside(path)
        if step >= until and inside in done.left_out:
            say(f"ended: step {step} cannot be run: {inside}: {done.left_out[inside]}")
            return True
    return False


def _stamp(path: Path) -> Stamp | None:
    try:
        state = path.stat()
    except OSError:  # gone, or renamed between two calls
        return None
    return state.st_size, state.st_mtime_ns


def _run(
    wanted: Sweep,
    whole: list[Path],
    stamps: Mapping[Path, Stamp],
    until: int | None,
    settings: Settings,
    reporter: RunReporter,
    seen: Appearing,
    done: Swept,
    say: Say,
    command: str,
) -> Mapping[Path, int]:
    """The whole files of this look, and the steps of all that are whole. Their places are those among all, so that
    `every` is the same each time. stamps: of all that are whole, done with or not."""
    from registry.training_runs import placed

    unit: Unit | None = "epoch" if done.models and done.unit == "epoch" else None
    order = placed(list(stamps), unit, wanted.folder)
    done.unit = order.unit
    is_last = until is not None and max(order.steps.values(), default=-1) >= until
    chosen = thinned(order, wanted.every, last=is_last)
    new = replace(
        chosen,
        steps={path: step for path, step in chosen.steps.items() if path in whole},
        left_out={path: why for path, why in order.left_out.items() if path in whole},
    )
    before = set(done.models)
    cards = list(registered(wanted, new, settings, done, say))
    steady = []
    for path in whole:
        stamp = _stamp(path)
        if stamp == stamps[path]:
            seen.take(path, stamp)
            steady.append(str(path.resolve()))
        else:
            say(f"waiting for {wanted.inside(path)}: it changed while it was read")
    kept = [card for card in cards if card.weights in steady]
    for card in cards:
        if card not in kept and card.name not in before:
            done.models.pop(card.name, None)
    if kept:
        say(f"running {', '.join(card.name for card in kept)}")
        run_cheapest_first(wanted, kept, settings, reporter, done, lambda _prepared: True, command)
    return order.steps
