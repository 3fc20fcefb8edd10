"""Every environment variable that the program reads, in one place.

BENCH_HOME    where downloaded stimuli, registered cards and tuning notes are kept (default: the user's data folder)
BENCH_DB      the leaderboard: a file or a database URL (default: results.db in the working directory)
BENCH_MIRROR  a folder or URL that is tried first for every download
BENCH_DATA    a folder with stimulus sets already on disk, one sub-folder per catalogue name
"""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DB = "results.db"


@dataclass(frozen=True)
class Settings:
    """Where things are. Built once by a command and passed down; nothing below reads the environment."""

    home: Path
    db: str
    mirror: str | None
    data: Path | None

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


def read_settings(db: str | None = None) -> Settings:
    """The settings of this process; `db` (a file or URL, from `--db`) wins over the environment."""
    data = os.environ.get("BENCH_DATA")
    return Settings(
        home=Path(os.environ.get("BENCH_HOME") or _default_home()),
        db=db or os.environ.get("BENCH_DB") or DEFAULT_DB,
        mirror=os.environ.get("BENCH_MIRROR") or None,
        data=Path(data) if data else None,
    )


def _default_home() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("gestaltbench")
