"""The scores of one observer, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from benchmark.api.opening import reading, require_observer
from benchmark.api.options import Db, Option
from benchmark.api.standing import standing
from benchmark.variables import read_settings

if TYPE_CHECKING:
    from benchmark.store import ObserverRow, ScoreRow


def show(observer: Annotated[str, Option("An observer.")], *, db: Db = None) -> list[ScoreRow]:
    """Every current score of one observer, with intervals, reasons and where the numbers come from."""
    settings = read_settings(db)
    with reading(settings) as store:
        require_observer(store, observer)
        now = standing(store, settings)
        return [now.marked(row) for row in store.latest_scores(observers=[observer])]


def who(observer: str, *, db: str | None = None) -> ObserverRow:
    """An observer as it is stored; one that `show` knows."""
    with reading(read_settings(db)) as store:
        return store.observers_named({observer})[0]


def provenance_lines(rows: Sequence[ScoreRow], *, db: str | None = None) -> list[str]:
    """One line per score set: command, code, device, precision, versions."""
    with reading(read_settings(db)) as store:
        return [
            _provenance_line(store.provenance(one))
            for one in dict.fromkeys(row.set_id for row in rows)
        ]


def _provenance_line(facts: Mapping[str, Any]) -> str:
    where = facts["environment"]
    policies = [o["details"].get("policy") for o in facts["observations"]]
    policy = next((p for p in policies if p), None) or {}
    code = where.get("code") or {}
    revision = (
        f"{code['revision'][:10]}{' + changes' if code['dirty'] else ''}"
        if code
        else "installed package"
    )
    versions = ", ".join(
        f"{n} {v}" for n, v in where.get("packages", {}).items() if v and n in ("torch", "timm")
    )
    how = f"{policy.get('device', where.get('device'))} {policy.get('precision', '')}".strip()
    return f"{facts['started']}  {facts['command']}  [{how}; {versions}; code {revision}]"
