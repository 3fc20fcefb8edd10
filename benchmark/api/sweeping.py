"""Every checkpoint of a training run as one family: registered, run under the cheapest suites first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.cards import register
from benchmark.api.running import Prepared, RunRequest, execute, prepare
from benchmark.errors import FAILURES, BenchError
from benchmark.settings import Settings

if TYPE_CHECKING:
    from benchmark.engine.running import RunReporter
    from registry.cards import ModelCard
    from registry.training_runs import Placed

Say = Callable[[str], None]


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
        plain = re.sub("[^A-Za-z0-9._+-]", "-", self.name or self.folder.resolve().name)
        return plain.lstrip("._+-")[:100] or "run"


@dataclass
class Swept:
    """What was done. models: by step; counts: of outcomes, as in a run's report; failed: "MODEL under SUITE" -> why;
    left_out: file -> why it was not registered."""

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


def sweep(
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
    files = checkpoint_files(wanted.folder, wanted.pattern)
    if not files:
        like = f" like '{wanted.pattern}'" if wanted.pattern else ""
        raise BenchError(f"{wanted.folder} has no checkpoints{like}. --pattern '*.pt' says which.")
    found = placed(files)
    if not found.steps:
        name, why = next(iter(found.left_out.items()))
        raise BenchError(
            f"none of the {len(files)} files in {wanted.folder} can be put in order: {name.name}: {why}. "
            "Name them like step_1000.pt or epoch_3.pt."
        )
    done = Swept(wanted.run, found.unit)
    cards = list(registered(wanted, thinned(found, wanted.every), settings, done, say))
    return (
        done
        if run_cheapest_first(wanted, cards, settings, reporter, done, agreed, command)
        else None
    )


def require_folder(wanted: Sweep) -> None:
    """BenchError where the folder is none, or the pattern is no glob within it."""
    if not wanted.folder.is_dir():
        raise BenchError(f"{wanted.folder} is no folder: name the one that holds the checkpoints.")
    if Path(wanted.pattern).is_absolute() or ".." in Path(wanted.pattern).parts:
        raise BenchError(
            f"--pattern is a glob within the folder, such as '*.pt', not '{wanted.pattern}'."
        )


def thinned(found: Placed, every: int, *, last: bool = True) -> Placed:
    """Each n-th checkpoint, and the last one."""
    paths = list(found.steps)
    kept = dict.fromkeys([*paths[::every], *(paths[-1:] if last else [])])
    return replace(found, steps={path: found.steps[path] for path in paths if path in kept})


def registered(
    wanted: Sweep, found: Placed, settings: Settings, done: Swept, say: Say
) -> Iterator[ModelCard]:
    """A card for each checkpoint, in their order. Those that do not load are left out, and said."""
    from registry.card_files import read_cards
    from registry.python_files import whole_arch

    arch = whole_arch(wanted.arch)
    cards = {
        card.weights: card
        for card in read_cards(settings.cards).values()
        if card.checkpoint is not None
    }
    require_arch(arch, all_known=all(str(path.resolve()) in cards for path in found.steps))
    names: set[str] = set()
    for path, why in found.left_out.items():
        _leave_out(done, path, why, say)
    for path, step in found.steps.items():
        name = _name(wanted.run, path, names)
        known = cards.get(str(path.resolve()))
        try:
            card = _card(wanted, arch, path, name, known, settings)
        except FAILURES as error:  # the boundary of one checkpoint
            _leave_out(done, path, " ".join(str(error).split()), say)
            continue
        names.add(card.name)
        done.models[card.name] = step
        done.left_out.pop(path.name, None)
        yield _placed(card, wanted.run, step, found.unit, settings)


def _leave_out(done: Swept, path: Path, why: str, say: Say) -> None:
    if done.left_out.get(path.name) != why:
        done.left_out[path.name] = why
        say(f"left out: {path.name}: {why}")


def _name(run: str, path: Path, taken: set[str]) -> str:
    """The run's name and the file's; of two files of one name also the ending."""
    stem = re.sub("[^A-Za-z0-9._+-]", "-", path.name.removesuffix(path.suffix))
    name = f"{run}-{stem}"[:190]
    return name if name not in taken else f"{name}{path.suffix}"


def require_arch(arch: str, *, all_known: bool = False) -> None:
    """One error instead of one for each checkpoint. Raises UnknownName with close matches, too."""
    from registry.architectures import require_known

    if not arch and not all_known:
        raise BenchError(
            "--arch is needed: timm:NAME, torchvision:NAME or python:./file.py:function, as of `bench register`."
        )
    kind, _, name = arch.partition(":")
    if kind in ("timm", "torchvision") and ":" not in name:
        require_known(arch)


def _card(
    wanted: Sweep, arch: str, path: Path, name: str, known: ModelCard | None, settings: Settings
) -> ModelCard:
    """The card of a checkpoint: the one that it has, unless the file was written since or is another network now."""
    if known is None:
        return register(name, wanted.arch, str(path), **wanted.given)[0]
    file = settings.cards / f"{known.name}.yaml"
    fresh = file.is_file() and file.stat().st_mtime_ns >= path.stat().st_mtime_ns
    if fresh and arch in ("", known.arch) and wanted.given.get("labels") in (None, known.labels):
        return known
    given = {"labels": known.labels, **wanted.given}
    return register(known.name, wanted.arch or known.arch, str(path), replaces=True, **given)[0]


def _placed(card: ModelCard, run: str, step: int, unit: Any, settings: Settings) -> ModelCard:
    from registry.card_files import write_card
    from registry.cards import Checkpoint

    place = Checkpoint(run=run, step=step, unit=unit)
    if card.checkpoint == place:
        return card
    card = card.model_copy(update={"checkpoint": place})
    write_card(card, settings.cards, replace=True)
    return card


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
        report = execute(replace(prepared, tasks=tasks), reporter, command)
        done.counts.update({str(status): n for status, n in report.counts.items()})
        done.failed |= report.failed
    return True
