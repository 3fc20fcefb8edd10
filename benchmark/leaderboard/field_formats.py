"""Scores and answers in other projects' formats: Every Eval Ever 0.3.0, Hugging Face's `.eval_results` and model
index, a badge."""

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
from benchmark.display import printable, published
from benchmark.leaderboard.table import format_interval
from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote
from registry.labels import LABEL_SPACES, label_space

FORMS = ("every-eval-ever", "eval-results", "model-index")
SCHEMA = "0.3.0"  # of Every Eval Ever
CHOICES = 100  # a sample lists the answers to choose from if there are at most so many
UNBOUNDED = {-inf: "-Infinity", inf: "Infinity"}


@dataclass(frozen=True, kw_only=True)
class SuiteScores:
    """The current scores of a network under a suite, with what other formats state beside them."""

    observer: ObserverRow
    suite: Suite
    rows: tuple[ScoreRow, ...]  # that have a value
    sets: Mapping[str, StimuliNote]  # by digest
    environment: Mapping[str, Any]  # of the run that made them

    def images(self, row: ScoreRow) -> str:
        """Return the name of a score's stimulus set."""
        return printable(self.sets[row.stimuli].name if row.stimuli in self.sets else self.suite.name)

    def facts(self, row: ScoreRow) -> dict[str, str]:
        """Return what belongs beside a number, in words."""
        note = self.sets.get(row.stimuli)
        images = f"{note.name}, {note.n} images, digest {note.digest}" if note else ""
        interval = "" if row.low is None else f"[{row.low:.6g}, {row.high:.6g}], {100 * row.level:g} %, {row.method}"
        known = {
            "interval": interval,
            "n": f"{row.n} trials count, {row.excluded} do not",
            "stimuli": images,
            "suite": f"{row.suite} version {row.version}",
            "program": f"gestaltbench {row.program}",
            "policy": row.policy,
            "flags": "; ".join(row.flags),
        }
        return {name: published(printable(text)) for name, text in known.items() if text}


def eval_results(held: Sequence[SuiteScores]) -> str:
    """Return the headlines of one network as YAML for `.eval_results/` in its repository on Hugging Face."""
    rows = []
    for part, metric, row in _headlines(held):
        notes = "; ".join(f"{name}: {text}" for name, text in part.facts(row).items())
        where = {"id": f"gestaltbench/{part.suite.name}", "task_id": metric.name}
        rows.append({"dataset": where, "value": row.value, "date": row.created[:10], "notes": notes})
    return _yaml(rows)


def model_index(held: Sequence[SuiteScores]) -> str:
    """Return the headlines of networks as the front matter of a model card."""
    results: dict[str, list[Any]] = defaultdict(list)
    for part, metric, row in _headlines(held):
        name = part.images(row)
        number = {"type": metric.name, "value": row.value, "name": metric.title, "args": part.facts(row)}
        dataset = {"name": name, "type": plain_name(name), "revision": row.stimuli}
        task = {"type": "image-classification"}
        results[printable(part.observer.name)].append({"task": task, "dataset": dataset, "metrics": [number]})
    index = [{"name": name, "results": own} for name, own in results.items()]
    return f"---\n{_yaml({'model-index': index})}---\n"


def _headlines(held: Sequence[SuiteScores]) -> Iterator[tuple[SuiteScores, Metric, ScoreRow]]:
    """Yield each headline that has a value, once for each stimulus set."""
    for part in held:
        head = part.suite.headline
        yield from ((part, head, row) for row in part.rows if row.metric == head.name and not row.condition)


def _yaml(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000))


