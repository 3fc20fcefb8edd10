"""Scores and answers in other projects' formats: Every Eval Ever 0.3.0, Hugging Face's `.eval_results` and model
index, a badge."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any
from uuid import UUID

import yaml

from benchmark.contracts import Metric, Suite, Trials
from benchmark.display import printable, published
from benchmark.leaderboard.table import format_interval
from benchmark.store.rows import ObserverRow, ScoreRow, StimuliNote

FORMS = ("every-eval-ever", "eval-results", "model-index")
SCHEMA = "0.3.0"  # of Every Eval Ever
CHOICES = 100  # a sample lists the answers to choose from if there are at most so many


@dataclass(frozen=True, kw_only=True)
class SuiteScores:
    """The current scores of a network under a suite, with what other formats state beside them."""

    observer: ObserverRow
    suite: Suite
    rows: tuple[ScoreRow, ...]
    sets: Mapping[str, StimuliNote]  # by digest
    torch: str = "unknown"  # its version in the newest run
    trials: Trials | None = None
    choices: tuple[str, ...] = ()  # the answers to choose from

    def headlines(self) -> Iterator[tuple[Metric, ScoreRow]]:
        """Yield the headline on each stimulus set that has a value."""
        for row in self.rows:
            if row.metric == self.suite.headline.name and not row.condition and row.value is not None:
                yield self.suite.headline, row

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


def eval_results(held: list[SuiteScores]) -> str:
    """Return the headlines of one network as YAML for `.eval_results/` in its repository on Hugging Face."""
    return _yaml(
        [
            {
                "dataset": {"id": f"gestaltbench/{part.suite.name}", "task_id": metric.name},
                "value": row.value,
                "date": row.created[:10],
                "notes": "; ".join(f"{name}: {text}" for name, text in part.facts(row).items()),
            }
            for part in held
            for metric, row in part.headlines()
        ]
    )


def model_index(held: list[SuiteScores]) -> str:
    """Return the headlines of networks as the front matter of a model card."""
    results: dict[str, list[Any]] = {}
    for part in held:
        for metric, row in part.headlines():
            note = part.sets.get(row.stimuli)
            name = note.name if note else part.suite.name
            number = {"type": metric.name, "value": row.value, "name": metric.title, "args": part.facts(row)}
            dataset = {"name": printable(name), "type": plain_name(name), "revision": row.stimuli}
            results.setdefault(part.observer.name, []).append(
                {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": [number]}
            )
    index = [{"name": printable(name), "results": own} for name, own in results.items()]
    return f"---\n{_yaml({'model-index': index})}---\n"


def _yaml(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=10_000))


def plain_name(text: str) -> str:
    """Return a text as one part of a path: plain characters, none of them a dot in front."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-") or "unnamed"


