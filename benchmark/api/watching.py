"""Checkpoints run as they appear in a folder; a file that is still being written is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.checkpoint_cards import registered, require_arch, require_own_run
from benchmark.api.running import require_possible
from benchmark.api.sweeping import require_folder, run_cheapest_first, thinned
from benchmark.api.training_run import Say, Sweep, Swept
from benchmark.settings import Settings

if TYPE_CHECKING:
    from benchmark.engine.run import RunReporter
    from registry.training_runs import Unit

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


def watch(
    wanted: Sweep,
    settings: Settings,
    reporter: RunReporter,
    pause: Callable[[], bool],
    *,
    until: int | None = None,
    say: Say = lambda _line: None,
    command: str = "bench watch",
) -> Swept:
    """Register and run checkpoints as they appear, until `pause`, called between two looks, says no, or a checkpoint of
    at least step `until` was run, or was left out and is as it was at the next look.

    A file is read once its size and time are the same at two looks, and what was read counts only if they still are
    afterwards. One that does not load is said and tried again when it changes. BenchError once the folder is gone.
    """
    require_folder(wanted)
    require_arch(wanted.arch)
    require_own_run(wanted, settings)
    require_possible(wanted.request, settings)
    seen, done = Appearing(), Swept(wanted.run)
    told: set[Path] = set()
    steps: dict[Path, int] = {}
    while True:
        require_folder(wanted)
        stamps = _stamps(wanted)
        whole, growing = seen.look(stamps)
        if growing and set(growing) - told:
            say(_waiting([wanted.inside(path) for path in growing]))
        told = set(growing)
        if whole:
            steady = {path: stamp for path, stamp in stamps.items() if path not in growing}
            steps |= _run(
                wanted, whole, steady, until, settings, reporter, seen, done, say, command
            )
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


def _stamps(wanted: Sweep) -> dict[Path, Stamp]:
    from registry.training_runs import checkpoint_files

    found = {path: _stamp(path) for path in checkpoint_files(wanted.folder, wanted.pattern)}
    return {path: stamp for path, stamp in found.items() if stamp is not None}


def _stamp(path: Path) -> Stamp | None:
    try:
        state = path.stat()
    except OSError:  # gone, or renamed between two calls
        return None
    return state.st_size, state.st_mtime_ns


def _waiting(growing: list[str]) -> str:
    if len(growing) == 1:
        return f"waiting for {growing[0]}: it is new or still being written"
    return f"waiting for {len(growing)} files that are new or still being written"


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
    from dataclasses import replace

    from registry.training_runs import placed

    unit: Unit | None = "epoch" if done.models and done.unit == "epoch" else None
    found = placed(list(stamps), unit, wanted.folder)
    done.unit = found.unit
    is_last = until is not None and max(found.steps.values(), default=-1) >= until
    chosen = thinned(found, wanted.every, last=is_last)
    mine = replace(
        chosen,
        steps={path: step for path, step in chosen.steps.items() if path in whole},
        left_out={path: why for path, why in found.left_out.items() if path in whole},
    )
    before = set(done.models)
    cards = list(registered(wanted, mine, settings, done, say))
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
    return found.steps
