"""The layout masks: images/, masks/ (PNG, not zero on the object) and labels.csv."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmark.errors import StimuliError
from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Annotation, Item
from benchmark.stimuli.labelled import labelled_images
from benchmark.stimuli.masked.planes import AnythingDrawn


def read(entry: Entry, folder: Path) -> Iterator[Item]:
    """The images that labels.csv names; `images/cats/7.jpg` has the mask `masks/cats/7.png`.

    Raises StimuliError where a row, an image or a mask is missing.
    """
    for item in labelled_images(entry, folder):
        path = (folder / "masks" / item.id).with_suffix(".png")
        if not path.is_file():
            raise StimuliError(
                f"{path}: there is no such mask, but labels.csv names the image '{item.id}'. "
                "Expected a PNG of the image's size, not zero on the object."
            )
        yield replace(item, annotation=Annotation(mask=AnythingDrawn(path), files=(path,)))
