"""The headlines of published networks, people and the built-in world's networks, which come with the package."""

import csv
from collections.abc import Collection, Iterator
from functools import cache
from importlib.resources import files

from benchmark.leaderboard.board_model import Cell
from benchmark.store import Store
from benchmark.store.rows import ScoreRow
from registry.files import digest_data

#: The method of a reference number: its trials are not in the leaderboard.
REFERENCE = "reference"


def is_reference(cell: Cell) -> bool:
    """Whether a number comes with the package."""
    return cell.source is not None and cell.source.method == REFERENCE


@cache
def reference_rows() -> tuple[ScoreRow, ...]:
    """Read the package's table of scores."""
    text, made = (files("benchmark.leaderboard") / "reference.csv").read_text(encoding="utf-8"), []
    for row in (row for row in csv.DictReader(text.splitlines()) if row["stimuli"]):
        value, low, high = (float(row[name]) if row[name] else None for name in ("value", "low", "high"))
        score = ScoreRow(
            observer=row["observer"],
            kind=row["kind"],
            training=tuple(filter(None, row["trained on"].split(", "))),
            suite=row["suite"],
            version=int(row["version"]),
            space=row["space"],
            created="",
            set_id=REFERENCE,
            stimuli=row["stimuli"],
            flags=(),
            metric=row["metric"],
            condition="",
            role=row["role"],
            value=value,
            reason="",
            low=low,
            high=high,
            level=0.95,
            method=REFERENCE,
            n=int(row["n"] or 0),
            excluded=0,
        )
        made.append(score)
    return tuple(made)


def images_digest(store: Store, score: ScoreRow) -> str:
    """Digest the names of the images behind a score by role: their files may differ between copies."""
    sets = {score.role: score.stimuli}
    if not score.role:
        sets = next(dict(each.stimuli) for each in store.score_sets(score.suite) if each.id == score.set_id)
    return digest_data([[role, sorted(store.stimuli(digest).ids)] for role, digest in sorted(sets.items())])[:16]


def references_of(store: Store, own: ScoreRow, known: Collection[str]) -> Iterator[ScoreRow]:
    """Yield reference scores of the same metric, version and images, of observers that are not `known` here."""
    same = [
        row
        for row in reference_rows()
        if (row.suite, row.version, row.space, row.metric) == (own.suite, own.version, own.space, own.metric)
        and row.observer not in known
    ]
    shown = images_digest(store, own) if same else ""
    yield from (row._replace(stimuli=own.stimuli) for row in same if row.stimuli == shown)
