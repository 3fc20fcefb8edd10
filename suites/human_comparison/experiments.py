"""The seventeen experiments as data: conditions, levels, and which conditions enter the averages.

Geirhos et al. 2021 (NeurIPS, arXiv:2106.07411), section 2 and appendix. The kept conditions are the published toolbox's
list and stay a list: its stated rule (no undistorted control, human accuracy of at least 0.2) would let low-pass 15 in,
at exactly 0.2000, which the list leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Scale = Literal["log", "linear", ""]


@dataclass(frozen=True, kw_only=True)
class HumanExperiment:
    """An experiment."""

    role: str  # its word in trial tables
    title: str
    #: Condition, by its canonical spelling -> level in `unit` (None: not a quantity), in order of distortion, the
    #: control first.
    levels: Mapping[str, float | None]
    kept: tuple[str, ...]  # the conditions that enter the averages
    scale: Scale = ""  # how levels are spaced for a psychometric curve; "" where they are not ordered or too few
    unit: str = ""

    @property
    def control(self) -> str | None:
        """The undistorted condition, if there is one."""
        return None if self.single else next(iter(self.levels))

    @property
    def single(self) -> bool:
        """Whether there is one condition only."""
        return len(self.levels) == 1


def _graded(role: str, title: str, names: str, kept: str, scale: Scale = "", unit: str = "") -> HumanExperiment:
    """names, kept: conditions separated by blanks: numbers, "c50", "8-10-10"."""
    levels: dict[str, float | None] = {name: float(name.lstrip("c").partition("-")[0]) for name in names.split()}
    return HumanExperiment(role=role, title=title, levels=levels, kept=tuple(kept.split()), scale=scale, unit=unit)


def _eidolon(role: str, coherence: int, kept: int) -> HumanExperiment:
    """kept: so many reaches, from the second."""
    names = [f"{reach}-{coherence}-10" for reach in (1, 2, 4, 8, 16, 32, 64, 128)]
    title = f"eidolons of coherence {coherence / 10:g}"
    return _graded(role, title, " ".join(names), " ".join(names[1 : kept + 1]), "log", "reach (pixels)")


def _pair(role: str, title: str, control: str, kept: str) -> HumanExperiment:
    return HumanExperiment(role=role, title=title, levels={control: None, kept: None}, kept=(kept,))


def _plain(role: str, title: str) -> HumanExperiment:
    return HumanExperiment(role=role, title=title, levels={"": None}, kept=("",))


EXPERIMENTS = (
    _pair("colour", "colour and grey", "cr", "bw"),
    _graded("contrast", "contrast", "c100 c50 c30 c15 c10 c05 c03 c01", "c50 c30 c15 c10 c05", "log", "contrast (%)"),
    _graded(
        "high-pass", "high-pass", "inf 3 1.5 1 0.7 0.55 0.45 0.4",
        "3 1.5 1 0.7", "log", "standard deviation of the filter (pixels)",
    ),
    _graded(
        "low-pass", "low-pass", "0 1 3 5 7 10 15 40",
        "1 3 5 7 10", "log", "standard deviation of the filter (pixels)",
    ),
    _graded(
        "phase-scrambling", "phase noise", "0 30 60 90 120 150 180",
        "30 60 90 120", "linear", "width of the phase noise (degrees)",
    ),
    _pair("power-equalisation", "power equalisation", "0", "pow"),
    _pair("false-colour", "opponent colours", "true", "false"),
    _graded("rotation", "rotation", "0 90 180 270", "90 180 270", "", "degrees"),
    _eidolon("eidolonI", 10, 5),
    _eidolon("eidolonII", 3, 4),
    _eidolon("eidolonIII", 0, 3),
    _graded(
        "uniform-noise", "uniform noise", "0 0.03 0.05 0.1 0.2 0.35 0.6 0.9",
        "0.03 0.05 0.1 0.2 0.35", "log", "half-width of the noise (grey range 0-1)",
    ),
    _plain("sketch", "sketches"),
    _plain("stylised", "stylised photographs"),
    _plain("edges", "edge drawings"),
    _plain("silhouettes", "silhouettes"),
    _plain("cue-conflict", "cue conflict"),
)  # fmt: skip

#: People's mean accuracy over the twelve undistorted controls, and the regimes of difficulty: the least that people are
#: right in them, as a share of that. The ends lie where the published conditions leave gaps.
UNDISTORTED = 0.865
REGIMES = {"reference": 0.95, "near": 0.6, "far": 0.35, "extreme": 0.0}

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
