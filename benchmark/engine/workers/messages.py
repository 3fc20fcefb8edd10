"""What a run and its workers say to one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmark.contracts import Policy
from benchmark.engine.executors import Facts
from benchmark.engine.planning import Task
from benchmark.engine.tuning import Tuning
from benchmark.settings import Settings
from benchmark.store import Chunk
from registry.cards import ModelCard


@dataclass(frozen=True)
class Assignment:
    """What a worker is started with. device: as torch names it there; threads: of its processor; tasks: makes the
    plan of the run, where the worker is.
    """

    device: str
    policy: Policy
    threads: int
    settings: Settings
    tasks: Callable[[], Sequence[Task]]


@dataclass(frozen=True)
class Hold:
    """Load an observer. Reply: `Facts`."""

    card: ModelCard


@dataclass(frozen=True)
class Choose:
    """Say how a network is fed best; batch: None tunes it. Reply: a `Tuning`; none for an ideal observer."""

    observer: str
    batch: int | None


@dataclass(frozen=True)
class Feed:
    """Bring a network into its tuned form. No reply."""

    observer: str
    setting: Tuning


@dataclass(frozen=True)
class Drop:
    """Forget these observers. No reply."""

    observers: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """Chunks of one observation that are wanted of one observer."""

    observer: str
    key: str
    chunks: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """Make observations. Replies: `Rows`, `Ended`, `Decoded`, and how far it is (`Progress`)."""

    orders: tuple[Order, ...]


Request = Hold | Choose | Feed | Drop | Answer


@dataclass(frozen=True)
class Ready:
    """A worker is there. environment: as a run's; budget: bytes that a group of observers may take."""

    environment: dict[str, Any]
    budget: int


@dataclass(frozen=True)
class Rows:
    """Answers to one chunk of one block."""

    chunk: int
    rows: tuple[Chunk, ...]


@dataclass(frozen=True)
class Advanced:
    """`trials` more answers of an observer."""

    observer: str
    trials: int


@dataclass(frozen=True)
class Worked:
    """A device batch of an observer: so many forward passes."""

    observer: str
    passes: float


@dataclass(frozen=True)
class Tunes:
    """The batch size of an observer is being measured."""

    observer: str


@dataclass(frozen=True)
class Noted:
    """One line for the user."""

    text: str


@dataclass(frozen=True)
class Ended:
    """An observer's work under a suite and space has failed; suite "": all of its work."""

    observer: str
    suite: str
    space: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """So many images were decoded."""

    images: int


@dataclass(frozen=True)
class Raised:
    """The request failed: the error as one line."""

    reason: str


Progress = Advanced | Worked | Tunes | Noted
Reply = Facts | Tuning | Ready | Rows | Progress | Ended | Decoded | Raised


class WorkerLost(Exception):
    """A worker is gone: killed, out of memory, its machine switched off. What it was asked is to be asked again."""


class Worker(Protocol):
    """One device of a run."""

    @property
    def name(self) -> str:
        """For messages: "cuda:1"."""

    @property
    def ready(self) -> Ready:
        """What it said when it was started."""

    def submit(self, request: Request) -> Iterator[Reply]:
        """The replies as they come. Raises WorkerLost."""

    def close(self) -> None:
        """End it at once."""


#: Starts a worker and waits until it is ready. Raises WorkerLost, or BenchError where no further one would start.
Start = Callable[[], Worker]
