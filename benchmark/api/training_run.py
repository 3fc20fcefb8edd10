"""A training run that is swept: which checkpoints, and what became of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.api.running import RunRequest
from benchmark.display import printable

Say = Callable[[str], None]


def plain_name(text: str) -> str:
    """Text of which each character may stand in a card's name."""
    return re.sub("[^A-Za-z0-9._+-]", "-", text)


@dataclass(frozen=True)
class Sweep:
    """Which checkpoints. arch: as `bench register` takes it; pattern: a glob ("": all that look like checkpoints);
    every: only each n-th in the order of training, and the last; name: of the run ("": the folder's); given: further
    options of a registration (labels, key, mean, ...); request: how they are run.
    """

    folder: Path
    arch: str
    pattern: str = ""
    every: int = 1
    name: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    request: RunRequest = field(default_factory=RunRequest)

    @property
    def run(self) -> str:
        """The run's name, as a card's name may begin."""
        plain = plain_name(self.name or self.folder.resolve().name)
        return plain.lstrip("._+-")[:100] or "run"

    def inside(self, path: Path) -> str:
        """A file's path within the folder, for messages."""
        return printable(str(path.relative_to(self.folder)))


@dataclass
class Swept:
    """What was done. models: by step; counts: of outcomes, as in a run's report; failed: "MODEL under SUITE" -> why;
    left_out: file within the folder -> why it was not registered."""

    run: str
    unit: str = "step"
    models: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some failed or were left out."""
        if not self.counts["done"] + self.counts["cached"]:
            return 1
        return 3 if self.failed or self.left_out else 0
