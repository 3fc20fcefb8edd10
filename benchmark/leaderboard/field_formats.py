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
_FACT = re.compile(r"\{(\w+)\}")


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
        ends = "" if row.low is None else f"[{row.low:.6g}, {row.high:.6g}], {100 * row.level:g} %, {row.method}"
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
            "interval": None if row.low is None else filled("interval", row._asdict()),
            "ends": ends,
            "set": f"{note.name}, {note.n} images, digest {note.digest}" if note else "",
            "remarks": "; ".join(row.flags),
            "day": row.created[:10],
        }
        said = {name: published(printable(text)) for name, text in filled("facts", facts).items() if text}
        facts |= {"facts": said, "notes": "; ".join(f"{name}: {text}" for name, text in said.items())}
        return filled(form, facts)


def filled(form: str, facts: Mapping[str, Any]) -> Any:
    """Return a form of `field_formats.yaml` with these facts; fields whose fact is None are left out."""
    return _filled(package_data("benchmark.leaderboard", "field_formats")[form], facts)


def _filled(form: Any, facts: Mapping[str, Any]) -> Any:
    if isinstance(form, Mapping):
        parts = ((name, _filled(part, facts)) for name, part in form.items())
        return {name: part for name, part in parts if part is not None}
    if isinstance(form, tuple):
        return [_filled(part, facts) for part in form]
    if isinstance(form, str):
        whole = _FACT.fullmatch(form)
        return facts[whole[1]] if whole else form.format_map(facts)
    return form


def headlines(held: Sequence[SuiteScores], form: str) -> str:
    """Return the headlines that have a value, once for each stimulus set: as YAML for `.eval_results/` in the
    repository of one network on Hugging Face, or as the front matter of a model card ("model-index")."""
    results: dict[str, list[Any]] = defaultdict(list)
    for part in held:
        for row in (row for row in part.rows if row.metric == part.suite.headline.name and not row.condition):
            results[printable(part.observer.name)].append(part.filled(form, row))
    if form == "eval-results":
        return _yaml([row for rows in results.values() for row in rows])
    return f"---\n{_yaml({form: [{'name': name, 'results': own} for name, own in results.items()]})}---\n"


def _yaml(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000))


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
    if lines := [json.dumps(sample, ensure_ascii=False) + "\n" for sample in _samples(part, trials, facts)]:
        text, path = "".join(lines), f"{place}_samples.jsonl"
        sealed = {"path": path, "checksum": sha256(text.encode()).hexdigest(), "total": len(lines)}
        facts["detailed"] = filled("detailed", sealed)
        yield path, text
    yield f"{place}.json", json.dumps(filled("aggregate", facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _named(row: ScoreRow) -> dict[str, str]:
    """Return what names a result in aggregate and samples."""
    parts = [part for part in (row.suite, row.metric, row.condition) if part]
    return {"evaluation": " ".join(parts), "result": "/".join([*parts, row.stimuli[:12]])}


def _samples(part: SuiteScores, trials: Trials | None, shared: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the answers one by one, each beside the first score of its role."""
    if trials is None or "response" not in trials.columns:
        return
    heads = sorted(part.rows, key=lambda row: (bool(row.condition), row.metric != part.suite.headline.name))
    beside = {row.role: _named(row) for row in reversed(heads)}
    space = heads[0].space
    choices = list(label_space(space).classes) if space in LABEL_SPACES else []
    names = ("role", "condition", "stimulus", "category", "response")
    for answer in zip(*(trials[name].tolist() for name in names), strict=True):
        facts = {**shared, **beside.get(answer[0], _named(heads[0])), **dict(zip(names, answer, strict=True))}
        facts["correct"] = facts["response"] == facts["category"]
        facts |= {"right": float(facts["correct"]), "sample": "/".join(filter(None, answer[:3])), "space": space}
        yield filled("sample", facts | {"choices": choices if 0 < len(choices) <= CHOICES else None})


def badge_svg(part: SuiteScores, row: ScoreRow) -> str:
    """Return a badge: suite and metric on the left, value and interval on the right; the rest under the pointer."""
    texts = printable(part.filled("badge", row)), format_interval(row.value, row.low, row.high)
    left, right = (round(6.3 * len(text)) + 12 for text in texts)
    about = escape(printable(f"{part.observer.name}, {' '.join(texts)}; {part.filled('notes', row)}"))
    drawn = "".join(
        f'<rect x="{x}" width="{width}" height="20" fill="{fill}"/>'
        f'<text x="{x + width / 2}" y="14" fill="#fff" text-anchor="middle">{escape(text)}</text>'
        for x, width, fill, text in zip((0, left), (left, right), ("#444", "#1f5f8b"), texts, strict=True)
    )
    size = f'width="{left + right}" height="20" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{about}</title>{drawn}</svg>\n'
