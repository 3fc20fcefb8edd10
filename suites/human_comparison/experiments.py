"""The seventeen experiments as data: conditions, levels, and which conditions enter the averages.

Geirhos et al. 2021 (NeurIPS, arXiv:2106.07411), section 2 and appendix. The kept conditions are the published
toolbox's list and stay a list: its stated rule (no undistorted control, human accuracy of at least 0.2) would
let low-pass 15 in, at exactly 0.2000, which the list leaves out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Literal

Scale = Literal["log", "linear", ""]


@dataclass(frozen=True)
class Condition:
    """A condition by its canonical spelling. level: in the experiment's unit (None: not a quantity);
    kept: whether it enters the averages."""

    name: str
    level: float | None
    kept: bool


@dataclass(frozen=True)
class Experiment:
    """An experiment. role: its word in trial tables; conditions: in order of distortion, the control first.

    scale: how levels are spaced for a psychometric curve ("" where they are not ordered or too few); unit: of levels.
    """

    role: str
    title: str
    conditions: tuple[Condition, ...]
    scale: Scale = ""
    unit: str = ""

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the conditions that enter the averages."""
        return tuple(condition.name for condition in self.conditions if condition.kept)

    @property
    def single(self) -> bool:
        """Whether there is one condition only."""
        return len(self.conditions) == 1


Levels = Iterable[tuple[str, float | None]]


def _graded(role: str, title: str, levels: Levels, kept: str, scale: Scale = "", unit: str = "") -> Experiment:
    """`levels`: (name, level), the control first; `kept`: names separated by blanks."""
    inside = set(kept.split())
    conditions = tuple(Condition(name, level, name in inside) for name, level in levels)
    return Experiment(role, title, conditions, scale, unit)


def _numbers(names: str) -> Levels:
    return [(name, float(name)) for name in names.split()]


def _contrasts(names: str) -> Levels:
    return [(name, float(name[1:])) for name in names.split()]


def _eidolon(role: str, coherence: int, kept: str) -> Experiment:
    reaches = (1, 2, 4, 8, 16, 32, 64, 128)
    levels = [(f"{reach}-{coherence}-10", float(reach)) for reach in reaches]
    inside = " ".join(f"{reach}-{coherence}-10" for reach in kept.split())
    title = f"eidolons of coherence {coherence / 10:g}"
    return _graded(role, title, levels, inside, "log", "reach (pixels)")


def _plain(role: str, title: str) -> Experiment:
    return Experiment(role, title, (Condition("", None, True),))


def _pair(role: str, title: str, control: str, kept: str) -> Experiment:
    return _graded(role, title, [(control, None), (kept, None)], kept)


EXPERIMENTS: tuple[Experiment, ...] = (
    _pair("colour", "colour and grey", "cr", "bw"),
    _graded(
        "contrast", "contrast", _contrasts("c100 c50 c30 c15 c10 c05 c03 c01"),
        "c50 c30 c15 c10 c05", "log", "contrast (%)",
    ),
    _graded(
        "high-pass", "high-pass", [("inf", inf), *_numbers("3 1.5 1 0.7 0.55 0.45 0.4")],
        "3 1.5 1 0.7", "log", "standard deviation of the filter (pixels)",
    ),
    _graded(
        "low-pass", "low-pass", _numbers("0 1 3 5 7 10 15 40"),
        "1 3 5 7 10", "log", "standard deviation of the filter (pixels)",
    ),
    _graded(
        "phase-scrambling", "phase noise", _numbers("0 30 60 90 120 150 180"),
        "30 60 90 120", "linear", "width of the phase noise (degrees)",
    ),
    _pair("power-equalisation", "power equalisation", "0", "pow"),
    _pair("false-colour", "opponent colours", "true", "false"),
    _graded("rotation", "rotation", _numbers("0 90 180 270"), "90 180 270", "", "degrees"),
    _eidolon("eidolonI", 10, "2 4 8 16 32"),
    _eidolon("eidolonII", 3, "2 4 8 16"),
    _eidolon("eidolonIII", 0, "2 4 8"),
    _graded(
        "uniform-noise", "uniform noise", _numbers("0 0.03 0.05 0.1 0.2 0.35 0.6 0.9"),
        "0.03 0.05 0.1 0.2 0.35", "log", "half-width of the noise (grey range 0-1)",
    ),
    _plain("sketch", "sketches"),
    _plain("stylised", "stylised photographs"),
    _plain("edges", "edge drawings"),
    _plain("silhouettes", "silhouettes"),
    _plain("cue-conflict", "cue conflict"),
)  # fmt: skip

BY_ROLE = {experiment.role: experiment for experiment in EXPERIMENTS}
#: Stimulus set name -> role. People's tables call the silhouettes by their experiment, folders by their set.
SET_ROLES = {
    **{e.role: e.role for e in EXPERIMENTS if e.role != "stylised"},
    "stylized": "stylised",
    "filled-silhouettes": "silhouettes",
}
#: Roles that the built-in world has a set of its own for.
WORLD_ROLES = ("cue-conflict", "edges", "silhouettes", "stylised")
#: Experiments that are made from its natural images. The levels are those of 224 px and so stronger at 64 px: blur
#: beyond 5 px leaves nothing. c100 is the control of all four, grey and nothing else.
WORLD_LEVELS = {
    "contrast": ("c100", "c50", "c30", "c15", "c10"),
    "low-pass": ("1", "3", "5"),
    "phase-scrambling": ("30", "60", "90", "120"),
    "uniform-noise": ("0.03", "0.1", "0.35"),
}
