"""One page for each observer: card, provenance, all scores, answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contracts import Suite
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.model import cell_of, describe
from benchmark.leaderboard.table import Field, Table
from benchmark.report.board_pages import address
from benchmark.report.contents import PARENTHESIS, Contents, ImageAnswers, family, source
from benchmark.report.figures import PlacedFigure, put, training
from benchmark.report.image_pages import Pictures
from benchmark.report.writing import Site, short, slug
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.store import ObserverRow, Outcome, ScoreRow

#: Fields of a card that a reader wants to see, in this order, with what they are called.
FIELDS = {
    "training": "training",
    "description": "description",
    "arch": "architecture",
    "weights": "weights",
    "sha256": "digest of the weights",
    "labels": "labels",
    "license": "licence",
    "paper": "paper",
    "year": "year",
    "named": "called in its source",
    "source": "source",
}

#: What is done to an image, in this order and in words.
PREPROCESSING = {
    "resize": "shorter side to {} px", "interpolation": "{}", "size": "middle {} px", "channels": "{}",
    "scale": "times {}", "mean": "mean {}", "std": "sd {}",
}  # fmt: skip
#: Runs behind an observer's scores that a page tells of, and characters of a command.
MOST_RUNS, LONGEST_COMMAND = 3, 160
PROGRAMS = ("gestaltbench", "torch", "torchvision", "timm")
#: Images in a list, roles with lists (those that most observers answered), categories and shades of a confusion matrix.
MOST, ROLES, LARGEST, SHADES = 3, 3, 24, 5


def observer_pages(
    site: Site, contents: Contents, pictures: Pictures, partners: Mapping[str, Mapping[str, str]]
) -> None:
    """Write observers/NAME.html for every observer of the leaderboard. partners: observer -> other observer -> the page
    that compares them."""
    failed: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in contents.outcomes:
        if outcome.status != "done":
            failed[outcome.observer_name].append(outcome)
    curves: dict[str, list[PlacedFigure]] = {}
    for name, known in contents.observers.items():
        runs = list(dict.fromkeys(runs_behind(contents, name)))  # one a suite: alike where it was one command
        step = known.card.get("checkpoint") or {}
        run = str(step.get("run", ""))
        if run and run not in curves:
            curves[run] = [put(site, figure) for figure in training(contents, run)]
        site.page(
            f"observers/{slug(name)}.html",
            "observer.html",
            title=name,
            facts=list(_facts(known)),
            compared=partners.get(name, {}),
            people=list(_references(contents, name)),
            step=f"{step.get('unit', 'step')} {step.get('step', '')} of {run}" if run else "",
            curves=curves.get(run, ()),
            runs=runs[:MOST_RUNS],
            more_runs=max(0, len(runs) - MOST_RUNS),
            parts_=list(parts_of(contents, contents.scores.get(name, ()))),
            answered=list(answered(contents.answers, name, pictures)),
            confusions=list(confusions(contents.answers, name)),
            outcomes=failed[name],
        )


def _references(contents: Contents, name: str) -> Iterator[str]:
    """Yield the people that an observer was compared with, suite by suite."""
    measured = {suite.name for suite in contents.suites if suite.against is not None}
    for board in contents.boards:
        here = board.suite in measured and any(row.observer == name for row in (*board.rows, *board.references))
        if here and (who := contents.people(board, board.by)):
            yield f"{board.suite}: {who.called} ({who.how})"


def runs_behind(contents: Contents, name: str) -> Iterator[tuple[str, str]]:
    """(command, date and versions) of the runs behind an observer's scores, the newest first; for imported scores, runs
    of the original leaderboard."""
    sets = dict.fromkeys(row.set_id for row in contents.scores.get(name, ()))
    behind = {run for key in sets for run in contents.origins.get(key, ())}
    for run in sorted(behind, key=lambda run: contents.runs[run]["started"], reverse=True):
        facts = contents.runs[run]
        yield _ran(facts)
        theirs = facts["environment"].get("imported")
        for run_there in theirs["runs"] if theirs else ():
            command, how = _ran(run_there)
            yield command, f"{how}, told by {theirs['source']}"


def _ran(facts: Mapping[str, Any]) -> tuple[str, str]:
    environment = facts["environment"]
    packages = environment.get("packages") or {}
    versions = [f"{name} {packages[name]}" for name in PROGRAMS if packages.get(name)]
    device = " ".join(str(environment[key]) for key in ("device", "gpu") if environment.get(key))
    parts = [str(facts["started"])[:10], *versions, *([device] if device not in ("", "none") else [])]
    command = str(facts["command"])
    cut = "..." if len(command) > LONGEST_COMMAND else ""
    return command[:LONGEST_COMMAND] + cut, ", ".join(parts)


def _facts(known: ObserverRow) -> Iterator[tuple[str, str, str]]:
    """(name, text, web address): first the preprocessing, then the training."""
    card = known.card
    if shown := card.get("preprocess"):
        yield "preprocessing", _preprocessing(shown), ""
    for name, title in FIELDS.items():
        value = card.get(name)
        if value and not (name == "source" and known.kind != "network"):
            several = isinstance(value, (list, tuple))
            text = ", ".join(map(str, value)) if several else str(value)
            text = text.rpartition("/")[2] if name == "weights" else text
            yield title, text, address(text) if name == "paper" else ""
    yield "kind", known.kind, ""
    if kin := family(known):
        yield "family", kin, ""
    yield "answers", source(known) or "imported", ""
    for score in card.get("reported") or ():
        if isinstance(score, dict):
            value, where = score.get("value", ""), score.get("where", "")
            yield f"reported {score.get('metric', '')}", f"{value} ({where})", ""
    yield "identity", known.identity[:16], ""
    yield "in this leaderboard since", known.created[:16].replace("T", " "), ""


def _preprocessing(shown: Mapping[str, Any]) -> str:
    """ "shorter side to 256 px, bicubic, middle 224 px, rgb, mean .485 .456 .406, sd .229 .224 .225"."""
    texts = []
    for name, words in PREPROCESSING.items():
        value = shown.get(name)
        if value and value != 1:
            text = " ".join(map(short, value)) if isinstance(value, (list, tuple)) else str(value)
            texts.append(words.format(text))
    return ", ".join(texts)


# --- scores: every score of one suite in one space


class Part(NamedTuple):
    """The scores of one suite in one space, over all conditions and of single ones: tables."""

    page: str
    title: str
    how: str
    table: str
    conditions: str


def parts_of(contents: Contents, rows: Sequence[ScoreRow]) -> Iterator[Part]:
    """Yield the scores of an observer, suite by suite in the order of the report."""
    suites = {suite.name: suite for suite in contents.suites}
    order = {name: at for at, name in enumerate(suites)}
    parts: dict[tuple[int, str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        parts[order.get(row.suite, 99), row.suite, -row.version, row.space].append(row)
    for (_, name, _, _), part in sorted(parts.items(), key=lambda item: item[0]):
        yield _part(contents, suites.get(name), part)


def _part(contents: Contents, suite: Suite | None, rows: Sequence[ScoreRow]) -> Part:
    metrics = {metric.name: metric for metric in suite.metrics} if suite else {}
    beside = suite.references if suite else {}
    once = {(r.metric, r.role, r.condition, r.stimuli, r.value, r.reason): r for r in rows if r.condition not in beside}
    place = {name: at for at, name in enumerate(metrics)}
    ordered = sorted(once.values(), key=lambda r: (place.get(r.metric, 999), r.metric)) or list(rows)
    usual = contents.usual.get((ordered[0].suite, ordered[0].space), {}).values()

    def title(row: ScoreRow) -> str:
        """Return the metric's title, with the role if the metric has several."""
        metric = metrics.get(row.metric)
        if metric is None:
            return row.metric
        return metric.title if row.role == metric.role else f"{metric.title} ({row.role})"

    def table(rows: Iterable[ScoreRow]) -> str:
        """The suite's usual stimuli are left out."""
        names = ("metric", "condition", "", "n", "on", "by")
        lines = []
        for row in rows:
            where = "" if row.stimuli in usual else describe(row.stimuli, contents.sets)
            method = PARENTHESIS.sub("", row.method)
            lines.append((title(row), row.condition, cell_of(row), row.n or None, where, method))
        return html(Table(fields=tuple(Field(name, name or "value") for name in names), rows=tuple(lines)))

    silent = {name for name, metric in metrics.items() if not metric.shown}
    single = {  # of several the one on the largest stimuli: collections share most of their sets
        (r.metric, r.role, r.condition): r
        for r in sorted(ordered, key=lambda r: (r.value is not None, r.n))
        if r.condition and r.metric not in silent
    }
    first = ordered[0]
    return Part(
        page=f"suites/{slug(first.suite)}.html",
        title=f"{first.suite} (version {first.version}), {first.space}",
        how=f"{first.policy or 'imported answers'}; scored {min(row.created[:10] for row in rows)}; "
        "on the suite's usual stimuli, unless another set is named; 95 % intervals",
        table=table(row for row in ordered if not row.condition),
        conditions=table(sorted(single.values(), key=ordered.index)) if single else "",
    )


