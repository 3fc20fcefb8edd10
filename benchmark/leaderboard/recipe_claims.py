"""Claims on recipes, in a file: each is held, refuted or open, over networks and images."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from benchmark.failures import BenchError
from benchmark.leaderboard.board_model import Cell
from benchmark.leaderboard.recipe_effects import RecipeDifference
from benchmark.leaderboard.table import Table, Value, declared_table, p_value
from benchmark.stats.comparisons import Comparison, adjust, decided
from registry.documents import read_document, validated

#: The claims of the papers behind this package.
PAPERS = Path(__file__).parent / "paper_claims.yaml"


@dataclass(frozen=True, kw_only=True)
class RecipeClaim:
    """Recipe `over` is higher (or lower) than recipe `under` by more than `margin`; the fields are those of a file."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    claim: str  # in words
    over: str
    under: str = "standard"
    suite: str
    metric: str | None = None  # default: the suite's headline
    direction: Literal["higher", "lower"] = "higher"
    margin: float = 0.0
    family: str = ""  # of tests; default: all claims of the file
    networks: int = 0  # of each recipe, as planned (`bench power --networks`)
    stated: date
    paper: str = ""


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
    first: str = ""  # moment of the first of these trials; "" if some were published by others
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
        """Whether it was stated on a day before any of the trials."""
        return self.claim.stated.isoformat() < self.first[:10]


def tried(rows: Sequence[TriedClaim]) -> list[TriedClaim]:
    """Return the claims with their tests, each family adjusted (Holm)."""
    families: dict[str, dict[int, Comparison]] = defaultdict(dict)
    for at, row in enumerate(rows):
        if row.found is not None and row.found.estimate is not None:
            # The difference in the direction of the claim, minus its margin.
            estimate, start = row.found.estimate, row.found.row.comparison
            value = (estimate.value if row.claim.direction == "higher" else -estimate.value) - row.claim.margin
            start = replace(start, difference=value, p_holm=None)
            families[row.claim.family][at] = decided(start, replace(estimate.test, difference=value), start.method)
    tests = {at: test for each in families.values() for at, test in zip(each, adjust([*each.values()]), strict=True)}
    return [replace(row, test=tests.get(at)) for at, row in enumerate(rows)]


def claims_table(rows: Sequence[TriedClaim]) -> Table:
    """Return each claim with its verdict, the difference and its unit, and when it was stated."""

    def values(row: TriedClaim) -> tuple[Value, ...]:
        claim, found, test = row.claim, row.found, row.test
        asked = f"{claim.over} {'>' if claim.direction == 'higher' else '<'} {claim.under}"
        asked += f" by {claim.margin:g}" if claim.margin else ""
        when = "before" if row.before else "after" if found else ""
        where, unit, cell = claim.suite, "", Cell(reason=found.row.comparison.reason if found else row.reason)
        if found and found.estimate and test:
            few = min(len(found.a), len(found.b)) < claim.networks
            flags = (*found.flags, *([f"planned for {claim.networks} networks of each recipe"] if few else []))
            low, high = found.estimate.test.interval(test.level)
            cell = Cell(found.estimate.value, low, high, n=found.sample.answers.n, flags=flags, source=test)
            where, unit = f"{found.sample.title} ({found.sample.space})", found.unit
        p = p_value(test.p_holm if test else None)
        return (claim.claim, row.verdict, asked, where, cell, unit, p, when, claim.paper)

    return declared_table("claims", map(values, rows))
