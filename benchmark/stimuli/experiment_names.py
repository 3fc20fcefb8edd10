"""Names of the human experiments and of their conditions, as publications spell them."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmark.failures import TrialsError
from benchmark.stimuli.catalogue import package_table

_TABLE = package_table("experiments.yaml")
#: Experiments of one condition. The condition column of their tables has a filler ("0" or "NaN").
SINGLE_CONDITION = frozenset(name for name, row in _TABLE.items() if row.get("conditions") == "one")
#: Experiments whose conditions are numbers.
NUMERIC = frozenset(name for name, row in _TABLE.items() if row.get("conditions") == "numbers")
#: The middle number of an eidolon condition -> the experiment. One table of texture-vs-shape, "eidolon", has all three.
EIDOLONS = {"10": "eidolonI", "3": "eidolonII", "0": "eidolonIII"}
#: Name or alias -> experiment.
KNOWN: Mapping[str, str] = {alias: name for name, row in _TABLE.items() for alias in (name, *row.get("aliases", ()))}
_SUFFIX = re.compile(r"(-experiment)?(-trained-cnns)?$")
_PUBLISHED = re.compile(r"([^_]+)_.+_session[-_]\d+")
#: Prefix of the experiment in file names of error-consistency (Geirhos et al. 2020).
_GROUP = re.compile(r"^(?:texture-shape|noise-generalisation)_")


def name_experiment(text: str) -> str:
    """Normalise an experiment's name: "edge-experiment" -> "edges". Unknown names are unchanged."""
    plain = _SUFFIX.sub("", _GROUP.sub("", text.strip().lower()))
    return KNOWN.get(plain, plain)


def experiment_of(path: Path) -> str:
    """Name the experiment of a table of trials: by the file name up to its first "_", or by the nearest of two folders
    that names a known experiment. The published form NAME_OBSERVER_session-1.csv may name a new experiment. Raises
    TrialsError if no name fits."""
    stem = _GROUP.sub("", path.stem.lower())
    folders = [folder.name for folder in path.absolute().parents[:2]]
    for text in (stem.partition("_")[0], stem, *folders):
        if (name := name_experiment(text)) in _TABLE:
            return name
    if published := _PUBLISHED.fullmatch(path.stem):
        return name_experiment(published[1])
    raise TrialsError(
        f"{path}: the name does not identify the experiment. Expected a file like "
        f"'cue-conflict_OBSERVER_session-1.csv' or a folder called one of: {', '.join(sorted(_TABLE))}."
    )


def split_eidolon(experiment: str, condition: str, where: str) -> str:
    """Split "eidolon" by a condition such as "8-3-10"; other experiments are unchanged. Raises TrialsError."""
    if experiment != "eidolon":
        return experiment
    if match := re.fullmatch(r"[^-]*-(10|3|0)-[^-]*", condition.strip()):
        return EIDOLONS[match[1]]
    raise TrialsError(f"{where}: '{condition}' is not an eidolon condition like '8-3-10' (coherence 10, 3 or 0).")


def canonical_condition(experiment: str, text: str) -> str:
    """Spell a condition one way, so that tables of people and of networks match.

    Experiments of one condition have "". Numbers become the shortest decimal ("0.20" -> "0.2", "3.0" -> "3"; "inf" is
    kept). Others become lower case ("True" -> "true")."""
    text = text.strip().lower()
    if experiment in SINGLE_CONDITION:
        return ""
    if experiment in NUMERIC:
        with suppress(ValueError):
            return f"{float(text):.10g}"
    return text
