"""Which experiment a table of trials belongs to, from the names of its file and folders."""

import re
from pathlib import Path

from benchmark.errors import TrialsError

EIDOLONS = {"10": "eidolonI", "3": "eidolonII", "0": "eidolonIII"}
#: All three eidolon experiments in one table (texture-vs-shape): the condition's middle number
#: tells them apart.
EIDOLON = "eidolon"
_SAME = (
    "cue-conflict", "sketch", "stylized", "original", "greyscale", "texture", "colour", "contrast",
    "high-pass", "low-pass", "phase-scrambling", "power-equalisation", "false-colour", "rotation",
    "uniform-noise",
)  # fmt: skip
#: Names in publications (lower case) -> experiment. Others are kept as they are.
KNOWN = {
    **{name: name for name in _SAME},
    "style-transfer-512-nomask": "cue-conflict",
    "edge": "edges",
    "edges": "edges",
    "silhouette": "silhouettes",
    "silhouettes": "silhouettes",
    "silhouette-filled": "silhouettes",
    "filled-silhouettes": "silhouettes",
    "stylised": "stylized",
    "grayscale": "greyscale",
    "color": "colour",
    "colour-png": "colour",
    "contrast-png": "contrast",
    "highpass": "high-pass",
    "lowpass": "low-pass",
    "noise": "uniform-noise",
    "noise-png": "uniform-noise",
    "salt-and-pepper": "salt-and-pepper",
    "salt-and-pepper-png": "salt-and-pepper",
    "power-equalization": "power-equalisation",
    "false-color": "false-colour",
    "eidolon": EIDOLON,
    "eidoloni": "eidolonI",
    "eidolonii": "eidolonII",
    "eidoloniii": "eidolonIII",
}
_SUFFIX = re.compile(r"(-experiment)?(-trained-cnns)?$")
_PUBLISHED = re.compile(r"([^_]+)_.+_session[-_]\d+")
#: What stands before the experiment in the names of error-consistency (Geirhos et al. 2020).
_GROUP = re.compile(r"^(?:texture-shape|noise-generalisation)_")
_FOLDERS = 2  # folders above the file whose names count


def name_experiment(text: str) -> str:
    """The experiment's one name for a name in use: "edge-experiment" -> "edges". Unknown names
    stay."""
    plain = _SUFFIX.sub("", _GROUP.sub("", text.strip().lower()))
    return KNOWN.get(plain, plain)


def experiment_of(path: Path) -> str:
    """From the file name up to the first "_", else from the nearest folder that names a known
    experiment.

    A file in the published form NAME_OBSERVER_session-1.csv may name an experiment of its own.
    Raises TrialsError where nothing tells.
    """
    stem = _GROUP.sub("", path.stem.lower())
    candidates = [stem.partition("_")[0], stem]
    candidates += [folder.name for folder in list(path.absolute().parents)[:_FOLDERS]]
    for text in candidates:
        plain = _SUFFIX.sub("", _GROUP.sub("", text.lower()))
        if plain in KNOWN:
            return KNOWN[plain]
    published = _PUBLISHED.fullmatch(path.stem)
    if published:
        return name_experiment(published[1])
    raise TrialsError(
        f"{path}: the name does not tell which experiment this is. Expected a file like "
        f"'cue-conflict_OBSERVER_session-1.csv' or a folder called one of: "
        f"{', '.join(sorted(KNOWN))}."
    )


def split_eidolon(experiment: str, condition: str, where: str) -> str:
    """The eidolon experiment of a condition such as "8-3-10"; other experiments stay. Raises
    TrialsError."""
    if experiment != EIDOLON:
        return experiment
    parts = condition.strip().split("-")
    if len(parts) != 3 or parts[1] not in EIDOLONS:
        raise TrialsError(
            f"{where}: condition '{condition}' is no eidolon condition; expected "
            "reach-coherence-grain, such as '8-3-10', with coherence 10, 3 or 0."
        )
    return EIDOLONS[parts[1]]
