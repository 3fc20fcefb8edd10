"""The roles of stimulus sets for which suites ask, and what stands in for a set that is missing."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from benchmark.contracts import Shelf, Stimuli
from benchmark.failures import MissingStimuli

ROLE = "natural"
#: Keys of `Plan.missing` if other photographs are shown for want of ImageNet's validation images -> the flag of scores.
HELD_OUT, OTHERS = "natural (held out)", "natural (ImageNet)"
STAND_INS = {OTHERS: "ImageNet-V2 instead of ImageNet's validation images", HELD_OUT: "training images"}
SECOND_SET, SECOND_LOSS = "imagenet-v2", "networks err more on it, and its numbers compare only with others on it"
#: What is shown instead, the first that is installed: its role, its key, and what is said of it.
_INSTEAD = (
    (SECOND_SET, OTHERS, f"ImageNet-V2 shown instead ({SECOND_LOSS})"),
    ("natural-training", HELD_OUT, "training images shown instead"),
)


def stand_in_flags(missing: Mapping[str, str]) -> tuple[str, ...]:
    """Return the flags of scores on photographs that stand in for others. missing: of the trials."""
    return tuple(flag for key, flag in STAND_INS.items() if key in missing)


def sets_of(shelf: Shelf, roles: Iterable[str]) -> tuple[dict[str, Stimuli], dict[str, str]]:
    """Open the sets of these roles; also return role -> why it is missing."""
    sets: dict[str, Stimuli] = {}
    missing: dict[str, str] = {}
    for role in roles:
        try:
            sets[role] = shelf.find(role)
        except MissingStimuli as error:
            missing[role] = str(error)
    return sets, missing


def natural_images(shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    """Open held-out images; for ImageNet otherwise ImageNet-V2 or training images, with a reason in `missing`."""
    try:
        return shelf.find(ROLE)
    except MissingStimuli as error:
        for role, key, lost in _INSTEAD if shelf.space == "imagenet1k" else ():
            with suppress(MissingStimuli):
                stimuli = shelf.find(role)
                missing[key] = f"{lost}: {error}"
                return stimuli
        raise