def plain_name(text: str) -> str:
    """Return a text as one part of a path: plain characters, none of them a dot in front."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-") or "unnamed"


def every_eval_ever(part: SuiteScores, trials: Trials | None) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of a network's samples and of its aggregate under a suite. The same scores give the same
    paths and texts."""
    newest, card = max(part.rows, key=lambda row: row.created), part.observer.card
    moment = str(datetime.fromisoformat(newest.created).timestamp())
    # the organisation, where the address of the architecture or the weights has it
    found = re.search(r"hf(?:_hub)?:([\w.-]+)/", f"{card.get('arch')} {card.get('weights')}")
    owner, name = plain_name(found[1] if found else "unknown"), plain_name(part.observer.name)
    collection = plain_name(f"gestaltbench-{part.suite.name}")
    digest = sha256("".join(sorted({row.set_id for row in part.rows})).encode()).digest()
    place = f"data/{collection}/{owner}/{name}/{UUID(bytes=digest[:16], version=4)}"
    run = {"schema_version": SCHEMA, "evaluation_id": f"{collection}/{owner}/{name}/{moment}"}
    stated = {key: published(str(card[key])) for key in ("arch", "sha256", "weights", "training") if card.get(key)}
    stated |= {"identity": part.observer.identity, "deployment_type": "self_deployed", "model_availability": "unknown"}
    source = {"source_name": "gestaltbench", "source_type": "evaluation_run"}
    aggregate: dict[str, Any] = {
        **run,
        "retrieved_timestamp": moment,
        "evaluation_timestamp": moment,
        "source_metadata": {**source, "source_organization_name": "unknown", "evaluator_relationship": "other"},
        "eval_library": {"name": "gestaltbench", "version": newest.program or "unknown"},
        "model_info": {
            "name": printable(part.observer.name),
            "id": f"{owner}/{name}",
            "developer": owner,
            "inference_engine": {"name": "torch", "version": str(part.environment.get("packages", {}).get("torch"))},
            "additional_details": stated,
        },
        "evaluation_results": [_result(part, row) for row in part.rows],
    }
    samples = _samples(part, trials, {**run, "model_id": f"{owner}/{name}"})
    if lines := [json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples]:
        text, path = "".join(lines), f"{place}_samples.jsonl"
        sealed = {"hash_algorithm": "sha256", "checksum": sha256(text.encode()).hexdigest(), "total_rows": len(lines)}
        aggregate["detailed_evaluation_results"] = {"format": "jsonl", "file_path": path, **sealed}
        yield path, text
    yield f"{place}.json", json.dumps(aggregate, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _named(row: ScoreRow) -> dict[str, str]:
    """Return the fields that name a result in aggregate and samples."""
    parts = [part for part in (row.suite, row.metric, row.condition) if part]
    return {"evaluation_name": " ".join(parts), "evaluation_result_id": "/".join([*parts, row.stimuli[:12]])}


def _result(part: SuiteScores, row: ScoreRow) -> dict[str, Any]:
    other = Metric(name=row.metric, title=row.metric, definition="")  # a score that is no metric of its own
    metric = next((metric for metric in part.suite.metrics if metric.name == row.metric), other)
    low, high = metric.span or metric.bounds or (-inf, inf)
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.low is not None:
        ends = {"lower": row.low, "upper": row.high, "confidence_level": row.level, "method": row.method}
        uncertainty["confidence_interval"] = ends
    return {
        **_named(row),
        "source_data": {
            "dataset_name": part.images(row),
            "source_type": "other",
            "additional_details": {"digest": row.stimuli},
        },
        "metric_config": {
            "evaluation_description": metric.definition,
            "metric_id": f"gestaltbench.{row.suite}.{row.metric}",
            "metric_name": metric.title,
            "lower_is_better": metric.direction == "lower",
            "score_type": "continuous",
            "min_score": UNBOUNDED.get(low, low),
            "max_score": UNBOUNDED.get(high, high),
        },
        "score_details": {"score": row.value, "uncertainty": uncertainty, "details": part.facts(row)},
    }


def _samples(part: SuiteScores, trials: Trials | None, shared: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the answers one by one, each beside the first score of its role."""
    if trials is None or "response" not in trials.columns:
        return
    heads = sorted(part.rows, key=lambda row: (bool(row.condition), row.metric != part.suite.headline.name))
    beside = {row.role: _named(row) for row in reversed(heads)}
    space = heads[0].space
    choices = list(label_space(space).classes) if space in LABEL_SPACES else []
    choices = choices if len(choices) <= CHOICES else []
    columns = (trials[name].tolist() for name in ("role", "condition", "stimulus", "category", "response"))
    for role, condition, stimulus, category, response in zip(*columns, strict=True):
        answer = {"turn_idx": 0, "source": "output.raw", "extracted_value": response, "is_terminal": True}
        yield {
            **shared,
            **beside.get(role, _named(heads[0])),
            "sample_id": "/".join(filter(None, (role, condition, stimulus))),
            "interaction_type": "single_turn",
            "input": {"raw": f"image {stimulus}", "reference": [category], "choices": choices or None},
            "output": {"raw": [response]},
            "answer_attribution": [{**answer, "extraction_method": "exact_match"}],
            "evaluation": {"score": float(response == category), "is_correct": response == category},
            "metadata": {"role": role, "condition": condition, "space": space},
        }


def badge_svg(part: SuiteScores, title: str, row: ScoreRow) -> str:
    """Return a badge: suite and metric on the left, value and interval on the right; the rest under the pointer."""
    texts = printable(f"{part.suite.name}: {title}"), format_interval(row.value, row.low, row.high)
    left, right = (round(6.3 * len(text)) + 12 for text in texts)
    about = escape(printable("; ".join([f"{part.observer.name}, {' '.join(texts)}", *part.facts(row).values()])))
    drawn = "".join(
        f'<rect x="{x}" width="{width}" height="20" fill="{fill}"/>'
        f'<text x="{x + width / 2}" y="14" fill="#fff" text-anchor="middle">{escape(text)}</text>'
        for x, width, fill, text in zip((0, left), (left, right), ("#444", "#1f5f8b"), texts, strict=True)
    )
    size = f'width="{left + right}" height="20" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{about}</title>{drawn}</svg>\n'
