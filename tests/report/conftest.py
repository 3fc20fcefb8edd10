"""A leaderboard by hand: observers with scores of real suites, written straight into a store."""

from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest

from benchmark import plugins
from benchmark.contracts import Observer, Score, Stimuli
from benchmark.store import ScoreSet, open_store
from benchmark.variables import read_settings

SUITES = ("cue-conflict", "human-comparison", "corruption", "adversarial", "saliency")
#: Names and tags that would do something if they were not shown as text.
HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', '=HYPERLINK("http://x","y")', "@SUM(1+1)",
    "../../../etc/passwd", "name\x1b[2J\u202egnp", "{{ 7 * 7 }}", "datum.value + 'x'",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings of an empty home, with a leaderboard at its own place."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return read_settings(str(tmp_path / "results.db"))


@pytest.fixture
def fill(settings):
    """fill(names): a leaderboard in which those networks have scores; the settings that open it."""

    def write(names, suites=SUITES, conditions=()):
        with open_store(settings.db) as store:
            run = store.begin_run("bench run", {"device": "cpu", "packages": {}})
            for suite in suites:
                store.put_stimuli(stimuli_of(suite))
            for at, name in enumerate(names):
                card = {"name": name, "arch": "timm:resnet50", "training": ["standard", name], "source": "timm"}
                observer = store.put_observer(Observer(name=name, kind="network", identity=f"{at:064x}", card=card))
                for place, suite in enumerate(suites):
                    made = score_set(observer, suite)
                    store.put_scores(run, made, list(scores_of(suite, at + place, conditions)))
            store.end_run(run, "done")
        return settings

    return write


def stimuli_of(suite):
    n = 16
    labels = {name: np.array([f"c{i % 4}" for i in range(n)]) for name in ("category", "shape", "texture")}
    images = {"ids": tuple(f"{suite}-{i}.png" for i in range(n)), "items": tuple(f"{i:064x}" for i in range(n))}
    named = {"name": suite, "digest": digest_of(suite), "space": "geirhos16"}
    return Stimuli(**named, **images, labels=labels, decode=lambda i: None, whole=32)


def digest_of(suite):
    return (suite.encode().hex() * 8)[:64]


def score_set(observer, name):
    suite = suite_of(name)
    roles = {metric.role for metric in suite.metrics if metric.role} or {"natural"}
    own = {"suite": name, "version": suite.version, "space": "geirhos16", "code": "c0de" * 16, "keys": ()}
    return ScoreSet(observer=observer, **own, stimuli=dict.fromkeys(sorted(roles), digest_of(name)))


def scores_of(name, at, conditions=()):
    """The shown metrics of a suite, and those of some conditions: (suite, metric, condition)."""
    value = 0.1 + 0.8 * ((at * 37) % 101) / 101
    number = {"value": value, "low": value - 0.05, "high": value + 0.05, "method": "wilson"}
    for metric in suite_of(name).metrics:
        if metric.shown:
            yield Score(metric=metric.name, **number, n=1200, role=metric.role)
    for suite, metric, condition in conditions:
        if suite == name:
            yield Score(metric=metric, **number, n=80, condition=condition, role=suite_of(name).metric(metric).role)


@cache
def suite_of(name):
    return plugins.find_suites().suites[name]


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def dead_links(folder):
    """(page, link) of every link of every page that leads to no file, or to no place of a page."""
    pages = {path: Page(path.read_text()) for path in folder.resolve().rglob("*.html")}
    places = {path: {attrs.get("id") for _, attrs in page.elements} for path, page in pages.items()}
    for path, page in pages.items():
        for link in (attrs[name] for _, attrs in page.elements for name in ("href", "src", "srcset") if name in attrs):
            if not link.startswith(("http", "data:")):
                name, _, place = link.partition("#")
                target = (path.parent / name).resolve() if name else path
                if not target.is_file() or (place and place not in places[target]):
                    yield path.name, link
