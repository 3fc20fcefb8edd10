"""Readers of sets whose images carry object masks or graded human maps, one module per layout."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmark.stimuli.catalogue import Entry
from benchmark.stimuli.items import Item, LeftOut
from benchmark.stimuli.masked import boxes, clickme, coco, folder, imagenet_s, voc

#: Layout -> (entry, folder) -> its images. Raise StimuliError on what breaks the layout.
READERS: Mapping[str, Callable[[Entry, Path], Iterator[Item | LeftOut]]] = {
    "masks": folder.read,
    "imagenet-s": imagenet_s.read,
    "imagenet-boxes": boxes.read,
    "voc": voc.read,
    "coco": coco.read,
    "clickme": clickme.read,
}
