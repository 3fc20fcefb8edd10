"""The images of a listing as a set: their digests, and the masks that silhouettes give them."""

from pathlib import Path, PurePath

import numpy as np

from benchmark.contracts import Stimuli
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, read_catalogue
from benchmark.stimuli.digests import file_digests, set_digest
from benchmark.stimuli.items import check_spelling, images_below
from benchmark.stimuli.listings import Listing
from benchmark.stimuli.manifests import read_manifest
from benchmark.stimuli.names import read_pair
from benchmark.stimuli.pixels import FileImages, FileMasks
from benchmark.stimuli.places import folder_of, remedy


def open_listing(
    entry: Entry, listing: Listing, settings: Settings, n: int, name: str | None = None
) -> Stimuli:
    """The images of a listing as a set of an entry, called `name`; n: how many the folder has.

    Raises StimuliError.
    """
    check_spelling(listing.folder, listing.ids)
    check_spelling(listing.folder, listing.labels["category"].tolist())
    items = file_digests(listing.files, listing.folder, settings)
    labels = dict(listing.labels)
    made = read_manifest(listing.folder)
    if made is not None:  # the manifest is part of the set's identity
        labels["made"] = np.full(len(listing), made.label)
    images = FileImages(listing.paths, remedy(entry), items)
    return Stimuli(
        name=name or entry.name,
        digest=set_digest(listing.ids, items, labels),
        space=entry.space,
        ids=listing.ids,
        items=items,
        labels=labels,
        decode=images,
        mask=_masks(entry, images, settings),
        whole=made.whole if made else entry.count or n,
        origin=made.origin if made else "catalogue" if entry.count else "added",
        sampled=listing.sampled,
    )


def _masks(entry: Entry, images: FileImages, settings: Settings) -> FileMasks | None:
    """Masks from the entry's set of silhouettes, where that set is here and fits every image."""
    source = read_catalogue(settings).get(entry.mask) if entry.mask else None
    folder = folder_of(source, settings) if source else None
    if folder is None:
        return None
    silhouettes = {(path.parent.name, path.stem): path for path in images_below(folder)}
    wanted = [silhouettes.get((path.parent.name, _exemplar(path))) for path in images.paths]
    found = tuple(path for path in wanted if path is not None)
    return FileMasks(images, found) if len(found) == len(wanted) else None


def _exemplar(path: Path) -> str:
    """The exemplar whose shape an image has: `cat7` of `cat7-elephant1.png` and of `cat7.png`."""
    pair = read_pair(path.name)
    return pair.exemplar if pair else PurePath(path.name).stem
