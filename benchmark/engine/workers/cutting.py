"""Jobs -> items: pieces of a run that are small enough to be shared out evenly, and large enough to share decoding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.contracts import CHUNK
from benchmark.engine.jobs import Job, grouped, same_stimuli
from benchmark.identity import Codes, block_key

ITEMS = 8  # for each worker, where there is work enough: the last ones end at nearly the same time
SPAN = 4  # chunks of an item at most: while one is shown the next is decoded


@dataclass(frozen=True)
class Item:
    """Jobs and the chunks of them that one worker shows: the same images throughout."""

    jobs: tuple[Job, ...]
    chunks: tuple[int, ...]


def items(jobs: Sequence[Job], workers: int, codes: Codes) -> Iterator[Item]:
    """Every chunk of every job in exactly one item. Chunks of a job come in their order.

    What shares a forward pass stays together: the same observer on the same block. Blocks of the same images do as
    long as that leaves items enough.
    """
    share = sum(_cost(job) * len(job.chunks) for job in jobs) / (ITEMS * workers)
    for same_images in same_stimuli(jobs):
        pieces = list(_pieces(same_images, share, codes))
        heaviest = max(sum(map(_cost, piece)) for piece in pieces)
        span = max(1, min(SPAN, int(share / heaviest)))
        chunks = sorted(set().union(*(job.chunks for job in same_images)))
        for start in range(0, len(chunks), span):
            part = tuple(chunks[start : start + span])
            for piece in pieces:
                wanted = tuple(job for job in piece if job.chunks.intersection(part))
                if wanted:
                    yield Item(wanted, part)


def _pieces(jobs: Sequence[Job], share: float, codes: Codes) -> Iterator[list[Job]]:
    """Jobs whose costs for a chunk add up to a share at most, or a single forward pass."""
    piece: list[Job] = []
    for same_block in grouped(jobs, lambda job: block_key(job.block, codes)):
        for same_pass in grouped(same_block, lambda job: id(job.resident)):
            if piece and sum(map(_cost, [*piece, *same_pass])) > share:
                yield piece
                piece = []
            piece += same_pass
    yield piece


def _cost(job: Job) -> float:
    """Forward passes for a chunk, roughly."""
    return job.suite.passes * min(CHUNK, len(job.block.stimuli))