# --- what it answered: confusions, and the images that it gets right or wrong against everybody


class Confusion(NamedTuple):
    """Answers by category. rows: (category, (count, shade 0 to SHADES) of each cell)."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]
    n: int


class Surprise(NamedTuple):
    """An image with the answer and the correct one. share: of the others with a correct answer, or the observer's own
    probability of it."""

    name: str
    answer: str
    truth: str
    share: str
    thumbnail: str


class RoleAnswers(NamedTuple):
    """One role. alone_right: correct answers to images that most others get wrong; alone_wrong: the reverse; surest,
    least_sure (only in the first role): by the observer's own probability of the correct answer."""

    title: str
    page: str
    right: str
    alone_right: Sequence[Surprise]
    alone_wrong: Sequence[Surprise]
    surest: Sequence[Surprise] = ()
    least_sure: Sequence[Surprise] = ()


def answered(answers: Sequence[ImageAnswers], name: str, pictures: Pictures) -> Iterator[RoleAnswers]:
    """Images on which an observer differs from the others, for each role."""
    for place, role in enumerate([role for role in answers if name in role.observers][:ROLES]):
        at = role.observers.index(name)
        seen = role.shown[at]
        if not seen.any():
            continue
        others, n = role.share(np.arange(len(role.observers)) != at)
        known, right = seen & (n > 0), role.right[at]
        sure = np.full(len(seen), np.nan) if role.certainty is None or place else role.certainty[at]
        stated = ~np.isnan(sure)
        yield RoleAnswers(
            title=f"{role.role}, {role.space}",
            page=f"stimuli/{slug(role.key)}.html",
            right=f"{short(float(right[seen].mean()))} right of {int(seen.sum())} images",
            alone_right=_images(role, at, pictures, right & known, others, others, 0.5),
            alone_wrong=_images(role, at, pictures, ~right & known, 1 - others, others, 0.5),
            surest=_images(role, at, pictures, stated, -sure, sure),
            least_sure=_images(role, at, pictures, stated, sure, sure),
        )


