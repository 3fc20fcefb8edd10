"""Stimulus sets as values: opened from a folder or drawn on demand, then cut to what is needed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Stimuli
from benchmark.errors import StimuliError
from benchmark.settings import Settings
from benchmark.stimuli.catalogue import Entry, find_entry
from benchmark.stimuli.compact import pick_digests
from benchmark.stimuli.digests import set_digest, text_digest
from benchmark.stimuli.file_sets import open_listing
from benchmark.stimuli.generated import generated_set, is_generated
from benchmark.stimuli.listings import evenly, list_folder, sample_order
from benchmark.stimuli.pixels import Picked
from benchmark.stimuli.places import absent, folder_of


def open_set(name: str, settings: Settings) -> Stimuli:
    """The set of that name (or alias) as it lies on this disk; sets of the built-in world are
    drawn.

    Order: by category, then image name. `whole` is the published count, so that a part of a set
    shows as a part. Raises UnknownName, MissingStimuli (with the command that gets the set) or
    StimuliError.
    """
    if is_generated(name):
        return generated_set(name)
    entry = find_entry(name, settings)
    folder = folder_of(entry, settings)
    if folder is None:
        raise absent(entry)
    return open_folder(entry, folder, settings)


def open_folder(
    entry: Entry, folder: Path, settings: Settings, limit: int | None = None
) -> Stimuli:
    """The set of an entry, read from `folder`; with `limit` what `sample` leaves of it, no other file being read.

    Raises StimuliError.
    """
    if entry.annotated:
        # Readers of XML, JSON and archives: 20 ms that reading a leaderboard does without.
        from benchmark.stimuli.annotated import open_annotated

        return open_annotated(entry, folder, settings, limit)
    if entry.kind == "names":
        from benchmark.stimuli.name_lists import open_named

        return open_named(entry, folder, settings, limit)
    listing = list_folder(entry, folder)
    return open_listing(entry, listing.sample(limit), settings, len(listing))


def subset(stimuli: Stimuli, limit: int) -> Stimuli:
    """The part that a protocol shows: at most `limit` stimuli, evenly spaced over the order (floor(i * n / limit)); of
    a sample the first.

    It has a digest of its own; `whole` stays the full count. Raises StimuliError where limit < 1.
    """
    index = evenly(len(stimuli), limit)
    if len(index) == len(stimuli):
        return stimuli
    return _pick(stimuli, range(limit) if stimuli.sampled else index)


def sample(stimuli: Stimuli, limit: int) -> Stimuli:
    """At most `limit` stimuli, the first in the order of `listings.sample_order`; the set itself where it has no more.

    It has a digest of its own; `whole` stays the full count. Raises StimuliError where limit < 1.
    """
    if limit >= max(1, len(stimuli)):
        return stimuli
    index = sample_order(stimuli.ids, stimuli.labels, limit)
    return replace(_pick(stimuli, index), sampled=True)


def shuffled(stimuli: Stimuli) -> Stimuli:
    """All of the stimuli in the order of `listings.sample_order`, so that any front part is a sample; a sample stays.

    The set has a digest of its own and says "shuffled" in its name.
    """
    mixed = stimuli
    if len(stimuli) and not stimuli.sampled:
        index = sample_order(stimuli.ids, stimuli.labels, len(stimuli))
        mixed = replace(_pick(stimuli, index), sampled=True)
    return replace(mixed, name=f"{stimuli.name} (shuffled)", whole=stimuli.whole or len(stimuli))


def restrict(stimuli: Stimuli, ids: Sequence[str]) -> Stimuli:
    """The stimuli of those names, in the order given. Raises StimuliError on unknown or repeated
    names."""
    position = {name: i for i, name in enumerate(stimuli.ids)}
    unknown = [name for name in ids if name not in position]
    if unknown:
        raise StimuliError(
            f"'{stimuli.name}' has no image '{unknown[0]}' "
            f"({len(unknown)} of {len(ids)} names are unknown)."
        )
    if len(set(ids)) != len(ids):
        twice = next(name for i, name in enumerate(ids) if name in ids[:i])
        raise StimuliError(f"the image '{twice}' of '{stimuli.name}' is named twice.")
    index = [position[name] for name in ids]
    return stimuli if index == list(range(len(stimuli))) else _pick(stimuli, index)


def seeds_of(stimuli: Stimuli, index: NDArray[np.int64], policy_seed: int) -> NDArray[np.uint64]:
    """One seed per stimulus at `index` [n], from the policy's seed and the item's content alone.

    So a stimulus keeps its seed in any order, batch or subset.
    """
    texts = (f"{policy_seed}:{stimuli.items[int(i)]}" for i in index)
    return np.array([int(text_digest(text)[:16], 16) for text in texts], dtype=np.uint64)


def _pick(stimuli: Stimuli, index: Sequence[int]) -> Stimuli:
    ids = tuple(stimuli.ids[i] for i in index)
    items = pick_digests(stimuli.items, index)
    labels = {name: column[list(index)] for name, column in stimuli.labels.items()}
    chosen = tuple(index)
    return replace(
        stimuli,
        digest=set_digest(ids, items, labels),
        ids=ids,
        items=items,
        labels=labels,
        decode=Picked(stimuli.decode, chosen),
        mask=None if stimuli.mask is None else Picked(stimuli.mask, chosen),
        ignored=None if stimuli.ignored is None else Picked(stimuli.ignored, chosen),
        importance=None if stimuli.importance is None else Picked(stimuli.importance, chosen),
        whole=stimuli.whole or len(stimuli),
    )
