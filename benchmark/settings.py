"""Settings of a process: where things are on this machine. A command builds them once and passes them down."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from registry.files import NO_CACHES, Caches, WeightSources


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Locates folders, files and the leaderboard; nothing below the command line reads the environment."""

    home: Path  # BENCH_HOME: everything that the program keeps
    db: str  # location of the leaderboard
    mirror: str | None  # a folder or URL that is asked before the internet
    data: Path | None
    caches: Caches = NO_CACHES
    secret: Callable[[str], str | None] | None = None  # the value of an environment variable that holds a key

    @property
    def cards(self) -> Path:
        """Folder of the user's own model cards."""
        return self.home / "cards"

    @property
    def stimuli(self) -> Path:
        """Folder of fetched and added stimulus sets."""
        return self.home / "stimuli"

    @property
    def weights(self) -> Path:
        """Folder of downloaded checkpoints."""
        return self.home / "weights"

    @property
    def place(self) -> WeightSources:
        """Folder, mirror and caches of weights."""
        return WeightSources(weights_folder=self.weights, mirror=self.mirror, caches=self.caches, secret=self.secret)

    @property
    def features(self) -> Path:
        """Folder of features of training images, by backbone and set: a cache, safe to delete."""
        return self.home / "features"

    @property
    def decoded(self) -> Path:
        """Folder of decoded chunks of small stimulus sets: a cache, safe to delete."""
        return self.home / "decoded"

    @property
    def thumbnails(self) -> Path:
        """Folder of small pictures for reports: SET/MODEL.png, a strip of the model's gradients."""
        return self.home / "thumbnails"

    @property
    def tuning(self) -> Path:
        """File of the remembered layout and batch size per model and device."""
        return self.home / "tuning.json"
