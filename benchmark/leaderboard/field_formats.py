"""Scores and answers in other projects' formats: Every Eval Ever, Hugging Face's `.eval_results` and model index, a
badge. `field_formats.yaml` has their fields."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from html import escape
from math import inf
from typing import Any
from uuid import UUID

import yaml

from benchmark.contracts import Metric, Suite, Trials
from benchmark.contracts.declarations import package_data
from benchmark.display import printable, published
from benchmark.leaderboard.table import format_interval
from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote
from registry.labels import LABEL_SPACES, label_space

FORMS = ("every-eval-ever", "eval-results", "model-index")
CHOICES = 100  # a sample lists the answers to choose from if there are at most so many
UNBOUNDED = {-inf: "-Infinity", inf: "Infinity"}
CARD = ("arch", "sha256", "weights", "training")  # fields of a card that an aggregate states
SAMPLE = ("role", "condition", "stimulus", "category", "response")  # columns of a trial that a sample states
_FACT, _NAMED = re.compile(r"\{(\w+)\}"), re.compile(r"\{(\w+)")


@dataclass(frozen=True, kw_only=True)
class SuiteScores:
    """The current scores of a network under a suite, with what other formats state beside them."""

    observer: ObserverRow
    suite: Suite
    rows: tuple[ScoreRow, ...]  # that have a value
    sets: Mapping[str, StimuliNote]  # by digest

    def filled(self, form: str, row: ScoreRow) -> Any:
        """Return a form with the facts of a score."""
        other = Metric(name=row.metric, title=row.metric, definition="")  # a score that is no metric of its own
        metric = next((metric for metric in self.suite.metrics if metric.name == row.metric), other)
        least, most = metric.span or metric.bounds or (-inf, inf)
        note = self.sets.get(row.stimuli)
        images = printable(note.name if note else self.suite.name)
        facts = {
            **row._asdict(),
            **_named(row),
            "images": images,
            "images_plain": plain_name(images),
            "title": metric.title,
            "definition": metric.definition,
            "lower": metric.direction == "lower",
            "least": UNBOUNDED.get(least, least),
            "most": UNBOUNDED.get(most, most),
            "interval": None if row.low is None else fill("interval", row._asdict()),
            "percent": 100 * row.level,
            "note": note,
            "remarks": "; ".join(row.flags),
            "day": row.created[:10],
        }
        said = {name: published(printable(text)) for name, text in fill("facts", facts).items() if text}
        facts |= {"facts": said, "notes": "; ".join(f"{name}: {text}" for name, text in said.items())}
        return fill(form, facts)


def fill(form: str, facts: Mapping[str, Any]) -> Any:
    """Return a form of `field_formats.yaml` with these facts; fields are left out where a fact is None."""
    return _filled(package_data("benchmark.leaderboard", "field_formats")[form], facts)


def _filled(form: Any, facts: Mapping[str, Any]) -> Any:
    if isinstance(form, Mapping):
        parts = ((name, _filled(part, facts)) for name, part in form.items())
        return {name: part for name, part in parts if part is not None}
    if isinstance(form, tuple):
        return [_filled(part, facts) for part in form]
    if isinstance(form, str):
        if any(facts[name] is None for name in _NAMED.findall(form)):
            return None
        whole = _FACT.fullmatch(form)
        return facts[whole[1]] if whole else form.format_map(facts)
    return form


def headlines(held: Sequence[SuiteScores], form: str) -> str:
    """Return the headlines that have a value, once for each stimulus set. The form is YAML for `.eval_results/` in one
    network's repository on Hugging Face, or the front matter of a model card ("model-index")."""
    results: dict[str, list[Any]] = defaultdict(list)
    for part in held:
        for row in (row for row in part.rows if row.metric == part.suite.headline.name and not row.condition):
            results[printable(part.observer.name)].append(part.filled(form, row))
    alone = form == "eval-results"
    models = {form: [{"name": name, "results": own} for name, own in results.items()]}
    data = [row for rows in results.values() for row in rows] if alone else models
    text = str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000))
    return text if alone else f"---\n{text}---\n"


def plain_name(text: str) -> str:
    """Return a text as one part of a path: plain characters, none of them a dot in front."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-") or "unnamed"


def every_eval_ever(part: SuiteScores, trials: Trials | None) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of a network's samples and of its aggregate under a suite. The same scores give the same
    paths and texts."""
    newest, card = max(part.rows, key=lambda row: row.created), part.observer.card
    # the organisation, where the address of the architecture or the weights has it
    found = re.search(r"hf(?:_hub)?:([\w.-]+)/", f"{card.get('arch')} {card.get('weights')}")
    facts: dict[str, Any] = {
        **{name: published(str(card[name])) if card.get(name) else None for name in CARD},
        "observer": printable(part.observer.name),
        "identity": part.observer.identity,
        "owner": plain_name(found[1] if found else "unknown"),
        "name": plain_name(part.observer.name),
        "collection": plain_name(f"gestaltbench-{part.suite.name}"),
        "moment": str(datetime.fromisoformat(newest.created).timestamp()),
        "program": newest.program or "unknown",
        "results": [part.filled("result", row) for row in part.rows],
        "detailed": None,
    }
    digest = sha256("".join(sorted({row.set_id for row in part.rows})).encode()).digest()
    place = "data/{collection}/{owner}/{name}/".format_map(facts) + str(UUID(bytes=digest[:16], version=4))
    lines: list[str] = []
    if trials is not None and "response" in trials.columns:
        # Each answer is beside the first score of its role.
        heads = sorted(part.rows, key=lambda row: (bool(row.condition), row.metric != part.suite.headline.name))
        beside, space = {row.role: _named(row) for row in reversed(heads)}, heads[0].space
        choices = list(label_space(space).classes) if space in LABEL_SPACES else []
        shared = {**facts, "space": space, "choices": choices if 0 < len(choices) <= CHOICES else None}
        for answer in zip(*(trials[name].tolist() for name in SAMPLE), strict=True):
            own = {**shared, **beside.get(answer[0], _named(heads[0])), **dict(zip(SAMPLE, answer, strict=True))}
            own["correct"] = own["response"] == own["category"]
            own |= {"right": float(own["correct"]), "sample": "/".join(filter(None, answer[:3]))}
            lines.append(json.dumps(fill("sample", own), ensure_ascii=False) + "\n")
    if lines:
        text, path = "".join(lines), f"{place}_samples.jsonl"
        sealed = {"path": path, "checksum": sha256(text.encode()).hexdigest(), "total": len(lines)}
        facts["detailed"] = fill("detailed", sealed)
        yield path, text
    yield f"{place}.json", json.dumps(fill("aggregate", facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _named(row: ScoreRow) -> dict[str, str]:
    """Return what names a result in aggregate and samples."""
    parts = [part for part in (row.suite, row.metric, row.condition) if part]
    return {"evaluation": " ".join(parts), "result": "/".join([*parts, row.stimuli[:12]])}


def badge_svg(part: SuiteScores, row: ScoreRow) -> str:
    """Return a badge: suite and metric on the left, value and interval on the right; the rest under the pointer."""
    texts = printable(part.filled("badge", row)), format_interval(row.value, row.low, row.high)
    about = printable(f"{part.observer.name}, {' '.join(texts)}; {part.filled('notes', row)}")
    left, right = (round(6.3 * len(text)) + 12 for text in texts)
    sizes = {"left": left, "right": right, "whole": left + right, "middle": left / 2, "other": left + right / 2}
    return str(fill("svg", sizes | dict(zip(("label", "value", "about"), map(escape, (*texts, about)), strict=True))))
