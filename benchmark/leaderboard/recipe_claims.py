"""Claims on recipes, in a file: each is held, refuted or open, over networks and images."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from benchmark.failures import BenchError
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.recipe_effects import RecipeDifference
from benchmark.leaderboard.table import NOTHING, Field, Table, Value, p_value
from benchmark.stats.comparisons import Comparison, adjust, decided
from registry.documents import read_document, validated

#: The claims of the papers behind this package.
PAPERS = Path(__file__).parent / "paper_claims.yaml"
_STATED = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?")


@dataclass(frozen=True, kw_only=True)
class RecipeClaim:
    """Recipe `over` is higher (or lower) than recipe `under` by more than `margin`; the fields are those of a file."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    claim: str  # in words
    over: str
    under: str = "standard"
    suite: str
    metric: str = ""  # default: the suite's headline
    direction: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    family: str = ""  # of tests; default: all claims of the file
    networks: int = 0  # of each recipe, as planned (`bench power --networks`)
    stated: str  # the date, or date and time (UTC)
    paper: str = ""

    def __post_init__(self) -> None:
        if not _STATED.fullmatch(self.stated):
            raise ValueError(f"stated: a date like 2026-11-30, or 2026-11-30T09:30, not {self.stated!r}")
        if self.margin < 0:
            raise ValueError(f"margin: 0 or more, not {self.margin:g}")

    @property
    def moment(self) -> str:
        """The latest moment at which it may have been stated."""
        return self.stated if "T" in self.stated else f"{self.stated}T23:59:59"


def read_claims(path: Path) -> list[RecipeClaim]:
    """Return the claims of a YAML file, a list of mappings. Raise BenchError for anything else."""
    rows: Any = read_document(path, "the file of claims", BenchError)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise BenchError(f"{path}: expected a list of claims, each with claim, over, suite and stated.")

    def wrong(at: int, text: str) -> BenchError:
        return BenchError(f"{path}, claim {at}: {text}.")

    return [validated(RecipeClaim, row, partial(wrong, at)) for at, row in enumerate(rows, 1)]


@dataclass(frozen=True, kw_only=True)
class TriedClaim:
    """A claim and what the networks of a leaderboard say to it."""

    claim: RecipeClaim
    found: RecipeDifference | None  # None: for the `reason`
    first: str = ""  # moment of the first of these trials
    published: bool = False  # whether some of them were published by others
    reason: str = ""
    test: Comparison | None = None  # of the difference beyond the margin, adjusted within its family

    @property
    def verdict(self) -> Literal["held", "refuted", "open"]:
        """Held beyond the margin, refuted if a difference of the margin is excluded, otherwise open."""
        test = self.test
        if test is None or test.p_holm is None or test.p_holm >= 0.05 or not test.difference:
            return "open"
        return "held" if test.difference > 0 else "refuted"

    @property
    def before(self) -> bool:
        """Whether it was stated before any of the trials."""
        return not self.published and bool(self.first) and self.claim.moment < self.first


def tried(rows: Sequence[TriedClaim]) -> list[TriedClaim]:
    """Return the claims with their tests, each family adjusted (Holm)."""
    families: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        if row.found is not None and row.found.estimate is not None:
            families[row.claim.family].append(at)
    done = list(rows)
    for members in families.values():
        for at, test in zip(members, adjust([_beyond(rows[at]) for at in members]), strict=True):
            done[at] = replace(rows[at], test=test)
    return done


def _beyond(row: TriedClaim) -> Comparison:
    """Return the test of the difference, in the direction of the claim, minus its margin."""
    claim, found = row.claim, row.found
    assert found is not None and found.estimate is not None
    value = found.estimate.value * (1 if claim.direction == "higher" else -1) - claim.margin
    test = replace(found.estimate.test, difference=value)
    return decided(replace(found.row.comparison, difference=value, p_holm=None), test, found.row.comparison.method)


def claims_table(rows: Sequence[TriedClaim]) -> Table:
    """Return each claim with its verdict, the difference and its unit, and when it was stated."""

    def values(row: TriedClaim) -> tuple[Value, ...]:
        claim, found, test = row.claim, row.found, row.test
        asked = f"{claim.over} {'>' if claim.direction == 'higher' else '<'} {claim.under}"
        asked += f" by {claim.margin:g}" if claim.margin else ""
        when = "before" if row.before else "after" if found else ""
        if found is None or test is None or test.difference is None:
            reason = row.reason or (found.row.comparison.reason if found else "")
            return (claim.claim, row.verdict, asked, claim.suite, Cell(reason=reason), "", NOTHING, when, claim.paper)
        sign = 1 if claim.direction == "higher" else -1
        ends = [None if end is None else sign * (end + claim.margin) for end in (test.low, test.high)]
        low, high = ends if sign > 0 else ends[::-1]
        flags = [*found.inseparable]
        least = min(len(found.a), len(found.b))
        if least < claim.networks:
            flags.append(f"planned for {claim.networks} networks of each recipe")
        value = sign * (test.difference + claim.margin)
        cell = Cell(value, low, high, n=found.sample.answers.n, flags=tuple(flags), source=test)
        where = f"{found.sample.title} ({found.sample.space})"
        return (claim.claim, row.verdict, asked, where, cell, found.unit, p_value(test.p_holm), when, claim.paper)

    return Table(
        title="Claims on recipes",
        caption="over networks and images",
        fields=(
            *(Field("claim", "claim", who=True, breaks=30), Field("verdict", "verdict")),
            *(Field("recipes", "recipes", breaks=20), Field("metric", "metric", breaks=16)),
            *(Field("difference", "difference"), Field("over", "over", breaks=9), Field("p_holm", "p (Holm)")),
            *(Field("stated", "stated"), Field("paper")),
        ),
        rows=tuple(map(values, rows)),
        notes=(
            "held: the difference is beyond the margin; refuted: a difference beyond the margin is excluded; open: "
            "neither. stated before or after the first of these trials (published trials: after).",
        ),
        intervals="[low, high]: over networks and images, at the level of Holm's procedure in the claim's family.",
        measure="number",
        origin=("level", "method", "p"),
    )
