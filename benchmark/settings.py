"""Settings of a process: where things are on this machine. A command builds them once and passes them down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from registry.files import Caches, WeightSources


class _Below:
    """A file or folder of the program's own, below its home."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, settings: "Settings", _kind: type | None = None) -> Path:
        return settings.home / self.name


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Locates folders, files and the leaderboard; nothing below the command line reads the environment."""

    home: Path  # BENCH_HOME: everything that the program keeps
    db: str  # location of the leaderboard
    mirror: str | None  # a folder or URL that is asked before the internet
    data: Path | None
    caches: Caches = field(default_factory=Caches)
    secret: Callable[[str], str | None] | None = None  # the value of an environment variable that holds a key

    cards = _Below("cards")  # the user's own model cards
    stimuli = _Below("stimuli")  # fetched and added stimulus sets
    weights = _Below("weights")  # downloaded checkpoints
    features = _Below("features")  # of training images, by backbone and set: a cache, safe to delete
    decoded = _Below("decoded")  # chunks of small stimulus sets: a cache, safe to delete
    thumbnails = _Below("thumbnails")  # pictures for reports: SET/MODEL.png, a strip of the model's gradients
    checked_files = _Below("checked_files.txt")  # leaderboards whose digests held: a cache, safe to delete
    tuning = _Below("tuning.json")  # the remembered batch size and threads per model and device

    @property
    def place(self) -> WeightSources:
        """Folder, mirror and caches of weights."""
        return WeightSources(weights_folder=self.weights, mirror=self.mirror, caches=self.caches, secret=self.secret)
