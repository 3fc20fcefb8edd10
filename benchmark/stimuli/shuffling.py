"""Stimuli in an order that has nothing to do with what they show."""

from dataclasses import replace

from benchmark.contracts import Stimuli
from benchmark.stimuli.digests import text_digest
from benchmark.stimuli.sets import restrict


def shuffled(stimuli: Stimuli) -> Stimuli:
    """The same stimuli ordered by a digest of each item: the same order on every machine, and as good as random.

    Folders are sorted by class, so a part from the front is no sample; of this order it is one. Two items of one
    content keep the order of their names. The set has a digest of its own and says "shuffled" in its name.
    """
    items = [text_digest(f"shuffled:{item}") for item in stimuli.items]
    order = sorted(range(len(stimuli)), key=lambda i: (items[i], stimuli.ids[i]))
    mixed = restrict(stimuli, [stimuli.ids[i] for i in order])
    return replace(mixed, name=f"{stimuli.name} (shuffled)", whole=stimuli.whole or len(stimuli))
