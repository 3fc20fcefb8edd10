"""What is still to be shown, as the threads of several workers take it."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.engine.jobs import grouped
from benchmark.engine.workers.cutting import Item

LOSSES = 3  # workers that a piece may cost: it is not chance then


@dataclass(frozen=True)
class Piece:
    """An item, and how many workers were lost over it."""

    item: Item
    losses: int = 0


class Backlog:
    """Pieces in their order; one that was lost comes first. Open until every piece is finished, or it is closed."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._waiting = deque(Piece(item) for item in items)
        self._unfinished = len(self._waiting)
        self._changed = threading.Condition()
        self.open = self._unfinished > 0

    def take(self) -> Piece | None:
        """The next piece, as soon as there is one; None when it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self.open)
            return self._waiting.popleft() if self.open else None

    def again(self, piece: Piece) -> bool:
        """A worker was lost over a piece. Whether another one takes it, each observer's share by itself, so that one
        that ends its process takes no other with it.
        """
        losses = piece.losses + 1
        if losses >= LOSSES:
            return False
        shares = grouped(piece.item.jobs, lambda job: id(job.resident))
        with self._changed:
            self._unfinished += len(shares) - 1
            self._waiting.extendleft(
                Piece(Item(tuple(jobs), piece.item.chunks), losses) for jobs in shares
            )
            self._changed.notify_all()
        return True

    def finish(self) -> None:
        """A piece is done with, whatever came of it."""
        with self._changed:
            self._unfinished -= 1
            if not self._unfinished:
                self.open = False
                self._changed.notify_all()

    def close(self) -> None:
        """Nobody gets any further piece."""
        with self._changed:
            self.open = False
            self._changed.notify_all()