def _images(
    role: ImageAnswers,
    at: int,
    pictures: Pictures,
    members: NDArray[np.bool_],
    order: NDArray[np.floating[Any]],
    share: NDArray[np.floating[Any]],
    below: float = np.inf,
) -> list[Surprise]:
    """The members that come first in the order, as far as it is below a limit, with an observer's answers."""
    chosen = np.flatnonzero(members)
    chosen = chosen[np.argsort(order[chosen], kind="stable")][:MOST]
    return [
        Surprise(
            name=str(role.images[i]),
            answer=role.words[role.code[at, i]],
            truth=str(role.labels["category"][i]),
            share=short(float(share[i])),
            thumbnail=pictures.of(role.sets.values(), str(role.images[i])),
        )
        for i in chosen
        if order[i] < below
    ]


def confusions(answers: Sequence[ImageAnswers], name: str) -> Iterator[Confusion]:
    """One matrix for each space, of all sets whose images have one category and no conflicting cue; none where there
    are more categories than a page has room for."""
    spaces: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for role in (role for role in answers if name in role.observers):
        at = role.observers.index(name)
        texture, category = role.labels["texture"], role.labels["category"]
        if role.shown[at].any() and not ((texture != "") & (texture != category)).any():
            seen = np.flatnonzero(role.shown[at])
            said = (role.words[code] for code in role.code[at, seen].tolist())
            spaces[role.space].update(zip(category[seen].tolist(), said, strict=True))
    for space, counts in spaces.items():
        rows = sorted({truth for truth, _ in counts})
        columns = [*rows, *sorted({word for _, word in counts} - {*rows}, key=lambda word: (word == NO_ANSWER, word))]
        if not 2 <= len(rows) <= LARGEST or len(columns) > LARGEST:
            continue
        lines = []
        for truth in rows:
            line = [counts[truth, word] for word in columns]
            lines.append((truth, [(count, -(-SHADES * count // (sum(line) or 1))) for count in line]))
        title = f"Confusions, {space}, images without conflicting cues"
        yield Confusion(title=title, columns=columns, rows=lines, n=counts.total())
