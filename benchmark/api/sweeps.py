"""Register and run every checkpoint of a training run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Unpack

from benchmark.api.execution import execute
from benchmark.api.options import Arch, CheckpointOptions, Db, Limit, Option, Precision, Seed, SuiteNames, stated
from benchmark.api.photograph_checks import registration_checks
from benchmark.api.registration import register_card
from benchmark.api.running import Agreed, RunPlan, RunRequest, prepare, require_possible
from benchmark.display import printable
from benchmark.engine.reporters import Reporter, Silent
from benchmark.failures import FAILURES, BenchError
from benchmark.settings import Settings
from benchmark.variables import read_settings
from registry.cards import Checkpoint, ModelCard, read_cards, write_card
from registry.files import conversions, expanded
from registry.labels import given_labels
from registry.training_runs import Placed, Unit, checkpoint_files, placed
from registry.user_errors import Remedy, some_of


def sweep(
    folder: Annotated[str | Path, Option("A folder of checkpoints.", kind="place")],
    arch: Arch = "",
    *,
    pattern: Annotated[str, Option("Use files like '*.pt' or '*/model.pt'.", metavar="GLOB")] = "",
    every: Annotated[int, Option("Use each N-th, and the last.", metavar="N", least=1)] = 1,
    name: Annotated[str, Option("Name the training run (default: the folder's name).")] = "",
    suites: SuiteNames = "all",
    limit: Limit = None,
    device: Annotated[str, Option("Use auto, cpu, cuda, cuda:1 or mps.", "--device")] = "auto",
    precision: Precision = "fp32",
    seed: Seed = 0,
    db: Db = None,
    reporter: Reporter | None = None,
    say: Callable[[str], None] = lambda _line: None,
    agreed: Agreed = lambda _plan: True,
    command: str = "gestaltbench.sweep",
    **said: Unpack[CheckpointOptions],
) -> SweepReport | None:
    """Run all checkpoints of a training run; draw its curves.

    FOLDER may be a run of Lightning or of transformers' Trainer. The cheapest suite runs first. Steps or epochs are
    read from the names (step_1000.pt, epoch=3.ckpt), otherwise from the files. Repeating the command computes what is
    missing, so it can run again while training goes on. Write checkpoints under another name and rename them, so that
    none is read half-written. Exit code 3 means that a file could not be used."""
    swept = TrainingRun(
        folder=expanded(str(folder)),
        arch=arch,
        run=run_name(folder, name),
        pattern=pattern,
        every=every,
        is_named=bool(name),
        given=stated(**{**said, "training": tuple(said.get("training") or ())}),
        request=RunRequest(suites=suites, limit=limit, device=device, precision=precision, seed=seed),
        settings=read_settings(db),
        reporter=reporter or Silent(),
        say=say,
        command=command,
    )
    return swept.once(agreed)


def run_name(folder: str | Path, name: str = "") -> str:
    """Return the name of a run, as a card's name may begin."""
    return _plain(name or expanded(str(folder)).resolve().name).lstrip("._+-")[:100] or "run"


def _plain(text: str) -> str:
    return re.sub("[^A-Za-z0-9._+-]", "-", text)


@dataclass(kw_only=True)
class SweepReport:
    """The outcome of a sweep."""

    run: str
    unit: Unit = "step"
    models: dict[str, int] = field(default_factory=dict)  # name -> step
    counts: Counter[str] = field(default_factory=Counter)  # of outcomes, as in a run's report
    failed: dict[str, str] = field(default_factory=dict)  # "MODEL under SUITE" -> reason
    left_out: dict[str, str] = field(default_factory=dict)  # file in the folder -> reason
    remedy: Remedy = field(default_factory=Remedy)  # against the last of these reasons

    @property
    def exit_code(self) -> int:
        """Return 0 if all is done, 1 if nothing is, 3 if some failed or were left out."""
        if not self.counts["done"] + self.counts["cached"]:
            return 1
        return 3 if self.failed or self.left_out else 0