def every_eval_ever(part: SuiteScores) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of a network's samples and of its aggregate under a suite. The same scores give the same
    paths and texts."""
    valued = [row for row in part.rows if row.value is not None]
    if not valued:
        return
    seconds = str(datetime.fromisoformat(max(row.created for row in valued)).timestamp())
    card = part.observer.card
    developer = plain_name(_organisation(card))
    name, collection = plain_name(part.observer.name), plain_name(f"gestaltbench-{part.suite.name}")
    digest = sha256("".join(sorted({row.set_id for row in valued})).encode()).digest()
    place = f"data/{collection}/{developer}/{name}/{UUID(bytes=digest[:16], version=4)}"
    newest = max(valued, key=lambda row: row.created)
    shared = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{collection}/{developer}/{name}/{seconds}",
        "model_id": f"{developer}/{name}",
    }
    titles = {metric.name: metric for metric in part.suite.metrics}
    results = [_result(part, row, titles.get(row.metric)) for row in valued]
    samples = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in _samples(part, valued, shared)]
    stated = {key: published(str(card[key])) for key in ("arch", "sha256", "weights", "training") if card.get(key)}
    aggregate: dict[str, Any] = {
        "schema_version": SCHEMA,
        "evaluation_id": shared["evaluation_id"],
        "retrieved_timestamp": seconds,
        "evaluation_timestamp": seconds,
        "source_metadata": {
            "source_name": "gestaltbench",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "gestaltbench", "version": newest.program or "unknown"},
        "model_info": {
            "name": printable(part.observer.name),
            "id": shared["model_id"],
            "developer": developer,
            "inference_engine": {"name": "torch", "version": part.torch},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "identity": part.observer.identity,
                **stated,
            },
        },
        "evaluation_results": results,
    }
    if samples:
        text, path = "".join(samples), f"{place}_samples.jsonl"
        checksum = sha256(text.encode()).hexdigest()
        described: dict[str, Any] = {
            "format": "jsonl",
            "file_path": path,
            "hash_algorithm": "sha256",
            "checksum": checksum,
        }
        described["total_rows"] = len(samples)
        aggregate["detailed_evaluation_results"] = described
        yield path, text
    yield f"{place}.json", json.dumps(aggregate, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _organisation(card: Mapping[str, Any]) -> str:
    """Return whose network it is, where the name of its architecture or weights says so."""
    found = re.search(r"hf(?:_hub)?:([\w.-]+)/", f"{card.get('arch')} {card.get('weights')}")
    return found[1] if found else "unknown"


def _result_id(row: ScoreRow) -> str:
    return "/".join(filter(None, (row.suite, row.metric, row.condition, row.stimuli[:12])))


def _result(part: SuiteScores, row: ScoreRow, metric: Metric | None) -> dict[str, Any]:
    low, high = (metric and (metric.span or metric.bounds)) or (float("-inf"), float("inf"))
    note = part.sets.get(row.stimuli)
    unbounded = {float("-inf"): "-Infinity", float("inf"): "Infinity"}
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.low is not None:
        limits = {"lower": row.low, "upper": row.high, "confidence_level": row.level, "method": row.method}
        uncertainty["confidence_interval"] = limits
    return {
        "evaluation_result_id": _result_id(row),
        "evaluation_name": " ".join(filter(None, (part.suite.name, row.metric, row.condition))),
        "source_data": {
            "dataset_name": note.name if note else part.suite.name,
            "source_type": "other",
            "additional_details": {"digest": row.stimuli, "images": str(note.n if note else "")},
        },
        "metric_config": {
            "evaluation_description": metric.definition if metric else row.metric,
            "metric_id": f"gestaltbench.{row.suite}.{row.metric}",
            "metric_name": metric.title if metric else row.metric,
            "lower_is_better": metric is not None and metric.direction == "lower",
            "score_type": "continuous",
            "min_score": unbounded.get(low, low),
            "max_score": unbounded.get(high, high),
        },
        "score_details": {"score": row.value, "uncertainty": uncertainty, "details": part.facts(row)},
    }


def _samples(part: SuiteScores, rows: list[ScoreRow], shared: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the answers one by one, each beside the first score of its role."""
    if part.trials is None or "response" not in part.trials.columns:
        return
    heads = sorted(rows, key=lambda row: (bool(row.condition), row.metric != part.suite.headline.name))
    names = ("role", "condition", "stimulus", "category", "response")
    for role, condition, stimulus, category, response in zip(
        *(part.trials[name].tolist() for name in names), strict=True
    ):
        row = next((row for row in heads if row.role == role), heads[0])
        right = response == category
        yield {
            **shared,
            "evaluation_name": " ".join(filter(None, (part.suite.name, row.metric, row.condition))),
            "evaluation_result_id": _result_id(row),
            "sample_id": "/".join(filter(None, (role, condition, stimulus))),
            "interaction_type": "single_turn",
            "input": {
                "raw": f"image {stimulus}",
                "reference": [category],
                "choices": list(part.choices) if len(part.choices) <= CHOICES else None,
            },
            "output": {"raw": [response]},
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": response,
                    "extraction_method": "exact_match",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": float(right), "is_correct": right},
            "metadata": {"role": role, "condition": condition, "space": part.rows[0].space},
        }


def badge_svg(part: SuiteScores, metric: Metric, row: ScoreRow) -> str:
    """Return a badge: suite and metric on the left, value and interval on the right."""
    label, value = f"{part.suite.name}: {metric.title}", format_interval(row.value, row.low, row.high)
    about = f"{part.observer.name}: {label} {value}; " + "; ".join(part.facts(row).values())
    widths = [round(6.3 * len(text)) + 12 for text in (label, value)]
    left, whole = widths[0], sum(widths)
    texts = "".join(
        f'<text x="{x}" y="14">{escape(printable(text))}</text>'
        for x, text in ((left / 2, label), (left + widths[1] / 2, value))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" '
        f'aria-label="{escape(printable(f"{label} {value}"))}"><title>{escape(printable(about))}</title>'
        f'<rect width="{whole}" height="20" rx="3" fill="#1f5f8b"/>'
        f'<path d="M3 0H{left}V20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#444"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
