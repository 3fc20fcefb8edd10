"""The natural images of a decision space: those of the role "natural", or ImageNet's training images in their place."""

from benchmark.contracts import Shelf, Stimuli
from benchmark.errors import MissingStimuli

ROLE = "natural"
#: Key of `Plan.missing` where nothing but training images is there.
HELD_OUT = "natural (held out)"


def natural_images(shelf: Shelf, missing: dict[str, str]) -> Stimuli:
    """Held-out images; of ImageNet, where there are none on disk, training images, which `missing` is told.

    Raises MissingStimuli where there is neither.
    """
    try:
        return shelf.find(ROLE)
    except MissingStimuli as error:
        if shelf.space != "imagenet1k":
            raise
        missing[HELD_OUT] = f"training images shown instead: {error}"
        try:
            return shelf.find("natural-training")
        except MissingStimuli:
            raise error from None