@dataclass(kw_only=True)
class TrainingRun:
    """A folder of checkpoints, and how they are registered and run; `report` collects the outcome."""

    folder: Path
    arch: str
    run: str  # its name
    pattern: str = ""  # a glob; without one, every file that looks like a checkpoint
    every: int = 1  # each n-th in the order of training, and the last
    is_named: bool = False  # the user named the run
    given: Mapping[str, Any] = field(default_factory=dict)  # further options of a registration
    request: RunRequest = field(default_factory=RunRequest)
    settings: Settings = field(default_factory=read_settings)
    reporter: Reporter = field(default_factory=Silent)
    say: Callable[[str], None] = lambda _line: None
    command: str = "bench sweep"

    def __post_init__(self) -> None:
        self.report = SweepReport(run=self.run)
        self.is_tried = False  # whether a checkpoint of the run was tried on photographs
        self.lacking: set[str] = set()  # reported reasons why a suite lacks stimuli

    def once(self, agreed: Agreed = lambda _plan: True) -> SweepReport | None:
        """Register and run the checkpoints; None if `agreed` refuses. Raise BenchError without any in order."""
        self._require()
        files = checkpoint_files(self.folder, self.pattern)
        order = placed(files, folder=self.folder)
        if not order.steps:
            like = self.pattern and f" like '{self.pattern}'"
            hint = "Choose files with --pattern '*.pt', and name them like step_1000.pt or epoch_3.pt."
            raise BenchError(f"{self.folder} has no checkpoints{like} with a step among {len(files)} files. {hint}")
        known = {card.weights for card in self._own(read_cards(self.settings.cards))}
        if not all(_whole(path, self.arch) != path or _files_of(path) & known for path in order.steps):
            self._require_arch()
        self.report.unit = order.unit
        paths = list(order.steps)
        steps = {path: order.steps[path] for path in dict.fromkeys([*paths[:: self.every], paths[-1]])}
        cards = self.register(replace(order, steps=steps))
        return self.report if self.run_cheapest_first(cards, agreed) else None

    def run_cheapest_first(self, cards: Sequence[ModelCard], agreed: Agreed = lambda _plan: True) -> bool:
        """Run all checkpoints under the cheapest suite, then under the next; return False if `agreed` refuses."""
        if not cards:
            return True
        prepared = prepare(replace(self.request, models=",".join(card.name for card in cards)), self.settings)
        self._report_lacking(prepared)
        if not agreed(prepared):
            return False
        for part in prepared.by_suite():
            report = execute(part, self.reporter, self.command)
            self.report.counts.update({str(status): n for status, n in report.counts.items()})
            self.report.failed |= report.failed
        return True

    def _report_lacking(self, plan: RunPlan) -> None:
        for task in plan.tasks:
            lacks, name = task.plan.missing, task.suite.name
            text = f"{name} runs without {some_of([*lacks], 3)}: {next(iter(lacks.values()))}" if lacks else ""
            if not task.plan.blocks:
                text = f"{name} cannot run: {task.reason}"
            if text and text not in self.lacking:
                self.lacking.add(text)
                self.say(text)

    def register(self, order: Placed) -> list[ModelCard]:
        """Register each checkpoint in its order; those that do not load are left out and reported."""
        cards, given = dict(read_cards(self.settings.cards)), self._given()
        registered = []
        for path, why in order.left_out.items():
            self._leave_out(path, why)
        for path, step in order.steps.items():
            inside = self._inside(path)
            try:
                card = self._card(path, cards, given)
            except FAILURES as error:  # the boundary of one checkpoint
                self._leave_out(path, " ".join(str(error).split()))
                if isinstance(error, BenchError) and "--probe" not in error.remedy.lacking:
                    self.report.remedy = error.remedy
                continue
            if card.name not in cards and card.options.get("key") and not given.get("key"):
                self.say(f"{inside}: its weights are '{card.options['key']}', one of several (--key NAME)")
            place = Checkpoint(run=self.run, step=step, unit=order.unit)
            if card.checkpoint != place:
                card = card.model_copy(update={"checkpoint": place})
                write_card(card, self.settings.cards, replace=True)
            cards[card.name] = card
            self.report.models[card.name] = step
            self.report.left_out.pop(inside, None)
            registered.append(card)
        return registered

    def _card(self, path: Path, cards: Mapping[str, ModelCard], given: Mapping[str, Any]) -> ModelCard:
        from registry.architectures import whole_arch
        from registry.families.family import family_of

        place = _whole(path, self.arch)
        file, files = str(place.resolve()), _files_of(place)
        known = next((card for card in self._own(cards) if card.weights in files), None)
        name = known.name if known else self._name(path, cards)
        known = known or cards.get(name)
        arch, options = self.arch, {**given, "replaces": known is not None}
        if known is not None and known.weights in files:  # otherwise it is new, or a file of this run that is gone
            is_folder = Path(file) != path.resolve()  # it identifies its architecture
            same = is_folder or whole_arch(self.arch) in ("", known.arch)
            # The options that the card was registered with, to repeat them; members of families identify themselves.
            said: dict[str, Any] = {"labels": known.labels}
            if same:
                said["training"] = known.training
            if same and known.source == "file" and family_of(known.arch) is None:
                kwargs = tuple(f"{option}={value}" for option, value in known.options.get("kwargs", {}).items())
                said |= {option: known.options.get(option) for option in ("key", "ignore", "output")}
                said |= {"arch_option": kwargs, **dict(known.preprocess or {})}
            # ctime too: a copied file may keep an older mtime.
            state, own = path.stat(), self.settings.cards / f"{name}.yaml"
            is_newer = own.is_file() and own.stat().st_mtime_ns >= max(state.st_mtime_ns, state.st_ctime_ns)
            asked = {option: value for option, value in given.items() if option != "convert"}
            stated = {option: said.get(option, getattr(known.preprocess, option, None)) for option in asked}
            if same and is_newer and stated == asked:
                return known
            arch, options = self.arch if is_folder else self.arch or known.arch, {**said, **options}
        if not self.is_tried:  # only the first of the run is tried, as the others have the same input
            options["trial"] = partial(registration_checks, folder=None, settings=self.settings)
        card, checks = register_card(name, arch, file, **options)
        self.is_tried = True
        for check in checks:
            if check.name == "photographs":
                self.say(f"{check.mark or 'ok'}: {name}: {check.detail}")
        return card

    def _name(self, path: Path, cards: Mapping[str, ModelCard]) -> str:
        """Return the run's name with the file's. Raise BenchError if a card of another file has it."""
        inside = self._inside(path).rpartition("checkpoints/")[2]  # without the folders of Lightning
        name = f"{self.run}-{_plain(inside.removesuffix(path.suffix))}"[:180]
        card = cards.get(name)
        own = card is not None and card.checkpoint is not None and card.checkpoint.run == self.run
        # The run may have been moved, and a card may have been made of this file before.
        if card is None or (own and not Path(card.weights or "").exists()):
            return name
        if own or card.weights not in _files_of(_whole(path, self.arch)):
            raise BenchError(f"the model '{name}' is of {card.weights}: rename the file, or name the run with --name")
        return name

    def _given(self) -> dict[str, Any]:
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in self.given.items() if v is not None}
        if given.get("labels"):
            given["labels"] = given_labels(str(given["labels"]), self.run, self.settings.cards)[0]
        return given

    def _leave_out(self, path: Path, why: str) -> None:
        if self.report.left_out.get(inside := self._inside(path)) != why:
            self.report.left_out[inside] = why
            self.say(f"left out: {inside}: {why}")

    def _inside(self, path: Path) -> str:
        return printable(str(path.relative_to(self.folder)))

    def _own(self, cards: Mapping[str, ModelCard]) -> list[ModelCard]:
        return [card for card in cards.values() if card.checkpoint and card.checkpoint.run == self.run]

    def _require(self) -> None:
        """Raise as a run would, and if the run of another folder has this name, unless the user gave it."""
        if not self.folder.is_dir():
            raise BenchError(f"{self.folder} is not a folder: expected the folder of the checkpoints.")
        if Path(self.pattern).is_absolute() or ".." in Path(self.pattern).parts:
            raise BenchError(f"--pattern must be a glob within the folder, such as '*.pt', not '{self.pattern}'.")
        require_possible(self.request, self.settings)
        files = [Path(card.weights or "") for card in self._own(read_cards(self.settings.cards))]
        there, folder = [file for file in files if file.exists()], self.folder.resolve()
        linked = {path.resolve() for path in checkpoint_files(self.folder, self.pattern)}
        if self.is_named or not there or any(file in linked or file.is_relative_to(folder) for file in there):
            return
        hint = f"choose another with --name, or give --name {self.run} if it is the same run"
        raise BenchError(f"'{self.run}' is already the name of a training run with {there[0]}: {hint}.")

    def _require_arch(self) -> None:
        from registry.architectures import factory, require_known, whole_arch
        from registry.loading import required_arch

        if not self.arch:  # as the first checkpoint states it
            self.arch = required_arch(next(iter(checkpoint_files(self.folder, self.pattern)), None))
        kind, _, name = self.arch.partition(":")
        if kind in ("timm", "torchvision") and ":" not in name:
            require_known(self.arch)
        elif kind == "python":
            factory(whole_arch(self.arch).removeprefix("python:"))


def _whole(path: Path, arch: str) -> Path:
    """Return the folder around a checkpoint of transformers' Trainer, which is loaded as a whole; otherwise `path`."""
    from registry.families.family import of_files

    is_trainers = arch in ("", "hf") and path.parent.name.startswith("checkpoint-")
    return path.parent if is_trainers and of_files("", str(path.parent))[0].startswith("hf:") else path


def _files_of(place: Path) -> set[str]:
    """Return the whole paths under which a card may have a checkpoint: its own, and those of what was made of it."""
    return {str(place.resolve()), *conversions(place)}
