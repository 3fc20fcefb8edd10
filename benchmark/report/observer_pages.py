"""One page for each observer: card, provenance, all scores, answers."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmark.contracts.declarations import package_data
from benchmark.leaderboard.board_tables import observer_tables
from benchmark.leaderboard.forms import html
from benchmark.leaderboard.table import short_number
from benchmark.report.contents import Contents, ImageAnswers, facts_of
from benchmark.report.figures import PlacedFigure, put, training
from benchmark.report.image_pages import Pictures
from benchmark.report.strips import strips_of
from benchmark.report.writing import Site, slug
from benchmark.stimuli.image_names import NO_ANSWER
from benchmark.store import ScoreRow

LONGEST_COMMAND = 160  # characters of it that are shown
PROGRAMS = ("gestaltbench", "torch", "torchvision", "timm")
#: Images in a list, roles with lists (those that most observers answered), categories and shades of a confusion matrix.
MOST, ROLES, LARGEST, SHADES = 3, 3, 24, 5


def observer_pages(
    site: Site, contents: Contents, pictures: Pictures, partners: Mapping[str, Mapping[str, str]],
    verdicts: Mapping[str, Sequence[tuple[str, str]]],
) -> None:  # fmt: skip
    """Write observers/NAME.html for every observer of the leaderboard. partners: observer -> other observer -> the page
    that compares them; verdicts: observer -> (about, text) of each sentence."""
    measured = {suite.name for suite in contents.suites if suite.against is not None}
    against = [
        (f"{board.suite}: {who.called} ({who.how})", {row.observer for row in (*board.rows, *board.references)})
        for board in contents.boards
        if board.suite in measured and (who := contents.people(board, board.by))
    ]
    curves: dict[str, list[PlacedFigure]] = {}
    for name, known in contents.observers.items():
        runs = list(dict.fromkeys(runs_behind(contents, name)))  # one a suite: alike where it was one command
        step = known.card.get("checkpoint") or {}
        if (run := str(step.get("run", ""))) not in curves:
            curves[run] = [put(site, figure) for figure in training(contents, run)] if run else []
        site.page(
            f"observers/{slug(name)}.html",
            "observer.html",
            title=name,
            verdict=verdicts.get(name, ()),
            standing=[
                (summary.space, [*strips_of(contents, summary, {name})])
                for summary in contents.summaries
                if any(line.observer == name for line in (*summary.lines, *summary.references))
            ],
            known=known,
            words=package_data("benchmark.report", "words"),
            facts=facts_of(known),
            compared=partners.get(name, {}),
            people=[text for text, names in against if name in names],
            step=step,
            curves=curves[run],
            runs=runs,
            parts_=list(parts_of(contents, contents.scores.get(name, ()))),
            answered=list(differing_images(contents.answers, name, pictures)),
            confusions=list(confusions(contents.answers, name)),
            outcomes=[one for one in contents.outcomes if one.observer_name == name and one.status != "done"],
        )


def runs_behind(contents: Contents, name: str) -> Iterator[tuple[str, str]]:
    """Yield (command, date and versions) of the runs behind an observer's scores, the newest first."""
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
    environment, command = facts["environment"], str(facts["command"])
    packages = environment.get("packages") or {}
    versions = [f"{name} {packages[name]}" for name in PROGRAMS if packages.get(name)]
    device = " ".join(str(environment[key]) for key in ("device", "gpu") if environment.get(key))
    parts = [str(facts["started"])[:10], *versions, "" if device == "none" else device]
    return command[:LONGEST_COMMAND] + "..." * (len(command) > LONGEST_COMMAND), ", ".join(filter(None, parts))


