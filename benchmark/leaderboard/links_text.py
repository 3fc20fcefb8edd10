"""Links between suites as tables, sentences and records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.display import printable
from benchmark.leaderboard.formatting import NOTHING, estimate, number
from benchmark.leaderboard.grid import Detail, Field, Grid, at_width
from benchmark.leaderboard.links import CLEAN, Contrast, Link
from benchmark.stats.correlations import Correlation

#: The field's own questions: what is asked, and of which two suites.
QUESTIONS = (
    ("does shape bias buy corruption robustness?", "cue-conflict", "corruption"),
    ("does shape bias buy adversarial robustness?", "cue-conflict", "adversarial"),
    ("do gradients on the object go with shape bias?", "cue-conflict", "saliency"),
    ("do gradients on the object go with adversarial robustness?", "adversarial", "saliency"),
)
CAUTION = (
    "Observers are no random sample: a correlation over them says how these hang together, not what makes what. "
    "Intervals draw families (architecture line and recipe) as wholes, each row by itself."
)


def link_details(found: Sequence[Link], compared: Sequence[Contrast], space: str) -> list[Detail]:
    """Answers to the field's questions, every pair of headlines, and the contrasts of recipes."""
    details = [Detail(f"links between suites, {space}", "", Grid(()), tuple(answers(found)))]
    details.append(_pairs(found))
    if compared:
        details.append(_contrasts(compared))
    return details


def answers(found: Sequence[Link]) -> Iterator[str]:
    """A sentence for each question whose two suites were measured."""
    by_names = {frozenset((one.x.name, one.y.name)): one for one in found}
    for question, x, y in QUESTIONS:
        link = by_names.get(frozenset((x, y)))
        if link is not None:
            partial = f"; given clean accuracy {_told(link.partial)}" if link.partial else ""
            yield f"{question} {verdict(link)}: Spearman {_told(link.spearman)}{partial}"
    yield CAUTION


def verdict(link: Link) -> str:
    """What the rank correlation says, in two or three words."""
    one = link.spearman
    if one.value is None:
        return "no number"
    if link.few:
        return "too few observers to say"
    if one.low is None or one.high is None or one.low <= 0 <= one.high:
        return "inconclusive"
    good = {"higher": 1, "lower": -1}
    same = one.value * good.get(link.x.column.direction, 1) * good.get(link.y.column.direction, 1)
    return "they go together" if same > 0 else "they go against each other"


def link_records(found: Sequence[Link], space: str) -> Iterator[dict[str, Any]]:
    """One record per pair and coefficient."""
    for link in found:
        coefficients = {
            "spearman": link.spearman,
            "pearson": link.pearson,
            "partial given clean": link.partial,
        }
        for name, one in coefficients.items():
            if one is not None:
                yield {
                    "space": space,
                    "x": link.x.name,
                    "y": link.y.name,
                    "x_metric": link.x.column.metric,
                    "y_metric": link.y.column.metric,
                    "coefficient": name,
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                    "n": one.n,
                    "families": one.families,
                    "reason": one.reason,
                }


def contrast_records(found: Sequence[Contrast], space: str) -> Iterator[dict[str, Any]]:
    """One record per recipe and variable."""
    for one in found:
        yield {
            "space": space,
            "recipe": one.recipe,
            "against": "standard",
            "variable": one.variable.name,
            "metric": one.variable.column.metric,
            "value": one.difference,
            "low": one.low,
            "high": one.high,
            "n": len(one.pairs),
            "pairs": [f"{a} - {b}" for a, b in one.pairs],
        }


def _told(one: Correlation) -> str:
    if one.value is None:
        return f"{NOTHING} ({one.reason})"
    of = f"n = {one.n} in {one.families} families"
    return (
        f"{estimate(one.value, one.low, one.high)} ({of}{', ' + one.reason if one.reason else ''})"
    )


def _pairs(found: Sequence[Link]) -> Detail:
    fields = [
        Field("x", tuple(printable(one.x.title) for one in found)),
        Field("y", tuple(printable(one.y.title) for one in found)),
        Field("Spearman", tuple(_of(one.spearman) for one in found)),
        Field("given clean", tuple(_of(one.partial) for one in found)),
        Field("Pearson", tuple(_of(one.pearson) for one in found)),
        Field("one family left out", tuple(_span(one) for one in found)),
        Field("n", tuple(str(one.spearman.n) for one in found), right=True),
        Field("families", tuple(str(one.spearman.families) for one in found), right=True),
    ]
    reasons: dict[str, list[str]] = {}
    for link in found:
        if link.spearman.reason:
            reasons.setdefault(link.spearman.reason, []).append(f"{link.x.name} - {link.y.name}")
    lines = (f"{reason}: {', '.join(names)}" for reason, names in reasons.items())
    title = "every headline against every other"
    return Detail(title, "95 % intervals", Grid(tuple(map(at_width, fields))), tuple(lines))


def _of(one: Correlation | None) -> str:
    return "" if one is None else estimate(one.value, one.low, one.high)


def _span(link: Link) -> str:
    """The lowest and the highest correlation that is left when one family goes."""
    values = [value for value in link.without.values() if value is not None]
    return f"{number(min(values), 2)} to {number(max(values), 2)}" if values else ""


def _contrasts(found: Sequence[Contrast]) -> Detail:
    names = dict.fromkeys(one.variable.name for one in found)
    recipes = dict.fromkeys(one.recipe for one in found)
    cells = {(one.recipe, one.variable.name): one for one in found}
    fields = [Field("recipe - standard", tuple(map(printable, recipes)))]
    for name in names:
        held = [cells.get((recipe, name)) for recipe in recipes]
        texts = (estimate(c.difference, c.low, c.high) if c else NOTHING for c in held)
        fields.append(Field("clean accuracy" if name == CLEAN else printable(name), tuple(texts)))
    most = (max(len(c.pairs) for c in found if c.recipe == recipe) for recipe in recipes)
    fields.append(Field("pairs", tuple(map(str, most)), right=True))
    caption = (
        "mean difference of pairs alike in source, architecture and seed; t interval over pairs"
    )
    return Detail("contrasts of recipes", caption, Grid(tuple(map(at_width, fields))))
