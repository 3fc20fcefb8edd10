"""The manifest in the folder of a stylised set: where its images come from travels with them."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import StimuliError
from benchmark.stimuli.digests import text_digest

MANIFEST = "stylised.json"
FORMAT = 1


class Made(NamedTuple):
    """What a set's manifest says. origin: in words, as `Stimuli.origin`; label: the value of the label column "made",
    by which the whole manifest enters the set's digest; whole: how many images were planned without a limit.
    """

    origin: str
    label: str
    whole: int


def read_manifest(folder: Path) -> Made | None:
    """What the folder's manifest says; None where it has none. Raises StimuliError where it is damaged."""
    place = folder / MANIFEST
    if not place.is_file():
        return None
    try:
        text = place.read_text(encoding="utf-8")
        table = json.loads(text)
        if table["format"] != FORMAT:
            raise StimuliError(
                f"{place}: format {table['format']}, expected {FORMAT}: made by another version of this program."
            )
        by, strength = table["generator"], float(table["strength"])
        origin = f"stylised: {by['name']} {by['version']}, strength {strength:g}, seed {int(table['seed'])}"
        return Made(origin, f"stylised {text_digest(text)[:16]}", int(table["whole"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StimuliError(
            f"{place}: not the manifest of a stylised set ({error!r}). Make the set again."
        ) from error