def parts_of(contents: Contents, rows: Sequence[ScoreRow]) -> Iterator[dict[str, Any]]:
    """Yield the scores of an observer as the template shows them, suite by suite in the order of the report."""
    suites = {suite.name: suite for suite in contents.suites}
    order = {name: i for i, name in enumerate(suites)}
    parts: dict[tuple[int, str, int, str], list[ScoreRow]] = defaultdict(list)
    for row in rows:
        parts[order.get(row.suite, len(order)), row.suite, -row.version, row.space].append(row)
    for (_, name, _, _), part in sorted(parts.items(), key=lambda item: item[0]):
        suite, first = suites.get(name), part[0]
        silent = {metric.name for metric in suite.metrics if not metric.shown} if suite else set()
        single = {  # of several the one on the largest stimuli: collections share most of their sets
            (row.metric, row.role, row.condition): row
            for row in sorted(part, key=lambda row: (row.value is not None, row.n))
            if row.condition and row.metric not in silent and not (suite and row.condition in suite.references)
        }
        wholes = [row for row in part if not row.condition]
        tables = [
            replace(table, title="")
            for chosen in (wholes, [*single.values()])
            for table in observer_tables(chosen, contents.sets, contents.suites)
        ]
        yield {
            "page": contents.page_of(name),
            "title": f"{name} (version {first.version}), {first.space}",
            "how": f"{first.policy or 'imported answers'}; scored {min(row.created[:10] for row in part)}",
            "table": html(tables[0]) if wholes else "",
            "conditions": html(tables[-1]) if single else "",
        }


def differing_images(answers: Sequence[ImageAnswers], name: str, pictures: Pictures) -> Iterator[dict[str, Any]]:
    """Yield the images on which an observer differs from the others, for each role, in lists by their titles."""
    for place, role in enumerate([role for role in answers if name in role.observers][:ROLES]):
        own = role.observers.index(name)
        seen = role.shown[own]
        if not seen.any():
            continue
        others, n = role.share(np.arange(len(role.observers)) != own)
        known, right = seen & (n > 0), role.right[own]
        sure = np.full(len(seen), np.nan) if role.certainty is None or place else role.certainty[own]
        stated = ~np.isnan(sure)
        lists: dict[str, list[dict[str, str]]] = {}
        for heading, order, members, share in (
            ("Right here, hardest for the others", others, right & known & (others < 0.5), others),
            ("Wrong here, easiest for the others", 1 - others, ~right & known & (others > 0.5), others),
            ("Easiest for it", -sure, stated, sure),
            ("Hardest for it", sure, stated, sure),
        ):
            chosen = np.flatnonzero(members)
            lists[heading] = [
                {
                    "name": str(role.images[i]),
                    "answer": role.words[role.code[own, i]],
                    "truth": str(role.labels["category"][i]),
                    "share": short_number(float(share[i])),
                    "thumbnail": pictures.of(role.sets.values(), str(role.images[i])),
                }
                for i in chosen[np.argsort(order[chosen], kind="stable")][:MOST]
            ]
        yield {
            "title": f"{role.role}, {role.space}",
            "page": f"stimuli/{slug(role.key)}.html",
            "right": f"{short_number(float(right[seen].mean()))} right of {int(seen.sum())} images",
            "lists": lists,
        }


def confusions(answers: Sequence[ImageAnswers], name: str) -> Iterator[dict[str, Any]]:
    """Yield one matrix for each space, of all sets whose images have one category and no conflicting cue."""
    spaces: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for role in (role for role in answers if name in role.observers):
        own = role.observers.index(name)
        texture, category = role.labels["texture"], role.labels["category"]
        if role.shown[own].any() and not ((texture != "") & (texture != category)).any():
            seen = np.flatnonzero(role.shown[own])
            said = (role.words[code] for code in role.code[own, seen].tolist())
            spaces[role.space].update(zip(category[seen].tolist(), said, strict=True))
    for space, counts in spaces.items():
        rows = sorted({truth for truth, _ in counts})
        columns = [*rows, *sorted({word for _, word in counts} - {*rows}, key=lambda word: (word == NO_ANSWER, word))]
        if not 2 <= len(rows) <= LARGEST or len(columns) > LARGEST:
            continue
        held = {truth: [counts[truth, word] for word in columns] for truth in rows}
        lines = [(truth, [(n, -(-SHADES * n // (sum(line) or 1))) for n in line]) for truth, line in held.items()]
        title = f"Confusions, {space}, images without conflicting cues"
        yield {"title": title, "columns": columns, "rows": lines, "n": counts.total()}
